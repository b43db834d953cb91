"""The text of an exception and of what led to it, as Python would print it, in bounds.

Python's own ``traceback`` looks at every member of a group, reads any file that a frame names (a pipe, for one, which
never ends), asks objects what names they have, and copies messages whole. Nothing here does.
"""

import linecache
import stat
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence, Sized
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Final, cast

from conveyor.core.redact import MARGIN
from conveyor.core.values import kind_of, parts

FRAMES: Final = 30
CHAIN: Final = 10
GROUP: Final = 5
GROUPS_DEEP: Final = 5
ERRORS: Final = 30
NOTES: Final = 5
PIECE: Final = 1_000
LINE: Final = 200
BEYOND: Final = MARGIN + 1
"""So much more of a text goes to be cleaned, if there is more: a secret that was cut in half would not be known."""
FILE_NAME: Final = 4_096
"""No file has a longer name."""
SOURCE: Final = 4 * 1024 * 1024
"""A larger file is not read for a line of it."""

INTEGER: Final = 10_000
"""Python makes no text of an integer of more bits than some thousands."""
TEXT: Final = 4_000
"""Characters of an exception's text that are made at all."""

CAUSED: Final = "The above exception was the direct cause of the following exception:"
MEANWHILE: Final = "During handling of the above exception, another exception occurred:"

Clean = Callable[[str, int], str]
"""Gives a text without secrets, within a length."""

# What a class may override is asked for as BaseException has it.
_cause = BaseException.__dict__["__cause__"].__get__
_context = BaseException.__dict__["__context__"].__get__
_suppressed = BaseException.__dict__["__suppress_context__"].__get__
_traceback = BaseException.__dict__["__traceback__"].__get__
_namespace = BaseException.__dict__["__dict__"].__get__
_args = BaseException.__dict__["args"].__get__
_members = BaseExceptionGroup.__dict__["exceptions"].__get__
_headline = BaseExceptionGroup.__dict__["message"].__get__
_file_names = tuple(OSError.__dict__[name].__get__ for name in ("filename", "filename2", "strerror"))
_module = type.__dict__["__module__"].__get__
_qualname = type.__dict__["__qualname__"].__get__
_mro = type.__dict__["__mro__"].__get__
_attributes = type.__dict__["__dict__"].__get__

_OF_ARGS: Final = tuple(kind.__dict__["__str__"] for kind in (BaseException, KeyError, OSError))
"""How the standard exceptions make their text: of all that they were given, however large."""


def traceback_of(error: BaseException) -> TracebackType | None:
    """The traceback of *error*, whatever its class says of that."""
    return cast(TracebackType | None, _traceback(error))


def alone(error: BaseException) -> BaseException:
    """What *error* is a group of, and of nothing else, however deep; *error* itself when it is no such group."""
    while issubclass(type(error), BaseExceptionGroup) and len(_members(error)) == 1:
        (error,) = _members(error)
    return error


def frames(error: BaseException) -> Iterator[TracebackType]:
    """The frames that *error* passed through, outermost first."""
    found = traceback_of(error)
    while found is not None:
        yield found
        found = found.tb_next


def class_path(kind: type) -> str:
    """The dotted path of a class, whatever its metaclass says; without the module for Python's own."""
    name = exact(_qualname(kind), LINE)
    module: object = _module(kind)  # which need not be text
    return name if module == "builtins" or not isinstance(module, str) else f"{exact(module, LINE)}.{name}"


def exact(text: str, length: int) -> str:
    """The beginning of *text* as a plain ``str``: the methods of a subclass are the user's."""
    return str.__getitem__(text, slice(length))


# ------------------------------------------------------------------- texts


def said(error: BaseException, length: int = TEXT, clean: Clean = exact) -> str:
    """The beginning of *error*'s text, made without copying a large one where that can be helped.

    *clean* gets what has to be cut for that. The text as a whole is for the caller to clean.
    """
    try:
        return exact(_text(error, clean), length)
    except BaseException as trouble:  # noqa: BLE001 - a broken __str__ must not hide the failure itself
        return f"(its text cannot be shown: __str__ raised {class_path(type(trouble))})"[:length]


def _text(error: BaseException, clean: Clean) -> str:
    kind = type(error)
    method = next(_attributes(one)["__str__"] for one in _mro(kind) if "__str__" in _attributes(one))
    if method is BaseExceptionGroup.__str__:
        count = len(_members(error))
        return f"{exact(_headline(error), TEXT)} ({count} sub-exception{'s' * (count != 1)})"
    if any(method is one for one in _OF_ARGS):
        args: tuple[object, ...] = _args(error)
        names = [name(error) for name in _file_names] if issubclass(kind, OSError) else []
        if _heavy([args, names]):
            alone = len(args) == 1 and type(args[0]) is str and not issubclass(kind, KeyError)
            briefly = (brief(one, clean) for one in [*args[:GROUP], *names])
            return exact(cast(str, args[0]), TEXT) if alone else ", ".join(briefly)
    return str(error)


