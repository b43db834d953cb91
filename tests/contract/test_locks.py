"""``app.locks``: one holder at a time, who knows when it is one no more."""

import asyncio
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import NoReturn

import pytest

from conveyor import Conveyor, Lock, LockHeld, LockLost, StoreUnavailable, UsageError
from conveyor.client.lock import KeptLock
from conveyor.client.locks import Holding
from conveyor.core.errors import OutcomeUnknown, PayloadError
from conveyor.plan import Plan
from tests.support.forks import forked
from tests.support.pgbouncer import past
from tests.support.stores import number, rows
from tests.support.waiting import auntil, until

NAME = "nightly"
RAN_OUT = "SELECT expires_at FROM conveyor_lock"


@pytest.fixture
def app(url: str) -> Iterator[Conveyor]:
    made = Conveyor(url, listen_url=past(url))
    yield made
    made.close()


def refused(app: Conveyor, *, wait: float = 0.0) -> str:
    """Why the lock cannot be taken."""
    with pytest.raises(LockHeld) as error, app.locks.hold(NAME, wait=wait):
        pass
    return str(error.value)


def steal(app: Conveyor) -> None:
    """Take the lock away, as if its time had been over and another had come."""
    rows(app.store, "UPDATE conveyor_lock SET token = token + 1, tied = NULL")


def enter(app: Conveyor, holding: Holding) -> Lock:
    """Take it with ``async with``, and give it back; what it was."""

    async def entered() -> Lock:
        try:
            async with holding as lock:
                lock.check()
                return lock
        finally:
            await app.aclose()

    return asyncio.run(entered())


# ------------------------------------------------------------------- holding


def test_a_lock_has_a_name_and_a_token_that_grows_and_is_over_with_its_block(app: Conveyor) -> None:
    holding = app.locks.hold(NAME, ttl=timedelta(seconds=60), wait=timedelta(0))
    with holding as lock:
        assert (lock.name, lock.lost) == (NAME, False)
        lock.check()
    second = enter(app, holding)
    with holding as again:
        assert lock.token < second.token < again.token
    assert lock.lost
    with pytest.raises(LockLost, match="given back"):
        lock.check()


def test_who_has_it_is_named(app: Conveyor) -> None:
    with app.locks.hold(NAME), app.locks.hold("another"):
        assert f"process {os.getpid()}, since 20" in refused(app)
        assert "wait=" in refused(app)
        assert "within 0.01 s" in refused(app, wait=0.01)
        with pytest.raises(LockHeld):
            enter(app, app.locks.hold(NAME))
    with app.locks.hold(NAME):
        pass


def test_two_threads_are_never_in_it_at_once(app: Conveyor) -> None:
    inside: list[int] = []
    most: list[int] = []

    def turns() -> None:
        for _ in range(10):
            with app.locks.hold(NAME, wait=30) as lock:
                inside.append(lock.token)
                most.append(len(inside))
                inside.remove(lock.token)

    with ThreadPoolExecutor() as pool:
        for turn in [pool.submit(turns) for _ in range(4)]:
            turn.result()
    assert most == [1] * 40


async def test_two_tasks_are_never_in_it_at_once(app: Conveyor) -> None:
    inside: list[int] = []
    most: list[int] = []

    async def turns() -> None:
        for _ in range(5):
            async with app.locks.hold(NAME, wait=30) as lock:
                inside.append(lock.token)
                await asyncio.sleep(0)
                most.append(len(inside))
                inside.remove(lock.token)

    await asyncio.gather(*(turns() for _ in range(4)))
    await app.aclose()
    assert most == [1] * 20


def test_who_waits_has_it_soon_after_it_was_given_back(app: Conveyor) -> None:
    waits = threading.Event()

    def waited() -> int:
        waits.set()
        with app.locks.hold(NAME, wait=10) as lock:
            return lock.token

    with ThreadPoolExecutor() as pool:
        with app.locks.hold(NAME):
            waiter = pool.submit(waited)
            waits.wait()
            refused(app, wait=0.3)  # so long has the other one waited, too
            assert not waiter.done()
        assert waiter.result(1.0) > 0


