"""Why has this job not run? The one thing that it waits for, in one line."""

import shlex
from collections.abc import Sequence
from datetime import datetime

from conveyor.core.clock import stored
from conveyor.core.judge import EXPIRED, suspected, unfit
from conveyor.core.lifecycle import State
from conveyor.core.model import JobInfo, QueueInfo, Runner

AHEAD_COUNTED = 1_000


def explain(job: JobInfo, runners: Sequence[Runner], ahead: int, queue: QueueInfo | None = None) -> str:
    """The reason for *job*'s state.

    *ahead*: jobs before it in its queue, counted up to ``AHEAD_COUNTED``. *queue*: how that stands, where the job is
    ready.
    """
    started = job.last_attempted_at
    misfit = _misfit(job, runners)
    match job.state:
        case State.SCHEDULED | State.RETRYABLE if misfit:
            return f"{job.state}: {misfit}; next try at {_at(job.run_after)}, no attempt is spent{_expiry(job)}"
        case State.SCHEDULED:
            before = f"; it was given back, or put off, after a start at {_at(started)}" if started else ""
            return f"scheduled: its time is {_at(job.run_after)}{before}{_expiry(job)}"
        case State.RETRYABLE:
            failed = f"attempt {job.attempt} of {job.max_attempts} failed{_error(job)}"
            return f"retryable: {failed}; again at {_at(job.run_after)}{_expiry(job)}"
        case State.READY:
            alone = "; it runs alone, for a worker died while it held it" if suspected(job.attempts) else ""
            return f"ready: {_waiting(job, runners, ahead, queue)}{misfit and f'; {misfit}'}{alone}{_expiry(job)}"
        case State.RUNNING:
            asked = f"; asked to stop ({job.cancelled})" if job.cancelled is not None else ""
            return f"running: attempt {job.attempt} since {_at(job.last_attempted_at)} {_holder(job, runners)}{asked}"
        case State.SUCCEEDED:
            return f"succeeded: at attempt {job.attempt}, {_at(job.finished_at)}"
        case State.CANCELLED if job.cancelled == EXPIRED:
            return f"cancelled: expired, its time was over before it started, {_at(job.finished_at)}"
        case State.CANCELLED:
            return f"cancelled: {job.cancelled or 'no reason given'}, {_at(job.finished_at)}"
        case State.QUARANTINED:
            killed = f"its worker died of it {job.crashes} times"
            return f"quarantined: at attempt {job.attempt} of {job.max_attempts}{_error(job)}; {killed}"
        case _:
            return f"{job.state}: at attempt {job.attempt} of {job.max_attempts}{_error(job)}"


def _waiting(job: JobInfo, runners: Sequence[Runner], ahead: int, queue: QueueInfo | None) -> str:
    if queue is not None and queue.paused_at is not None:
        resume = f"`conveyor queues resume {shlex.quote(job.queue)}`"
        return f"queue {job.queue!r} is paused since {_at(queue.paused_at)}; resume it with {resume}"
    alive = [runner for runner in runners if runner.alive]
    serving = [runner for runner in alive if job.queue in runner.info.queues]
    if not alive:
        return "no worker is running; start one with `conveyor worker`"
    if not serving:
        start = f"`conveyor worker -q {shlex.quote(job.queue)}`"
        return f"no running worker serves queue {job.queue!r}; start one with {start}"
    serving = [runner for runner in serving if job.task in runner.info.tasks]
    if not serving:
        return f"no running worker of queue {job.queue!r} knows the task {job.task!r}; is the new code deployed?"
    if ahead:
        many = f"more than {AHEAD_COUNTED:,}" if ahead > AHEAD_COUNTED else f"{ahead:,}"
        return f"{many} due before it in queue {job.queue!r}"
    slots = sum(runner.info.queues[job.queue] for runner in serving)
    workers = "1 running worker has" if len(serving) == 1 else f"{len(serving)} running workers have"
    room = "1 slot" if slots == 1 else f"{slots} slots"
    busy = ", and all are taken" if queue is not None and queue.running >= slots else ""
    return f"next in queue {job.queue!r}, for which {workers} {room}{busy}"


def _misfit(job: JobInfo, runners: Sequence[Runner]) -> str:
    """That no code has been found yet which takes its arguments, if so."""
    last = None if job.last_attempted_at is None else unfit(job.attempts, stored(job.last_attempted_at))
    if last is None:
        return ""
    worker = next((runner.info for runner in runners if runner.id == last.runner), None)
    code = f"{worker.host} pid {worker.pid}" if worker else f"worker {last.runner[:8]}"
    return f"its arguments do not fit the code of {code}: {last.error.message if last.error else ''}"


def _at(moment: datetime | None) -> str:
    return "an unknown time" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _expiry(job: JobInfo) -> str:
    return f"; it is not started after {_at(job.expires_at)}" if job.expires_at is not None else ""


def _error(job: JobInfo) -> str:
    return f" ({job.error})" if job.error else ""


def _holder(job: JobInfo, runners: Sequence[Runner]) -> str:
    holder = next((runner for runner in runners if runner.id == job.runner), None)
    if holder is None:
        return f"by runner {job.runner}, which is gone; another worker will take it back"
    if not holder.alive:
        return f"by {holder.info.host} pid {holder.info.pid}, which is dead; another worker will take it back"
    return f"by {holder.info.host} pid {holder.info.pid}"
