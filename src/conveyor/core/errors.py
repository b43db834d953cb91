"""Every error that Conveyor raises. Each message says what is wrong, with the values, and what to do."""

from collections.abc import Sequence
from typing import Self


class ConveyorError(Exception):
    """The base of all errors of Conveyor's own."""


class PayloadError(ConveyorError, ValueError):
    """An argument, option or result cannot be stored; the message names its path. Nothing was stored."""


class UnknownTask(ConveyorError, LookupError):
    """No task of that name is registered with this app."""


class JobNotFound(ConveyorError, LookupError):
    """No job of that id is in the store."""


class OnItsWay(JobNotFound):
    """The job is in the outbox, from which a worker will forward it to the store."""


class JobFailed(ConveyorError):
    """The job ended without a result: it failed, or was cancelled or quarantined."""


class DuplicateJob(ConveyorError):
    """Another unfinished job holds the unique key, and the call asked for an error in that case.

    ``job_id`` is the holder's id; empty in the rare case that it had ended when it was looked for.
    """

    def __init__(self, message: str, job_id: str = "") -> None:
        """*job_id* is the holder's."""
        super().__init__(message)
        self.job_id = job_id


class NotInTransaction(ConveyorError):
    """A connection that was to lend its transaction has none open, or one that has failed already."""


class ScheduleNotFound(ConveyorError):
    """There is no schedule of that name in the store."""


class WrongStore(ConveyorError):
    """A connection that was to lend its transaction belongs to another database, schema or file than the app's."""


class StoreUnavailable(ConveyorError):
    """The store cannot be reached, and nothing was written; the call may be repeated."""


class StoreClosed(StoreUnavailable):
    """``conveyor move`` has taken the store's jobs to another one, or is filling this one; nothing was written.

    The message says which other one.
    """


class HeldElsewhere(StoreUnavailable):
    """Another transaction has held for too long what a write had to wait for; nothing was written."""


class OutcomeUnknown(ConveyorError):
    """The connection was lost after a write was sent, and the store could not be asked what became of it."""


class NotSent(ConveyorError):
    """A transaction has committed, and jobs that were to be sent to the store after that may not be there.

    ``job_ids`` are theirs.
    """

    def __init__(self, message: str, job_ids: Sequence[str]) -> None:
        """*job_ids* as texts."""
        super().__init__(message)
        self.job_ids = job_ids

    def __reduce__(self) -> tuple[type[Self], tuple[str, Sequence[str]]]:
        """An error with more than a message is not pickled by itself."""
        return type(self), (str(self), self.job_ids)


class SchemaOutdated(ConveyorError):
    """The store's tables are missing or older than this version needs; ``conveyor migrate`` makes them."""


class StoreRefused(ConveyorError):
    """The store understood a statement and refused it: a value it cannot hold, or a right it does not give."""


class WorkerLost(ConveyorError):
    """Stored as the error of an attempt whose worker died."""


class AttemptTimedOut(ConveyorError, TimeoutError):
    """Stored as the error of an attempt that outlived its timeout; ``retry_on`` is asked of it as of any other."""


class UnfitArguments(ConveyorError, TypeError):
    """Stored as the reason why a job was given back whose arguments a worker's code does not take.

    ``bare`` is its text without anything that may quote the arguments.
    """

    def __init__(self, bare: str, trouble: str = "") -> None:
        """*trouble* says more, and may quote them."""
        super().__init__(f"{bare}: {trouble}" if trouble else bare)
        self.bare = bare


class SoftTimeout(AttemptTimedOut):
    """Raised in a plain task whose timeout is up, where it stands: half a second is left to clean up and end."""


class MemoryLimitExceeded(ConveyorError, MemoryError):
    """Stored as the error of an attempt whose process was killed, for it held more than ``memory`` allows."""


class UsageError(ConveyorError):
    """Something was asked for that means nothing here; the message says what does. Commands show it as one line."""


class AttemptFenced(ConveyorError):
    """The job is no longer this attempt's: its worker was taken for dead, and all that it wrote is taken back."""


class LockHeld(ConveyorError):
    """Somebody has the lock, and had it for as long as the call would wait; the message says who, and since when."""


class LockLost(ConveyorError):
    """The lock ran out before it could be renewed, or another has it: what was done under it may not have been alone.

    A block that has raised something else raises that.
    """


class ConveyorWarning(UserWarning):
    """Something works, and is hardly what was meant; the message says what to write instead."""
