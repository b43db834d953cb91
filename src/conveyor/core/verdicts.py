"""What a task raises to say itself what becomes of its job. Any other exception is judged by the task's policy."""

from datetime import datetime

from conveyor.core.clock import NOW, Start
from conveyor.core.options import Duration, start


class Verdict(Exception):
    """The base of the four; not an error of ours."""

    __module__ = "conveyor"
    reason: str = ""  # here too: a subclass need not have called our __init__

    def __init__(self, reason: str = "") -> None:
        """*reason* is stored, up to 500 characters of it, and shown to people."""
        super().__init__(reason)
        self.reason = reason


class Retry(Verdict):
    """Fail this attempt, and run the job again while attempts are left, whatever ``retry_on`` says.

    ``raise Retry(after=60) from error``: *after* is a time, or how long to wait (seconds or ``timedelta``); without
    it the task's backoff decides.
    """

    __module__ = "conveyor"
    start: Start | None = None

    def __init__(self, after: datetime | Duration | None = None, reason: str = "") -> None:
        """Raises ``PayloadError`` for a time that cannot be waited for."""
        super().__init__(reason)
        self.start = None if after is None else start("after", after)


class Snooze(Verdict):
    """Run the job again at *until* (a time, or seconds or ``timedelta`` from now); the attempt is given back."""

    __module__ = "conveyor"
    start: Start = NOW

    def __init__(self, until: datetime | Duration, reason: str = "") -> None:
        """Raises ``PayloadError`` for a time that cannot be waited for."""
        super().__init__(reason)
        self.start = start("until", until)


class Cancel(Verdict):
    """End the job as cancelled: there is nothing to do any more."""

    __module__ = "conveyor"


class Fail(Verdict):
    """End the job as failed, with no further attempt."""

    __module__ = "conveyor"
