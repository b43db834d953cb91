"""Why has this job not run? The one thing that it waits for, in one line."""

from collections.abc import Sequence

from conveyor.core.lifecycle import State
from conveyor.core.model import JobInfo, Runner

AHEAD_COUNTED = 1_000


def explain(job: JobInfo, runners: Sequence[Runner], ahead: int) -> str:
    """The reason for *job*'s state. *ahead*: jobs before it in its queue, counted up to ``AHEAD_COUNTED``."""
    match job.state:
        case State.SCHEDULED:
            return f"scheduled: its time is {job.run_after:%Y-%m-%d %H:%M:%S} UTC"
        case State.RETRYABLE:
            when = f"{job.run_after:%Y-%m-%d %H:%M:%S} UTC"
            return f"retryable: attempt {job.attempt} of {job.max_attempts} failed{_error(job)}; again at {when}"
        case State.READY:
            return f"ready: {_waiting(job, runners, ahead)}"
        case State.RUNNING:
            return f"running: attempt {job.attempt} since {job.last_attempted_at:%H:%M:%S} UTC {_holder(job, runners)}"
        case State.SUCCEEDED:
            return f"succeeded: at attempt {job.attempt}, {job.finished_at:%Y-%m-%d %H:%M:%S} UTC"
        case _:
            return f"{job.state}: at attempt {job.attempt} of {job.max_attempts}{_error(job)}"


def _waiting(job: JobInfo, runners: Sequence[Runner], ahead: int) -> str:
    alive = [runner for runner in runners if runner.alive]
    serving = [runner for runner in alive if job.queue in runner.info.queues]
    if not alive:
        return "no worker is running; start one with `conveyor worker`"
    if not serving:
        return f"no running worker serves queue {job.queue!r}; start one with `conveyor worker -q {job.queue}`"
    serving = [runner for runner in serving if job.task in runner.info.tasks]
    if not serving:
        return f"no running worker of queue {job.queue!r} knows the task {job.task!r}; is the new code deployed?"
    if ahead:
        many = f"more than {AHEAD_COUNTED:,}" if ahead > AHEAD_COUNTED else f"{ahead:,}"
        return f"{many} due before it in queue {job.queue!r}"
    slots = sum(runner.info.queues[job.queue] for runner in serving)
    return f"next in queue {job.queue!r}, for which {len(serving)} running workers have {slots} slots"


def _error(job: JobInfo) -> str:
    return f" ({job.error})" if job.error else ""


def _holder(job: JobInfo, runners: Sequence[Runner]) -> str:
    holder = next((runner for runner in runners if runner.id == job.runner), None)
    if holder is None:
        return f"by runner {job.runner}, which is gone; another worker will take it back"
    if not holder.alive:
        return f"by {holder.info.host} pid {holder.info.pid}, which is dead; another worker will take it back"
    return f"by {holder.info.host} pid {holder.info.pid}"
