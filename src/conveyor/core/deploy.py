"""Which waiting jobs, and which jobs to come, some code could not run: told without running anything of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from conveyor.core.codec import Codec
from conveyor.core.errors import PayloadError, UnfitArguments
from conveyor.core.model import JobInfo
from conveyor.core.trace import class_path


@dataclass(frozen=True, slots=True)
class Misfit:
    """Waiting jobs of one task that this code cannot run, all for one reason."""

    task: str
    reason: str
    """Why their arguments do not fit; empty when this code has no task of that name."""
    jobs: int
    """How many, among those that were looked at."""
    oldest: datetime
    """When the first of them was enqueued."""
    sample: str
    """Its id."""


@dataclass(frozen=True, slots=True)
class MisfitSchedule:
    """A schedule in the store whose jobs this code cannot run."""

    name: str
    task: str
    """Empty when what is stored of it cannot be read."""
    reason: str
    """Why its arguments do not fit, or what is stored cannot be read; empty when this code has no task of that name."""


@dataclass(frozen=True, slots=True)
class DeployCheck:
    """What ``app.jobs.unrunnable`` has found."""

    misfits: Sequence[Misfit]
    """The most jobs first; empty when all that was looked at could be run."""
    looked: int
    """How many waiting jobs were looked at."""
    whole: bool
    """Whether these are all that wait."""
    schedules: Sequence[MisfitSchedule]
    """By name: those that would make jobs that could not be run."""

    @property
    def jobs(self) -> int:
        """How many of them could not be run."""
        return sum(misfit.jobs for misfit in self.misfits)


class Tally:
    """Adds up what does not fit."""

    def __init__(self, codecs: Callable[[str], Codec | None]) -> None:
        """*codecs* gives that of a task by its name; ``None`` for one that this code does not have."""
        self._codecs = codecs
        self._found: dict[tuple[str, str], Misfit] = {}
        self.looked = 0

    def add(self, job: JobInfo) -> None:
        """Look at one more."""
        self.looked += 1
        reason = misfit(self._codecs(job.task), job.payload)
        if reason is None:
            return
        known = self._found.get((job.task, reason))
        if known is None:
            self._found[job.task, reason] = Misfit(job.task, reason, 1, job.enqueued_at, job.id)
        elif job.enqueued_at < known.oldest:
            self._found[job.task, reason] = replace(known, jobs=known.jobs + 1, oldest=job.enqueued_at, sample=job.id)
        else:
            self._found[job.task, reason] = replace(known, jobs=known.jobs + 1)

    def result(self, schedules: Sequence[MisfitSchedule], *, whole: bool) -> DeployCheck:
        """What was found by now, beside the *schedules*."""
        ordered = sorted(self._found.values(), key=lambda found: (-found.jobs, found.task, found.reason))
        return DeployCheck(ordered, self.looked, whole, schedules)


def misfit(codec: Codec | None, payload: bytes) -> str | None:
    """Why *payload* is no call of the task that *codec* reads; ``None`` when it is one, empty when there is no task.

    What it says is not quoted: it may hold secrets.
    """
    if codec is None:
        return ""
    try:
        codec.decode(payload)
    except UnfitArguments as error:
        return error.bare
    except PayloadError:
        return "its stored arguments cannot be read"
    except Exception as error:  # noqa: BLE001 - the signature is the user's code
        return f"its signature cannot be read: {class_path(type(error))}"
    return None
