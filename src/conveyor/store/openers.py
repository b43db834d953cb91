"""Opens what a URL names: a store, or a ground beside it. Of each kind only the library is imported that it needs."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from conveyor.core.addresses import check_kind
from conveyor.core.clock import Clock
from conveyor.core.errors import UsageError
from conveyor.store.contract import Store

if TYPE_CHECKING:
    from conveyor.store.ground import Ground


def open_store(url: str, clock: Clock, listen_url: str | None = None) -> Store:
    """The store at *url*; *clock* is for SQLite, whose clock is its processes' own, *listen_url* for PostgreSQL."""
    check_kind(url)
    if urlsplit(url).scheme == "sqlite":
        from conveyor.store.sqlite.opened import SqliteStore

        return SqliteStore(url, clock)
    if urlsplit(url).scheme.startswith("redis"):
        try:
            from conveyor.store.redis.opened import RedisStore
        except ImportError as error:
            raise _without("Redis", "redis-py", "redis", error) from error
        return RedisStore(url)
    try:
        from conveyor.store.postgres.opened import PostgresStore
    except ImportError as error:
        raise _without("PostgreSQL", "psycopg", "postgres", error) from error
    return PostgresStore(url, listen_url)


def open_ground(url: str, who: str = "bench") -> "Ground":
    """A new, empty store beside the one at *url*, which is left alone, to measure on: see ``store.ground``.

    *who* works there: what may be left over bears its name.
    """
    check_kind(url)
    if urlsplit(url).scheme == "sqlite":
        from conveyor.store.sqlite.ground import SqliteGround

        return SqliteGround(url, who)
    if urlsplit(url).scheme.startswith("redis"):
        try:
            from conveyor.store.redis.bench.ground import RedisGround
        except ImportError as error:
            raise _without("Redis", "redis-py", "redis", error) from error
        return RedisGround(url, who)
    try:
        from conveyor.store.postgres.bench.ground import PostgresGround
    except ImportError as error:
        raise _without("PostgreSQL", "psycopg", "postgres", error) from error
    return PostgresGround(url, who)


def _without(server: str, library: str, extra: str, error: ImportError) -> UsageError:
    return UsageError(f"{server} needs {library} ({error}); install Conveyor with its extra: 'conveyor[{extra}]'")
