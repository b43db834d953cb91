"""Takes secrets out of text: what looks like one, and what is known to be one.

Every search goes once over the text and never back: hostile text costs what any other of its length does. So what a
pattern looks for must not fail after it has gone far, and no repetition without a bound may give back what it took.
"""

import base64
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from typing import Final, cast
from urllib.parse import quote

import msgspec

from conveyor.core.values import parts

HIDDEN: Final = "[redacted]"
MARGIN: Final = 512
"""So much of the end of a text that was cut is left out: a secret may begin there, and not be known by its half."""
HEAD: Final = 16
"""A known secret is found by so many of its first characters: somebody may have cut it short."""
WORD: Final = 4
"""A shorter one counts only where it stands alone: hiding each "1" would hide everything."""
LEAVES: Final = 1_000
DEPTH: Final = 64

Span = tuple[int, int]

# ---------------------------------------------------------------- patterns

_QUOTED: Final = r"""(?:[bBfFrRuU]{0,2}(?:"(?:[^"\\]++|\\.)*+"?|'(?:[^'\\]++|\\.)*+'?))"""
_KEY: Final = r"""(?:
    pass(?:word|wd|phrase)s? | (?-i:pwd|Pwd) | secrets? | token | tokens(?=["']?\s{0,8}+[:=]\s{0,8}+[\[("'])
  | authorization | cookie | (?:api|access|secret|private|signing|encryption)[_-]?key
  )\d{0,3}"""