def test_an_error_of_the_block_passes_and_gives_it_back(app: Conveyor) -> None:
    with pytest.raises(ZeroDivisionError), app.locks.hold(NAME):
        _ = 1 / 0
    with app.locks.hold(NAME):
        pass


def test_an_error_of_the_block_passes_though_it_was_lost(app: Conveyor) -> None:
    with pytest.raises(ZeroDivisionError), app.locks.hold(NAME):  # noqa: PT012 - what follows is the block
        steal(app)
        _ = 1 / 0


def test_only_who_has_entered_can_leave(app: Conveyor) -> None:
    with pytest.raises(UsageError, match="not taken"):
        app.locks.hold(NAME).__exit__(None, None, None)


@pytest.mark.parametrize("ttl", [0.999, 3_601, float("nan"), -1, "30", None, True])
def test_a_ttl_that_is_none_is_refused(app: Conveyor, ttl: float) -> None:
    with pytest.raises(UsageError, match="ttl"):
        app.locks.hold(NAME, ttl=ttl)


@pytest.mark.parametrize("wait", [-1, float("inf"), "30", None])
def test_a_wait_that_is_none_is_refused(app: Conveyor, wait: float) -> None:
    with pytest.raises(UsageError, match="wait"):
        app.locks.hold(NAME, wait=wait)


@pytest.mark.parametrize("name", ["", "x" * 201, "a\nb"])
def test_a_name_that_is_none_is_refused(app: Conveyor, name: str) -> None:
    with pytest.raises(PayloadError, match="name"):
        app.locks.hold(name)


# ------------------------------------------------------------------- keeping


def renewed(app: Conveyor, since: int) -> bool:
    """Whether it lasts a good second longer than then, so that without it would be over."""
    return number(app.store, RAN_OUT) - since > 1_300_000


def test_it_is_renewed_while_it_is_held(app: Conveyor) -> None:
    with app.locks.hold(NAME, ttl=1) as lock:
        since = number(app.store, RAN_OUT)
        until(lambda: renewed(app, since))
        assert not lock.lost
        refused(app)


async def test_it_is_renewed_while_the_event_loop_is_blocked(app: Conveyor) -> None:
    async with app.locks.hold(NAME, ttl=1) as lock:
        since = number(app.store, RAN_OUT)
        until(lambda: renewed(app, since))
        assert not lock.lost
    await app.aclose()


def test_whose_lock_another_has_taken_is_told_so(app: Conveyor) -> None:
    with pytest.raises(LockLost, match="somebody else"), app.locks.hold(NAME, ttl=1) as lock:  # noqa: PT012 - the block
        steal(app)
        until(lambda: lock.lost)
        with pytest.raises(LockLost, match=r"'nightly' \(token \d+\) is lost: somebody else has taken it"):
            lock.check()


def test_the_end_of_the_block_asks_once_more(app: Conveyor) -> None:
    with pytest.raises(LockLost), app.locks.hold(NAME, ttl=60) as lock:  # noqa: PT012 - the block
        steal(app)
        assert not lock.lost
    refused(app)


async def test_the_end_of_an_async_block_asks_once_more(app: Conveyor) -> None:
    with pytest.raises(LockLost):
        async with app.locks.hold(NAME, ttl=60):
            await asyncio.to_thread(steal, app)
    await app.aclose()


def test_what_cannot_be_renewed_in_time_is_lost(app: Conveyor, monkeypatch: pytest.MonkeyPatch) -> None:
    holding = app.locks.hold(NAME, ttl=1)
    with pytest.raises(LockLost, match="not be renewed in time"), holding as lock:  # noqa: PT012 - the block
        monkeypatch.setattr(app.store, "run", unavailable)
        until(lambda: lock.lost)
    monkeypatch.undo()
    with app.locks.hold(NAME, wait=10):
        pass


