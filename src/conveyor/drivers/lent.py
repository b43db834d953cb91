"""A connection of the user's, lent to us: how a statement of ours joins the transaction that they have open.

Never unwrapped: a statement goes through the very object that was handed over. A raw connection taken out of a
SQLAlchemy session, say, may write outside of the session's transaction. Its attributes may be read.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import contextmanager
from typing import ClassVar, Final, Literal

from conveyor.core.errors import ConveyorError, NotInTransaction, StoreUnavailable
from conveyor.plan import Answer, Statement

Kind = Literal["sqlite", "postgresql", "redis"]
_IN_ERROR: Final = 3
"""libpq's number for a failed transaction, in psycopg and psycopg2 alike."""


_SOMETHING_HORRIBLE: Final = 2
"""psycopg2's ``closed`` after a connection broke, in its own words; 1 is a connection that was closed."""
_BUSY: Final = 5
"""SQLite's code for a lock that was not to be had; its extended codes have it in their lowest byte."""
_BUSY_SNAPSHOT: Final = 517


def failed(raw: object) -> bool:
    """Whether the transaction of *raw*, a driver's connection, is known to have failed. asyncpg's does not say."""
    return getattr(getattr(raw, "info", None), "transaction_status", None) == _IN_ERROR


def broken(raw: object) -> bool:
    """Whether the connection of *raw*, a driver's, has broken: by psycopg's word for it, or psycopg2's."""
    return bool(getattr(raw, "broken", False)) or getattr(raw, "closed", 0) == _SOMETHING_HORRIBLE


def lock_code(error: BaseException | None) -> int:
    """SQLite's code for a lock that was not to be had, in an error of any library's; 0 for any other error."""
    while error is not None:
        code: object = getattr(error, "sqlite_errorcode", 0)
        if isinstance(code, int) and code & 0xFF == _BUSY:
            return code
        error = error.__cause__  # SQLAlchemy and Django wrap what the driver raised
    return 0


