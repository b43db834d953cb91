"""Stores to test, and a look behind them with plain SQL."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Self, TypeVar
from uuid import UUID

import pytest

from conveyor.cli.chaos.keys import HOT, PAST, keys
from conveyor.cli.chaos.sound import unsound
from conveyor.core.clock import SystemClock
from conveyor.plan import Answer, Plan, Statement, Steps
from conveyor.store.answers import Cure
from conveyor.store.contract import Store
from conveyor.store.postgres.opened import PostgresStore
from conveyor.store.redis.opened import RedisStore
from conveyor.store.sqlite.opened import SqliteStore
from tests.support.pgbouncer import past

T = TypeVar("T")

KINDS = ("sqlite-memory", "sqlite-file", "postgres")
SHARED = ("sqlite-file", "postgres")
"""The kinds that two processes can open at a time, and SQL can be asked of."""
SERVED = (*SHARED, "redis")
"""The same, and Redis."""
COME_SOONER = """
local P = KEYS[1] .. ':'
for _, id in ipairs(redis.call('ZRANGE', P .. 'live', 0, -1)) do
  local key = P .. 'job:' .. id
  local job = redis.call('HMGET', key, 'queue', 'priority', 'task', 'expires_at')
  redis.call('HINCRBY', key, 'run_after', ARGV[1])
  if job[4] then redis.call('HINCRBY', key, 'expires_at', ARGV[1]) end
  local lane = 'lane:' .. #job[1] .. ':' .. job[1] .. ':' .. job[2] .. ':' .. job[3]
  for _, index in ipairs({lane, 'retry:' .. job[1], 'expiring'}) do
    redis.call('ZADD', P .. index, 'XX', 'INCR', ARGV[1], id)
  end
end
"""
END_LEASES = """
local runners = KEYS[1] .. ':runners'
for _, runner in ipairs(redis.call('ZRANGE', runners, 0, -1)) do redis.call('ZADD', runners, 0, runner) end
"""
GO_SOONER = """
local P = KEYS[1] .. ':'
for n = 2, #ARGV do
  for _, id in ipairs(redis.call('ZRANGE', P .. ARGV[n], 0, -1)) do
    local key = P .. 'job:' .. id
    local job = redis.call('HMGET', key, 'delete_after', 'fingerprint')
    redis.call('HINCRBY', key, 'finished_at', ARGV[1])
    if job[1] then redis.call('HINCRBY', key, 'delete_after', ARGV[1]) end
    redis.call('ZADD', P .. 'gone', 'XX', 'INCR', ARGV[1], id)
    if job[2] then redis.call('ZADD', P .. 'error:' .. job[2], 'XX', 'INCR', ARGV[1], id) end
  end
end
"""


class Do(Protocol):
    """Carries a plan out."""

    def __call__(self, plan: Plan[T]) -> T: ...


def sqlite_url(folder: Path) -> str:
    """The address of a new file in *folder*."""
    return f"sqlite:///{folder / 'jobs.db'}"


def address_of(request: pytest.FixtureRequest, folder: Path) -> str:
    """The address of a new, empty store of the kind that is *request*'s parameter; a file's is in *folder*."""
    if request.param in {"postgres", "redis"}:
        return str(request.getfixturevalue(f"{request.param}_url"))
    return "sqlite:///:memory:" if request.param == "sqlite-memory" else sqlite_url(folder)


def open_store(url: str) -> Store:
    """A store by its address, with the machine's clock; behind a pooler of ours, it listens past it."""
    if url.startswith("redis"):
        return RedisStore(url)
    return SqliteStore(url, SystemClock()) if url.startswith("sqlite") else PostgresStore(url, past(url))


def rows(store: Store, text: str) -> Sequence[tuple[object, ...]]:
    """What a query of the test's own gives; ids come as bytes on every store."""

    def steps() -> Steps[Answer]:
        return (yield Statement(text, {}))

    answer = store.run(Plan(steps, patience=60))
    return [tuple(cell.bytes if isinstance(cell, UUID) else cell for cell in row) for row in answer.rows]