def test_a_store_that_is_away_for_less_than_that_costs_nothing(app: Conveyor, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Plan[object]] = []

    def away(plan: Plan[object]) -> NoReturn:
        tried.append(plan)
        unavailable(plan)

    with app.locks.hold(NAME, ttl=2) as lock:
        since = number(app.store, RAN_OUT)
        monkeypatch.setattr(app.store, "run", away)
        until(lambda: len(tried) >= 2)
        monkeypatch.undo()
        until(lambda: number(app.store, RAN_OUT) > since)
        assert not lock.lost


def test_a_tie_whose_answer_was_lost_is_kept(app: Conveyor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store has it, and would take a lock without its tie for that of somebody who has died."""
    locks, run = app.store.locks, app.store.run
    tie, asked = locks.tie, list[Plan[bool]]()

    def noted(name: str, token: int) -> Plan[bool]:
        asked.append(tie(name, token))
        return asked[-1]

    def unheard(plan: Plan[object]) -> object:
        given = run(plan)
        if any(plan is one for one in asked):
            raise OutcomeUnknown("the answer was lost")
        return given

    monkeypatch.setattr(locks, "tie", noted)
    monkeypatch.setattr(app.store, "run", unheard)
    with app.locks.hold(NAME, ttl=60) as lock:
        refused(app, wait=1.0)
        assert not lock.lost
    assert bool(asked) == (not app.url.endswith(":memory:"))


def test_a_renewal_that_comes_too_late_does_not_count() -> None:
    lock = KeptLock(NAME, 1, 1_000_000, -1e9)
    assert lock.lost
    lock.renewed(1e9)
    with pytest.raises(LockLost):
        lock.check()


def test_what_cannot_be_given_back_is_no_error_and_runs_out(app: Conveyor, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was done was done under the lock."""
    with app.locks.hold(NAME, ttl=1) as lock:
        monkeypatch.setattr(app.store, "run", unavailable)
    monkeypatch.undo()
    with app.locks.hold(NAME, wait=10) as again:
        assert again.token > lock.token


def unavailable(plan: Plan[object]) -> NoReturn:
    """A store that is away."""
    raise StoreUnavailable("gone for a while")


# ------------------------------------------------------------------ troubles


@pytest.mark.parametrize("error", [OutcomeUnknown("who knows"), KeyboardInterrupt()])
def test_who_never_hears_that_it_has_it_does_not_keep_it(
    app: Conveyor, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    run = app.store.run

    def answerless(plan: Plan[object]) -> NoReturn:
        run(plan)
        monkeypatch.undo()
        raise error

    monkeypatch.setattr(app.store, "run", answerless)
    with pytest.raises(type(error)), app.locks.hold(NAME, ttl=60):
        pass
    with app.locks.hold(NAME, wait=10) as lock:
        assert lock.token > 0


@pytest.mark.parametrize("cut", ["take", "wait", "tie"])
async def test_a_task_that_is_cancelled_on_its_way_in_keeps_nothing(
    app: Conveyor, monkeypatch: pytest.MonkeyPatch, cut: str
) -> None:
    entering = app.locks.hold(NAME, ttl=60, wait=60)

    async def entered() -> None:
        async with entering:
            await asyncio.Event().wait()

    async with app.locks.hold(NAME if cut == "wait" else "another"):
        task = asyncio.create_task(entered())
        if cut == "take":
            await asyncio.sleep(0)
        elif cut == "wait":
            await auntil(lambda: refused(app) != "")
        else:
            await auntil(lambda: number(app.store, "SELECT count(*) FROM conveyor_lock WHERE name = 'nightly'") == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with app.locks.hold(NAME, wait=10) as lock:
        assert not lock.lost
    await app.aclose()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_does_not_have_it_and_its_parent_does(app: Conveyor) -> None:
    holding = app.locks.hold(NAME)
    with holding as lock:

        def leaves() -> str:
            try:
                holding.__exit__(None, None, None)
            except LockLost as error:
                return str(error)
            return ""

        assert forked(lambda: f"{lock.lost}") == "True"
        assert f"held by process {os.getpid()}" in forked(leaves)
        lock.check()
        refused(app)
