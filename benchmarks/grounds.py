"""What is PostgreSQL's and what is Redis': the server, an empty database in it, questions to it, what it spends."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, Protocol, cast

import psycopg
import redis

from benchmarks.machine import Spent, cpu_of
from tests.support.postgres import PostgresServer
from tests.support.redis import RedisServer

Ask = Callable[[str], int]


class Ground(Protocol):
    """One running server. It is also the Meter of the measures."""

    nowhere: ClassVar[str]
    """The address of a server of this kind that is not there."""
    name: ClassVar[str]

    def template(self, peer: str) -> str:
        """The address of a new database, in which *peer* may make its tables."""
        ...

    def fresh(self, peer: str) -> str:
        """The address of a database with *peer*'s empty tables and nothing else."""
        ...

    def asking(self, url: str) -> contextlib.AbstractContextManager[Ask]:
        """Ask one database with what About has: a query, or a script, that gives a number."""
        ...

    def spent(self) -> Spent:
        """What the server has spent so far."""
        ...

    def settings(self) -> Mapping[str, str]:
        """The settings that decide what the figures are worth."""
        ...

    def close(self) -> None:
        """Leave the server, and end it."""
        ...


class PostgresGround:
    """Every fresh database is a copy of the one in which the peer has made its tables."""

    VERSION: ClassVar = "17"
    name: ClassVar = "PostgreSQL"
    nowhere: ClassVar = "postgresql://nobody@127.0.0.1:1/nowhere"
    SETTINGS: ClassVar = {
        "max_connections": "300",
        # Room enough that no peer pays for pages or checkpoints that another one left behind.
        "shared_buffers": "512MB",
        "max_wal_size": "8GB",
        "checkpoint_timeout": "1h",
    }
    SHOWN: ClassVar = (
        "server_version",
        "fsync",
        "synchronous_commit",
        "full_page_writes",
        "shared_buffers",
        "max_wal_size",
    )

    def __init__(self, version: str) -> None:
        """Start a server of that major *version*."""
        self._server = PostgresServer(version, durable=True, **self.SETTINGS).__enter__()
        self._connection = psycopg.connect(self._server.url(), autocommit=True)
        self._made = 0

    def template(self, peer: str) -> str:
        """See Ground."""
        return self._server.create_database(f"template_{peer}")

    def fresh(self, peer: str) -> str:
        """See Ground."""
        self._made += 1
        return self._server.create_database(f"measure_{self._made}", template=f"template_{peer}")

    @contextlib.contextmanager
    def asking(self, url: str) -> Iterator[Ask]:
        """See Ground."""
        with psycopg.connect(url, autocommit=True) as connection:

            def ask(query: str) -> int:
                row = connection.execute(query.encode()).fetchone()
                return int(row[0]) if row else 0

            yield ask

    def spent(self) -> Spent:
        """See Ground."""
        row = self._connection.execute("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')").fetchone()
        process = self._server.process
        return Spent(cpu_of(process.pid) if process else 0, {"wal": int(row[0]) if row else 0})

    def settings(self) -> Mapping[str, str]:
        """See Ground."""
        rows = (self._connection.execute(f"SHOW {name}").fetchone() for name in self.SHOWN)
        return {name: str(row[0]) for name, row in zip(self.SHOWN, rows, strict=True) if row}

    def close(self) -> None:
        """See Ground."""
        self._connection.close()
        self._server.close()


class RedisGround:
    """The numbered databases of one server, each emptied before its turn. One append-only file is all their log."""

    VERSION: ClassVar = "6.2"
    name: ClassVar = "Redis"
    nowhere: ClassVar = "redis://127.0.0.1:1/0"
    DATABASES: ClassVar = 16
    """More than there are peers, for all of them wait for their killed workers at the same time."""
    SETTINGS: ClassVar = {
        "databases": str(DATABASES),
        "appendonly": "yes",
        "appendfsync": "everysec",
        # No peer pays for the rewriting of what others wrote.
        "auto_aof_rewrite_percentage": "0",
    }
    SHOWN: ClassVar = ("appendonly", "appendfsync", "save", "maxmemory")

    def __init__(self, version: str) -> None:
        """Start a server of that *version*."""
        self._server = RedisServer(version, **self.SETTINGS).__enter__()
        self._client = redis.Redis(port=self._server.port)
        self._made = 0

    def template(self, peer: str) -> str:
        """See Ground; no peer has tables here."""
        return self.fresh(peer)

    def fresh(self, peer: str) -> str:  # noqa: ARG002 - empty is empty, whoever comes
        """See Ground."""
        url = self._server.url(self._made % self.DATABASES)
        self._made += 1
        with redis.Redis.from_url(url) as client:
            client.flushdb()
        return url

    @contextlib.contextmanager
    def asking(self, url: str) -> Iterator[Ask]:
        """See Ground."""
        with redis.Redis.from_url(url) as client:
            yield lambda script: int(cast("str", client.eval(script, 0)))

    def spent(self) -> Spent:
        """See Ground."""
        facts = cast("dict[str, float]", self._client.info())
        counts = {
            "commands": facts["total_commands_processed"],
            "network": facts["total_net_input_bytes"] + facts["total_net_output_bytes"],
            "log": facts["aof_current_size"],
            "memory": facts["used_memory"],
        }
        return Spent(facts["used_cpu_user"] + facts["used_cpu_sys"], counts)

    def settings(self) -> Mapping[str, str]:
        """See Ground."""
        said = cast("dict[str, str]", self._client.config_get("*"))
        return {"redis_version": str(self._client.info()["redis_version"])} | {name: said[name] for name in self.SHOWN}

    def close(self) -> None:
        """See Ground."""
        self._client.close()
        self._server.close()
