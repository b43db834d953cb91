"""How a worker is, for probes: read from shared memory, so that it can be told whatever hangs."""

import os
import time
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec

from conveyor.core.version import __version__
from conveyor.worker.supervisor.child import Child
from conveyor.worker.supervisor.look import BLOCKED_AFTER, UNREADY_AFTER

STALE: Final = 10.0
"""Seconds without a look of the supervisor's at its runners after which it is not taken to be alive."""
WEDGED: Final = 60.0
"""Seconds without a sign of life of any claimer after which the worker is not: it should have cured that by then."""


class Status(StrEnum):
    """In one word."""

    STARTING = "starting"
    READY = "ready"
    FAILING = "failing"
    """A runner has not claimed anything for a while, nor learnt that there is nothing to claim."""
    STOPPING = "stopping"
    STUCK = "stuck"
    """It does not even try any more: to be restarted."""


class RunnerState(msgspec.Struct, frozen=True):
    """One runner. Ages in seconds."""

    name: str
    pid: int
    ready: bool
    running: int
    """Jobs."""
    cells: int
    claim_age: float | None
    """Since it last claimed, had no room, or learnt that nothing is due; ``None`` before the first time."""
    loop_age: float
    """Since its event loop last turned."""
    memory: int | None
    """Bytes, with its cells."""


class WorkerState(msgspec.Struct, frozen=True):
    """One worker."""

    pid: int
    version: str
    status: Status
    age: float
    """Seconds since it started."""
    runners: tuple[RunnerState, ...]

    @property
    def ready(self) -> bool:
        """Whether it makes progress."""
        return self.status is Status.READY

    @property
    def live(self) -> bool:
        """Whether it need not be restarted; a store that is away is no reason to."""
        return self.status is not Status.STUCK


def seen(children: Sequence[Child], *, begun: float, tick: float, stopping: bool) -> WorkerState:
    """The state of a worker that began at *begun*, and last looked at its runners at *tick*."""
    now = time.monotonic()
    runners = tuple(map(_runner, children))
    alive = now - tick < STALE
    tries = max([begun, *(now if _busy(child, now) else child.board.claim_tick for child in children)])
    worked = any(child.runners for child in children)
    return WorkerState(
        pid=os.getpid(),
        version=__version__,
        status=status_of(runners, stopping=stopping, stuck=not alive or now - tries > WEDGED, worked=worked),
        age=round(now - begun, 3),
        runners=runners,
    )


def status_of(runners: Sequence[RunnerState], *, stopping: bool, stuck: bool, worked: bool) -> Status:
    """*stuck*: it does not even try; *worked*: a runner has had a lease."""
    if stuck and not stopping:
        return Status.STUCK
    if stopping:
        return Status.STOPPING
    if runners and all(runner.ready for runner in runners):
        return Status.READY
    late = any(runner.claim_age is not None and runner.claim_age > UNREADY_AFTER for runner in runners)
    return Status.FAILING if worked and late else Status.STARTING


def _busy(child: Child, now: float) -> bool:
    """Whether a job blocks its event loop: that is told, and may be let go on; to restart it would harm the job."""
    return child.board.running > 0 and now - child.board.loop_tick > BLOCKED_AFTER


def _runner(child: Child) -> RunnerState:
    board, now = child.board, time.monotonic()
    return RunnerState(
        name=child.name,
        pid=child.pid,
        ready=child.ready,
        running=board.running,
        cells=len(board.cells()),
        claim_age=round(now - board.claim_done, 3) if board.claim_done else None,
        loop_age=round(now - board.loop_tick, 3),
        memory=child.memory,
    )
