"""At most one unfinished job for each unique key."""

import hashlib
from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

from conveyor.core.errors import PayloadError
from conveyor.core.text import free_text, is_a, told
from conveyor.core.values import kind_of

Until = Literal["start", "finish"]
OnConflict = Literal["existing", "replace", "raise"]

KEY_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Unique:
    """What makes a job unique among the unfinished jobs of its task.

    *key* is up to 200 characters; without one, the call's arguments are the key. The key is held *until* the job's
    first attempt starts, or until the job has ended. *on_conflict* says what a second enqueue does meanwhile:
    ``"existing"`` gives the handle of the job that holds the key, ``"replace"`` gives that job the new arguments and
    options while it waits (a running one stays as it is), ``"raise"`` raises ``DuplicateJob``.
    """

    key: str | None = None
    until: Until = "finish"
    on_conflict: OnConflict = "existing"

    def __post_init__(self) -> None:
        """Raises ``PayloadError`` or ``TypeError`` for what means nothing."""
        if self.key is not None:
            object.__setattr__(self, "key", free_text("unique", self.key, KEY_LENGTH))
            if not self.key:
                raise PayloadError("unique='' is no key; use unique=True for the call's arguments")
        if not is_a(self.until, str) or str.__str__(self.until) not in ("start", "finish"):
            raise PayloadError(f"Unique: until={told(self.until)} must be 'start' or 'finish'")
        if not is_a(self.on_conflict, str) or str.__str__(self.on_conflict) not in ("existing", "replace", "raise"):
            raise PayloadError(f"Unique: on_conflict={told(self.on_conflict)} must be 'existing', 'replace' or 'raise'")


class Hold(NamedTuple):
    """A unique key as the store keeps it, and what a second one of it does."""

    key: str
    until_start: bool
    on_conflict: OnConflict


def unique_of(value: Unique | str | bool | None) -> Unique | None:  # noqa: FBT001 - an option's value, not a switch
    """What the option ``unique`` means: ``True`` for the arguments, a text for a key."""
    if value is None or value is False:
        return None
    if value is True:
        return Unique()
    if is_a(value, str):
        return Unique(cast(str, value))
    if is_a(value, Unique):
        return cast(Unique, value)
    raise TypeError(f"unique must be True, a key, or a Unique, not {kind_of(value)}")


def named(key: str) -> str:
    """A key as the store keeps it, in words."""
    task, mark, own = key.partition("\x1f")
    if mark:
        return f"the unique key {own!r} of task {task}"
    return f"the unique key of task {task.partition(chr(0x1E))[0]} that these arguments are"


def hold_of(unique: Unique, task: str, payload: bytes) -> Hold:
    """The key of a call of *task*: keys of different tasks are different keys.

    The separators are characters that no name can have; arguments and keys cannot be taken for each other either.
    """
    if unique.key is None:
        key = f"{task}\x1e{hashlib.blake2b(payload, digest_size=16).hexdigest()}"
    else:
        key = f"{task}\x1f{unique.key}"
    return Hold(key, unique.until == "start", unique.on_conflict)
