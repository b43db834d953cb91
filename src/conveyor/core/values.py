"""What a value is made of, and the one walk over it that comes before anything is encoded.

The walk is bounded whatever it meets: a list may hold one list twice, which holds one twice, and so on; a dataclass
may hold itself. What it lets through can be encoded in memory that the payload's limit bounds.
"""

import dataclasses
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Final, cast
from uuid import UUID

from conveyor.core.errors import PayloadError

PAYLOAD_LIMIT: Final = 256 * 1024
DEPTH_LIMIT: Final = 64
INTEGERS: Final = 2**63

Part = tuple[str, object]
"""What a path says of it, and the part itself."""

LEAVES: Final = frozenset(
    (str, int, float, bool, type(None), bytes, bytearray, datetime, date, time, timedelta, Decimal, UUID)
)
"""Types without parts."""
_BUILTIN: Final = (str, int, float, list, tuple, dict, set, frozenset)
_KEY_SHOWN: Final = 40
_DECIMAL: Final = sys.getsizeof(Decimal(1))
_name_of = type.__dict__["__name__"].__get__


def kind_of(value: object) -> str:
    """The name of *value*'s class; also when its metaclass would rather not say it."""
    return str(_name_of(type(value)))[:200]


def shown(key: object) -> str:
    """A key as a path shows it: short, and never failing."""
    text = issubclass(type(key), str)  # not isinstance, which asks the key itself
    return repr(str.__getitem__(cast(str, key), slice(_KEY_SHOWN))) if text else f"a {kind_of(key)}"


# ---------------------------------------------------------------- the walk


def plain(value: object, path: str, depth: int = 0, spent: list[int] | None = None) -> bool:
    """Whether JSON itself carries *value* unchanged; ``PayloadError`` when it can be stored in no way.

    *spent* counts the bytes that what was looked at takes at least.
    """
    size = _scalar(value)
    if size < 0:
        return _walked(value, path, depth, [0] if spent is None else spent)
    if size:
        _spend([0] if spent is None else spent, size, path)
    return True


def _scalar(value: object) -> int:
    """The bytes that a plain scalar takes at least, beyond one; -1 for what has to be looked into, or refused."""
    kind = type(value)
    if kind is str:
        return len(value)  # type: ignore[arg-type]  # a str, by `kind`
    if kind is int:
        return 0 if -INTEGERS <= value < INTEGERS else -1  # type: ignore[operator]  # an int, by `kind`
    if kind is float:
        return 0 if math.isfinite(value) else -1  # type: ignore[arg-type]  # a float, by `kind`
    return 0 if kind is bool or value is None else -1


def _walked(value: object, path: str, depth: int, spent: list[int]) -> bool:
    kind = type(value)
    if kind is int or kind is float:
        raise _no_number(cast(float, value), path)
    if depth >= DEPTH_LIMIT:
        raise PayloadError(f"{path}: nested more than {DEPTH_LIMIT} deep, or a cycle")
    if kind is list or kind is tuple:
        return _each_plain(value, path, depth, spent) and kind is list  # type: ignore[arg-type]  # a sequence, by `kind`
    if kind is dict:
        return _all_plain(value, path, depth, spent)  # type: ignore[arg-type]  # a dict, by `kind`
    return _odd(value, path, depth, spent)


def _each_plain(items: Sequence[object], path: str, depth: int, spent: list[int]) -> bool:
    simple, total = True, 0
    _spend(spent, 2 * len(items) or 1, path)
    for at, item in enumerate(items):
        size = _scalar(item)
        if size < 0:
            simple &= _walked(item, f"{path}[{at}]", depth + 1, spent)
        else:
            total += size
    if total:
        _spend(spent, total, path)
    return simple


def _all_plain(items: dict[object, object], path: str, depth: int, spent: list[int]) -> bool:
    simple, total = True, 0
    _spend(spent, 2 * len(items) or 1, path)
    for key, item in items.items():
        if type(key) is str:
            total += len(key)
        else:
            simple = False
            plain(key, f"{path}[{shown(key)}]", depth + 1, spent)
        size = _scalar(item)
        if size < 0:
            simple &= _walked(item, f"{path}[{shown(key)}]", depth + 1, spent)
        else:
            total += size
    _spend(spent, total, path)
    return simple


