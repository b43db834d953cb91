"""Arguments and results as bytes of canonical JSON, checked against the function's own signature.

What goes in must come out equal: a value that JSON would change (a tuple that returns as a list, NaN that
returns as null) is refused at ``enqueue``, with its path, unless the annotation says how to read it back.
"""

import inspect
import math
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from conveyor.core.errors import PayloadError

PAYLOAD_LIMIT: Final = 256 * 1024
DEPTH_LIMIT: Final = 64
INTEGERS: Final = 2**63

_encode = msgspec.json.Encoder(order="deterministic").encode
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
        positional, named = bound.args, bound.kwargs
        typed = [name for name, value in bound.arguments.items() if not plain(value, name)]
        data = _encoded([positional, named], self._called)
        if typed:
            self._compare(positional, named, data)
        return data

    def decode(self, data: bytes) -> tuple[list[Any], dict[str, Any]]:
        """The positional and the named arguments of an encoded call, as the annotations want them."""
        positional, named = _decode(data)
        if not self._hints and self._signature is not None:
            return positional, named
        signature = self.signature()
        names = self._positional_names(signature, len(positional))
        args = [self._typed(value, name) for value, name in zip(positional, names, strict=True)]
        return args, {name: self._typed(value, name) for name, value in named.items()}

    def encode_result(self, value: object) -> bytes | None:
        """A return value as bytes; ``None`` for ``None``. ``PayloadError`` when it cannot be stored."""
        if value is None:
            return None
        simple = plain(value, "result")
        data = _encoded(value, "result")
        if not simple and not _same(self.decode_result(data), value):
            raise _unequal("result", value)
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

    def _typed(self, value: object, name: str) -> Any:
        wanted = self._hints.get(name)
        if wanted is None:
            return value
        try:
            return msgspec.convert(value, wanted, str_keys=True)
        except (msgspec.ValidationError, TypeError):
            # The annotation is a promise of the author's, not a check of ours: a plain value that does not
            # fit it is handed over as it was given, as Python itself would.
            return value

    def _compare(self, positional: Sequence[object], named: Mapping[str, object], data: bytes) -> None:
        args, kwargs = self.decode(data)
        names = self._positional_names(self.signature(), len(positional))
        pairs = [*zip(names, positional, args, strict=True)]
        pairs += [(name, value, kwargs[name]) for name, value in named.items()]
        for name, sent, back in pairs:
            if not _same(back, sent):
                raise _unequal(name, sent)


def plain(value: object, path: str, depth: int = 0) -> bool:
    """Whether JSON itself carries *value* unchanged; ``PayloadError`` when it can be stored in no way."""
    kind = type(value)
    if kind is int and not -INTEGERS <= value < INTEGERS:  # type: ignore[operator]  # an int, by `kind`
        raise PayloadError(f"{path}: an integer of {value.bit_length()} bits; at most 63 can be stored")  # type: ignore[attr-defined]  # an int
    if kind is float and not math.isfinite(value):  # type: ignore[arg-type]  # a float, by `kind`
        raise PayloadError(f"{path}: {value!r} has no form in JSON; send None or a string instead")
    if kind in _PLAIN:
        return True
    if depth >= DEPTH_LIMIT:
        raise PayloadError(f"{path}: nested more than {DEPTH_LIMIT} deep, or a cycle")
    if kind is list or kind is tuple:
        items = [plain(item, f"{path}[{at}]", depth + 1) for at, item in enumerate(value)]  # type: ignore[arg-type,var-annotated]  # a sequence, by `kind`
        return all(items) and kind is list
    if kind is dict:
        inner = [_plain_item(key, item, path, depth) for key, item in value.items()]  # type: ignore[attr-defined]  # a dict, by `kind`
        return all(inner)
    return False


def _plain_item(key: object, item: object, path: str, depth: int) -> bool:
    simple = plain(item, f"{path}[{key!r}]", depth + 1)
    return simple and type(key) is str


def _encoded(value: object, path: str) -> bytes:
    try:
        data = _encode(value)
    except UnicodeEncodeError:
        raise PayloadError(f"{path}: a string holds a lone surrogate, which UTF-8 cannot carry") from None
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise PayloadError(f"{path}: {error}; send something that JSON can carry") from None
    if len(data) > PAYLOAD_LIMIT:
        raise PayloadError(
            f"{path}: {len(data):,} bytes, and at most {PAYLOAD_LIMIT:,} can be stored; "
            "store it elsewhere and send its key"
        )
    return data


def _same(back: object, sent: object) -> bool:
    """Equal, and of one type: ``True == 1`` and ``(1,)`` against ``[1]`` are not the same."""
    return type(back) is type(sent) and back == sent


def _unequal(path: str, value: object) -> PayloadError:
    kind = type(value).__name__
    return PayloadError(
        f"{path}: a {kind} would not come back equal; annotate the parameter so that it can be read back "
        f"(for example `{path}: {kind}`), or send plain JSON values"
    )


def _wanted(function: Callable[..., object], parameters: list[inspect.Parameter]) -> dict[str, Any]:
    """The annotations that change how JSON is read; those that JSON carries by itself are left out."""
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError):
        return {}  # annotations that cannot be resolved at run time promise nothing
    names = {parameter.name for parameter in parameters} | {"return"}
    return {name: hint for name, hint in hints.items() if name in names and hint not in _CARRIED}


_CARRIED: Final[tuple[object, ...]] = (*_PLAIN, Any, object, list, dict, list[str], list[int], dict[str, Any])
