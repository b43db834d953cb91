"""Conveyor runs background jobs for Python programs, in the database they already have."""

from importlib import import_module
from typing import TYPE_CHECKING, Final

from conveyor.app import Conveyor
from conveyor.context import Context, current
from conveyor.core.backoff import Backoff
from conveyor.core.errors import (
    AttemptFenced,
    ConveyorError,
    ConveyorWarning,
    DuplicateJob,
    JobFailed,
    JobNotFound,
    LockHeld,
    LockLost,
    MemoryLimitExceeded,
    NotInTransaction,
    NotSent,
    OnItsWay,
    OutcomeUnknown,
    PayloadError,
    ScheduleNotFound,
    SchemaOutdated,
    SoftTimeout,
    StoreClosed,
    StoreUnavailable,
    UnknownTask,
    UsageError,
    WrongStore,
)
from conveyor.core.lifecycle import State
from conveyor.core.model import JobInfo
from conveyor.core.unique import Unique
from conveyor.core.verdicts import Cancel, Fail, Retry, Snooze
from conveyor.core.version import __version__
from conveyor.hooks import Ended
from conveyor.job import Job
from conveyor.loose import task
from conveyor.task import Task

if TYPE_CHECKING:  # a process that only enqueues does not pay for them
    from conveyor.client.lock import Lock
    from conveyor.schedule import Rule, cron, cron_with_seconds, daily, every, monthly, once, quarterly, weekly, yearly

__all__ = [
    "AttemptFenced",
    "Backoff",
    "Cancel",
    "Context",
    "Conveyor",
    "ConveyorError",
    "ConveyorWarning",
    "DuplicateJob",
    "Ended",
    "Fail",
    "Job",
    "JobFailed",
    "JobInfo",
    "JobNotFound",
    "Lock",
    "LockHeld",
    "LockLost",
    "MemoryLimitExceeded",
    "NotInTransaction",
    "NotSent",
    "OnItsWay",
    "OutcomeUnknown",
    "PayloadError",
    "Retry",
    "Rule",
    "ScheduleNotFound",
    "SchemaOutdated",
    "Snooze",
    "SoftTimeout",
    "State",
    "StoreClosed",
    "StoreUnavailable",
    "Task",
    "Unique",
    "UnknownTask",
    "UsageError",
    "WrongStore",
    "__version__",
    "cron",
    "cron_with_seconds",
    "current",
    "daily",
    "every",
    "monthly",
    "once",
    "quarterly",
    "task",
    "weekly",
    "yearly",
]

_WORDS: Final = (
    "Rule",
    "cron",
    "cron_with_seconds",
    "daily",
    "every",
    "monthly",
    "once",
    "quarterly",
    "weekly",
    "yearly",
)
_LATER: Final = dict.fromkeys(_WORDS, "conveyor.schedule") | {"Lock": "conveyor.client.lock"}
"""Names that are imported when they are first used, and from where."""


def __getattr__(name: str) -> object:
    """See PEP 562."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_LATER[name]), name)
    globals()[name] = value
    return value
