"""Tasks that complete in a transaction: every way to open one, with one face, for tests made from the table.

A task's body is written once, as if it blocked. For a connection that is awaited it runs in a greenlet of the event
loop's, where ``held.finish`` waits without holding up the loop.
"""

from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from sqlalchemy.util.concurrency import await_only, greenlet_spawn

from conveyor import Context, Conveyor, Job
from conveyor.task import Task
from tests.support.carriers import CARRIERS, Carrier, Colour, Held, Isolation, Kind
from tests.support.ground import AWAITED, PLAIN, Noted

T = TypeVar("T")


@dataclass(frozen=True)
class Way:
    """How a task opens its transaction."""

    id: str
    kind: Kind
    colour: Colour
    carrier: Carrier | None = None
    """Its own connection; without one, a connection of ours."""
    declared: bool = False
    """``transactional=True``: the worker opens it, around the whole function."""
    isolation: Isolation | None = None
    """Of its own connection to PostgreSQL."""


OWN: Sequence[Way] = [
    Way(f"{'sqlite' if kind == 'sqlite' else 'postgres'}-{colour}-{note}", kind, colour, None, note == "declared")
    for kind in ("sqlite", "postgresql")
    for colour in ("blocking", "async")
    for note in ("declared", "ours")
]
USING: Sequence[Way] = [
    Way(f"using-{carrier.id}", carrier.kind, carrier.colour, carrier)
    for carrier in (*CARRIERS, *AWAITED)
    if carrier.outermost
]
WAYS = [*OWN, *USING]
FEW = [way for way in WAYS if way.carrier is None or way.carrier in PLAIN]
"""One of each kind; see ``PLAIN``."""


class Inside:
    """What a task's body has: its context, the transaction, and a connection to write through."""

    def __init__(self, way: Way, app: Conveyor, ctx: Context, held: Held | None) -> None:
        self.way = way
        self.app = app
        self.ctx = ctx
        self.held = held

    def do(self, call: Callable[[], T], acall: Callable[[], Awaitable[T]]) -> T:
        """The call of the task's colour."""
        return await_only(acall()) if self.way.colour == "async" else call()

    @contextmanager
    def transaction(self, result: object = None) -> Generator["Inside"]:
        """The block, with its result; for a declared one the worker has opened it already."""
        if self.way.declared:
            yield self
            return
        tx = self.ctx.transaction(self.held.connection if self.held else None)
        entered = self.do(tx.__enter__, tx.__aenter__)
        try:
            yield self
            entered.complete(result)
        except BaseException as error:
            kind, trace = type(error), error.__traceback__
            given: Any = error
            self.do(lambda: tx.__exit__(kind, given, trace), lambda: tx.__aexit__(kind, given, trace))
            raise
        self.do(lambda: tx.__exit__(None, None, None), lambda: tx.__aexit__(None, None, None))

    def user(self) -> Held:
        """Who writes in the open transaction: through their own connection, or through ours."""
        return self.held or _Ours(self.ctx.connection)

    def write(self, n: int) -> None:
        """A row of the user's own."""
        self.user().write(f"INSERT INTO own VALUES ({n})")

    def enqueue(self, task: Noted, n: int) -> Job[int]:
        """A child."""
        return self.do(lambda: task.enqueue(n), lambda: task.aenqueue(n))


class _Ours(Held):
    """A connection of our own driver's, as ``ctx.connection`` gives it."""

    def __init__(self, connection: Any) -> None:
        super().__init__()
        self.connection = connection

    def write(self, text: str) -> None:
        self.finish(self.connection.execute(text))

    def read(self, text: str) -> list[tuple[object, ...]]:
        cursor = self.finish(self.connection.execute(text))
        return cast(list[tuple[object, ...]], self.finish(cursor.fetchall()))

    def savepoint(self) -> None:
        self._nested.append(f"s{len(self._nested)}")
        self.write(f"SAVEPOINT {self._nested[-1]}")

    def release(self) -> None:
        self.write(f"RELEASE SAVEPOINT {self._nested.pop()}")

    def rollback_to(self) -> None:
        self.write(f"ROLLBACK TO SAVEPOINT {self._nested[-1]}")
        self.release()

    def begin(self) -> None:
        """The worker has."""

    def commit(self) -> None:
        self.write("COMMIT")

    def rollback(self) -> None:
        self.write("ROLLBACK")

    def _close(self) -> None:
        self.finish(self.connection.close())


Body = Callable[[Inside], object]


def make_task(app: Conveyor, way: Way, body: Body, **options: Any) -> Task[[], object]:
    """The task ``work`` of *app*, which runs *body* in the colour of *way*."""

    def opened(stack: ExitStack, ctx: Context) -> Inside:
        held = stack.enter_context(way.carrier.open(app.url, isolation=way.isolation)) if way.carrier else None
        return Inside(way, app, ctx, held)

    def here(ctx: Context) -> object:
        with ExitStack() as stack:
            return body(opened(stack, ctx))

    async def work(ctx: Context) -> object:
        return await greenlet_spawn(here, ctx)

    made = here if way.colour == "blocking" else work
    return cast(
        Task[[], object],
        app.task(name="work", takes_context=True, transactional=way.declared, **options)(cast(Any, made)),
    )
