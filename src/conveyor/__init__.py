"""Conveyor runs background jobs for Python programs, in the database they already have."""

from conveyor.app import Conveyor
from conveyor.context import Context, current
from conveyor.core.backoff import Backoff
from conveyor.core.errors import (
    ConveyorError,
    JobFailed,
    JobNotFound,
    OutcomeUnknown,
    PayloadError,
    SchemaOutdated,
    StoreUnavailable,
    UnknownTask,
)
from conveyor.core.lifecycle import State
from conveyor.core.model import JobInfo
from conveyor.core.version import __version__
from conveyor.job import Job
from conveyor.task import Task

__all__ = [
    "Backoff",
    "Context",
    "Conveyor",
    "ConveyorError",
    "Job",
    "JobFailed",
    "JobInfo",
    "JobNotFound",
    "OutcomeUnknown",
    "PayloadError",
    "SchemaOutdated",
    "State",
    "StoreUnavailable",
    "Task",
    "UnknownTask",
    "__version__",
    "current",
]
