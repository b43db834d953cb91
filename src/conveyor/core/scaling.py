"""How busy queues are, and how many workers they need: decided from facts, without I/O."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from conveyor.core.model import Ended, QueueInfo, Runner

LATELY: Final = timedelta(minutes=10)
"""What started longer ago says nothing of how long jobs wait now."""
USUAL_SLOTS: Final = 10
"""Of a worker, for each of its queues, where none runs that could be asked."""
UNKNOWN: Final = timedelta(seconds=1)
"""What a job is taken to run for while none of its queue has ended."""
QUICKEST: Final = timedelta(milliseconds=1)
"""A job that runs for less costs as much: the rest is the claim, and writing its end."""
FULL: Final = 0.9
"""Of the slots of a queue, or of a core: then more runners would start more jobs."""
ROOM: Final = 0.7
"""Of the slots, or of a core, that may be taken in those that are left, for one to be needed no more."""


@dataclass(frozen=True, slots=True)
class Load:
    """How busy a queue is at one moment, and how many workers it needs."""

    queue: str
    paused: bool
    """Nothing of it starts."""
    ready: int
    """Due jobs; exact up to 10,000, and 10,001 stands for more."""
    running: int
    oldest: timedelta | None
    """How long its oldest ready job has been waiting since it came due."""
    wait_p95: timedelta | None
    """How long 95 of 100 jobs waited at most that started in the last 10 minutes; ``None`` when none has ended.

    Of a look at the newest jobs that have ended, in all queues. What waits now is not in it: see ``oldest``.
    """
    run_time: timedelta | None
    """How long these ran, on average."""
    workers: int
    """Running workers that serve it."""
    slots: int
    """These have for it, in all."""
    desired: int
    """Workers that it needs: see ``desired_workers``."""


def loads(
    queues: Iterable[QueueInfo], runners: Sequence[Runner], ended: Sequence[Ended], target: timedelta, now: datetime
) -> list[Load]:
    """The load of each queue; *ended* are some jobs that have come to their end, the latest."""
    return [_load(queue, runners, [job for job in ended if job.queue == queue.name], target, now) for queue in queues]


def _load(
    queue: QueueInfo, runners: Sequence[Runner], ended: Sequence[Ended], target: timedelta, now: datetime
) -> Load:
    serving = [
        runner.info.queues[queue.name] for runner in runners if runner.alive and queue.name in runner.info.queues
    ]
    ran = [job.run_time for job in ended if job.run_time is not None]
    mean = sum(ran, timedelta()) / len(ran) if ran else None
    starts = [(job.last_attempted_at, job.run_after) for job in ended if job.last_attempted_at is not None]
    waits = [max(start - due, timedelta()) for start, due in starts if now - start <= LATELY]
    ready = 0 if queue.paused_at is not None else queue.ready
    slots = sum(serving) / len(serving) if serving else USUAL_SLOTS
    return Load(
        queue=queue.name,
        paused=queue.paused_at is not None,
        ready=queue.ready,
        running=queue.running,
        oldest=queue.oldest,
        wait_p95=_p95(waits),
        run_time=mean,
        workers=len(serving),
        slots=sum(serving),
        desired=desired_workers(ready, queue.running, mean, slots, target),
    )


def desired_workers(ready: int, running: int, run_time: timedelta | None, slots: float, target: timedelta) -> int:
    """Workers of so many *slots* that start all *ready* jobs within *target*, beside the work that there is.

    As many slots as jobs run now go on being needed for what comes in meanwhile: so many are busy with it. In *target*
    each further slot runs ``target / run_time`` jobs. 0 when there is nothing to do: who scales has a least number.
    """
    return math.ceil(_slots(ready, running, run_time, target) / slots)


def _slots(ready: int, running: int, run_time: timedelta | None, target: timedelta) -> float:
    each = max(UNKNOWN if run_time is None else run_time, QUICKEST)
    return running + ready * (each / target)


def needed_runners(loads: Iterable[Load], queues: Mapping[str, int], own: int, cores: float, target: timedelta) -> int:
    """Runners that a worker needs, 1 at least, which has *own* that serve *queues*, and keep *cores* of them busy.

    More than it has only where more would start jobs sooner: what waits while slots are free waits for something else,
    such as code that knows its task. Fewer where those that are left would have room to spare.
    """
    served = [load for load in loads if load.queue in queues]
    return max(
        1,
        min(math.ceil(cores / ROOM), own),
        *(_needed(load, queues[load.queue], own, target, busy=cores >= FULL * own) for load in served),
    )


def _needed(load: Load, slots: int, own: int, target: timedelta, *, busy: bool) -> int:
    """The same for one queue, to which each runner gives so many *slots*; what others have for it is theirs to use."""
    others = max(load.slots - own * slots, 0)
    full = busy or load.running >= FULL * load.slots
    if full and load.ready and not load.paused:
        late = load.oldest is not None and load.oldest > target
        wanted = _slots(load.ready, load.running, load.run_time, target)
        return max(math.ceil((wanted - others) / slots), own + late)
    return min(math.ceil((load.running / ROOM - others) / slots), own)


def _p95(lengths: Sequence[timedelta]) -> timedelta | None:
    ordered = sorted(lengths)
    return ordered[math.ceil(len(ordered) * 0.95) - 1] if ordered else None
