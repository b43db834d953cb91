"""An opened store on Redis or Valkey."""

from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import Final, NoReturn, TypeVar

from redis import exceptions

from conveyor.core.errors import StoreUnavailable, UsageError
from conveyor.core.health import Finding
from conveyor.drivers.lent import Kind
from conveyor.drivers.redis import acarry, carry, translated
from conveyor.drivers.redis_links import DEADLINE, Links
from conveyor.plan import Plan, Ring, Steps, arun, run
from conveyor.store.contract import LOCK_TIMEOUT, Control, Listener, Operations, Schedules
from conveyor.store.leases import Leases
from conveyor.store.locks import Locks
from conveyor.store.moving import Moving
from conveyor.store.redis.control import RedisControl
from conveyor.store.redis.health import examined
from conveyor.store.redis.leases import RedisLeases
from conveyor.store.redis.listen import RedisListener
from conveyor.store.redis.locks import RedisLocks
from conveyor.store.redis.moving import RedisMoving
from conveyor.store.redis.place import Place
from conveyor.store.redis.plans import RedisOperations
from conveyor.store.redis.reads import FORM
from conveyor.store.redis.schedules import RedisSchedules
from conveyor.store.redis.scripts import call

T = TypeVar("T")

WAITED: Final = (exceptions.TimeoutError, TimeoutError)
"""What tells of a server that does not answer: no second try, for its caller has waited long enough."""


def time_of(plan: Plan[T]) -> float:
    """Seconds that each round trip of *plan* may take."""
    return min(DEADLINE + plan.patience, plan.most)


class RedisStore:
    """See ``store.contract.Store``. It has no tables to be made: the first use writes down which store it is."""

    def __init__(self, url: str) -> None:
        """Connects to nothing yet. Raises ``UsageError`` for a URL that means nothing."""
        place = Place.of(url)
        self.url = place.shown
        self._prefix = place.prefix
        self._links = Links(place.server)
        self._operations = RedisOperations()
        self._control = RedisControl()
        self._schedules = RedisSchedules()
        self._moving = RedisMoving()
        self._locks = RedisLocks()

    @property
    def migrations(self) -> int:
        """See ``Store``."""
        return FORM

    @property
    def kind(self) -> Kind:
        """See ``Store``."""
        return "redis"

    @property
    def operations(self) -> Operations:
        """See ``Store``."""
        return self._operations

    @property
    def control(self) -> Control:
        """See ``Store``."""
        return self._control

    @property
    def schedules(self) -> Schedules:
        """See ``Store``."""
        return self._schedules

    @property
    def locks(self) -> Locks:
        """See ``Store``."""
        return self._locks

    @property
    def moving(self) -> Moving:
        """See ``Store``."""
        return self._moving

    def run(self, plan: Plan[T]) -> T:
        """See ``Store``. A read is tried again at once: its connection may have broken while it was on its way."""
        try:
            return self.within(plan, time_of(plan))
        except StoreUnavailable as error:
            if plan.writes or isinstance(error.__cause__, WAITED):
                raise
        return self.within(plan, time_of(plan))

    async def arun(self, plan: Plan[T]) -> T:
        """See ``Store``. A read is tried again at once, as in ``run``."""
        try:
            return await self._arun(plan)
        except StoreUnavailable as error:
            if plan.writes or isinstance(error.__cause__, WAITED):
                raise
        return await self._arun(plan)

    def within(self, plan: Plan[T], seconds: float) -> T:
        """Carry *plan* out from blocking code; each of its round trips has *seconds*."""
        with translated(writes=plan.writes), self._links.link(seconds) as connection:
            return run(plan, carry(connection, self._prefix))

    async def _arun(self, plan: Plan[T]) -> T:
        with translated(writes=plan.writes):
            async with self._links.alink(time_of(plan)) as connection:
                return await arun(plan, acarry(connection, self._prefix))

    def migrate(self, lock_timeout: float = LOCK_TIMEOUT) -> list[str]:  # noqa: ARG002 - nobody has to be waited for
        """There is never anything left to do."""
        self.run(self._operations.schema())
        return []

    def pending(self) -> list[str]:
        """See ``Store``: nothing."""
        return []

    def script(self, first: int, last: int, lock_timeout: float = LOCK_TIMEOUT) -> str:  # noqa: ARG002 - as Store has it
        """There is none."""
        raise UsageError("a store on Redis has no tables, and so no script to be run")

    def ring(self, why: Ring) -> None:
        """Nothing: the scripts ring."""

    def connect(self) -> NoReturn:
        """Raises ``UsageError``: there are no transactions to lend."""
        raise UsageError("a store on Redis has no transactions to lend; enqueue after the commit of yours")

    async def aconnect(self) -> NoReturn:
        """The same for async code."""
        self.connect()

    def examine(self, *, deep: bool) -> Sequence[Finding]:  # noqa: ARG002 - all of it is quick
        """See ``Store``."""
        return examined(self._links)

    def amiss(self) -> Sequence[Finding]:
        """Nothing: there are no tables that could be."""
        return ()

    def leases(self, seconds: float) -> Leases:
        """See ``Store``."""
        return RedisLeases(self.within, seconds)

    def listener(self, runner: bytes) -> Listener:  # noqa: ARG002 - all hear the same bell
        """See ``Store``."""

        def ask(seconds: float) -> Awaitable[None]:
            def steps() -> Steps[None]:
                yield call("idle", round(seconds * 1_000_000))

            return self.arun(Plan(steps))

        return RedisListener(self._links, f"{self._prefix}:bell", ask)

    def close(self) -> None:
        """See ``Store``."""
        self._links.close()

    async def aclose(self) -> None:
        """See ``Store``."""
        with suppress(exceptions.RedisError, OSError):
            await self._links.aclose()
