"""Measuring on SQLite: a new file in a folder of its own, on the disk of the file that was named."""

import contextlib
import sqlite3
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import quote, urlsplit

from conveyor.core.errors import UsageError
from conveyor.drivers.lent import Kind
from conveyor.store.ground import ELSEWHERE, FILLED, QUEUE, NotHere, Reading, Server, Tally
from conveyor.store.sqlfiles import sql
from conveyor.store.sqlite.place import Place

NO_SERVER: Final = "SQLite has no server: its work is the workers' own"
NO_COUNT: Final = "SQLite keeps no count of it"
NO_SNAPSHOT: Final = (
    "SQLite has no dead rows that a held snapshot could keep; measure PostgreSQL: --store postgresql://..."
)
NO_PROBE: Final = "SQLite has no notifications to compare with"


class SqliteGround:
    """See ``store.ground.Ground``."""

    def __init__(self, url: str, who: str = "bench") -> None:
        """Makes the folder, beside the file of *url*; the settings are that URL's. ``UsageError`` as a store does."""
        place = Place(url)
        if place.memory:
            raise UsageError(f"a store in memory has one process; {who} starts workers: name a file, or leave it out")
        place.check()
        self._folder = tempfile.TemporaryDirectory(prefix=f"conveyor-{who}-", dir=place.file.parent)
        self._file = Path(self._folder.name) / f"{who}.db"
        settings = urlsplit(url).query
        self.url = f"sqlite:///{quote(str(self._file))}" + (f"?{settings}" if settings else "")
        self._synchronous = place.synchronous

    @property
    def kind(self) -> Kind:
        """See ``Ground``."""
        return "sqlite"

    @property
    def about(self) -> Mapping[str, str]:
        """See ``Ground``."""
        return {"server_version": sqlite3.sqlite_version, "synchronous": self._synchronous, "journal_mode": "wal"}

    @property
    def servers(self) -> Sequence[Server]:
        """See ``Ground``."""
        raise NotHere(NO_SERVER)

    def written(self) -> Reading:
        """See ``Ground``."""
        return Reading({}, {"wal_bytes": NO_COUNT})

    def counted(self, *, alone: bool = True) -> Reading:  # noqa: ARG002 - what the protocol says
        """See ``Ground``."""
        return Reading({}, dict.fromkeys(("transactions", "fsyncs"), NO_COUNT) | {"dead_tuples": "SQLite has none"})

    def sizes(self) -> Reading:
        """See ``Ground``: one file, and its log, hold everything."""
        log = self._file.with_name(self._file.name + "-wal")
        size = sum(file.stat().st_size for file in (self._file, log) if file.exists())
        whole = dict.fromkeys(("table_bytes", "index_bytes", "history_bytes"), "SQLite has one file for everything")
        return Reading({"file_bytes": size}, {**whole, "dead_tuples": "SQLite has none"})

    def unfinished(self) -> bool:
        """See ``Ground``."""
        return bool(self._asked("unfinished", queue=QUEUE, now=_now())[0])

    def tally(self) -> Tally:
        """See ``Ground``."""
        return Tally._make(self._asked("tally", filled=FILLED))

    def fill(self, waiting: int, finished: int) -> None:
        """See ``Ground``."""
        rows: dict[str, object] = {
            "waiting": waiting,
            "finished": finished,
            "task": FILLED,
            "queue": QUEUE,
            "elsewhere": ELSEWHERE,
        }
        rows["now"] = _now()
        with contextlib.closing(self._connected()) as connection, connection:
            connection.create_function("filled_id", 2, _filled_id)
            connection.execute("BEGIN IMMEDIATE")
            for name in ("bench/fill_waiting", "bench/fill_finished"):
                connection.execute(sql("sqlite", name), rows)

    def held(self) -> AbstractContextManager[None]:
        """See ``Ground``."""
        self._refuse(NO_SNAPSHOT)

    def analyze(self) -> None:
        """See ``Ground``: nothing here plans by statistics."""

    def probe(self, count: int, rate: float) -> Sequence[float]:  # noqa: ARG002 - what the protocol says
        """See ``Ground``."""
        self._refuse(NO_PROBE)

    def close(self) -> None:
        """See ``Ground``."""
        self._folder.cleanup()

    def _refuse(self, why: str) -> NoReturn:
        raise NotHere(why)

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._file, isolation_level=None)
        connection.execute("PRAGMA busy_timeout = 10000")
        return connection

    def _asked(self, name: str, **params: object) -> tuple[int, ...]:
        with contextlib.closing(self._connected()) as connection:
            row: tuple[int, ...] = connection.execute(sql("sqlite", f"bench/{name}"), params).fetchone()
        return row


def _now() -> int:
    return time.time_ns() // 1_000


def _filled_id(moment: int, number: int) -> bytes:
    """An id as the library makes them, in the order of time; *moment* in microseconds."""
    return (moment // 1_000 << 80 | 0x7 << 76 | 0b10 << 62 | number).to_bytes(16, "big")