_NAMED: Final = re.compile(
    rf"""
      authorization["']?\s{{0,8}}+[:=]\s{{0,8}}+(?=[^\s"'\[({{])(?P<header>[^\r\n"']++)
    | cookie:\s{{0,8}}+(?P<cookie>[^\r\n"']++)
    | {_KEY}\\{{0,3}}["']?\s{{0,8}}+(?: :=|=>|[=!]=|[:=] | ,(?=\s{{0,8}}[bru]?["']) )[ \t]{{0,8}}+
      (?P<value>
          \\{{1,7}}["'][^"']*+["']?                                # text in JSON in JSON
        | {_QUOTED}
        | \[[^\]]*+\]? | \{{[^}}]*+\}}? | \([^)]*+\)?
        | [\w.]{{1,60}}\(\s{{0,8}}{_QUOTED}\)?                     # SecretStr('...')
        | (?:
              [^\s"'\\,;&)\]}}>|]++
            | \\[^"']
            | [,;&)\]}}>|](?![\s"',;:.)\]}}>|]|\Z|[\w.-]{{1,40}}=)  # what ends a value, unless more of it follows
          )++
      )
    | (?<![\w-])--[\w-]{{0,40}}(?:password|passwd|secret|token|key)["']?,?\s{{1,8}}+["']?(?P<option>[^\s"'-][^\s"']*+)
    | \bBearer\s{{1,8}}+(?P<bearer>(?=[\w.~+/=-]{{0,60}}\d)[\w.~+/=-]{{8}}[\w.~+/=-]*+)
    | \bBasic\s{{1,8}}+(?P<basic>(?=[\w+/]{{0,60}}(?-i:[A-Z0-9=]))[\w+/]{{8}}[\w+/=]*+)
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_TRIGGERS: Final = (
    "pass",
    "pwd",
    "secret",
    "token",
    "author",
    "cookie",
    "_key",
    "-key",
    "ikey",
    "skey",
    "bearer",
    "basic",
)
"""Where none of these stands, nothing that goes by its name can be found: most texts are looked through quickly."""
_PEM: Final = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----((?:(?!-----END).)*+)", re.DOTALL)
_AUTHORITY: Final = re.compile(r"""://([^\s/?#"'<>]*+)""")
_PORT: Final = re.compile(r"\d{0,5}\Z")
_SLOPPY: Final = re.compile(r"""[^\s"'<>@]{0,64}@""")


def _by_name(text: str) -> Iterator[Span]:
    lower = text.lower()
    if any(trigger in lower for trigger in _TRIGGERS):
        yield from (match.span(match.lastgroup or 0) for match in _NAMED.finditer(text))


def _by_pem(text: str) -> Iterator[Span]:
    return (match.span(1) for match in _PEM.finditer(text))


def _by_url(text: str) -> Iterator[Span]:
    """The password of ``scheme://user:password@host``; also one whose author forgot to escape a slash."""
    for match in _AUTHORITY.finditer(text):
        start, end = match.span(1)
        colon = text.find(":", start, end)
        if colon < 0:
            continue
        at = text.rfind("@", colon, end)
        if at < 0 and not _PORT.match(text[colon + 1 : end]):
            sloppy = _SLOPPY.match(text, end)
            at = sloppy.end() - 1 if sloppy else end if end == len(text) else -1  # the text may have been cut there
        if at > colon + 1:
            yield colon + 1, at


PATTERNS: Final[Sequence[Callable[[str], Iterator[Span]]]] = (_by_name, _by_pem, _by_url)


# ---------------------------------------------------------------- redactor


@dataclass(frozen=True, slots=True)
class Redactor:
    """Hides what looks like a secret, and every occurrence of the *needles*."""

    needles: tuple[str, ...] = ()
    blind: bool = False
    """Whether there is too much to look for, so that all text is hidden."""

    @classmethod
    def of(cls, values: Iterable[object]) -> "Redactor":
        """One that knows *values* as secrets, in each form in which text may bear them; also what they hold.

        ``None`` and booleans are no secrets, nor are the keys of a mapping.
        """
        found: dict[str, None] = {}
        for count, leaf in enumerate(_leaves(values)):
            if count >= LEAVES:
                return cls(blind=True)
            found |= dict.fromkeys(_forms(leaf))
        return cls(tuple(needle for needle in found if needle.strip()))

    def text(self, text: str) -> str:
        """*text* without secrets."""
        return self._cleaned(text, len(text))

    def clipped(self, text: str, length: int) -> str:
        """The beginning of *text* without secrets, at most *length* characters; of a longer one no more is read."""
        begin = str.__getitem__(text, slice(length + MARGIN))
        whole = str.__len__(text) == len(begin)
        clean = self._cleaned(begin, len(begin) if whole else length)
        return clean if whole and len(clean) <= length else clean[:length] + "…"

    def _cleaned(self, text: str, end: int) -> str:
        """The first *end* characters of *text* without secrets, which may reach beyond."""
        if self.blind:
            return HIDDEN if text else ""
        pieces: list[str] = []
        at = 0
        for start, stop in sorted(self._spans(text)):
            if start >= end:
                break
            if start >= at:
                pieces += text[at:start], HIDDEN
            at = max(at, stop)
        return "".join([*pieces, text[at:end]])

    def _spans(self, text: str) -> Iterator[Span]:
        known = (_occurrences(text, needle) for needle in self.needles)
        return ((start, stop) for start, stop in chain(*(p(text) for p in PATTERNS), *known) if stop > start)


DEFAULT: Final = Redactor()


def masked(
    positional: Sequence[object], named: Mapping[str, object], places: Collection[int | str]
) -> tuple[list[object], dict[str, object]]:
    """A call's arguments to show: those at *places*, which are as ``Codec.places`` gives them, are hidden."""
    return (
        [HIDDEN if _hidden(at, places) else value for at, value in enumerate(positional)],
        {name: HIDDEN if _hidden(name, places) else value for name, value in named.items()},
    )


def hidden(
    positional: Sequence[object], named: Mapping[str, object], places: Collection[int | str]
) -> Iterator[object]:
    """The values that ``masked`` hides, for ``Redactor.of``."""
    yield from (value for at, value in enumerate(positional) if _hidden(at, places))
    yield from (value for name, value in named.items() if _hidden(name, places))


def _hidden(place: int | str, places: Collection[int | str]) -> bool:
    if place in places:
        return True
    if isinstance(place, str):
        return "**" in places
    return any(isinstance(start, int) and start < 0 and place >= ~start for start in places)


# ------------------------------------------------------------ known secrets


def _occurrences(text: str, needle: str) -> Iterator[Span]:
    head = needle[:HEAD]
    at = text.find(head)
    while at >= 0:
        end = at + len(head)
        if len(needle) > HEAD:
            end += _agreement(text, end, needle)
        if len(needle) >= WORD or _alone(text, at, end):
            yield at, end
        at = text.find(head, end)


def _agreement(text: str, start: int, needle: str) -> int:
    """How many characters from *start* on are those of *needle* beyond its head."""
    step, same = 256, 0
    while step:
        one = text[start + same : start + same + step]
        if one and one == needle[HEAD + same : HEAD + same + len(one)]:
            same += len(one)
        else:
            step //= 2
    return same


def _alone(text: str, start: int, end: int) -> bool:
    before, after = text[start - 1 : start], text[end : end + 1]
    return not any(side.isalnum() or side == "_" for side in (before, after))


def _leaves(values: Iterable[object]) -> Iterator[object]:
    """The scalars in *values*, which may hold themselves: whoever asks stops in time."""
    waiting = [iter(values)]
    while waiting:
        for value in waiting[-1]:
            inner = _inner(value)
            if inner and len(waiting) < DEPTH:
                waiting.append(iter(inner))
                break
            yield value
        else:
            waiting.pop()


def _inner(value: object) -> list[object]:
    if isinstance(value, Enum):
        return []
    if isinstance(value, dict):
        return list(cast(dict[object, object], value).values())
    try:
        return [part for _, part in parts(value)]
    except Exception:  # noqa: BLE001 - its own methods may raise anything; its text may still be had
        return []


def _forms(value: object) -> Iterator[str]:
    """The forms in which text may bear *value*."""
    if value is None or isinstance(value, bool):
        return
    try:
        if isinstance(value, str):
            yield from _forms_of_text(str.__str__(value))
        elif isinstance(value, bytes | bytearray):
            yield from (repr(bytes(value))[2:-1], base64.b64encode(value).decode(), value.hex())
            yield from _forms_of_text(value.decode())
        else:
            yield str(value)
            yield repr(value)
            yield msgspec.json.encode(value).decode().strip('"')
    except Exception:  # noqa: BLE001 - what cannot be written in a form does not stand in a text in that form
        return
    finally:
        if isinstance(value, Enum):
            yield from _forms(value.value)


def _forms_of_text(text: str) -> Iterator[str]:
    bare = text.strip()
    yield from (text, bare, repr(text)[1:-1], json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
    yield quote(bare, safe="", errors="replace")
