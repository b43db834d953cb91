"""What a store owes to whoever keeps runners alive: a part of the contract, with a file of its own."""

from collections.abc import Sequence
from typing import Final, Protocol

from conveyor.core.model import RunnerInfo

SHARE: Final = 0.2
"""Of a lease, what one renewal may take: so there is time for another one over another connection."""
LEAST: Final = 0.5
"""Seconds that a renewal gets, however short the lease."""


class Leases(Protocol):
    """Runners' rights to be taken for alive. Whoever holds them calls from one thread at a time."""

    def register(self, runner: bytes, info: RunnerInfo) -> None:
        """*runner* has a lease. Raises as ``Store.run`` does."""
        ...

    def renew(self, runners: Sequence[bytes]) -> frozenset[bytes]:
        """Renew all of them, in one statement; those that have it still. A lease once lost stays lost."""
        ...

    def retire(self, runner: bytes, *, clean: bool) -> None:
        """End it. *clean*: the runner holds nothing for sure; else whatever it holds will be rescued."""
        ...

    def witness(self, runner: bytes) -> int | None:
        """A file that keeps the lease for as long as any process has it open, if it is renewed; ``None``: none does.

        For the runner's own process, where another one renews its lease: it must not end with that one.
        """
        ...

    def close(self) -> None:
        """Let go of the connection. What has a lease keeps it until its time is over."""
        ...