class Loan(ABC):
    """What both colours can say without I/O. A loan is good for one block, and is then given back."""

    name: str
    """How messages call it, as ``sqlalchemy.orm.Session on postgresql``."""
    kind: Kind
    """The database behind it."""
    begun: bool = False
    """``begin`` has begun a transaction that neither ``commit`` nor ``rollback`` has ended yet."""

    @abstractmethod
    def check(self) -> None:
        """Raise ``NotInTransaction`` unless a statement would become part of the user's transaction.

        That is: a transaction is open, or the library opens one by itself before the next statement and leaves its
        end to the user. A transaction that has failed is refused too: whatever it is sent would be lost. After
        ``begin`` it must be that very transaction, open still: the user's code may have ended it.
        """

    @abstractmethod
    def idle(self) -> None:
        """Raise ``ConveyorError`` unless no transaction is open, so that ``begin`` would begin the outermost one."""

    @property
    def lost(self) -> bool:
        """Whether the connection is known to have broken: what it had not committed is gone, by nobody's fault."""
        return False

    def refusal(self, wrong: str, fix: str) -> NotInTransaction:
        """The error that ``check`` raises: what is *wrong* with the connection, and how to *fix* it."""
        if self.begun:
            return NotInTransaction(f"{self.name} {wrong}, inside of the transaction that was begun for the attempt")
        return NotInTransaction(
            f"within= needs an open transaction, and {self.name} {wrong}; {fix}, or leave out within="
        )

    def busy(self, wrong: str, fix: str) -> ConveyorError:
        """The error that ``idle`` raises."""
        return ConveyorError(f"an attempt's transaction must be the outermost one, and {self.name} {wrong}; {fix}")

    writing: str = "begin it for writing, with BEGIN IMMEDIATE"
    """How a transaction of SQLite's is begun, so that it waits for the lock that it will need."""

    @contextmanager
    def told(self) -> Generator[None]:
        """Around a statement of ours: SQLite's "database is locked" does not say what to do. Else theirs passes."""
        try:
            yield
        except Exception as error:
            code = lock_code(error) if self.kind == "sqlite" else 0
            if code == _BUSY_SNAPSHOT:
                raise StoreUnavailable(
                    f"{self.name} cannot write any more: its transaction has read, and somebody else has written "
                    f"since; roll it back, and {self.writing}"
                ) from error
            if code:
                raise StoreUnavailable(
                    f"{self.name} got no write lock from SQLite, for somebody else holds it; wait longer for it (the "
                    f"connection's timeout), and if the transaction reads before it writes, {self.writing}: one that "
                    "has read does not wait"
                ) from error
            raise

    @contextmanager
    def quiet(self) -> Generator[None]:
        """Around a rollback: it must not hide the error that it answers, and a lost connection rolls back anyway."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - any library's
            logging.getLogger("conveyor").warning("%s could not be rolled back: %s", self.name, error)


class BlockingLoan(Loan):
    """A connection that blocks. *Values in statements* are ``str``, ``int`` and ``None`` only: each library has them.

    Statements give text and integers only, and as expressions (``CAST(id AS text)``) rather than bare columns: users
    may have taught their connection to make something of their own of any other type.
    """

    colour: ClassVar[Literal["blocking"]] = "blocking"

    def carry(self, statement: Statement) -> Answer:
        """Carry one statement, after ``check``, with the library's own errors.

        Each row arrives as a plain tuple, read to the end. ``touched`` counts the rows given, or where a statement
        gives none, those that it wrote; on SQLite only if its first word is INSERT, UPDATE or DELETE.
        """
        self.check()
        with self.told():
            return self._carry(statement)

    def begin(self) -> None:
        """Begin the outermost transaction, after ``idle``."""
        self.idle()
        self.begun = True
        try:
            self._begin()
        except BaseException:
            self.rollback()
            raise

    def flush(self) -> None:
        """Send what the library has kept back, so that the next statement of ours is the transaction's last."""
        return

    def commit(self) -> None:
        """Commit what ``begin`` began, after ``check``: to commit a failed transaction is to roll it back unheard."""
        self.check()
        self._commit()
        self.begun = False

    def rollback(self) -> None:
        """Take back what ``begin`` began, or what a failed ``commit`` left of it. The library's errors are logged."""
        if self.begun:
            self.begun = False
            with self.quiet():
                self._rollback()

    @abstractmethod
    def _carry(self, statement: Statement) -> Answer: ...

    @abstractmethod
    def _begin(self) -> None: ...

    @abstractmethod
    def _commit(self) -> None: ...

    @abstractmethod
    def _rollback(self) -> None: ...


class AsyncLoan(Loan):
    """A connection that is awaited; otherwise as ``BlockingLoan``."""

    colour: ClassVar[Literal["async"]] = "async"

    async def carry(self, statement: Statement) -> Answer:
        """See ``BlockingLoan.carry``."""
        self.check()
        with self.told():
            return await self._carry(statement)

    async def begin(self) -> None:
        """See ``BlockingLoan.begin``. A cancelled one leaves nothing open."""
        self.idle()
        self.begun = True
        try:
            await self._begin()
        except BaseException:
            await self.rollback()
            raise

    async def flush(self) -> None:
        """See ``BlockingLoan.flush``."""
        return

    async def commit(self) -> None:
        """See ``BlockingLoan.commit``."""
        self.check()
        await self._commit()
        self.begun = False

    async def rollback(self) -> None:
        """See ``BlockingLoan.rollback``."""
        if self.begun:
            self.begun = False
            with self.quiet():
                await self._rollback()

    @abstractmethod
    async def _carry(self, statement: Statement) -> Answer: ...

    @abstractmethod
    async def _begin(self) -> None: ...

    @abstractmethod
    async def _commit(self) -> None: ...

    @abstractmethod
    async def _rollback(self) -> None: ...
