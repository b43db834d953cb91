"""Every error that Conveyor raises. Each message says what is wrong, with the values, and what to do."""


class ConveyorError(Exception):
    """The base of all errors of Conveyor's own."""


class PayloadError(ConveyorError, ValueError):
    """An argument, option or result cannot be stored; the message names its path. Nothing was stored."""


class UnknownTask(ConveyorError, LookupError):
    """No task of that name is registered with this app."""


class JobNotFound(ConveyorError, LookupError):
    """No job of that id is in the store."""


class JobFailed(ConveyorError):
    """The job ended without a result: it failed, or was cancelled or quarantined."""


class StoreUnavailable(ConveyorError):
    """The store cannot be reached, and nothing was written; the call may be repeated."""


class OutcomeUnknown(ConveyorError):
    """The connection was lost after a write was sent, and the store could not be asked what became of it."""


class SchemaOutdated(ConveyorError):
    """The store's tables are missing or older than this version needs; ``conveyor migrate`` makes them."""


class StoreRefused(ConveyorError):
    """The store understood a statement and refused it: a value it cannot hold, or a right it does not give."""


class WorkerLost(ConveyorError):
    """Stored as the error of an attempt whose worker died."""


class AttemptTimedOut(ConveyorError):
    """Stored as the error of an attempt that outlived its task's timeout."""


class UsageError(ConveyorError):
    """A command was given something it cannot use; shown as one line, without a traceback."""
