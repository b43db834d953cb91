"""What is told of an attempt, in the store and in logs: without its secrets, and whatever the user's objects do."""

import logging

from conveyor.context import labels
from conveyor.core.extras import Extras
from conveyor.core.failure import Failure, describe
from conveyor.core.model import Claimed
from conveyor.core.redact import DEFAULT, Redactor, hidden
from conveyor.core.text import worded
from conveyor.core.trace import class_path
from conveyor.task import Definition

logger = logging.getLogger("conveyor.worker")


class Words:
    """Texts of one attempt. It knows nothing of the attempt itself, so that nothing turns in a circle."""

    __slots__ = ("_definition", "_job", "_redactor", "_secret")

    def __init__(self, job: Claimed, definition: Definition, extras: Extras) -> None:
        """Reads no arguments yet: few attempts say anything."""
        self._job = job
        self._definition = definition
        self._secret = extras.redact
        self._redactor = None if extras.redact else DEFAULT

    def described(self, error: BaseException) -> Failure:
        """The stored form of *error*."""
        return describe(error, self._knowing())

    def reason(self, value: object) -> str:
        """What a verdict gives as its reason."""
        return worded(value, redactor=self._knowing())

    def clipped(self, text: str, length: int) -> str:
        """The beginning of *text*."""
        return self._knowing().clipped(text, length)

    def _knowing(self) -> Redactor:
        """Knows the values that nobody is to see, as they were sent; made at the first use."""
        if self._redactor is None:
            self._redactor = self._made()
        return self._redactor

    def _made(self) -> Redactor:
        try:
            args, kwargs = self._definition.codec.decode(self._job.args)
            return Redactor.of(hidden(args, kwargs, self._secret))
        except BaseException as error:  # noqa: BLE001 - the arguments' own types may raise anything, SystemExit too
            # Its text may quote them, and its context is the task's own error: only its class can be told.
            logger.error(  # noqa: TRY400 - as said
                "its arguments cannot be read (%s), so none can be looked for, and all text of it is hidden",
                class_path(type(error)),
                extra=labels(self._job),
            )
            return Redactor(blind=True)
