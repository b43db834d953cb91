"""The end of a transaction of the user's, heard from its library: what is sent then is sent after the commit, or never.

For stores that join no transaction. Only two libraries tell of a commit, and only the outermost one counts: what was
kept within a savepoint goes with the savepoint.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Sequence
from typing import Protocol

from conveyor.core.errors import NotInTransaction
from conveyor.core.model import NewJob


class Send(Protocol):
    """Stores jobs whose transaction has committed."""

    def sent(self, jobs: Sequence[NewJob]) -> None:
        """From blocking code."""
        ...

    def asent(self, jobs: Sequence[NewJob]) -> Awaitable[None]:
        """From async code."""
        ...


class Commits(ABC):
    """The transactions of one connection or session."""

    name: str
    """How messages call it."""

    @abstractmethod
    def check(self) -> None:
        """Raise ``NotInTransaction`` unless a transaction is open, or begins by itself, that can still commit."""

    @abstractmethod
    def keep(self, jobs: Sequence[NewJob], send: Send) -> None:
        """Have *jobs* sent after the commit, by the thread or task that commits; errors come out of the commit."""

    def refusal(self, wrong: str, fix: str) -> NotInTransaction:
        """The error that ``check`` raises: what is *wrong* with the connection, and how to *fix* it."""
        return NotInTransaction(
            f"within= needs an open transaction, and {self.name} {wrong}; {fix}, or leave out within="
        )
