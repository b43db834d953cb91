"""``app.locks``: of all processes on a store, one at a time has the lock of a name."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Generator
from concurrent.futures import wait as wait_for
from types import TracebackType
from typing import Final, TypeVar, cast

from conveyor.client.keeper import Keeper
from conveyor.client.lock import KeptLock, Lock, ticks
from conveyor.core.backoff import jittered
from conveyor.core.clock import MICROSECOND, moment
from conveyor.core.errors import ConveyorError, LockHeld, OutcomeUnknown, PayloadError, UsageError
from conveyor.core.opening import opening
from conveyor.core.options import Duration, microseconds
from conveyor.core.text import checked_name
from conveyor.plan import Plan
from conveyor.store.contract import Store
from conveyor.store.locks import NOBODY, Held

__all__ = ["Holding", "Lock", "Locks"]

logger = logging.getLogger("conveyor")

TTL: Final = 30.0
SHORTEST: Final = 1.0
LONGEST: Final = 3_600.0
"""Seconds. It is renewed while its holder lives, so more would only keep others waiting for one who is gone."""
FIRST_LOOK: Final = 0.01
LATER_LOOK: Final = 0.25
"""Seconds from one look at a lock that somebody has to the next, at first and at last."""
TIED: Final = 1.0
"""Seconds that whoever takes a lock waits at most until it is tied to this process."""

T = TypeVar("T")
Steps = Generator[Plan[object] | float, object, KeptLock]
"""Plans to be carried out, and seconds to be waited."""


class Locks:
    """``app.locks``."""

    def __init__(self, store: Callable[[], Store]) -> None:
        """Made by the app."""
        self._store = store
        self._keeper: Keeper | None = None
        self._owner = 0

    def hold(self, name: str, *, ttl: Duration = TTL, wait: Duration = 0.0) -> "Holding":
        """``with app.locks.hold("nightly") as lock:``, or ``async with``; gives a ``Lock`` inside the block.

        Entering takes the lock, and leaving gives it back. When another has it, *wait* is how long to wait for it; then
        ``LockHeld``, which says who has it. It is not reentrant: a second taker in the same process waits, too.

        While it is held a thread renews it, three times in each *ttl* (1 s to an hour). When its process dies another
        can have it at once; when the machine is gone, or the store is behind a pooler, once *ttl* is over. A holder
        that cannot renew it in time has lost it: then ``lock.lost`` is true, and ``lock.check()`` and the end of the
        block raise ``LockLost``. Raises ``UsageError`` for a *ttl* or *wait* that is none, and as all calls that write.
        """
        return Holding(self._kept_by, checked_name("name", name), _ttl(ttl), _duration("wait", wait))

    def close(self) -> None:
        """Let go of the connection that locks are tied to, unless one is held."""
        if self._keeper is not None and self._owner == os.getpid():
            self._keeper.close()

    def _kept_by(self) -> Keeper:
        """Who keeps the locks of this process, in the store that the app has now."""
        store, owner = self._store(), os.getpid()
        with opening():
            if self._keeper is None or self._owner != owner or self._keeper.store is not store:
                self._keeper, self._owner = Keeper(store), owner
            return self._keeper


class Holding:
    """What ``app.locks.hold`` gives: a context manager, plain and async. It can be entered again once it was left."""

    def __init__(self, keeper: Callable[[], Keeper], name: str, ttl: int, wait: int) -> None:
        """Takes nothing yet. *ttl* and *wait* in microseconds."""
        self._keeper = keeper
        self._name, self._ttl, self._wait = name, ttl, wait * MICROSECOND.total_seconds()
        self._taken: tuple[Keeper, KeptLock] | None = None

    def __enter__(self) -> Lock:
        """Take it."""
        keeper, owner, lock = self._keeper(), os.urandom(16), None
        try:
            lock = _driven(keeper.store, self._steps(keeper.store, owner))
            keeper.keep(lock)
            wait_for([lock.known], TIED)
        except BaseException as error:
            self._undo(keeper, owner, lock, error)
            raise
        self._taken = (keeper, lock)
        return lock

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back; raise ``LockLost`` when it was lost, unless the block has raised."""
        keeper, lock = self._left()
        last = keeper.store.locks.release(lock.name, lock.token)
        kept, done = not lock.lost, False
        try:
            if kept:
                kept, done = keeper.store.run(last), True
        except ConveyorError as failure:
            _not_released(lock, failure)
        finally:
            keeper.drop(lock, None if done else _plan(last))
        _ended(lock, error, kept=kept)

    async def __aenter__(self) -> Lock:
        """Take it."""
        keeper, owner, lock = self._keeper(), os.urandom(16), None
        try:
            lock = await _adriven(keeper.store, self._steps(keeper.store, owner))
            keeper.keep(lock)
            await asyncio.wait([asyncio.wrap_future(lock.known)], timeout=TIED)
        except BaseException as error:
            self._undo(keeper, owner, lock, error)
            raise
        self._taken = (keeper, lock)
        return lock

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back; raise ``LockLost`` when it was lost, unless the block has raised."""
        keeper, lock = self._left()
        last = keeper.store.locks.release(lock.name, lock.token)
        kept, done = not lock.lost, False
        try:
            if kept:
                kept, done = await keeper.store.arun(last), True
        except ConveyorError as failure:
            _not_released(lock, failure)
        finally:
            keeper.drop(lock, None if done else _plan(last))
        _ended(lock, error, kept=kept)

    def _steps(self, store: Store, owner: bytes) -> Steps:
        """Take it, or wait until it can be taken."""
        end = ticks() + self._wait
        holder = f"{socket.gethostname()}, process {os.getpid()}"
        over = tried = NOBODY
        pause = FIRST_LOOK
        while True:
            sent = ticks()
            given = yield _plan(store.locks.take(self._name, owner, holder, self._ttl, over))
            if isinstance(given, int):
                return KeptLock(self._name, given, self._ttl, sent)
            held = cast(Held | None, given)
            over = NOBODY
            while held is not None and over == NOBODY:
                if held.vacant and held.token != tried:
                    over = tried = held.token
                    yield store.locks.grace
                    continue
                left = end - ticks()
                if left <= 0:
                    raise LockHeld(self._refusal(held))
                yield min(jittered(pause), left)
                pause = min(2 * pause, LATER_LOOK)
                held = cast(Held | None, (yield _plan(store.locks.look(self._name))))

    def _refusal(self, held: Held) -> str:
        lasted = f"{(held.now - held.since) / 1_000_000:.0f} s"
        since = f"{moment(held.since):%Y-%m-%d %H:%M:%S} UTC"
        waited = f", and was not given back within {self._wait:g} s" if self._wait else ""
        fix = "try again later" if self._wait else "try again later, or say how long to wait for it: hold(..., wait=10)"
        return f"the lock {self._name!r} is held by {held.holder}, since {since} ({lasted}){waited}; {fix}"

    def _undo(self, keeper: Keeper, owner: bytes, lock: KeptLock | None, error: BaseException) -> None:
        """It could not be entered, though the lock may be ours: with an answer that was lost, or that nobody heard."""
        if lock is not None:
            lock.given_back = True
            keeper.drop(lock, _plan(keeper.store.locks.release(lock.name, lock.token)))
        elif isinstance(error, OutcomeUnknown) or not isinstance(error, ConveyorError):
            keeper.drop(None, _plan(keeper.store.locks.forsake(self._name, owner)))

    def _left(self) -> tuple[Keeper, KeptLock]:
        taken, self._taken = self._taken, None
        if taken is None:
            raise UsageError(f"the lock {self._name!r} was not taken by this `with`")
        if not taken[1].ours:  # nothing of it is to be given back here
            taken[1].check()
        taken[1].given_back = True
        return taken


def _ended(lock: KeptLock, error: BaseException | None, *, kept: bool) -> None:
    """Its block has ended, with *error*; raise ``LockLost`` if it was not *kept* until then, and all else is well."""
    if error is None and not kept:
        lock.lose("somebody else has taken it")
        lock.check()
    lock.lose("it was given back")


def _driven(store: Store, steps: Steps) -> KeptLock:
    try:
        asked = next(steps)
        while True:
            if isinstance(asked, Plan):
                asked = steps.send(store.run(asked))
            else:
                time.sleep(asked)
                asked = steps.send(None)
    except StopIteration as end:
        return cast(KeptLock, end.value)


async def _adriven(store: Store, steps: Steps) -> KeptLock:
    try:
        asked = next(steps)
        while True:
            if isinstance(asked, Plan):
                asked = steps.send(await store.arun(asked))
            else:
                await asyncio.sleep(asked)
                asked = steps.send(None)
    except StopIteration as end:
        return cast(KeptLock, end.value)


def _plan(plan: Plan[T]) -> Plan[object]:
    return cast(Plan[object], plan)


def _ttl(value: Duration) -> int:
    ttl = _duration("ttl", value)
    if not SHORTEST <= ttl * MICROSECOND.total_seconds() <= LONGEST:
        raise UsageError(
            f"ttl={value!r} must lie between {SHORTEST:g} s and {LONGEST:,.0f} s; a lock is renewed for as long as it "
            "is held, and ttl is how long others wait when its holder has vanished without a trace"
        )
    return ttl


def _duration(what: str, value: Duration) -> int:
    try:
        return microseconds(what, value)
    except (PayloadError, TypeError) as error:
        raise UsageError(str(error)) from None


def _not_released(lock: KeptLock, error: ConveyorError) -> None:
    """No error: what was done under it is done, although others get the lock a little later."""
    logger.warning("the lock %r could not be given back, and runs out by itself: %s", lock.name, error)
