"""Locks on Redis: nothing ties them to their holder's process, so a lock of the dead runs out."""

from functools import partial
from typing import ClassVar, cast

from conveyor.plan import Plan, Steps
from conveyor.store.locks import NOBODY, Held, NoTies, Ties
from conveyor.store.redis.scripts import Argument, call


class RedisLocks:
    """See ``store.locks.Locks``."""

    grace: ClassVar[float] = 0.0
    spare: ClassVar[float] = 0.0

    def take(self, name: str, owner: bytes, holder: str, ttl: int, over: int = NOBODY) -> Plan[int | Held | None]:  # noqa: ARG002 - nothing is ever vacant
        """See ``Locks``."""

        def steps() -> "Steps[int | Held | None]":
            found = (yield call("lock", "take", name, owner.hex(), holder, ttl)).rows[0][0]
            return int(found) if isinstance(found, bytes) else _held(found)

        return Plan(steps)

    def look(self, name: str) -> Plan[Held | None]:
        """See ``Locks``."""

        def steps() -> "Steps[Held | None]":
            return _held((yield call("lock", "look", name)).rows[0][0])

        return Plan(steps, writes=False)

    def renew(self, name: str, token: int, ttl: int, *, tied: bool) -> Plan[bool]:  # noqa: ARG002 - as above
        """See ``Locks``."""
        return Plan(partial(_changed, "renew", name, token, ttl))

    def tie(self, name: str, token: int) -> Plan[bool]:  # noqa: ARG002 - there are no ties
        """See ``Locks``."""

        def steps() -> "Steps[bool]":
            yield from ()
            return False

        return Plan(steps)

    def release(self, name: str, token: int) -> Plan[bool]:
        """See ``Locks``."""
        return Plan(partial(_changed, "release", name, token))

    def forsake(self, name: str, owner: bytes) -> Plan[None]:
        """See ``Locks``."""

        def steps() -> "Steps[None]":
            yield call("lock", "forsake", name, owner.hex())

        return Plan(steps)

    def ties(self) -> Ties:
        """See ``Locks``: none."""
        return NoTies()


def _changed(what: str, name: str, *arguments: Argument) -> Steps[bool]:
    return bool((yield call("lock", what, name, *arguments)).rows[0][0])


def _held(found: object) -> Held | None:
    if found is None:
        return None
    token, holder, since, now = cast("list[bytes]", found)
    return Held(int(token), holder.decode(), int(since), int(now), vacant=False)
