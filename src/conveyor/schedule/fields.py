"""How a cron expression is written, checked field by field so that an error can name the place.

What passes here, cronsim understands; and it means there what Debian's cron means by it. When both the day of the
month and the day of the week are restricted, either is enough; when one of them begins with ``*``, both must match.
"""

import re
import string
from typing import Final, NamedTuple

from conveyor.core.text import told

LENGTH: Final = 200
WEEKS: Final = 5
"""A month has at most five of each day."""
_SHOWN: Final = 40
_ALPHABET: Final = frozenset(string.ascii_letters + string.digits + "*,-/# \t@?")
_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_TERM: Final = re.compile(r"(?P<base>\*|(?P<first>[0-9A-Z]+)(?:-(?P<last>[0-9A-Z]+))?)(?:/(?P<step>[0-9]+))?")
_NTH: Final = re.compile(r"(?P<day>[0-9A-Z]+)#(?P<nth>[0-9]+)")

MACROS: Final = {
    "@HOURLY": "0 * * * *",
    "@DAILY": "0 0 * * *",
    "@MIDNIGHT": "0 0 * * *",
    "@WEEKLY": "0 0 * * 0",
    "@MONTHLY": "0 0 1 * *",
    "@YEARLY": "0 0 1 1 *",
    "@ANNUALLY": "0 0 1 1 *",
}


class Field(NamedTuple):
    """One of the six: its numbers, what one of them is called, and the names that stand for numbers from *low* on."""

    name: str
    noun: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    def number(self, text: str) -> int:
        """The number that *text* stands for."""
        if text in self.names:
            return self.low + self.names.index(text)
        if not text.isdecimal():
            hint = f"; write {text[:3].lower()}" if text[:3] in self.names else self._range()
            raise ValueError(f'"{_shown(text)}" is no {self.noun}{hint}')
        if not self.low <= (number := int(text)) <= self.high:
            raise ValueError(f'"{_shown(text)}" is no {self.noun}{self._range()}')
        return number

    def check(self, term: str) -> None:
        """Raise ``ValueError`` when *term*, which holds no comma, is none of this field's."""
        if self._is_special(term):
            return
        if term == "L" or not (match := _TERM.fullmatch(term)):
            raise ValueError(self._nonsense(term))
        if match["first"]:
            self._check_range(match["first"], match["last"])
        if match["step"]:
            self._check_step(term, int(match["step"]))

    def _is_special(self, term: str) -> bool:
        """Whether *term* is one of those that only days have: the last, the last weekday, the nth or last Monday."""
        if self is DAY_OF_MONTH:
            return term in {"L", "LW"}
        if self is not DAY_OF_WEEK:
            return False
        if match := _NTH.fullmatch(term):
            self.number(match["day"])
            if not 1 <= int(match["nth"]) <= WEEKS:
                raise ValueError(f'"{_shown(term)}": a month has at most five of each day')
            return True
        if term.endswith("L") and term[:-1].isdecimal():
            self.number(term[:-1])
            return True
        return False

    def _check_range(self, first: str, last: str | None) -> None:
        start = self.number(first)
        if last is not None and self.number(last) < start:
            around = f"{first}-{self.high},{self.low}-{last}".lower()
            raise ValueError(f'"{_shown(f"{first}-{last}").lower()}" goes backwards; write {around}')

    def _check_step(self, term: str, step: int) -> None:
        if not 1 <= step <= self.high:
            hint = "; every(...) takes any period" if self.low == 0 and not self.names else ""
            raise ValueError(f'"{_shown(term)}": a step is 1 to {self.high}{hint}')

    def _nonsense(self, term: str) -> str:
        if not term:
            return "something is missing at a comma"
        hints = {
            "?": '; write "*"',
            "L": "; the last Friday is 5L" if self is DAY_OF_WEEK else "; only days have a last",
        }
        hint = hints.get(term, self._range())
        return f'"{_shown(term)}" is no {self.noun}, range, step or list{hint}'

    def _range(self) -> str:
        names = f", or {self.names[0].lower()} to {self.names[-1].lower()}" if self.names else ""
        return f" ({self.low} to {self.high}{names})"


SECOND: Final = Field("second", "second", 0, 59)
DAY_OF_MONTH: Final = Field("day of month", "day", 1, 31)
DAY_OF_WEEK: Final = Field("day of week", "day", 0, 7, _DAYS)
FIELDS: Final = (
    Field("minute", "minute", 0, 59),
    Field("hour", "hour", 0, 23),
    DAY_OF_MONTH,
    Field("month", "month", 1, 12, _MONTHS),
    DAY_OF_WEEK,
)


def five(word: str, expression: object) -> str:
    """*expression* as it is stored: five fields in capitals. ``ValueError`` names *word* and the place."""
    shown, parts = _split(word, expression)
    if len(parts) == 1 and parts[0].startswith("@"):
        if parts[0] not in MACROS:
            known = ", ".join(sorted(MACROS)).lower()
            raise ValueError(f'{shown}: only these begin with "@": {known}')
        return MACROS[parts[0]]
    if len(parts) == len(FIELDS) + 1:
        raise ValueError(f"{shown}: six fields; with seconds, write cron_with_seconds(...)")
    return _checked(shown, parts, FIELDS)


def six(word: str, expression: object) -> str:
    """The same with a field of seconds before the five."""
    shown, parts = _split(word, expression)
    if len(parts) == len(FIELDS):
        raise ValueError(f"{shown}: five fields; without seconds, write cron(...)")
    return _checked(shown, parts, (SECOND, *FIELDS))


def _split(word: str, expression: object) -> tuple[str, list[str]]:
    """How an error begins, and the fields. Length and letters come first, so that all the rest is quick."""
    if not isinstance(expression, str):
        raise wrong(f"{word} takes an expression, as {word}({_EXAMPLES[word]!r}), not {told(expression)}")
    if len(expression) > LENGTH:
        raise ValueError(f"{word}: {len(expression):,} characters, and an expression has at most {LENGTH}")
    shown = f'{word} "{ascii(str(expression))[1:-1]}"'
    if strange := sorted(set(expression) - _ALPHABET):
        raise ValueError(f"{shown}: {strange[0]!a} is in no cron expression")
    return shown, expression.upper().split()


_EXAMPLES: Final = {"cron": "0 2 * * *", "cron_with_seconds": "*/10 * * * * *"}


def _checked(shown: str, parts: list[str], fields: tuple[Field, ...]) -> str:
    if len(parts) != len(fields):
        names = ", ".join(field.name for field in fields)
        raise ValueError(f"{shown}: {len(parts)} fields instead of {len(fields)} ({names})")
    for place, (part, field) in enumerate(zip(parts, fields, strict=True), 1):
        for term in part.split(","):
            try:
                field.check(term)
            except ValueError as error:
                raise ValueError(f"{shown}: field {place} ({field.name}): {error}") from None
    return " ".join(parts)


def wrong(text: str) -> ValueError:
    """What a rule of the wrong kind raises: whoever reads rules catches one sort of error."""
    return ValueError(text)


def _shown(text: str) -> str:
    return (text if len(text) <= _SHOWN else text[:_SHOWN] + "...").lower()