def _odd(value: object, path: str, depth: int, spent: list[int]) -> bool:
    """Look into what JSON does not know; its own methods may raise anything."""
    try:
        _refuse(value, path)
        _spend(spent, _weight(value), path)
        for suffix, part in parts(value):
            plain(part, path + suffix, depth + 1, spent)
    except PayloadError:
        raise
    except Exception as trouble:  # noqa: BLE001 - whatever it is, the value cannot be read
        raise PayloadError(f"{path}: this {kind_of(value)} cannot be read: it raised {kind_of(trouble)}") from None
    return False


def _refuse(value: object, path: str) -> None:
    """Refuse what no annotation can make well."""
    kind = type(value)
    if isinstance(value, datetime) and value.utcoffset() is None:
        raise PayloadError(f"{path}: a datetime without a time zone; give it one, as in datetime.now(UTC)")
    if kind in LEAVES or issubclass(kind, Enum) or _names(kind):
        return
    for one in _BUILTIN:  # besides: how many parts a subclass shows is for itself to say
        if issubclass(kind, one) and kind is not one:
            raise PayloadError(f"{path}: a {kind_of(value)} would come back as a {one.__name__}; send that")


def _weight(value: object) -> int:
    """The bytes that *value* takes at least, beyond one, its parts apart."""
    if isinstance(value, str | bytes | bytearray | memoryview):
        return value.nbytes if isinstance(value, memoryview) else len(value)
    if isinstance(value, Decimal):
        return 2 * (sys.getsizeof(value) - _DECIMAL)  # eight bytes hold 19 digits
    if isinstance(value, set | frozenset | tuple):  # a named tuple
        return 2 * len(cast(Sized, value))
    if isinstance(value, PurePath):
        return len(str(value))
    return 0 if isinstance(value, Enum) else 1


def _spend(spent: list[int], size: int, path: str) -> None:
    spent[0] += size
    if spent[0] > PAYLOAD_LIMIT:
        raise _too_large(path)


def _too_large(path: str) -> PayloadError:
    return PayloadError(f"{root(path)}: more than {PAYLOAD_LIMIT:,} bytes; store it elsewhere and send its key")


def root(path: str) -> str:
    """The parameter that *path* begins with."""
    return path.partition("[")[0].partition(".")[0].partition("{")[0]


def _no_number(value: float, path: str) -> PayloadError:
    if isinstance(value, int):
        return PayloadError(f"{path}: an integer of {value.bit_length()} bits; at most 63 can be stored")
    return PayloadError(f"{path}: {value!r} has no form in JSON; send None or a string instead")


# ------------------------------------------------------------------- parts


def parts(value: object) -> Iterator[Part]:
    """What *value* consists of, each with the end of its path; nothing for what has no parts.

    A key that is not a ``str`` is a part too.
    """
    if type(value) in LEAVES:
        return
    if isinstance(value, dict):
        for key, item in cast(dict[object, object], value).items():
            if type(key) is not str:
                yield f"[{shown(key)}]", key
            yield f"[{shown(key)}]", item
    elif isinstance(value, list | tuple):
        names = _names(type(cast(object, value)))
        for at, item in enumerate(cast(Iterable[object], value)):
            yield (f".{names[at]}" if names else f"[{at}]"), item
    elif isinstance(value, set | frozenset):
        yield from (("{}", item) for item in cast(Iterable[object], value))
    elif isinstance(value, Enum):
        yield ".value", cast(object, value.value)
    else:
        yield from ((f".{name}", getattr(value, name)) for name in fields(value))


def _names(kind: type) -> Sequence[str]:
    """The fields of a named tuple."""
    found: object = getattr(kind, "_fields", ())
    return cast(Sequence[str], found) if issubclass(kind, tuple) else ()


def fields(value: object) -> Iterable[str]:
    """The names of the fields of a dataclass, an msgspec ``Struct``, an attrs class or a pydantic model."""
    kind = type(value)
    if names := getattr(kind, "__struct_fields__", None):
        return cast(Iterable[str], names)
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    if attributes := getattr(kind, "__attrs_attrs__", None):
        return [cast(str, one.name) for one in attributes]
    if is_model(kind):
        known = cast(Mapping[str, object], getattr(kind, "model_fields", {}))
        return [*known, *(getattr(value, "__pydantic_extra__", None) or ())]
    return ()


def is_model(kind: object) -> bool:
    """Whether *kind* is a pydantic model, told by its methods: pydantic itself is not needed for that."""
    return isinstance(kind, type) and hasattr(kind, "model_validate_json") and hasattr(kind, "model_dump")
