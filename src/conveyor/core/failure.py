"""What is kept of an exception: text, bounded and without secrets; never the object, which nobody could revive."""

import hashlib
from typing import Final

import msgspec

from conveyor.core.redact import DEFAULT, Redactor
from conveyor.core.trace import Teller, class_path, places, said

MESSAGE_LENGTH: Final = 2_000
TRACEBACK_LENGTH: Final = 8_000

_ESCAPES: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """The stored form of an error."""

    type: str
    """Dotted path of the class."""
    message: str
    traceback: str = ""
    """The innermost frames; bounded, without the values of variables."""
    fingerprint: str = ""
    """Equal for errors of one class from one place, whatever their message: 16 hexadecimal digits."""

    def __str__(self) -> str:
        """One line, as a person would quote it."""
        return " ".join(f"{self.type}: {self.message}".split()) if self.message else self.type


def describe(error: BaseException, redactor: Redactor = DEFAULT) -> Failure:
    """The stored form of *error*. Cannot fail, whatever the error's own methods do."""
    path = class_path(type(error))
    return Failure(
        type=storable(path, MESSAGE_LENGTH),
        message=storable(redactor.clipped(said(error, clean=redactor.clipped), MESSAGE_LENGTH), MESSAGE_LENGTH + 1),
        traceback=storable(_traceback(error, redactor), TRACEBACK_LENGTH, keep_end=True),
        fingerprint=_fingerprint(path, error),
    )


def storable(text: str, length: int, *, keep_end: bool = False) -> str:
    """*text* within *length* characters, as any store and any terminal takes it.

    Lone surrogates and control characters are written as escapes; PostgreSQL refuses a NUL in text.
    """
    if len(text) > length:
        text = "…" + text[-length:] if keep_end else text[:length] + "…"
    text = text.replace("\r\n", "\n").translate(_ESCAPES)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _traceback(error: BaseException, redactor: Redactor) -> str:
    try:
        return "\n".join(Teller(redactor.clipped).tell(error))
    except BaseException as trouble:  # noqa: BLE001 - what went wrong with the traceback must not hide the failure itself
        return f"(its traceback cannot be shown: {class_path(type(trouble))})"


def _fingerprint(path: str, error: BaseException) -> str:
    """Each place counts once: a recursion is the same error however deep it went."""
    text = "\n".join([path, *dict.fromkeys(places(error))])
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8)
    return digest.hexdigest()
