"""Runners' leases on Redis: each is a time, by the server's clock, until which its runner is alive."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar, cast

import msgspec

from conveyor.core.errors import OutcomeUnknown, StoreUnavailable
from conveyor.core.model import RunnerInfo
from conveyor.drivers.redis_sources import DEADLINE
from conveyor.plan import Plan, Steps
from conveyor.store.leases import LEAST, SHARE
from conveyor.store.redis.scripts import call
from conveyor.store.redis.sharding import everywhere

T = TypeVar("T")
Within = Callable[[Plan[object], float], object]
"""Carries a plan out, in so many seconds."""


def patience_of(seconds: float) -> float:
    """How long anything about a lease of *seconds* may take: a second try needs some of it as well."""
    return min(DEADLINE, max(seconds * SHARE, LEAST))


class RedisLeases:
    """See ``store.leases.Leases``."""

    def __init__(self, within: Within, close: Callable[[], None], seconds: float, shards: int) -> None:
        """Leases of *seconds*, one in each shard: whoever has lost one of them has lost all.

        *close* closes what *within* goes over.
        """
        self._within = within
        self._close = close
        self._shards = shards
        self._lease = round(seconds * 1_000_000)
        self._patience = patience_of(seconds)

    def register(self, runner: bytes, info: RunnerInfo) -> None:
        """See ``Leases``."""
        self._carry(partial(_register, runner, self._lease, info))

    def renew(self, runners: Sequence[bytes]) -> frozenset[bytes]:
        """See ``Leases``."""
        return frozenset[bytes](runners).intersection(*self._carry(partial(_renew, runners, self._lease)))

    def retire(self, runner: bytes, *, clean: bool) -> None:
        """See ``Leases``."""
        self._carry(partial(_retire, runner, clean=clean))

    def witness(self, runner: bytes) -> None:
        """See ``Leases``: none is needed."""

    def close(self) -> None:
        """See ``Leases``."""
        self._close()

    def _carry(self, steps: Callable[[], Steps[T]]) -> list[T]:
        # As a read, for it may be sent again: whoever lost the answer was not told that it is dead.
        plan = Plan(lambda: everywhere(self._shards, steps), writes=False)
        try:
            return cast("list[T]", self._within(cast("Plan[object]", plan), self._patience))
        except OutcomeUnknown as error:  # too few replicas have heard of it
            raise StoreUnavailable(str(error)) from error


def _register(runner: bytes, lease: int, info: RunnerInfo) -> Steps[None]:
    yield call("lease", "register", runner.hex(), lease, msgspec.json.encode(info))


def _renew(runners: Sequence[bytes], lease: int) -> Steps[frozenset[bytes]]:
    rows = cast("list[bytes]", (yield call("lease", "renew", lease, *(one.hex() for one in runners))).rows[0][0])
    return frozenset(bytes.fromhex(row.decode()) for row in rows)


def _retire(runner: bytes, *, clean: bool) -> Steps[None]:
    yield call("lease", "retire", runner.hex(), "clean" if clean else "dirty")
