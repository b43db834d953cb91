"""What texts must keep to, to be stored: names, tags, free texts, and the user's own facts about a job.

All give back a plain ``str``: what a subclass says of itself is its own affair, and a driver may have another idea of
how to write a member of an enumeration.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final, cast

from conveyor.core.codec import encoded
from conveyor.core.errors import PayloadError
from conveyor.core.failure import storable
from conveyor.core.redact import DEFAULT, Redactor
from conveyor.core.trace import Clean, brief, exact, said
from conveyor.core.values import kind_of, plain

NAME_LENGTH: Final = 200
TAGS: Final = 20
META_LIMIT: Final = 16 * 1024
WORDS: Final = 500
_SHOWN: Final = 80


def told(value: object, clean: Clean = exact) -> str:
    """*value* as an error's text shows it: bounded, and never failing. *clean* gets each piece before it is cut."""
    try:
        text = brief(value, clean)
        text.encode()
    except BaseException:  # noqa: BLE001 - a broken __repr__
        return f"a {kind_of(value)}"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def is_a(value: object, *kinds: type) -> bool:
    """``isinstance``, but without asking the value itself, which may lie or raise."""
    return issubclass(type(value), kinds)


def checked_name(what: str, value: str) -> str:
    """*value*, when it can be the name of something: 1 to 200 printable characters.

    So no control characters, no newline, no zero-width or right-to-left marks, no lone surrogates, and no space but
    the usual one. Letters of any script are welcome, also those that look alike: they are different names.
    """
    text = _text(what, value)
    if not 0 < len(text) <= NAME_LENGTH:
        raise PayloadError(f"{what} must have 1 to {NAME_LENGTH} characters, not {len(text)}")
    if not text.isprintable():
        raise PayloadError(f"{what}={text!r} holds characters that cannot be printed")
    return text


def free_text(what: str, value: str, length: int) -> str:
    """*value*, when it is a text of at most *length* characters that every store can hold."""
    text = _text(what, value)
    if len(text) > length:
        raise PayloadError(f"{what}: {len(text):,} characters, and at most {length:,} can be stored")
    if "\0" in text:
        raise PayloadError(f"{what}: holds the character NUL, which PostgreSQL cannot store")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise PayloadError(f"{what}: holds a lone surrogate, which UTF-8 cannot carry") from None
    return text


def _text(what: str, value: str) -> str:
    if not is_a(value, str):
        raise TypeError(f"{what} must be a str, not {kind_of(value)}")
    return str.__str__(value)


def worded(value: object, length: int = WORDS, redactor: Redactor = DEFAULT) -> str:
    """What somebody has said of an end that has come already: any value, as text that every store holds, never failing.

    Refusing it would not bring the end back. A text is kept as it is, within *length*; secrets are left out.
    """
    if is_a(value, str):
        text = str.__str__(cast(str, value))
    elif is_a(value, BaseException):
        text = said(cast(BaseException, value), clean=redactor.clipped)
    else:
        text = "" if value is None else told(value, redactor.clipped)
    return storable(redactor.clipped(text, length), length + 1)


def checked_tags(value: Sequence[str]) -> tuple[str, ...]:
    """*value*, when it can be the tags of a job: at most 20 names, each of them once.

    They keep the order in which they were given; those of a set have none, and are sorted.
    """
    if not is_a(value, list, tuple, set, frozenset):
        raise TypeError(f"tags must be a list of names, as tags=['billing'], not {told(value)}")
    given = list(islice(value, TAGS + 1))
    if len(given) > TAGS:
        raise PayloadError(f"tags: more than {TAGS} of them, and at most {TAGS} can be stored")
    names = dict.fromkeys(checked_name(f"tags[{at}]", tag) for at, tag in enumerate(given))
    return tuple(sorted(names) if is_a(value, set, frozenset) else names)


def checked_meta(value: Mapping[str, object]) -> bytes:
    """*value* as canonical JSON, when it is a dict that JSON carries unchanged, of at most 16 KiB."""
    if type(value) is not dict:
        raise TypeError(f"meta must be a dict, not {kind_of(value)}")
    meta = cast(object, value)
    if not plain(meta, "meta"):
        raise PayloadError("meta: holds something that JSON would change; use str keys and plain JSON values")
    data = encoded(meta, "meta", {"meta": meta})
    if len(data) > META_LIMIT:
        raise PayloadError(f"meta: {len(data):,} bytes, and at most {META_LIMIT:,} can be stored")
    return data
