"""How a rule that was dumped is read back."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final, cast

from conveyor.core.clock import moment
from conveyor.core.text import told
from conveyor.schedule import words
from conveyor.schedule.rules import LATEST, Rule, Zoned
from conveyor.schedule.zones import checked_name


def read(dumped: object) -> Rule:
    """The rule that ``dump`` gave; ``ValueError`` says what is wrong with anything else.

    A zone that this machine does not know is kept: the rule can be shown, and ``after`` says what is missing.
    """
    if not isinstance(dumped, Mapping):
        raise _unread(dumped)
    whole = cast(Mapping[str, object], dumped)
    given = dict(whole)
    word, zone = given.pop("rule", None), given.pop("zone", None)
    made = _MAKERS.get(word) if isinstance(word, str) else None
    if made is None or given.keys() != made[0]:
        raise _unread(whole)
    rule = made[1](given)
    if zone is None:
        return rule
    if not isinstance(rule, Zoned):
        raise _unread(whole)
    return rule.placed(checked_name(f"{rule.text}: time zone", zone))


def _unread(dumped: object) -> ValueError:
    return ValueError(f"this is no rule of a schedule: {told(dumped)}")


def _number(what: str, value: object) -> int:
    if type(value) is not int or abs(value) > LATEST:
        raise ValueError(f"{what}: {told(value)} is no number of microseconds")
    return value


def _every(given: Mapping[str, object]) -> Rule:
    period = _number("every: period", given["period"])
    start = None if given["start"] is None else moment(_number("every: start", given["start"]))
    return words.every(timedelta(microseconds=period), start=start)


def _weekly(given: Mapping[str, object]) -> Rule:
    days = given["days"]
    if not isinstance(days, str):
        raise _unread(given)
    return words.weekly(*days.split(",", 7), at=cast(str, given["at"]))


_Given = Mapping[str, object]
_MAKERS: Final[Mapping[str, tuple[set[str], Callable[[_Given], Rule]]]] = {
    "cron": ({"expression"}, lambda given: words.cron(cast(str, given["expression"]))),
    "cron_with_seconds": ({"expression"}, lambda given: words.cron_with_seconds(cast(str, given["expression"]))),
    "every": ({"period", "start"}, _every),
    "once": ({"at"}, lambda given: words.once(moment(_number("once: at", given["at"])))),
    "daily": ({"at"}, lambda given: words.daily(cast(str, given["at"]))),
    "weekly": ({"days", "at"}, _weekly),
    "monthly": ({"day", "at"}, lambda given: words.monthly(cast(int, given["day"]), at=cast(str, given["at"]))),
    "quarterly": ({"day", "at"}, lambda given: words.quarterly(cast(int, given["day"]), at=cast(str, given["at"]))),
    "yearly": (
        {"month", "day", "at"},
        lambda given: words.yearly(cast(int, given["month"]), cast(int, given["day"]), at=cast(str, given["at"])),
    ),
}
"""By word: what its dump holds besides word and zone, and how it is made of that. The words check what they take."""