def number(store: Store, text: str) -> int:
    """The one number that a query of the test's own gives."""
    ((value,),) = rows(store, text)
    assert isinstance(value, int)
    return value


def tables(store: Store) -> tuple[int, int]:
    """How many jobs have not ended, and how many have: by the sizes of both tables, or of their like."""
    if store.kind == "redis":
        with keys(store.url) as here:
            sizes = [sum(int(str(size)) for size in here.call("ZCARD", index)) for index in (*HOT, *PAST)]
        return sizes[0], sum(sizes[1:])
    hot = number(store, "SELECT count(*) FROM conveyor_job")
    return hot, number(store, "SELECT count(*) FROM conveyor_history")


def scripted(store: Store, text: str, *arguments: str | int) -> object:
    """What a script of the test's own gives, on Redis."""

    def steps() -> Steps[Answer]:
        return (yield Statement(text, {"arguments": arguments}))

    ((answer,),) = store.run(Plan(steps)).rows
    return answer


def wipe(store: Store) -> None:
    """Nothing is left: no job, no runner, no queue that is paused."""
    if store.kind == "redis":
        with keys(store.url) as here:
            here.delete()
        return
    for table in ("conveyor_job", "conveyor_history", "conveyor_runner", "conveyor_queue"):
        rows(store, f"DELETE FROM {table}")


def end_leases(store: Store) -> None:
    """The leases of all runners are over. On SQLite they end with their processes."""
    if store.kind == "redis":
        scripted(store, END_LEASES)
    elif store.kind != "sqlite":
        rows(store, "UPDATE conveyor_runner SET expires_at = 0")


def sound(store: Store) -> list[str]:
    """What is wrong with the indexes of Redis, which no server looks after; other stores have theirs checked."""
    if store.kind != "redis":
        return []
    with keys(store.url) as here:
        return unsound(here)


def mended(store: Store) -> Sequence[tuple[str, Cure]]:
    """What a whole look at all jobs of Redis finds wrong, and mends; though somebody may have looked just now."""
    if store.kind != "redis":
        return ()
    with keys(store.url) as here:
        for name in ("mend", "mend:ahead"):
            here.call("DEL", name)
    return store.run(store.control.mend()).jobs


def pass_time(store: Store, seconds: float) -> None:
    """Let all that is scheduled come due *seconds* sooner, and expire so much sooner."""
    passed = round(seconds * 1_000_000)
    if store.kind == "redis":
        scripted(store, COME_SOONER, -passed)
        return
    rows(store, f"UPDATE conveyor_job SET run_after = run_after - {passed}, expires_at = expires_at - {passed}")


def age(store: Store, seconds: float) -> None:
    """Let all that has ended have ended *seconds* earlier, and be deleted so much sooner."""
    passed = round(seconds * 1_000_000)
    if store.kind == "redis":
        scripted(store, GO_SOONER, -passed, *PAST)
        return
    changes = f"finished_at = finished_at - {passed}, delete_after = delete_after - {passed}"
    rows(store, f"UPDATE conveyor_history SET {changes}")


class Loop:
    """An event loop to drive a store from outside, and to leave clean."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._runner = asyncio.Runner()

    def do(self, plan: Plan[T]) -> T:
        """Carry *plan* out through ``arun``."""

        async def awaited() -> T:
            return await self._store.arun(plan)

        return self._runner.run(awaited())

    def gather(self, plans: Sequence[Plan[T]]) -> list[T | BaseException]:
        """Carry all of *plans* out at the same time; an error stands where its plan stood."""

        async def awaited() -> list[T | BaseException]:
            return await asyncio.gather(*map(self._store.arun, plans), return_exceptions=True)

        return self._runner.run(awaited())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not isinstance(self._store, SqliteStore):  # to close SQLite's would be to forget what is in memory
            self._runner.run(self._store.aclose())
        self._runner.close()
