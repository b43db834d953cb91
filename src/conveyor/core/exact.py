"""Whether a value came back as it was sent: equal, and of one type all the way down."""

from collections.abc import Iterable, Sized
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import NamedTuple, cast

from conveyor.core.values import LEAVES, fields, parts, shown


class Difference(NamedTuple):
    """The first place where two values are not the same."""

    path: str
    sent: object
    back: object


def difference(sent: object, back: object, path: str) -> Difference | None:
    """Where *back* is not what was *sent*: ``True == 1`` and ``(1,) == (True,)`` are not the same. May raise.

    *sent* has been walked over already, so its depth and size are bounded.
    """
    kind = type(sent)
    if type(back) is not kind:
        return Difference(path, sent, back)
    if kind not in LEAVES:
        if issubclass(kind, dict):
            return _of_dicts(cast(dict[object, object], sent), cast(dict[object, object], back), path)
        if issubclass(kind, set | frozenset):
            return _of_sets(cast(frozenset[object], sent), cast(frozenset[object], back), path)
        if issubclass(kind, list | tuple) or fields(sent):
            return _of_parts(sent, back, path)
    return None if _equal(sent, back) else Difference(path, sent, back)


def _of_parts(sent: object, back: object, path: str) -> Difference | None:
    kind = type(sent)
    if issubclass(kind, list | tuple) and len(cast(Sized, sent)) != len(cast(Sized, back)):
        return Difference(path, sent, back)
    pairs = ((one, other, suffix) for (suffix, one), (_, other) in zip(parts(sent), parts(back), strict=True))
    found = _first(pairs, path)
    if found or kind in {list, tuple} or _equal(sent, back) or _odd_hour(sent):
        return found
    return Difference(path, sent, back)


def _of_dicts(sent: dict[object, object], back: dict[object, object], path: str) -> Difference | None:
    if len(sent) != len(back):
        return Difference(path, sent, back)
    theirs = {key: (key, item) for key, item in back.items()}
    for key, item in sent.items():
        if key not in theirs:
            return Difference(path, sent, back)
        its_key, its_item = theirs[key]
        place = f"{path}[{shown(key)}]"
        if found := difference(key, its_key, place) or difference(item, its_item, place):
            return found
    return None


def _of_sets(sent: frozenset[object], back: frozenset[object], path: str) -> Difference | None:
    if len(sent) != len(back):
        return Difference(path, sent, back)
    theirs = {one: one for one in back}
    return _first(((one, theirs.get(one), "{}") for one in sent), path)


def _first(pairs: Iterable[tuple[object, object, str]], path: str) -> Difference | None:
    found = (difference(one, other, path + suffix) for one, other, suffix in pairs)
    return next(filter(None, found), None)


def _equal(sent: object, back: object) -> bool:
    if isinstance(sent, datetime) and isinstance(back, datetime):
        # By difference: == is never true of a moment in the hour that comes twice.
        return back - sent == timedelta(0) and back.utcoffset() == sent.utcoffset()
    if isinstance(sent, time) and isinstance(back, time):
        zoned = sent.tzinfo is not None
        return back == sent and back.fold == sent.fold and zoned == (back.utcoffset() is not None)
    if isinstance(sent, Decimal):  # 1.50 and 1.5 are equal, and not the same
        return str(back) == str(sent) and bool(back == sent)
    return bool(back == sent)


def _odd_hour(value: object) -> bool:
    """Whether *value* holds a moment of the hour that comes twice, which is equal to none of another zone."""
    if isinstance(value, datetime):
        return value.replace(fold=1 - value.fold).utcoffset() != value.utcoffset()
    return any(_odd_hour(part) for _, part in parts(value))
