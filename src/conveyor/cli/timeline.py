"""A job's life as lines with times: what has happened to it, and what is still to happen."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from conveyor.core.clock import MICROSECOND, moment
from conveyor.core.health import span
from conveyor.core.judge import EXPIRED
from conveyor.core.lifecycle import Event, State
from conveyor.core.model import ATTEMPTS_KEPT, Attempt, JobInfo, Runner

AT_ONCE: Final = timedelta(milliseconds=50)
"""Jobs of one call come due 1 us apart; nobody wants to read that."""
CPU_WORTH: Final = 0.01
"""Seconds of processor time that are worth a word."""
SHORT: Final = 10.0
"""Seconds below which a duration is told more exactly."""


_ENDED: Final[dict[str, str]] = {
    Event.SUCCEED: "succeeded",
    Event.RETRY: "failed",
    Event.FAIL: "failed",
    Event.RESCUE: "lost with its worker",
    Event.LOSE: "lost with its worker",
    Event.QUARANTINE: "lost with its worker",
    Event.RELEASE: "given back",
    Event.SNOOZE: "put off",
    Event.CANCEL: "cancelled",
}
"""What became of an attempt."""


class Line(NamedTuple):
    """One line of it."""

    when: datetime
    what: str
    details: str = ""


def timeline(job: JobInfo, runners: Sequence[Runner]) -> list[Line]:
    """All of them, in the order of time."""
    lines = [*_arrival(job), *_attempts(job, runners), *_end(job)]
    return sorted(lines, key=lambda line: line.when)


def _arrival(job: JobInfo) -> Iterator[Line]:
    at_once = abs(job.run_after - job.enqueued_at) < AT_ONCE
    yield Line(job.enqueued_at, "enqueued", "due at once" if at_once else "")
    if not at_once:
        again = job.last_attempted_at is not None and job.run_after > job.last_attempted_at
        yield Line(job.run_after, "due again" if again else "due", _ahead(job.run_after))
    if job.expires_at is not None:
        yield Line(job.expires_at, "expires", "it is not started after that")


def _attempts(job: JobInfo, runners: Sequence[Runner]) -> Iterator[Line]:
    yield from (_attempt(attempt, runners) for attempt in job.attempts)
    if len(job.attempts) >= ATTEMPTS_KEPT and job.attempts[1].number > job.attempts[0].number + 1:
        place = moment(job.attempts[1].started_at) - MICROSECOND
        yield Line(place, "...", "attempts that are not kept: the first stays, and the latest")
    started = job.last_attempted_at
    if started is None or (job.attempts and started == moment(job.attempts[-1].started_at)):
        return
    where = _where(job.runner or "", runners)
    if job.state is State.RUNNING:
        yield Line(
            started, f"attempt {job.attempt}", f"has been running for {span(datetime.now(UTC) - started)}{where}"
        )
    elif not job.state.final:
        yield Line(started, "started", "an attempt that left no record: it was given back, or put off, or succeeded")
    elif job.run_time is not None and job.cancelled != EXPIRED:
        yield Line(started, f"attempt {job.attempt}", f"{job.state} after {ran(job.run_time)}{where}")


def _attempt(attempt: Attempt, runners: Sequence[Runner]) -> Line:
    took = ran(moment(attempt.finished_at) - moment(attempt.started_at))
    error = f": {attempt.error}" if attempt.error else ""
    return Line(
        moment(attempt.started_at),
        f"attempt {attempt.number}",
        f"{_ENDED.get(attempt.event, attempt.event)} after {took}{_used(attempt)}{error}"
        f"{_where(attempt.runner, runners)}",
    )


def _used(attempt: Attempt) -> str:
    """What it took of the machine, where that is known."""
    parts: list[str] = []
    if attempt.cpu >= CPU_WORTH:
        parts.append(f"{attempt.cpu:.2f} s of CPU")
    if attempt.memory:
        parts.append(f"{attempt.memory / 1024**2:.0f} MB")
    return f" ({', '.join(parts)})" if parts else ""


def _end(job: JobInfo) -> Iterator[Line]:
    if job.finished_at is not None:
        yield Line(job.finished_at, job.state, f"after {span(job.finished_at - job.enqueued_at)} in all")


def ran(length: timedelta) -> str:
    """How long something ran."""
    seconds = max(length.total_seconds(), 0)
    return f"{seconds:.3f} s" if seconds < SHORT else span(length)


def _where(runner: str, runners: Sequence[Runner]) -> str:
    """Where it ran: host and process while the worker is registered, else the runner's name."""
    if not runner:
        return ""
    found = next((one.info for one in runners if one.id == runner), None)
    return f" ({found.host} pid {found.pid})" if found else f" (runner {runner[:8]})"


def _ahead(when: datetime) -> str:
    left = when - datetime.now(UTC)
    return f"in {span(left)}" if left > timedelta(0) else ""
