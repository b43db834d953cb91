"""What a runner and a cell say to each other.

Both are of one version: a cell is started by the very code that its runner runs.
"""

import msgspec

from conveyor.core.model import Claimed, Progress
from conveyor.core.usage import Usage
from conveyor.worker.attempt import End, Interruption
from conveyor.worker.framing import Frames


class Given(msgspec.Struct, frozen=True, tag="job", array_like=True):
    """A job to run, after those that were given before."""

    seq: int
    """Its number, as the runner counts."""
    runner: bytes
    job: Claimed


class GiveBack(msgspec.Struct, frozen=True, tag="back", array_like=True):
    """Give back all that has not begun."""


class Interrupt(msgspec.Struct, frozen=True, tag="interrupt", array_like=True):
    """One of its jobs is to end."""

    seq: int
    why: Interruption
    reason: str


class Leave(msgspec.Struct, frozen=True, tag="leave", array_like=True):
    """End, once the present job has ended."""


class Ready(msgspec.Struct, frozen=True, tag="ready", array_like=True):
    """The app is imported; jobs may come."""


class Broken(msgspec.Struct, frozen=True, tag="broken", array_like=True):
    """No job can run here, and why."""

    trouble: str


class Done(msgspec.Struct, frozen=True, tag="done", array_like=True):
    """A job has come to its end."""

    seq: int
    end: End
    seconds: float
    usage: Usage
    progress: Progress | None
    """The last that it has said of how far it is."""
    spoilt: bool
    """Whether the cell has to end after it."""


class GivenBack(msgspec.Struct, frozen=True, tag="given back", array_like=True):
    """These have not begun, and will not."""

    seqs: list[int]


class Said(msgspec.Struct, frozen=True, tag="said", array_like=True):
    """How far a job has come."""

    seq: int
    progress: Progress


ToCell = Given | GiveBack | Interrupt | Leave
ToRunner = Ready | Broken | Done | GivenBack | Said


def cells_ear() -> Frames[ToCell]:
    """Understands what a runner says."""
    return Frames(msgspec.msgpack.Decoder(ToCell))


def runners_ear() -> Frames[ToRunner]:
    """Understands what a cell says."""
    return Frames(msgspec.msgpack.Decoder(ToRunner))
