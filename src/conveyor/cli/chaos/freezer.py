"""Many processes stopped as one, at one moment, without their knowing: the freezer of Linux's control groups.

There are two kinds, and a machine may have either, or both. Without the rights to either, there are signals.
"""

import contextlib
import secrets
import signal
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from conveyor.cli.chaos import left, tree
from conveyor.cli.chaos.processes import within
from conveyor.core.errors import ConveyorError

MOUNTS: Final = Path("/proc/self/mounts")
OWN: Final = Path("/proc/self/cgroup")
PATIENCE: Final = 10.0


class Kind(NamedTuple):
    """How a control group is frozen."""

    name: str
    file: str
    freeze: str
    seen_in: str
    seen: str
    """A line of the file *seen_in* while all stand."""


KINDS: Final = (
    Kind("cgroup2", "cgroup.freeze", "1", "cgroup.events", "frozen 1"),
    Kind("cgroup", "freezer.state", "FROZEN", "freezer.state", "FROZEN"),
)


Pids = Callable[[], Collection[int]]
"""Who is to be stopped; asked again, for they may start others meanwhile."""


class Stopping(Protocol):
    """A way of stopping processes."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    def freeze(self, pids: Pids) -> list[int]:
        """Stop them, and wait until they stand; gives those that do."""
        ...

    def thaw(self, pids: Sequence[int]) -> None:
        """Let them go on."""
        ...


class Signals:
    """One after the other, as a debugger would."""

    name = "SIGSTOP"

    def freeze(self, pids: Pids) -> list[int]:
        """See ``Stopping``."""
        frozen = list(pids())
        tree.send(frozen, signal.SIGSTOP)
        within(lambda: all(map(tree.stands, frozen)), PATIENCE)
        return frozen

    def thaw(self, pids: Sequence[int]) -> None:
        """See ``Stopping``."""
        tree.send(pids, signal.SIGCONT)


class Freezer:
    """One control group: all that is in it is frozen at once."""

    def __init__(self, kind: Kind, group: Path) -> None:
        """*group* is its folder."""
        self.name = f"the freezer of {kind.name}"
        self.kind = kind
        self._group = group

    def make(self) -> None:
        """Make it. Raises ``OSError`` where that is not allowed."""
        self._group.mkdir()
        (self._group / self.kind.file).read_text()  # it is there only where there is a freezer

    def remove(self) -> None:
        """Let its processes go on, elsewhere, and take it away."""
        left.thaw(self._group)
        with contextlib.suppress(OSError):
            self._move(self.members(), self._group.parent)
        left.remove(left.Left("group", str(self._group)))

    def members(self) -> list[int]:
        """The processes in it; what these start is in it as well."""
        return list(map(int, (self._group / "cgroup.procs").read_text().split()))

    def freeze(self, pids: Pids) -> list[int]:
        """See ``Stopping``; with what they have just started."""
        self._move(pids(), self._group)
        (self._group / self.kind.file).write_text(self.kind.freeze)
        if not within(lambda: self._stands() and not self._late(pids()), PATIENCE):
            raise ConveyorError(f"{self._group} does not come to a stand within {PATIENCE:.0f} s")
        return self.members()

    def thaw(self, pids: Sequence[int] = ()) -> None:  # noqa: ARG002 - all that are in it
        """See ``Stopping``."""
        left.thaw(self._group)

    def _stands(self) -> bool:
        return self.kind.seen in (self._group / self.kind.seen_in).read_text().splitlines()

    def _late(self, pids: Collection[int]) -> bool:
        """Whether any was started while the others were moved; it is moved now."""
        late = set(pids) - set(self.members())
        self._move(late, self._group)
        return bool(late)

    def _move(self, pids: Collection[int], group: Path) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                (group / "cgroup.procs").write_text(str(pid))


@contextmanager
def freezer(folder: Path, kinds: Sequence[Kind] = KINDS) -> Generator[Stopping]:
    """A new one, for the run in *folder*, gone at the end; signals, where none can be made."""
    for kind in kinds:
        parent = _own(kind)
        if parent is None:
            continue
        group = parent / f"conveyor-{secrets.token_hex(4)}"
        made = Freezer(kind, group)
        left.note(folder, "group", str(group))
        try:
            made.make()
        except OSError:
            made.remove()
            continue
        try:
            yield made
        finally:
            made.remove()
        return
    yield Signals()


def _own(kind: Kind) -> Path | None:
    """The folder of the group that this process is in; ``None`` when there is none of that kind."""
    for line in _lines(MOUNTS):
        _, place, name, options = line.split()[:4]
        if name == kind.name and (name == "cgroup2" or "freezer" in options.split(",")):
            for own in _lines(OWN):
                _, controllers, path = own.split(":", 2)
                if "freezer" in controllers.split(",") if name == "cgroup" else not controllers:
                    return Path(place) / path.lstrip("/")
    return None


def _lines(file: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return file.read_text("utf-8").splitlines()
    return []
