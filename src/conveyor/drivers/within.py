"""Which transaction of the user's an enqueue joins: the innermost open ``within`` block of this task or thread."""

import threading
from collections.abc import Collection, Generator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Final

from conveyor.core.errors import ConveyorError, NotInTransaction, UsageError, WrongStore
from conveyor.drivers.commits import Commits
from conveyor.drivers.lent import AsyncLoan, BlockingLoan, Kind


class Within:
    """One block, and the connection that it lends to the store of one app, or whose commits that waits for."""

    def __init__(
        self,
        store: object,
        loan: BlockingLoan | AsyncLoan | Commits,
        connection: object = None,
        into: object = None,
    ) -> None:
        """*store* is whose app enqueues here; *connection* is what the loan was made of.

        *into* is the store that it leads to, where that is another one: an outbox.
        """
        self.store = store
        self.into = into or store
        self.loan = loan
        self.connection = connection
        self.thread = threading.get_ident()
        """Where it was entered."""
        self.isolation: str | None = None
        """The transaction's isolation level, once the connection has been seen to lead to the store."""
        self.keys: set[str] = set()
        """The unique keys that were taken here, as stores have them."""
        self.joined = False
        """Whether anything was enqueued here."""
        self._open = True

    def check(self, kind: Kind) -> None:
        """Raise unless a job for a store of *kind* can join here, as far as that can be told without I/O."""
        if not self._open:
            raise NotInTransaction(
                f"the within block of this {self.loan.name} has ended; a task or thread that was started in it and "
                "enqueues later needs a block of its own, or using(within=None)"
            )
        if not isinstance(self.loan, Commits) and self.loan.kind != kind:
            whose = "store" if self.into is self.store else "outbox"
            raise WrongStore(f"{self.loan.name} leads to {self.loan.kind}, and this app's {whose} is {kind}")
        self.loan.check()

    def blocking(self) -> BlockingLoan:
        """The connection, for code that blocks."""
        if isinstance(self.loan, BlockingLoan):
            return self.loan
        raise UsageError(f"{self.loan.name} is awaited, and enqueue() is not; use `await ....aenqueue()` with it")

    @property
    def leads_to(self) -> Kind | None:
        """The kind of database that is joined."""
        return None if isinstance(self.loan, Commits) else self.loan.kind

    @property
    def idle(self) -> bool:
        """Whether the connection has no transaction open that jobs are written in."""
        if isinstance(self.loan, Commits):
            return True
        try:
            self.loan.idle()
        except ConveyorError:
            return False
        return True

    def end(self) -> None:
        """Nothing more can join."""
        self._open = False


_blocks: Final[ContextVar[tuple[Within, ...]]] = ContextVar("conveyor_within", default=())


def current(store: object) -> Within | None:
    """The innermost block of this app's store."""
    return next((block for block in reversed(_blocks.get()) if block.store is store), None)


def lends(store: object) -> bool:
    """Whether a connection that is lent to *store* has a transaction open here, be it that the caller stays out."""
    block = next((block for block in reversed(_blocks.get()) if block.into is store), None)
    return block is not None and not block.idle


def keeper(store: object, keys: Collection[str], joining: "Within | None") -> "Within | None":
    """The open block, on another connection than *joining*, whose transaction has taken one of *keys*.

    Nobody is going to end it while its own thread waits for the key.
    """
    return next(
        (
            block
            for block in _blocks.get()
            if block.store is store
            and not block.keys.isdisjoint(keys)
            and (joining is None or joining.connection is not block.connection)
            and not block.idle
        ),
        None,
    )


@contextmanager
def entered(block: Within) -> Generator[None]:
    """Enqueues in here join *block*."""
    token = _blocks.set((*_blocks.get(), block))
    try:
        yield
    finally:
        block.end()
        _leave(token)


def _leave(token: Token[tuple[Within, ...]]) -> None:
    """A generator may be begun in one thread's context and ended in another's; nobody saw its block, then."""
    try:
        _blocks.reset(token)
    except ValueError:
        raise UsageError(
            "this within block was entered in another context than it is left in, as in a generator that a framework "
            "runs in threads, and so no enqueue has joined it; open the block where you enqueue, or say "
            "using(within=connection)"
        ) from None
