"""What a supervisor and its runner say to each other over their socket. Whoever dies says nothing: see ``board``."""

import msgspec

from conveyor.core.model import Held, Outcome, RunnerInfo
from conveyor.worker.framing import Frames


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a task's function is written, so that a stack can be told to be its own."""

    task: str
    file: str
    function: str
    line: int


class Hello(msgspec.Struct, frozen=True, tag=True):
    """The runner has imported the app, and would begin."""

    url: str
    listen_url: str | None
    places: tuple[Place, ...]


class Hold(msgspec.Struct, frozen=True, tag=True):
    """The runner wants a lease in this name. Answered by ``Given`` or ``Refused``."""

    runner: bytes
    info: RunnerInfo


class LetGo(msgspec.Struct, frozen=True, tag=True):
    """The runner needs its lease no more. Answered by ``Given``."""

    runner: bytes
    clean: bool


class Look(msgspec.Struct, frozen=True, tag=True):
    """Schedules have changed."""


class Given(msgspec.Struct, frozen=True, tag=True):
    """What was asked for is done. With the lease may come a file that keeps it, beside the letter."""

    runner: bytes


class Refused(msgspec.Struct, frozen=True, tag=True):
    """The lease cannot be had."""

    runner: bytes
    reason: str
    again: bool
    """Whether it may be had later: the store is away."""


class Lost(msgspec.Struct, frozen=True, tag=True):
    """The lease is lost: others may start the runner's jobs."""

    runner: bytes


class Stop(msgspec.Struct, frozen=True, tag=True):
    """End; said once more: at once."""


class Leave(msgspec.Struct, frozen=True, tag=True):
    """Claim nothing more, and end once all that runs has ended, however long that takes."""


class Rescued(msgspec.Struct, frozen=True, tag=True):
    """What became of a dead runner's job, for hooks: they are the user's code, and run where that runs."""

    job: Held
    outcome: Outcome


FromRunner = Hello | Hold | LetGo | Look
ToRunner = Given | Refused | Lost | Stop | Leave | Rescued
Letter = FromRunner | ToRunner


def inbox() -> Frames[Letter]:
    """Letters out of what has come in, however it was cut up."""
    return Frames(msgspec.msgpack.Decoder(Letter))