def _heavy(value: object) -> bool:
    """Whether the text of *value* would be long, or take long to make, as far as can be seen from outside."""
    left, waiting = TEXT, [value]
    while waiting and left >= 0:
        one = waiting.pop()
        kind = type(one)
        if kind is str or kind is bytes or kind is bytearray:
            left -= len(cast(Sized, one))
        elif kind is int and cast(int, one).bit_length() >= INTEGER:
            return True
        else:
            inner = [part for _, part in islice(parts(one), left)]
            left -= 1 + len(inner)
            waiting += inner
    return left < 0


def brief(value: object, clean: Clean = exact, deep: int = 3) -> str:
    """*value* as ``repr`` shows it, if that is short; else what it is. May raise what its own methods raise."""
    kind = type(value)
    if kind is str or kind is bytes or kind is bytearray:
        return clean(repr(cast(str, value)[: PIECE + BEYOND]), PIECE)
    if not _heavy(value):
        return clean(repr(value), PIECE)
    if kind is list or kind is tuple or kind is set or kind is frozenset or kind is dict:
        many = cast(Collection[object], value)
        inner = ", ".join(brief(one, clean, deep - 1) for one in islice(many, GROUP)) if deep else ""
        return f"{kind.__name__} of {len(many):,} ({inner}, ...)"
    return f"a large {kind_of(value)}"


# -------------------------------------------------------------- tracebacks


def places(error: BaseException) -> Iterator[str]:
    """Where *error* passed through: files and functions, without lines, outermost first."""
    codes = (frame.tb_frame.f_code for frame in frames(error))
    return (f"{exact(code.co_filename, FILE_NAME)}:{exact(code.co_name, LINE)}" for code in codes)


class Teller:
    """Tells an exception line by line; how many lines that can be is bounded."""

    def __init__(self, clean: Clean) -> None:
        """*clean* gets every piece of text before it is cut."""
        self._clean = clean
        self._seen: set[int] = set()

    def tell(self, error: BaseException, indent: str = "") -> Iterator[str]:
        """The lines for *error*, after those for what led to it."""
        linked = list(self._linked(error))
        for one, link in reversed(linked):
            yield from self._one(one, indent)
            if link:
                yield from ("", indent + link, "")

    def _linked(self, error: BaseException) -> Iterator[tuple[BaseException, str]]:
        """*error* and what led to it, each with how it led to the one before; each is told once."""
        link = ""
        one: BaseException | None = error
        for _ in range(CHAIN):
            if one is None or id(one) in self._seen or len(self._seen) >= ERRORS:
                return
            self._seen.add(id(one))
            yield one, link
            link, cause = CAUSED, _cause(one)
            if cause is None and not _suppressed(one):
                link, cause = MEANWHILE, _context(one)
            one = cause

    def _one(self, error: BaseException, indent: str) -> Iterator[str]:
        passed = deque(frames(error), FRAMES)
        if passed:
            yield f"{indent}Traceback (most recent call last):"
        for frame in passed:
            yield from (indent + line for line in self._frame(frame))
        text = self._clean(said(error, PIECE + BEYOND, self._clean), PIECE)
        path = class_path(type(error))
        yield from (indent + line for line in (f"{path}: {text}" if text else path).split("\n"))
        for note in _notes(error):
            yield from (indent + line for line in self._clean(note, LINE).split("\n"))
        if issubclass(type(error), BaseExceptionGroup):
            yield from self._group(_members(error), indent)

    def _group(self, members: Sequence[BaseException], indent: str) -> Iterator[str]:
        if len(indent) >= 2 * GROUPS_DEEP:
            return
        for at, member in enumerate(members[:GROUP], 1):
            yield f"{indent}  ---- {at} of {len(members)} ----"
            yield from self.tell(member, indent + "  ")

    def _frame(self, passed: TracebackType) -> Iterator[str]:
        code = passed.tb_frame.f_code
        line = passed.tb_lineno
        file, name = (self._clean(exact(one, LINE + BEYOND), LINE) for one in (code.co_filename, code.co_name))
        yield f'  File "{file}", line {line}, in {name}'
        if source := _source(code.co_filename, line):
            yield "    " + self._clean(source, LINE)


def _notes(error: BaseException) -> list[str]:
    """The notes that are text; anything can have been put there."""
    namespace: dict[str, object] = _namespace(error)
    notes = dict[str, object].get(namespace, "__notes__")
    if type(notes) is not list and type(notes) is not tuple:
        return []
    few = cast(Sequence[object], notes)[:NOTES]
    return [exact(cast(str, note), LINE + BEYOND) for note in few if issubclass(type(note), str)]


def _source(file: str, line: int) -> str:
    """The line of source, of a regular file that is not too large, or of what Python holds already."""
    if len(file) > FILE_NAME:
        return ""
    known = linecache.cache.get(file)
    if known is None or len(known) == 1:  # one that would have to be asked for
        try:
            info = Path(file).stat()
        except (OSError, ValueError):
            return ""
        if not stat.S_ISREG(info.st_mode) or info.st_size > SOURCE:
            return ""
    return linecache.getline(file, line).strip()[: LINE + BEYOND]
