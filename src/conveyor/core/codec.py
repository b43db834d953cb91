"""Arguments and results as bytes of canonical JSON, checked against the function's own signature.

What goes in must come out equal: a value that JSON would change (a tuple that returns as a list, NaN that
returns as null) is refused at ``enqueue``, with its path, unless the annotation says how to read it back.
"""

import contextlib
import inspect
import math
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, cast

import msgspec

from conveyor.core.errors import PayloadError

PAYLOAD_LIMIT: Final = 256 * 1024
DEPTH_LIMIT: Final = 64
INTEGERS: Final = 2**63

_canonical = msgspec.json.Encoder(order="deterministic").encode
_any_order = msgspec.json.Encoder().encode
_decode = msgspec.json.decode
_PLAIN: Final = (str, int, float, bool, type(None))


class Codec:
    """Encodes the calls of one function, and its results.

    The signature is read at first use, when all names that its annotations mention exist.
    """

    __slots__ = ("_called", "_function", "_hints", "_signature", "_skip")

    def __init__(self, function: Callable[..., object], called: str, *, skip_first: bool = False) -> None:
        """*called* is the task's name, for messages; *skip_first* leaves out a context parameter."""
        self._function = function
        self._called = called
        self._skip = skip_first
        self._signature: inspect.Signature | None = None
        self._hints: dict[str, Any] = {}

    def encode(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> bytes:
        """The call as bytes.

        Raises ``TypeError`` when the function does not take these arguments, ``PayloadError`` when a value
        cannot be stored or would not come back equal.
        """
        signature = self.signature()
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self._called}{signature}: {error}") from None
        # An annotation can change even a plain value: "2030-01-01" would come back as a date.
        hints = self._hints
        typed = [name for name, value in bound.arguments.items() if not plain(value, name) or name in hints]
        data = _encoded([bound.args, bound.kwargs], self._called, bound.arguments)
        if typed:
            self._compare(bound.args, bound.kwargs, data)
        return data

    def decode(self, data: bytes) -> tuple[list[Any], dict[str, Any]]:
        """The positional and the named arguments of an encoded call, as the annotations want them."""
        positional, named = _decode(data)
        if not self._hints and self._signature is not None:
            return positional, named
        return self._revived(positional, named)

    def _revived(self, positional: list[Any], named: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        signature = self.signature()
        if not self._hints:
            return positional, named
        names = self._positional_names(signature, len(positional))
        args = [self._typed(value, name) for value, name in zip(positional, names, strict=True)]
        return args, {name: self._typed(value, self._keyword(name)) for name, value in named.items()}

    def encode_result(self, value: object) -> bytes | None:
        """A return value as bytes; ``None`` for ``None``. ``PayloadError`` when it cannot be stored."""
        if value is None:
            return None
        simple = plain(value, "result")
        data = _encoded(value, "result", {"result": value})
        if not simple:
            _check("result", value, _decode(data), self.decode_result(data))
        return data

    def decode_result(self, data: bytes | None) -> Any:
        """The return value that was encoded."""
        if data is None:
            return None
        self.signature()
        return self._typed(_decode(data), "return")

    def signature(self) -> inspect.Signature:
        """The function's signature without the context parameter."""
        if self._signature is None:
            whole = inspect.signature(self._function)
            parameters = list(whole.parameters.values())[self._skip :]
            self._hints = _wanted(self._function, parameters)
            self._signature = whole.replace(parameters=parameters)
        return self._signature

    def _positional_names(self, signature: inspect.Signature, count: int) -> list[str]:
        names: list[str] = []
        for parameter in signature.parameters.values():
            if parameter.kind is parameter.VAR_POSITIONAL:
                names += [parameter.name] * (count - len(names))
            elif parameter.kind is not parameter.KEYWORD_ONLY and len(names) < count:
                names.append(parameter.name)
        if len(names) < count:
            raise TypeError(f"{self._called}{signature} takes {len(names)} positional arguments, not {count}")
        return names

    def _keyword(self, name: str) -> str:
        """The parameter that takes the keyword *name*: the one of that name, or the ``**`` one."""
        parameters = self.signature().parameters
        own = parameters.get(name)
        if own is not None and own.kind in (own.KEYWORD_ONLY, own.POSITIONAL_OR_KEYWORD):
            return name
        return next((p.name for p in parameters.values() if p.kind is p.VAR_KEYWORD), "")

    def _typed(self, value: object, name: str) -> Any:
        wanted = self._hints.get(name)
        if wanted is None:
            return value
        try:
            return msgspec.convert(value, wanted, str_keys=True)
        except Exception:  # noqa: BLE001 - also what the user's own types raise
            # The annotation is a promise of the author's, not a check of ours: a plain value that does not
            # fit it is handed over as it was given, as Python itself would.
            return value

    def _compare(self, positional: Sequence[object], named: Mapping[str, object], data: bytes) -> None:
        plain_args, plain_kwargs = _decode(data)
        args, kwargs = self._revived(plain_args, plain_kwargs)
        names = self._positional_names(self.signature(), len(positional))
        for name, sent, stored, back in zip(names, positional, plain_args, args, strict=True):
            _check(name, sent, stored, back)
        for name, sent in named.items():
            _check(name, sent, plain_kwargs[name], kwargs[name])


def _check(path: str, sent: object, stored: object, back: object) -> None:
    """Refuse a value that is *stored* as JSON beyond bounds, or comes *back* other than it was *sent*."""
    plain(stored, path)
    if type(sent) not in _PLAIN and any(when.utcoffset() is None for when in _moments(sent)):
        raise PayloadError(f"{path}: a datetime without a time zone; give it one, as in datetime.now(UTC)")
    try:
        same = _same(back, sent)
    except Exception:  # noqa: BLE001 - an __eq__ of the user's; or of the standard's, as Decimal("sNaN") has
        same = False
    if not same:
        raise _unequal(path, sent, back)


def _moments(value: object) -> Iterator[datetime]:
    """All datetimes in *value*, however deep in types of the user's."""
    if isinstance(value, datetime):
        yield value
        return
    left = [msgspec.to_builtins(value, builtin_types=(datetime, bytes, bytearray))]
    while left:
        one = left.pop()
        if isinstance(one, datetime):
            yield one
        elif isinstance(one, dict):
            left += [*one, *one.values()]
        elif isinstance(one, list | tuple | set | frozenset):
            left += one


def plain(value: object, path: str, depth: int = 0, parts: list[int] | None = None) -> bool:
    """Whether JSON itself carries *value* unchanged; ``PayloadError`` when it can be stored in no way.

    *parts* counts what was looked at: a list may hold one list twice, which holds one twice, and so on.
    """
    kind = type(value)
    if kind is int and not -INTEGERS <= value < INTEGERS:  # type: ignore[operator]  # an int, by `kind`
        raise PayloadError(f"{path}: an integer of {value.bit_length()} bits; at most 63 can be stored")  # type: ignore[attr-defined]  # an int
    if kind is float and not math.isfinite(value):  # type: ignore[arg-type]  # a float, by `kind`
        raise PayloadError(f"{path}: {value!r} has no form in JSON; send None or a string instead")
    if kind in _PLAIN:
        return True
    if depth >= DEPTH_LIMIT:
        raise PayloadError(f"{path}: nested more than {DEPTH_LIMIT} deep, or a cycle")
    parts = [0] if parts is None else parts
    parts[0] += len(value) if kind in (list, tuple, dict) else 0  # type: ignore[arg-type]  # sized, by `kind`
    if parts[0] * 2 > PAYLOAD_LIMIT:  # each part takes two bytes at least
        raise PayloadError(
            f"{path.partition('[')[0]}: more than {PAYLOAD_LIMIT:,} bytes; store it elsewhere and send its key"
        )
    if kind is list or kind is tuple:
        items = [plain(item, f"{path}[{at}]", depth + 1, parts) for at, item in enumerate(value)]  # type: ignore[arg-type,var-annotated]  # a sequence, by `kind`
        return all(items) and kind is list
    if kind is dict:
        inner = [_plain_item(key, item, path, depth, parts) for key, item in value.items()]  # type: ignore[attr-defined]  # a dict, by `kind`
        return all(inner)
    return False


def _plain_item(key: object, item: object, path: str, depth: int, parts: list[int]) -> bool:
    simple = plain(item, f"{path}[{_shown(key)}]", depth + 1, parts)
    return simple and type(key) is str


def _shown(key: object) -> str:
    """A key as a path shows it: short, and never failing."""
    return repr(key[:40]) if isinstance(key, str) else f"a {type(key).__name__}"


def _encoded(value: object, path: str, parts: Mapping[str, object]) -> bytes:
    try:
        data = _bytes(value)
    except Exception:
        for name, part in parts.items():
            _blame(part, name)
        raise
    if len(data) > PAYLOAD_LIMIT:
        raise PayloadError(
            f"{path}: {len(data):,} bytes, and at most {PAYLOAD_LIMIT:,} can be stored; "
            "store it elsewhere and send its key"
        )
    return data


def _bytes(value: object) -> bytes:
    try:
        return _canonical(value)
    except TypeError:  # keys that are not str have no order; or it cannot be encoded at all
        return _any_order(value)


def _blame(value: Any, path: str) -> None:
    """Raise for the innermost part of *value* that cannot be encoded; nothing when it can."""
    try:
        _bytes(value)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is refused
        inner: list[tuple[str, object]] = []
        if type(value) is dict:
            inner = [(f"{path}[{_shown(key)}]", item) for key, item in cast(Mapping[object, object], value).items()]
        elif type(value) in (list, tuple):
            inner = [(f"{path}[{at}]", item) for at, item in enumerate(value)]
        for place, item in inner:
            _blame(item, place)
        if isinstance(error, UnicodeEncodeError):
            raise PayloadError(f"{path}: a string holds a lone surrogate, which UTF-8 cannot carry") from None
        raise PayloadError(f"{path}: {error}; send something that JSON can carry") from None


def _same(back: Any, sent: Any) -> bool:
    """Equal, and of one type all the way down: ``True == 1`` and ``(1,)`` against ``[1]`` are not the same."""
    if type(back) is not type(sent):
        return False
    if isinstance(sent, datetime):  # by difference: == is never true in the hour that comes twice
        return bool(back - sent == timedelta(0))
    if isinstance(sent, list | tuple):
        return len(back) == len(_items(sent)) and all(map(_same, back, _items(sent)))
    if isinstance(sent, dict):
        mine, theirs = _keyed(sent), _keyed(back)
        return mine.keys() == theirs.keys() and all(_same(theirs[key], mine[key]) for key in mine)
    return bool(back == sent)


def _items(sequence: Any) -> Sequence[Any]:
    return cast(Sequence[Any], sequence)


def _keyed(mapping: Any) -> dict[tuple[type, Any], Any]:
    return {(type(key), key): item for key, item in cast(Mapping[Any, Any], mapping).items()}


def _unequal(path: str, value: object, back: object) -> PayloadError:
    kind, other = type(value).__name__, type(back).__name__
    if plain(value, path):
        return PayloadError(f"{path}: a {kind} would come back as the {other} of the annotation; send that")
    return PayloadError(
        f"{path}: a {kind} would not come back equal; annotate the parameter so that it can be read back "
        f"(for example `{path}: {kind}`), or send plain JSON values"
    )


def _wanted(function: Callable[..., object], parameters: list[inspect.Parameter]) -> dict[str, Any]:
    """The annotations that change how JSON is read; those that JSON carries by itself are left out."""
    names = {parameter.name for parameter in parameters} | {"return"}
    return {name: hint for name, hint in _resolved(function).items() if name in names and not _carried(hint)}


def _resolved(function: Callable[..., object]) -> dict[str, Any]:
    """The annotations; one that cannot be resolved at run time promises nothing, and takes no other along."""
    with contextlib.suppress(Exception):  # annotations are the user's code
        return typing.get_type_hints(function, include_extras=True)
    found: dict[str, Any] = {}
    names = getattr(inspect.unwrap(function), "__globals__", {})
    for name, hint in getattr(function, "__annotations__", {}).items():
        try:
            one = types.SimpleNamespace(__annotations__={name: hint})
            found |= typing.get_type_hints(one, names, include_extras=True)
        except Exception:  # noqa: BLE001, S112 - as above
            continue
    return found


def _carried(hint: object) -> bool:
    """Whether JSON by itself carries what *hint* describes, so that nothing has to be converted."""
    if any(hint is known for known in _CARRIED):  # not ==, which an odd annotation may define
        return True
    parts = typing.get_args(hint)
    match typing.get_origin(hint):
        case typing.Union | types.UnionType:
            return all(map(_carried, parts))
        case origin if origin is list:  # a bare typing.List has no parts
            return all(map(_carried, parts))
        case origin if origin is dict:
            return not parts or (parts[0] is str and _carried(parts[1]))
        case _:
            return False


_CARRIED: Final[tuple[object, ...]] = (*_PLAIN, Any, object, list, dict)
