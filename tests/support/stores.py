"""Stores to test, and a look behind them with plain SQL."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Self, TypeVar
from uuid import UUID

from conveyor.core.clock import SystemClock
from conveyor.plan import Answer, Plan, Statement, Steps
from conveyor.store.contract import Store
from conveyor.store.postgres.opened import PostgresStore
from conveyor.store.sqlite.opened import SqliteStore
from tests.support.pgbouncer import past

T = TypeVar("T")

KINDS = ("sqlite-memory", "sqlite-file", "postgres")
SHARED = ("sqlite-file", "postgres")
"""The kinds that two processes can open at a time."""


class Do(Protocol):
    """Carries a plan out."""

    def __call__(self, plan: Plan[T]) -> T: ...


def sqlite_url(folder: Path) -> str:
    """The address of a new file in *folder*."""
    return f"sqlite:///{folder / 'jobs.db'}"


def open_store(url: str) -> Store:
    """A store by its address, with the machine's clock; behind a pooler of ours, it listens past it."""
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
    """How many jobs lie in the hot table, and how many in history."""
    hot = number(store, "SELECT count(*) FROM conveyor_job")
    return hot, number(store, "SELECT count(*) FROM conveyor_history")


def pass_time(store: Store, seconds: float) -> None:
    """Let all that is scheduled come due *seconds* sooner, and expire so much sooner."""
    passed = round(seconds * 1_000_000)
    rows(store, f"UPDATE conveyor_job SET run_after = run_after - {passed}, expires_at = expires_at - {passed}")


def age(store: Store, seconds: float) -> None:
    """Let all that has ended have ended *seconds* earlier, and be deleted so much sooner."""
    passed = round(seconds * 1_000_000)
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
        if isinstance(self._store, PostgresStore):  # to close SQLite's would be to forget what is in memory
            self._runner.run(self._store.aclose())
        self._runner.close()
