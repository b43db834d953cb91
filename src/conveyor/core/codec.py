"""Arguments and results as bytes of canonical JSON, checked against the function's own signature.

What goes in must come out equal: a value that JSON would change (a tuple that returns as a list, NaN that
returns as null) is refused at ``enqueue``, with its path, unless the annotation says how to read it back.
"""

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from operator import invert
from typing import Any, Final

import msgspec

from conveyor.core.errors import PayloadError, UnfitArguments
from conveyor.core.exact import Difference, difference
from conveyor.core.reading import RESULT, Reader, Record, readers, written, written_whole
from conveyor.core.trace import said
from conveyor.core.values import PAYLOAD_LIMIT, kind_of, parts, plain, shown

_canonical = msgspec.json.Encoder(order="deterministic", enc_hook=written).encode
_any_order = msgspec.json.Encoder(enc_hook=written).encode
_whole_canonical = msgspec.json.Encoder(order="deterministic", enc_hook=written_whole).encode
_whole_any_order = msgspec.json.Encoder(enc_hook=written_whole).encode
_decode = msgspec.json.decode
_decode_call = msgspec.json.Decoder(tuple[list[Any], dict[str, Any]]).decode

_KEYWORD_ONLY: Final = inspect.Parameter.KEYWORD_ONLY
_VAR_POSITIONAL: Final = inspect.Parameter.VAR_POSITIONAL
_PLACED: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_VAR_KEYWORD: Final = inspect.Parameter.VAR_KEYWORD

Foreign = Any
"""An object of the user's or of a library that they chose, which only they know the type of."""

SIGNATURE_SHOWN: Final = 500
TROUBLE_SHOWN: Final = 200


