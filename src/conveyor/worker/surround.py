"""What every attempt of a worker shares."""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Protocol

from conveyor.around import Around
from conveyor.core.schedules import Spec
from conveyor.job import Desk
from conveyor.store.contract import Store
from conveyor.worker.board import Board
from conveyor.worker.threads import DaemonThreads


@dataclass
class Surround:
    """The store, where handles ask, and what the app puts around its jobs."""

    store: Store
    desk: Desk
    around: Around
    pool: Callable[[str], Executor] = DaemonThreads
    """Where plain functions run, tasks and hooks; it takes a name."""
    declared: Mapping[str, Spec] = field(default_factory=dict[str, Spec])
    """The schedules of the code."""
    outbox: Store | None = None
    """From where jobs are forwarded to the store."""
    board: Board | None = None
    """Where a runner leaves what others must know of it."""
    state: object = field(default_factory=SimpleNamespace)
    """What the lifespan gave, once it was entered."""


class Rig(Protocol):
    """What stands in for parts of an app during a test."""

    @property
    def store(self) -> Store:
        """Instead of the app's own."""
        ...

    @property
    def at_once(self) -> bool:
        """Whether calls run at once, instead of being stored."""
        ...

    def unattended(self) -> str:
        """See ``Desk.unattended``."""
        ...

    def surround(self, usual: Surround) -> Surround:
        """What attempts get, from what they would get."""
        ...
