"""What rows of answers mean, where that is the same for all stores. Times are numbers, ids are bytes."""

from datetime import timedelta
from typing import cast

import msgspec

from conveyor.core import ids
from conveyor.core.clock import MICROSECOND, moment
from conveyor.core.failure import Failure
from conveyor.core.model import Ended, FailureGroup, QueueInfo, Runner, RunnerInfo, read_attempts
from conveyor.plan import Row


def runner_of(row: Row) -> Runner:
    """A registered runner, from id, whether it is alive, when it started, and what it said of itself."""
    id_, alive, started_at, info = row
    return Runner(
        id=cast(bytes, id_).hex(),
        info=msgspec.json.decode(cast(bytes, info), type=RunnerInfo),
        alive=bool(alive),
        started_at=moment(cast(int, started_at)),
    )


def queue_of(row: Row) -> QueueInfo:
    """A queue, from name, since when it is paused, the clock, four counts, and when its oldest job came due."""
    name, paused, now, ready, scheduled, retryable, running, oldest = row
    since = None if oldest is None else max((cast(int, now) - cast(int, oldest)) * MICROSECOND, timedelta(0))
    return QueueInfo(
        name=cast(str, name),
        paused_at=None if paused is None else moment(cast(int, paused)),
        ready=cast(int, ready),
        scheduled=cast(int, scheduled),
        retryable=cast(int, retryable),
        running=cast(int, running),
        oldest=since,
    )


def ended_of(row: Row) -> Ended:
    """What an ended job tells, from queue, when it came due, when its attempt began, and how long that took."""
    queue, after, attempted, ran = row
    return Ended(
        queue=cast(str, queue),
        run_after=moment(cast(int, after)),
        last_attempted_at=None if attempted is None else moment(cast(int, attempted)),
        run_time=None if ran is None else cast(int, ran) * MICROSECOND,
    )


def failures_of(row: Row) -> FailureGroup:
    """Jobs of one error, from fingerprint, how many, first and latest end, and id, task and record of one."""
    fingerprint, jobs, first, latest, sample, task, record = row
    errors = [attempt.error for attempt in read_attempts(cast(bytes | None, record)) if attempt.error]
    return FailureGroup(
        fingerprint=cast(str, fingerprint),
        error=errors[-1] if errors else Failure("", "(its record cannot be read)"),
        jobs=cast(int, jobs),
        first=moment(cast(int, first)),
        latest=moment(cast(int, latest)),
        sample=ids.text(cast(bytes, sample)),
        task=cast(str, task),
    )
