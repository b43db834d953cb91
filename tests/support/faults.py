"""Round trips to a store that go wrong on demand: before they are sent, or when their answer comes."""

import os
import sqlite3
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, TypeVar, cast

import psycopg
import pytest
from psycopg.waiting import Ready, Wait
from redis import exceptions

from conveyor.drivers.postgres_wire import Wire
from conveyor.drivers.redis import Carried, Connection, carry
from conveyor.plan import Answer, Statement
from conveyor.store.postgres import links
from conveyor.store.redis import opened

T = TypeVar("T")
When = Literal["before", "after"]
Connect = Callable[..., object]


@dataclass
class Faults:
    """Counts round trips while armed, and spoils number *at* (0: none)."""

    at: int = 0
    when: When = "before"
    kill: bool = False
    """Whether the process dies of it, or only the connection."""
    armed: bool = False
    calls: list[str] = field(default_factory=list)

    def around(self, name: str, call: Callable[[], T], lose: Callable[[], NoReturn]) -> T:
        """Make *call*; at the chosen one, *lose* it."""
        if not self.armed:
            return call()
        self.calls.append(name)
        hit = len(self.calls) == self.at
        if hit and self.when == "before":
            self._end(lose)
        answer = call()
        if hit:
            self._end(lose)
        return answer

    def _end(self, lose: Callable[[], NoReturn]) -> NoReturn:
        if self.kill:
            os._exit(137)
        lose()

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Spoil the connections that all libraries make from now on."""
        patch.setattr(links, "Wire", self._postgres())
        patch.setattr(sqlite3, "connect", self._sqlite(sqlite3.connect))
        patch.setattr(opened, "carry", self._redis)

    def _redis(
        self, to: Callable[[int], Connection], tags: Sequence[str], progress: Carried
    ) -> Callable[[Statement], Answer]:
        """A call of a script is one round trip; whoever gets an error from it gives the connection up."""
        carried = carry(to, tags, progress)

        def lose() -> NoReturn:
            raise exceptions.ConnectionError("the connection is lost, said the test")

        def execute(statement: Statement) -> Answer:
            return self.around("call", lambda: carried(statement), lose)

        return execute

    def _postgres(self) -> type[Wire]:
        faults = self

        class Spoilt(Wire):
            """Every round trip of psycopg's, COMMIT included, is a generator that goes through ``wait``."""

            def wait(self, gen: Generator[Wait, Ready | int, T], *args: Any, **kwargs: Any) -> T:
                waiting = super().wait

                def lose() -> NoReturn:
                    self.pgconn.finish()
                    raise psycopg.OperationalError("the connection is lost, said the test")

                return faults.around("round trip", lambda: waiting(gen, *args, **kwargs), lose)

        return Spoilt

    def _sqlite(self, connect: Connect) -> Connect:
        faults = self

        class Spoilt(sqlite3.Connection):
            """An error of the disk: whatever was not committed is rolled back by whoever sees it."""

            def execute(self, sql: str, *args: object) -> sqlite3.Cursor:
                statement = cast("Callable[..., sqlite3.Cursor]", super().execute)
                if sql == "ROLLBACK":
                    return statement(sql)
                made: list[sqlite3.Cursor] = []

                def call() -> sqlite3.Cursor:
                    made.append(statement(sql, *args))
                    return made[0]

                def lose() -> NoReturn:
                    for cursor in made:  # what failed is not in progress any more
                        cursor.close()
                    self.lose()

                return faults.around(sql[:20], call, lose)

            def executemany(self, sql: str, *args: object) -> sqlite3.Cursor:
                statements = cast("Callable[..., sqlite3.Cursor]", super().executemany)
                return faults.around(sql[:20], lambda: statements(sql, *args), self.lose)

            def lose(self) -> NoReturn:
                raise sqlite3.OperationalError("disk I/O error, said the test")

        return lambda *args, **kwargs: connect(*args, factory=Spoilt, **kwargs)
