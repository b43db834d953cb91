"""What few jobs carry besides their arguments; stored as one JSON text, or as nothing."""

import re
from typing import Final

import msgspec

from conveyor.core.backoff import Backoff

UNREADABLE: Final = (msgspec.MsgspecError, ValueError, TypeError, RecursionError)
"""What reading may raise that somebody else has written into a column: no UTF-8, no bytes at all, far too deep."""
TAG_MARK: Final = "\x1f"
"""Stands around each tag, so that a tag can be looked for in the stored text; no tag can hold it."""


class Extras(msgspec.Struct, frozen=True, omit_defaults=True):
    """The rarer options of one job."""

    tags: str = ""
    """Each tag between two marks."""
    meta: msgspec.Raw = msgspec.Raw()
    """A JSON object of the user's."""
    unique: str | None = None
    """The key as the user gave it; empty for "its arguments"."""
    until: str = "finish"
    expires: int | None = None
    """Microseconds after it came due."""
    keep: int | None = None
    """Microseconds that the finished job stays; negative for ever, ``None`` for the default."""
    store_result: bool = True
    backoff: Backoff | None = None
    memory: int | None = None
    """Bytes that its process may hold while it runs."""
    redact: tuple[str | int, ...] = ()
    """Parameters whose values nobody is to see, by name and by position."""
    schedule: str = ""
    """The schedule that made it,"""
    tick: int = 0
    """and the tick that it was made for: microseconds of UTC since 1970."""

    @property
    def tag_list(self) -> tuple[str, ...]:
        """The tags, as given."""
        return tuple(tag for tag in self.tags.split(TAG_MARK) if tag)

    @property
    def meta_dict(self) -> dict[str, object]:
        """The user's own facts about the job."""
        try:
            return msgspec.json.decode(self.meta, type=dict[str, object]) if bytes(self.meta) else {}
        except UNREADABLE:
            return {}


NONE: Final = Extras()
_ESCAPE: Final = re.compile(r"\\(?:u[0-9a-f]{4}|.)")
"""An escape of JSON; found from the left, so that of two backslashes none begins another escape."""
_WRITTEN_MARK: Final = r"\u001f"
_OTHER_MARK: Final = r"\u001F"
"""The same character, in JSON: behind the tags it is written so, lest somebody's own facts be taken for a tag."""


def encoded(extras: Extras) -> str | None:
    """As it is stored; ``None`` when there is nothing to store."""
    text = msgspec.json.encode(extras).decode()
    if text == "{}":
        return None
    end = len(f'{{"tags":{msgspec.json.encode(extras.tags).decode()}') if extras.tags else 0
    return text[:end] + _ESCAPE.sub(_not_a_mark, text[end:])


def _not_a_mark(escape: re.Match[str]) -> str:
    return _OTHER_MARK if escape[0] == _WRITTEN_MARK else escape[0]


def decoded(text: str | bytes | None) -> Extras:
    """What a stored text holds; nothing when somebody has spoilt it."""
    try:
        return msgspec.json.decode(text, type=Extras) if text else NONE
    except UNREADABLE:
        return NONE


def marked(tags: tuple[str, ...]) -> str:
    """The tags in one text, each between two marks."""
    return f"{TAG_MARK}{TAG_MARK.join(tags)}{TAG_MARK}" if tags else ""


def needle(tag: str) -> str:
    """What the stored text of a job with this *tag* contains."""
    return msgspec.json.encode(marked((tag,))).decode()[1:-1]
