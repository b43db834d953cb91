"""What is kept of an exception: text, bounded; never the object, which no one could safely revive."""

import hashlib
import traceback
from itertools import islice
from typing import Final

import msgspec

MESSAGE_LENGTH: Final = 2_000
TRACEBACK_LENGTH: Final = 8_000
FRAMES: Final = 30
GROUP: Final = 5
LINES: Final = 500


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """The stored form of an error."""

    type: str
    """Dotted path of the class."""
    message: str
    traceback: str = ""
    """The innermost frames; bounded."""
    fingerprint: str = ""
    """Equal for errors of one class from one place, whatever their message: 16 hexadecimal digits."""

    def __str__(self) -> str:
        """One line, as a person would quote it."""
        return " ".join(f"{self.type}: {self.message}".split()) if self.message else self.type


def describe(error: BaseException) -> Failure:
    """The stored form of *error*. Cannot fail, whatever the error's own methods do."""
    kind = type(error)
    path = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return Failure(
        type=storable(path, MESSAGE_LENGTH),
        message=storable(_message(error), MESSAGE_LENGTH),
        traceback=storable(_traceback(error), TRACEBACK_LENGTH, keep_end=True),
        fingerprint=_fingerprint(path, error),
    )


def storable(text: str, length: int, *, keep_end: bool = False) -> str:
    """*text* within *length* characters, its lone surrogates written as escapes so that any store takes it."""
    if len(text) > length:
        text = "…" + text[-length:] if keep_end else text[:length] + "…"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _message(error: BaseException) -> str:
    try:
        return str.__str__(str(error))  # of a subclass, its characters only: its methods are the user's
    except BaseException as trouble:  # noqa: BLE001 - a broken __str__ must not hide the failure itself
        return f"(its text cannot be shown: __str__ raised {type(trouble).__name__})"


def _traceback(error: BaseException) -> str:
    try:
        whole = traceback.TracebackException.from_exception(error, limit=-FRAMES, compact=True, max_group_width=GROUP)
        return "".join(islice(whole.format(), LINES))
    except Exception as trouble:  # noqa: BLE001 - as above: a frame's source may be unreadable
        return f"(its traceback cannot be shown: {type(trouble).__name__})"


def _fingerprint(path: str, error: BaseException) -> str:
    try:
        places = [f"{f.f_code.co_filename}:{f.f_code.co_name}" for f, _ in traceback.walk_tb(error.__traceback__)]
    except Exception:  # noqa: BLE001 - as above
        places = []
    digest = hashlib.blake2b("\n".join([path, *places]).encode("utf-8", "replace"), digest_size=8)
    return digest.hexdigest()
