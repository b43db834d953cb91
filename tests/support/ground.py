"""A store, an app on it, and one connection of a user's that lends its transaction to that app.

One plain test serves both colours, as in ``carriers``: with a connection that is awaited, ``enqueue`` here is
``aenqueue``, run to its end in the connection's own loop.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeVar, cast

from conveyor import Conveyor, Job
from conveyor.task import Enqueueable
from tests.support.carriers import CARRIERS, Carrier, Held, Isolation, outside

VARIANTS = ("scoped", "proxy", "pool", "hooks", "hand", "off", "block")
"""What the ids of those say that lend in the same way as another, only begun or wrapped otherwise."""
PLAIN: Sequence[Carrier] = [carrier for carrier in CARRIERS if not {*VARIANTS} & {*carrier.id.split("-")}]
"""One connection of each kind. What all of ``CARRIERS`` owe is proved for all; the rest for these."""

AWAITED: Sequence[Carrier] = [
    replace(carrier, id=f"async-over-{carrier.id}", colour="async")
    for carrier in CARRIERS
    if carrier.colour == "blocking" and "django" not in carrier.id
]
"""Connections that block, in async code; Django forbids it."""

T = TypeVar("T")
Noted = Enqueueable[[int], int]

PROBE = 1000
"""What a probe writes into ``own``."""


class Site:
    """A store, and an app on it. The tables ``own`` and ``child`` are the user's."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.app = Conveyor(url)
        self.task: Noted = self.app.task(name="noted")(_noted)
        self._kept = ExitStack()

    @cached_property
    def _server(self) -> Any:
        """One connection for all looks at a server: to connect takes it longer than to answer."""
        return self._kept.enter_context(outside(self.url))

    @contextmanager
    def outside(self) -> Generator[Any]:
        """Another connection, in autocommit."""
        if self.url.startswith("postgresql"):
            yield self._server
        else:
            with outside(self.url) as file:
                yield file

    def stored(self) -> list[int]:
        """The unfinished jobs of ``task`` that everybody sees, by their argument, in the order of their turn."""
        with self.outside() as connection:
            rows = connection.execute(
                "SELECT args FROM conveyor_job WHERE task = 'noted' ORDER BY run_after"
            ).fetchall()
        return [json.loads(bytes(args))[0][0] for (args,) in rows]

    def own(self) -> list[int]:
        """What everybody sees of the user's own."""
        with self.outside() as connection:
            return [n for (n,) in connection.execute("SELECT n FROM own ORDER BY n").fetchall()]

    def execute(self, text: str) -> None:
        """A statement from outside."""
        with self.outside() as connection:
            connection.execute(text)

    def transactions(self) -> set[str]:
        """Which transactions have written the rows that are there; PostgreSQL tells."""
        with self.outside() as connection:
            return {
                cast(str, xmin)
                for table in ("conveyor_job", "conveyor_past", "own")
                for (xmin,) in connection.execute(f"SELECT xmin::text FROM {table}").fetchall()
            }

    def close(self) -> None:
        self._kept.close()
        self.app.close()


class Ground(Site):
    """A site with a kind of connection to it."""

    def __init__(self, carrier: Carrier, url: str) -> None:
        super().__init__(url)
        self.carrier = carrier

    @property
    def awaited(self) -> bool:
        """Whether the connection is awaited."""
        return self.carrier.colour == "async"

    @contextmanager
    def lent(self, *, autocommit: bool = False, isolation: Isolation | None = None) -> Generator["Lender"]:
        """A connection, closed at the end, and a way to enqueue through it."""
        with self.carrier.open(self.url, autocommit=autocommit, isolation=isolation) as held:
            yield Lender(self, held)


class Lender:
    """A user with an open connection, and an app to enqueue with."""

    def __init__(self, ground: Ground, held: Held) -> None:
        self.ground = ground
        self.held = held
        self.app = ground.app

    def do(self, call: Callable[[], Job[int] | list[Job[int]]], acall: Callable[[], Awaitable[Any]]) -> Any:
        """The call of the connection's colour; as in a program, what is open around it is open inside."""
        if not self.ground.awaited:
            return call()

        async def awaited() -> Any:
            try:
                return await acall()
            finally:
                await self.app.aclose()

        if self.held._runner is not None:
            return self.held._runner.run(awaited(), context=copy_context())
        with asyncio.Runner() as runner:
            return runner.run(awaited(), context=copy_context())

    def enqueue(self, n: int, task: Noted | None = None) -> Job[int]:
        """Enqueue one job."""
        chosen = task or self.ground.task
        return cast(Job[int], self.do(lambda: chosen.enqueue(n), lambda: chosen.aenqueue(n)))

    def enqueue_many(self, numbers: Sequence[int], task: Noted | None = None) -> list[Job[int]]:
        """Enqueue several with one call."""
        calls = [(task or self.ground.task).bind(n) for n in numbers]
        return cast(
            list[Job[int]], self.do(lambda: self.app.enqueue_many(calls), lambda: self.app.aenqueue_many(calls))
        )

    @contextmanager
    def within(self) -> Generator[None]:
        """The block."""
        with self.app.within(self.held.connection):
            yield

    def probe(self) -> None:
        """The user's transaction can still be written in, and committed; nothing but the probe was in it."""
        self.held.write(f"INSERT INTO own VALUES ({PROBE})")
        assert self.held.read("SELECT n FROM own") == [(PROBE,)]
        self.held.commit()
        assert (self.ground.own(), self.ground.stored()) == ([PROBE], [])


def _noted(n: int) -> int:
    return n * 2
