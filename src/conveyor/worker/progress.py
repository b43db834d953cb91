"""Writes how far running attempts have come: twice a second, and before their outcomes."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from conveyor.context import encoded
from conveyor.core.errors import ConveyorError, StoreRefused
from conveyor.core.model import Progress, Report
from conveyor.store.contract import Store
from conveyor.worker.attempt import Attempt

logger = logging.getLogger("conveyor.worker")

KEPT: Final = 1_000
"""Reports of ended attempts that are kept while the store does not answer."""


class Reporter:
    """Progress on its way into the store. Only the latest of each attempt counts."""

    def __init__(self, store: Store, attempts: Callable[[], Iterable[Attempt]]) -> None:
        """*attempts* gives those that run."""
        self._store = store
        self._attempts = attempts
        self._ended: list[Report] = []
        self._turn = asyncio.Lock()
        """One write at a time: an older report must not arrive after a newer one, nor after the outcome."""

    def ended(self, attempt: Attempt) -> None:
        """Take what an attempt said last, so that it is written before its outcome."""
        progress = _taken(attempt)
        if progress is not None:
            self._ended.append(_report(attempt, progress))

    async def work(self) -> None:
        """One round. An attempt whose transaction suffers no other write keeps its progress for now."""
        async with self._turn:
            taken = [(attempt, _taken(attempt)) for attempt in self._attempts() if not attempt.untouchable]
            try:
                await self._write([_report(attempt, progress) for attempt, progress in taken if progress])
            except BaseException:
                for attempt, progress in taken:
                    attempt.context.unsaved = attempt.context.unsaved or progress
                raise

    async def flush(self) -> None:
        """Write what ended attempts said last. No outcome is kept waiting for it: what fails is tried with the next."""
        async with self._turn:
            reports, self._ended = self._ended[-KEPT:], []
            try:
                await self._write(reports)
            except ConveyorError as error:
                logger.debug("progress cannot be written: %s", error)
                self._ended = [] if isinstance(error, StoreRefused) else list(reports)

    async def _write(self, reports: Sequence[Report]) -> None:
        if reports:
            await self._store.arun(self._store.operations.report(reports))


def _taken(attempt: Attempt) -> Progress | None:
    unsaved, attempt.context.unsaved = attempt.context.unsaved, None
    return unsaved


def _report(attempt: Attempt, progress: Progress) -> Report:
    return Report(attempt.job.id, attempt.job.token, attempt.runner, encoded(progress))
