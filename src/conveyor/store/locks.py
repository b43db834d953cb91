"""How a store keeps locks: a row for each name, and what ties a held one to the life of its holder.

The row is the truth: it says who has the lock, with which token, and until when. A tie is a lock of the system's or
the server's that ends with the holder's process, or its session: whoever finds the row taken and nobody tied to it
need not wait until its time is over.
"""

from abc import abstractmethod
from typing import ClassVar, Final, NamedTuple, Protocol, cast

from conveyor.plan import Plan, Row, Steps
from conveyor.store.sqlbase import SqlBase

NOBODY: Final = -1
"""No lock's token."""


class Held(NamedTuple):
    """A lock that somebody has."""

    token: int
    holder: str
    since: int
    """When it was taken, in microseconds of the store's clock."""
    now: int
    """By the same clock."""
    vacant: bool
    """Whether the holder was tied to it, and is not any more: it has died, or lost its session."""


class Ties(Protocol):
    """The ties of one process, used by one thread."""

    patience: float
    """Seconds that one call may take at most: the locks are not renewed meanwhile."""

    @property
    def file(self) -> int | None:
        """A file that can be read once they may be broken; ``None``: only ``whole`` tells."""
        ...

    def tie(self, name: str, seconds: float) -> bool:
        """Tie the lock *name*, which has *seconds* after each renewal, to the life of this process.

        ``False`` when that cannot be done, just now or ever. Nothing is raised. A lock whose tie was broken has to be
        renewed before: what is left of the old tie ends here, and the store must not take that for a death.
        """
        ...

    def has(self, name: str) -> bool:
        """Whether the lock is tied as far as is known; asks nobody."""
        ...

    def whole(self, name: str) -> bool:
        """Whether the lock is tied still; asks."""
        ...

    def untie(self, name: str) -> None:
        """Give the tie up, if there is one, or what is left of one."""
        ...

    def close(self) -> None:
        """Let go of whatever makes ties; there are none left."""
        ...


class NoTies:
    """``Ties`` where there are none."""

    patience = 0.0

    @property
    def file(self) -> None:
        """See ``Ties``."""
        return

    def tie(self, name: str, seconds: float) -> bool:  # noqa: ARG002 - as Ties has it
        """See ``Ties``."""
        return False

    def has(self, name: str) -> bool:  # noqa: ARG002 - as Ties has it
        """See ``Ties``."""
        return False

    def whole(self, name: str) -> bool:  # noqa: ARG002 - as Ties has it
        """See ``Ties``."""
        return False

    def untie(self, name: str) -> None:
        """See ``Ties``."""

    def close(self) -> None:
        """See ``Ties``."""


class Locks(Protocol):
    """What a store can do about locks. Times are in microseconds, by the store's clock."""

    grace: ClassVar[float]
    """Seconds for a living holder to mend its tie before a lock that looks vacant is taken over."""
    spare: ClassVar[float]
    """Seconds for which it pays to keep, for the next lock, what makes ties."""

    def take(self, name: str, owner: bytes, holder: str, ttl: int, over: int = NOBODY) -> Plan[int | Held | None]:
        """The new token, more than the last; or who has it. ``None``: nobody by now, so try again.

        *owner* is 16 random bytes, *holder* is for people. A vacant lock is taken over only if *over* is its token.
        """
        ...

    def look(self, name: str) -> Plan[Held | None]:
        """Who has it; nothing is changed."""
        ...

    def renew(self, name: str, token: int, ttl: int, *, tied: bool) -> Plan[bool]:
        """The time of the lock counts anew, if the token is still its own. Unless *tied*, it can't become vacant."""
        ...

    def tie(self, name: str, token: int) -> Plan[bool]:
        """Whoever sees that the tie is gone may take the lock over. ``False``: nothing has changed."""
        ...

    def release(self, name: str, token: int) -> Plan[bool]:
        """Nobody has it, if the token was its own until now."""
        ...

    def forsake(self, name: str, owner: bytes) -> Plan[None]:
        """Nobody has it, if *owner* had: for a ``take`` whose answer was lost."""
        ...

    def ties(self) -> Ties:
        """Ties for one thread of this process."""
        ...


class SqlLocks(SqlBase):
    """The plans that SQLite and PostgreSQL share; ``Locks`` says what each owes."""

    grace: ClassVar[float] = 0.0
    spare: ClassVar[float] = 0.0

    @abstractmethod
    def ties(self) -> Ties:
        """See ``Locks``."""

    def take(self, name: str, owner: bytes, holder: str, ttl: int, over: int = NOBODY) -> Plan[int | Held | None]:
        """See ``Locks``."""

        def steps() -> "Steps[int | Held | None]":
            asked = self.statement(
                "lock_take", lock=name, owner=self.id_param(owner), holder=holder, ttl=ttl, over=over
            )
            rows = (yield asked).rows
            return cast(int, rows[0][0]) if rows else (yield from self._look(name))

        return Plan(steps)

    def look(self, name: str) -> Plan[Held | None]:
        """See ``Locks``."""
        return Plan(lambda: self._look(name), writes=False)

    def _look(self, name: str) -> Steps[Held | None]:
        rows = (yield self.statement("lock_look", lock=name)).rows
        return _held(rows[0]) if rows else None

    def renew(self, name: str, token: int, ttl: int, *, tied: bool) -> Plan[bool]:
        """See ``Locks``."""
        return self._changed("lock_renew", lock=name, token=token, ttl=ttl, tied=tied)

    def tie(self, name: str, token: int) -> Plan[bool]:
        """See ``Locks``."""
        return self._changed("lock_tie", lock=name, token=token)

    def release(self, name: str, token: int) -> Plan[bool]:
        """See ``Locks``."""
        return self._changed("lock_release", lock=name, token=token)

    def forsake(self, name: str, owner: bytes) -> Plan[None]:
        """See ``Locks``."""

        def steps() -> "Steps[None]":
            yield self.statement("lock_forsake", lock=name, owner=self.id_param(owner))

        return Plan(steps)

    def _changed(self, statement: str, **params: object) -> Plan[bool]:
        def steps() -> "Steps[bool]":
            return (yield self.statement(statement, **params)).touched == 1

        return Plan(steps)


def _held(row: Row) -> Held:
    token, holder, since, now, vacant = cast("tuple[int, str, int, int, bool]", row)
    return Held(token, holder, since, now, bool(vacant))
