"""What measuring asks of a store besides its jobs: a place of its own, and what its server counts.

Nothing that works on jobs needs any of this; ``app.open_ground`` makes one for ``conveyor bench``.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from conveyor.core.errors import UsageError
from conveyor.drivers.lent import Kind

QUEUE = "bench"
"""The queue of all jobs that are measured; ``fill`` puts some of its jobs there."""
ELSEWHERE = "bench-elsewhere"
"""A queue that nobody serves."""
FILLED = "conveyor.bench.filled"
"""The task of the rows that ``fill`` makes."""


class NotHere(UsageError):
    """This store, or this server, cannot be measured so; the message says why."""


class Reading(NamedTuple):
    """Figures by name, and why others cannot be had. A figure that is not known is in ``missing``, and never 0."""

    values: Mapping[str, float]
    missing: Mapping[str, str]

    def since(self, before: "Reading") -> "Reading":
        """How much was counted since *before*, of what both have."""
        missing = {**before.missing, **self.missing}
        both = (self.values.keys() & before.values.keys()) - missing.keys()
        return Reading({name: self.values[name] - before.values[name] for name in both}, missing)


class Tally(NamedTuple):
    """The jobs of a store."""

    unfinished: int
    history: int
    succeeded: int
    began: int
    """Microseconds of the store's clock: the first claim of a job that has ended; 0 when none has."""
    ended: int
    """And the last end of one."""


class Server(NamedTuple):
    """How to find the server's processes on this host."""

    process: int
    """One of them."""
    title: str
    """A word of its title."""
    program: str = "postgres"
    """Another one."""
    alone: bool = False
    """Whether it is the first of them; else its parent is."""


class Ground(Protocol):
    """A new, empty store that nobody else knows, beside the one that was named; gone when it is closed."""

    @property
    def url(self) -> str:
        """Where it is; may hold a password."""
        ...

    @property
    def kind(self) -> Kind:
        """The kind of database."""
        ...

    @property
    def about(self) -> Mapping[str, str]:
        """The version, and the settings that decide about speed and durability."""
        ...

    @property
    def servers(self) -> Sequence[Server]:
        """The servers that have a part of it. Raises ``NotHere`` where there is none."""
        ...

    def written(self) -> Reading:
        """``wal_bytes`` until this moment."""
        ...

    def counted(self, *, alone: bool = True) -> Reading:
        """``transactions``, ``fsyncs`` and ``dead_tuples`` (made, not left).

        PostgreSQL gathers such counts session by session, and has them whole only when those end: so this waits until
        all others have ended, unless not *alone*.
        """
        ...

    def sizes(self) -> Reading:
        """``table_bytes``, ``index_bytes`` and ``dead_tuples`` of unfinished jobs, and ``history_bytes``.

        Or ``file_bytes``, or ``memory_bytes``, where all lies in one.
        """
        ...

    def unfinished(self) -> bool:
        """Whether jobs of ``QUEUE`` are due or running; cheap."""
        ...

    def tally(self) -> Tally:
        """All jobs but those of ``fill``, counted exactly, however long that takes."""
        ...

    def fill(self, waiting: int, finished: int) -> None:
        """Rows that look like *waiting* and *finished* jobs, made by the database itself, and its statistics renewed.

        Half of the waiting ones are scheduled for tomorrow in ``QUEUE``, the others are due in ``ELSEWHERE``; of the
        finished ones each hundredth has failed.
        """
        ...

    def held(self) -> AbstractContextManager[None]:
        """Another session holds a snapshot of now. Raises ``NotHere`` where none would matter."""
        ...

    def analyze(self) -> None:
        """Renew the statistics of the tables, as the server does by itself now and then."""
        ...

    def probe(self, count: int, rate: float) -> Sequence[float]:
        """Seconds from before the insert of a row until another session has claimed it, told by a notification.

        The least that any queue on this server must take. Raises ``NotHere`` where there is nothing to tell it.
        """
        ...

    def close(self) -> None:
        """Remove all of it."""
        ...
