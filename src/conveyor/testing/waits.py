"""Waiting for what a worker in the background does: for the event, and not for so many seconds."""

import time
from collections.abc import Mapping
from typing import Final

from conveyor.core.errors import UsageError
from conveyor.core.lifecycle import FINAL, State
from conveyor.core.model import JobInfo
from conveyor.job import Job
from conveyor.testing.log import KINDS, Happened, Kind
from conveyor.testing.looks import Looks
from conveyor.testing.wanted import What, checked
from conveyor.testing.working import Working

TIMEOUT: Final = 10.0
LOOK: Final = 0.25
"""Seconds between looks while there is no news: other processes may write to the store, too."""


class Waits(Looks):
    """The part of a harness that has a worker in the background."""

    def worker(self, queues: Mapping[str, int] | None = None, *, slots: int = 10) -> Working:
        """``with harness.worker():`` a real worker runs jobs while the block does something else.

        It works in a thread; ``async with`` runs it in the event loop of the block. It serves *queues* (name to
        slots), or all that there are with so many *slots* each. Time passes meanwhile, and ``harness.clock`` can be
        moved besides. At the end of the block running jobs finish.
        """
        return Working(self, queues, slots)

    def wait_for(
        self, job: Job[object] | str, state: State | str | None = None, *, timeout: float = TIMEOUT
    ) -> JobInfo:
        """Wait until *job*, or the job of that id, is in *state*, or without one, until it has ended; gives its record.

        ``AssertionError`` when it has ended otherwise, ``TimeoutError`` after *timeout* seconds, with what it waits
        for.
        """
        wanted, end = _states(state), time.monotonic() + timeout
        job = self.app.jobs.get(job) if isinstance(job, str) else job
        while True:
            seen = self.log.count
            info = job.refresh()
            if _reached(info, wanted):
                return info
            self.log.wait(seen, self._left(end) or self._too_late(info, wanted, timeout))

    async def await_for(
        self,
        job: Job[object] | str,
        state: State | str | None = None,
        *,
        timeout: float = TIMEOUT,  # noqa: ASYNC109 - as wait_for()
    ) -> JobInfo:
        """``wait_for`` for async code."""
        wanted, end = _states(state), time.monotonic() + timeout
        job = await self.app.jobs.aget(job) if isinstance(job, str) else job
        while True:
            seen = self.log.count
            info = await job.arefresh()
            if _reached(info, wanted):
                return info
            await self.log.await_(seen, self._left(end) or self._too_late(info, wanted, timeout))

    def wait_until(
        self, event: Kind, task: What | None = None, /, *, count: int = 1, timeout: float = TIMEOUT
    ) -> Happened:
        """Wait until *event* has happened to a job of *task* (of any), *count* times since the harness began.

        ``enqueued``; ``started``, when an attempt begins; ``succeeded``, ``failed``, ``retryable``, ``cancelled`` and
        ``quarantined``, once an attempt's end is written and the app's hooks were told. Gives the last of them;
        ``TimeoutError`` after *timeout* seconds.
        """
        end = time.monotonic() + timeout
        while True:
            seen = self.log.count
            found = self._happened(event, task)
            if len(found) >= count:
                return found[count - 1]
            self.log.wait(seen, self._left(end) or self._never(event, task, count, timeout))

    async def await_until(
        self,
        event: Kind,
        task: What | None = None,
        /,
        *,
        count: int = 1,
        timeout: float = TIMEOUT,  # noqa: ASYNC109 - as wait_until()
    ) -> Happened:
        """``wait_until`` for async code."""
        end = time.monotonic() + timeout
        while True:
            seen = self.log.count
            found = self._happened(event, task)
            if len(found) >= count:
                return found[count - 1]
            await self.log.await_(seen, self._left(end) or self._never(event, task, count, timeout))

    def _left(self, end: float) -> float:
        """How long to wait for news, at most; 0 when time is up. Raises what has ended the worker."""
        if self.trouble is not None:
            raise self.trouble
        return max(min(LOOK, end - time.monotonic()), 0.0)

    def _too_late(self, info: JobInfo, wanted: frozenset[State], timeout: float) -> float:
        raise TimeoutError(
            f"job {info.id} ({info.task}) is still {info.state} after {timeout:g} s, and was to be "
            f"{_either(wanted)}: {self.app.jobs.why(info.id)}{self._nobody()}"
        )

    def _never(self, event: Kind, task: What | None, count: int, timeout: float) -> float:
        what = "any task" if task is None else task.definition.name
        there = [f"{one.kind} {one.task} (attempt {one.attempt})" for one in self.log.events[-10:]]
        raise TimeoutError(
            f"{event!r} has not happened to {what} {count} times after {timeout:g} s. The latest events: "
            f"{', '.join(there) or 'none'}{self._nobody()}"
        )

    def _nobody(self) -> str:
        return "" if self.working else ". No worker runs here: wait inside of `with harness.worker():`"

    def _happened(self, event: Kind, task: What | None) -> list[Happened]:
        if event not in KINDS:
            raise UsageError(f"there is no event {event!r}; there are {', '.join(KINDS)}")
        if event == "enqueued":
            return [Happened("enqueued", job.info.task, job.info.id, 0) for job in self.enqueued(task)]
        name = None if task is None else checked(task).definition.name
        return [one for one in list(self.log.events) if one.kind == event and name in (None, one.task)]


def _states(state: State | str | None) -> frozenset[State]:
    return FINAL if state is None else frozenset({State(state)})


def _reached(info: JobInfo, wanted: frozenset[State]) -> bool:
    if info.state in wanted:
        return True
    if info.state.final:
        why = info.cancelled or info.error
        raise AssertionError(
            f"job {info.id} ({info.task}) ended as {info.state}, and was to be {_either(wanted)}"
            + (f": {why}" if why else "")
        )
    return False


def _either(states: frozenset[State]) -> str:
    return "at its end" if states == FINAL else " or ".join(sorted(states))
