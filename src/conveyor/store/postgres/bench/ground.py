"""A database of its own on the server that was named: see ``store.ground.Ground``."""

import contextlib
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, cast

from psycopg import Connection
from psycopg.rows import TupleRow

from conveyor.drivers.lent import Kind
from conveyor.drivers.postgres import carry, translated
from conveyor.plan import Row, Statement
from conveyor.store.ground import ELSEWHERE, FILLED, QUEUE, Reading, Server, Tally
from conveyor.store.postgres.bench import probe
from conveyor.store.postgres.bench.scratch import OURS, Scratch
from conveyor.store.postgres.links import connect
from conveyor.store.sqlfiles import sql

PATIENCE: Final = 10.0
"""Seconds that sessions get to end."""
LOOK: Final = 0.02
NEW_COUNTS: Final = 180_000
"""The version from which ``pg_stat_io`` counts what is done to the log, and ``pg_stat_wal`` no longer."""
UNCOUNTED: Final = {"open_sync", "open_datasync"}
"""Ways to make the log durable with the write itself, which no fsync is counted for."""


class PostgresGround:
    """See ``store.ground.Ground``."""

    def __init__(self, url: str, who: str = "bench") -> None:
        """Makes the database, on the server of *url*."""
        self._scratch = Scratch(url, who)
        self._spoken = 0
        try:
            self._connection = connect(self._scratch.text)
            self.about: Mapping[str, str] = {str(name): str(value) for name, value in self._rows("about")}
            ((name, process),) = self._rows("own")
            self.servers = (Server(cast(int, process), str(name)),)
        except BaseException:
            self._scratch.drop()
            raise

    @property
    def url(self) -> str:
        """See ``Ground``."""
        return self._scratch.url

    @property
    def kind(self) -> Kind:
        """See ``Ground``."""
        return "postgresql"

    def written(self) -> Reading:
        """See ``Ground``: the place in the log, which is that of the whole server."""
        return Reading({"wal_bytes": self._number("written")}, {})

    def counted(self, *, alone: bool = True) -> Reading:
        """See ``Ground``. What this object asked itself is taken out."""
        missing = self._uncounted()
        if alone and not self._alone():
            return Reading({}, dict.fromkeys(("transactions", "fsyncs", "dead_tuples"), "sessions are still open"))
        self._rows("flush")
        spoken = self._spoken
        ((transactions, dead),) = self._rows("counted")
        values = {"transactions": cast(int, transactions) - spoken, "dead_tuples": cast(int, dead)}
        if not missing:
            values["fsyncs"] = self._number("fsyncs" if self._version >= NEW_COUNTS else "fsyncs_before_18")
        return Reading(values, missing)

    def sizes(self) -> Reading:
        """See ``Ground``."""
        names = ("table_bytes", "index_bytes", "dead_tuples", "history_bytes")
        return Reading(dict(zip(names, cast(Sequence[int], self._rows("sizes")[0]), strict=True)), {})

    def unfinished(self) -> bool:
        """See ``Ground``."""
        return bool(self._rows("unfinished", queue=QUEUE)[0][0])

    def tally(self) -> Tally:
        """See ``Ground``."""
        return Tally._make(cast(Sequence[int], self._rows("tally", filled=FILLED)[0]))

    def fill(self, waiting: int, finished: int) -> None:
        """See ``Ground``."""
        self._rows("fill_waiting", waiting=waiting, task=FILLED, queue=QUEUE, elsewhere=ELSEWHERE)
        self._rows("fill_finished", finished=finished, task=FILLED, queue=QUEUE)
        self._connection.execute("VACUUM ANALYZE")

    @contextmanager
    def held(self) -> Generator[None]:
        """See ``Ground``. Only this database's rows are kept by it: those of others are not touched."""
        with contextlib.closing(connect(self._scratch.text)) as connection:
            with translated(writes=False):
                _asked(connection, "no_timeouts")
                connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
                connection.execute("SELECT 1")
            yield
            with translated(writes=False):  # what was measured is worth nothing if the server has ended it meanwhile
                connection.execute("SELECT 1")

    def analyze(self) -> None:
        """See ``Ground``."""
        with translated(writes=False):
            self._connection.execute("ANALYZE")

    def probe(self, count: int, rate: float) -> Sequence[float]:
        """See ``Ground``."""
        with translated(writes=False):
            return probe.measured(self._scratch.text, count, rate)

    def close(self) -> None:
        """See ``Ground``."""
        self._connection.close()
        self._scratch.drop()

    @property
    def _version(self) -> int:
        return self._connection.info.server_version

    def _uncounted(self) -> dict[str, str]:
        if self.about["fsync"] == "off":
            return {"fsyncs": "fsync is off"}
        method = self.about["wal_sync_method"]
        return {"fsyncs": f"wal_sync_method is {method}, which needs none"} if method in UNCOUNTED else {}

    def _alone(self) -> bool:
        """Whether all sessions but ours have ended; waits for that."""
        end = time.monotonic() + PATIENCE
        while self._rows("others", ours=OURS)[0][0]:
            if time.monotonic() > end:
                return False
            time.sleep(LOOK)
        return True

    def _number(self, name: str) -> int:
        return cast(int, self._rows(name)[0][0])

    def _rows(self, name: str, **params: object) -> Sequence[Row]:
        self._spoken += 1
        with translated(writes=False):
            return _asked(self._connection, name, **params)


def _asked(connection: Connection[TupleRow], name: str, **params: object) -> Sequence[Row]:
    return carry(connection)(Statement(sql("postgres", f"bench/{name}"), params)).rows
