"""How busy the queues of a store are: what is asked of it for that."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from conveyor.core.model import QueueInfo, Runner
from conveyor.core.scaling import Load, loads
from conveyor.store.contract import Operations
from conveyor.store.rounds import Rounds, step

LOOKED_AT: Final = 500
"""Jobs that ended, the newest of all queues, of which it is looked how long they waited and ran.

So many of each queue would tell more of a quiet one; but no index of history begins with the queue.
"""


def measured(operations: Operations, target: timedelta, leaving: Collection[str] = ()) -> Rounds[Sequence[Load]]:
    """How busy each queue is, and how many workers it needs so that what is due starts within *target*.

    Runners that are *leaving*, by their ids, claim nothing any more, and do not count.
    """
    found = yield from step(operations.queues())
    every = yield from step(operations.runners())
    runners = [runner for runner in every if runner.id not in leaving]
    latest = yield from step(operations.latest(LOOKED_AT))
    return loads(served(found, runners), runners, latest, target, datetime.now(UTC))


def served(found: Sequence[QueueInfo], runners: Sequence[Runner]) -> Sequence[QueueInfo]:
    """With the workers of each, and the queues that have nothing but workers."""
    served = [name for runner in runners if runner.alive for name in runner.info.queues]
    known = {queue.name for queue in found}
    empty = [QueueInfo(name, None, 0, 0, 0, 0, None) for name in sorted({*served} - known)]
    every = [replace(queue, workers=served.count(queue.name)) for queue in (*found, *empty)]
    return sorted(every, key=lambda queue: queue.name)