class Codec:
    """Encodes the calls of one function, and its results.

    The signature is read at first use, when all names that its annotations mention exist.
    """

    __slots__ = ("_called", "_fewest", "_function", "_kinds", "_places", "_readers", "_signature", "_skip")

    def __init__(self, function: Callable[..., object], called: str, *, skip_first: bool = False) -> None:
        """*called* is the task's name, for messages; *skip_first* leaves out a context parameter."""
        self._function = function
        self._called = called
        self._skip = skip_first
        self._signature: inspect.Signature | None = None
        self._readers: dict[str, Reader] = {}
        self._kinds: Sequence[tuple[str, object]] = ()
        self._places: Sequence[str] = ()
        """The parameters that can be given by position, where no other has to be given."""
        self._fewest = 0
        """How many of these have no default."""

    def encode(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> bytes:
        """The call as bytes.

        Raises ``TypeError`` when the function does not take these arguments, ``PayloadError`` when a value
        cannot be stored or would not come back equal.
        """
        arguments = self._bound(args, kwargs)
        # An annotation can change even a plain value: "2030-01-01" would come back as a date.
        readers = self._readers
        typed = [name for name, value in arguments.items() if not plain(value, name) or name in readers]
        positional, named = self._arranged(arguments)
        data = encoded([positional, named], self._called, arguments)
        if typed:
            try:
                self._compare(positional, named, data)
            except PayloadError:  # a model may be told only by fields that were not set: see written_whole()
                data = encoded([positional, named], self._called, arguments, whole=True)
                self._compare(positional, named, data)
        return data

    def decode(self, data: bytes) -> tuple[list[Any], dict[str, Any]]:
        """The positional and the named arguments of an encoded call, as the annotations want them.

        Raises ``PayloadError`` when *data* is no encoded call, ``UnfitArguments`` when it is one that the function
        does not take: it was made when that had another signature, or a class among its annotations other fields.
        """
        try:
            positional, named = _decode_call(data)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the bytes, it is they that are wrong
            raise PayloadError(f"{self._called}: its stored arguments cannot be read: {said(error)}") from None
        if self._signature is None:
            self.signature()
        if named or not self._fewest <= len(positional) <= len(self._places):
            self._check_place(positional, named)
        return self._revived(positional, named) if self._readers else (positional, named)

    def encode_result(self, value: object) -> bytes | None:
        """A return value as bytes; ``None`` for ``None``. ``PayloadError`` when it cannot be stored."""
        if value is None:
            return None
        simple = plain(value, "result")
        data = encoded(value, "result", {"result": value})
        if self._signature is None:
            self.signature()
        if simple and RESULT not in self._readers:
            return data
        try:
            self._check(RESULT, "result", value, _decode(data))
        except PayloadError:  # as above
            data = encoded(value, "result", {"result": value}, whole=True)
            self._check(RESULT, "result", value, _decode(data))
        return data

    def decode_result(self, data: bytes | None) -> Any:
        """The return value that was encoded. ``PayloadError`` when *data* is none."""
        if data is None:
            return None
        if self._signature is None:
            self.signature()
        try:
            value = _decode(data)
        except Exception as error:  # noqa: BLE001 - as in decode()
            raise PayloadError(f"{self._called}: its stored result cannot be read: {said(error)}") from None
        return self._read(value, RESULT)

    def signature(self) -> inspect.Signature:
        """The function's signature without the context parameter."""
        if self._signature is None:
            whole = inspect.signature(self._function)
            parameters = list(whole.parameters.values())[self._skip :]
            self._readers = readers(self._function, parameters)
            self._kinds = [(parameter.name, parameter.kind) for parameter in parameters]
            self._places, self._fewest = _by_position(parameters)
            self._signature = whole.replace(parameters=parameters)
        return self._signature

    def places(self, names: Collection[str]) -> tuple[str | int, ...]:
        """Where in an encoded call the values of the parameters *names* stand: their names, and their positions.

        A ``*`` parameter takes all from its position on, told as that position's complement, ``~2``; a ``**`` one
        is told as ``**``. ``TypeError`` when the function has no such parameter.
        """
        # Not self.signature(): the names in the annotations may not exist yet.
        parameters = list(inspect.signature(self._function).parameters.values())[self._skip :]
        known = {parameter.name for parameter in parameters}
        takes_any = any(parameter.kind is _VAR_KEYWORD for parameter in parameters)
        if unknown := [name for name in names if name not in known and not takes_any]:
            raise TypeError(f"{self._called} has no parameter {', '.join(unknown)} to redact")
        wanted = [(at, p) for at, p in enumerate(parameters) if p.name in names and p.kind is not _KEYWORD_ONLY]
        stars: dict[object, Callable[[int], int | str]] = {_VAR_POSITIONAL: invert, _VAR_KEYWORD: lambda _: "**"}
        return (*names, *(stars.get(p.kind, int)(at) for at, p in wanted))

    # ------------------------------------------------------------ inside

    def _bound(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> Mapping[str, Any]:
        """The arguments by parameter. The usual call is bound by hand: ``inspect`` takes longer than all the rest."""
        signature = self.signature()
        if not kwargs and self._fewest <= len(args) <= len(self._places):
            return dict(zip(self._places, args, strict=False))
        try:
            return signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{self._shown()}: {error}{_misspelt(signature, kwargs, str(error))}") from None

    def _arranged(self, arguments: Mapping[str, Any]) -> tuple[list[object], dict[str, object]]:
        """The bound *arguments* as they are stored: by position as far as that goes, which is up to the first gap."""
        positional: list[object] = []
        named: dict[str, object] = {}
        gap = False
        for name, kind in self._kinds:
            if name not in arguments:
                gap = True
            elif kind is _VAR_POSITIONAL:
                positional += arguments[name]
            elif kind is _VAR_KEYWORD:
                named |= arguments[name]
            elif gap or kind is _KEYWORD_ONLY:
                named[name] = arguments[name]
            else:
                positional.append(arguments[name])
        return positional, named

    def _revived(self, positional: list[Any], named: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        takers = self._takers(len(positional))
        args = [self._revive(value, name, path) for value, (name, path) in zip(positional, takers, strict=True)]
        return args, {key: self._revive(value, self._reads(key), key) for key, value in named.items()}

    def _revive(self, value: object, name: str, path: str) -> Any:
        read, kind = self._readers.get(name), type(value)
        if kind is not dict or not isinstance(read, Record):
            return self._read(value, name)
        try:
            return read(value)
        except Exception as error:  # noqa: BLE001 - also what the user's own types raise
            unfit = f"{self._called}: {path} has not the fields of its annotation"
            raise UnfitArguments(unfit, " ".join(said(error, TROUBLE_SHOWN).split())) from None

    def _check_place(self, positional: Sequence[Any], named: Mapping[str, Any]) -> None:
        signature = self.signature()
        try:
            signature.bind(*positional, **named)
        except TypeError as error:
            raise UnfitArguments(f"{self._shown()}: {error}{_misspelt(signature, named, str(error))}") from None

    def _compare(self, positional: Sequence[object], named: Mapping[str, object], data: bytes) -> None:
        stored_args, stored_kwargs = _decode_call(data)
        takers = self._takers(len(positional))
        for (name, path), sent, stored in zip(takers, positional, stored_args, strict=True):
            self._check(name, path, sent, stored)
        for key, sent in named.items():
            owner = self._taker(key)
            path = key if owner == key else f"{owner}[{shown(key)}]"
            self._check(self._reads(key), path, sent, stored_kwargs[key])

    def _check(self, name: str, path: str, sent: object, stored: object) -> None:
        """Refuse a value that is *stored* as JSON beyond bounds, or would come back other than it was *sent*."""
        plain(stored, path)
        try:
            found = difference(sent, self._read(stored, name), path)
        except Exception:  # noqa: BLE001 - an __eq__ of the user's; or of the standard's, as Decimal("sNaN") has
            found = Difference(path, sent, stored)
        if found:
            raise PayloadError(_unequal(found, path, self._trouble(stored, name) if name in self._readers else None))
        kind = type(sent)
        if name != RESULT and kind is dict and isinstance(self._readers.get(name), Record):
            # It is none, or it would have come back as one; and it would be taken for what other code has sent.
            trouble = self._trouble(stored, name)
            raise PayloadError(f"{path}: has not the fields of its annotation{trouble}; send what the annotation says")

    def _read(self, value: object, name: str) -> Any:
        read = self._readers.get(name)
        if read is None:
            return value
        try:
            return read(value)
        except Exception:  # noqa: BLE001 - also what the user's own types raise
            # The annotation is a promise of the author's, not a check of ours: a plain value that does not
            # fit it is handed over as it was given, as Python itself would.
            return value

    def _trouble(self, value: object, name: str) -> str:
        """Why the annotation does not read *value*, if it does not."""
        try:
            self._readers[name](value)
        except Exception as error:  # noqa: BLE001 - as above
            return f" ({' '.join(said(error, TROUBLE_SHOWN).split())})"
        return ""

    def _takers(self, count: int) -> list[tuple[str, str]]:
        """For each of *count* positional arguments the parameter that takes it, and its path."""
        takers: list[tuple[str, str]] = []
        for parameter in self.signature().parameters.values():
            if parameter.kind is parameter.VAR_POSITIONAL:
                takers += [(parameter.name, f"{parameter.name}[{at}]") for at in range(count - len(takers))]
            elif parameter.kind is not parameter.KEYWORD_ONLY and len(takers) < count:
                takers.append((parameter.name, parameter.name))
        return takers

    def _taker(self, key: str) -> str:
        """The parameter that takes the keyword *key*: the one of that name, or the ``**`` one."""
        parameters = self.signature().parameters
        own = parameters.get(key)
        if own is not None and own.kind in {own.KEYWORD_ONLY, own.POSITIONAL_OR_KEYWORD}:
            return key
        return next((p.name for p in parameters.values() if p.kind is p.VAR_KEYWORD), "")

    def _reads(self, key: str) -> str:
        """The name of what reads the keyword *key*."""
        owner = self._taker(key)
        return f"**{key}" if owner != key and f"**{key}" in self._readers else owner

    def _shown(self) -> str:
        """The task as it is called. Its defaults are the user's, and may have no text, or too much."""
        try:
            return f"{self._called}{self._signature}"[:SIGNATURE_SHOWN]
        except Exception:  # noqa: BLE001 - as above
            return f"{self._called}(...)"


def _misspelt(signature: inspect.Signature, kwargs: Mapping[str, object], said: str) -> str:
    """The names that no parameter has: ``bind`` complains of what it misses, and is silent on why."""
    if any(parameter.kind is _VAR_KEYWORD for parameter in signature.parameters.values()):
        return ""
    unknown = [repr(name) for name in kwargs if name not in signature.parameters and repr(name) not in said]
    return f"; it takes no {', '.join(unknown)}" if unknown else ""


def _by_position(parameters: Sequence[inspect.Parameter]) -> tuple[Sequence[str], int]:
    """The names of *parameters* that can be given by position, and how many must be; none if another must be given."""
    placed = [parameter for parameter in parameters if parameter.kind in _PLACED]
    owed = [parameter for parameter in parameters if parameter.default is parameter.empty]
    if any(parameter.kind is _KEYWORD_ONLY for parameter in owed):
        return (), 1
    return [parameter.name for parameter in placed], sum(parameter.kind in _PLACED for parameter in owed)


# ------------------------------------------------------------------- bytes


def encoded(value: object, path: str, arguments: Mapping[str, object], *, whole: bool = False) -> bytes:
    """*value*, which was walked over, as canonical JSON; ``PayloadError`` names the one of *arguments* at fault."""
    try:
        data = _bytes(value, whole=whole)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is refused
        for name, argument in arguments.items():
            _blame(argument, name)
        raise PayloadError(f"{path}: {said(error)}; send something that JSON can carry") from None
    if len(data) > PAYLOAD_LIMIT:
        raise PayloadError(
            f"{path}: {len(data):,} bytes, and at most {PAYLOAD_LIMIT:,} can be stored; "
            "store it elsewhere and send its key"
        )
    return data


def _bytes(value: object, *, whole: bool = False) -> bytes:
    try:
        return _whole_canonical(value) if whole else _canonical(value)
    except TypeError:  # keys that are not str have no order; or it cannot be encoded at all
        return _whole_any_order(value) if whole else _any_order(value)


def _blame(value: object, path: str) -> None:
    """Raise for the innermost part of *value* that cannot be encoded; nothing when it can."""
    try:
        _bytes(value)
    except Exception as error:  # noqa: BLE001 - as above
        for suffix, part in parts(value):
            _blame(part, path + suffix)
        if isinstance(error, UnicodeEncodeError):
            raise PayloadError(f"{path}: a string holds a lone surrogate, which UTF-8 cannot carry") from None
        raise PayloadError(f"{path}: {said(error)}; send something that JSON can carry") from None


def _unequal(found: Difference, whole: str, trouble: str | None) -> str:
    """What to do about it; *trouble* is ``None`` when there is no annotation."""
    path, kind, other = found.path, kind_of(found.sent), kind_of(found.back)
    if kind != other and plain(found.sent, path):
        return f"{path}: a {kind} would come back as the {other} of the annotation; send that"
    if kind != other and trouble == "":
        return (
            f"{path}: a {kind} would come back as a {other}, which JSON writes alike and the annotation allows; "
            "annotate so that only one is meant, or send plain JSON values"
        )
    what, example = "parameter", f"{whole}: {kind}"
    if whole == "result":
        what, example = "result", f"-> {kind}"
    shown = f" (for example `{example}`)" if path == whole and trouble is None else ""
    return (
        f"{path}: a {kind} would not come back equal{trouble or ''}; annotate the {what} so that it can be read back"
        f"{shown}, or send plain JSON values"
    )
