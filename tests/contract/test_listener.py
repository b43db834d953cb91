"""Listeners: a ring reaches a worker that waits, from wherever the job became due."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from functools import partial
from pathlib import Path

import psycopg
import pytest

from conveyor.core.lifecycle import Event
from conveyor.core.model import JobFilter
from conveyor.plan import Ring
from conveyor.store.contract import Store
from conveyor.store.listener import Listener
from tests.support.jobs import HOUR, QUEUE, Hand, Hire, enqueue, new_job, outcome, rescue
from tests.support.stores import SHARED, rows, tables
from tests.support.waiting import auntil

ROOT = Path(__file__).parents[2]
EARS = b"\7" * 16
ON_POSTGRES = pytest.mark.parametrize("url", ["postgres"], indirect=True)
SHARE = pytest.mark.parametrize("url", SHARED, indirect=True)


class Rung:
    """What a listener has heard."""

    def __init__(self) -> None:
        self.events = {why: asyncio.Event() for why in Ring}

    def __call__(self, why: Ring) -> None:
        self.events[why].set()

    def is_set(self, why: Ring = Ring.WORK) -> bool:
        return self.events[why].is_set()


@contextlib.asynccontextmanager
async def listening(store: Store, url: str, folder: Path) -> AsyncGenerator[tuple[Listener, Rung]]:
    """A listener of the runner ``EARS`` that hears by now, and what it has heard."""
    runner = EARS
    listener, rung = store.listener(runner), Rung()
    task = asyncio.create_task(listener.listen(rung))
    try:
        if url.startswith("postgres"):
            await auntil(lambda: listener.hears)
            for why in Ring:  # whatever was said before it could hear
                await heard(rung, why)
            await listener.idle(60)
        elif "memory" in url:
            await asyncio.sleep(0)
        else:
            await auntil((folder / f"jobs.db-conveyor/{runner.hex()}.bell").exists)
        assert not any(map(rung.is_set, Ring))
        yield listener, rung
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        if url.startswith("postgres"):
            await store.aclose()


async def heard(rung: Rung, why: Ring = Ring.WORK) -> None:
    """Wait for that ring, and for the next one from now on."""
    async with asyncio.timeout(10):
        await rung.events[why].wait()
    rung.events[why].clear()


async def test_an_enqueue_rings(store: Store, url: str, folder: Path) -> None:
    async with listening(store, url, folder) as (_, rung):
        for _ in range(3):
            await store.arun(store.operations.enqueue([new_job()]))
            await heard(rung)
        await asyncio.to_thread(enqueue, store, new_job())
        await heard(rung)


async def test_a_repeated_enqueue_rings(store: Store, url: str, folder: Path) -> None:
    async with listening(store, url, folder) as (_, rung):
        await store.arun(store.operations.repeat_enqueue([new_job()]))
        await heard(rung)


@pytest.mark.parametrize("event", [Event.RELEASE, Event.RETRY])
async def test_a_job_that_is_ready_again_rings(store: Store, url: str, folder: Path, hire: Hire, event: Event) -> None:
    hand = await asyncio.to_thread(hire)
    enqueue(store, new_job())
    claimed = hand.take_one()
    async with listening(store, url, folder) as (_, rung):
        await store.arun(store.operations.settle([outcome(claimed, hand.id, event)]))
        await heard(rung)


async def test_a_rescue_rings(store: Store, url: str, folder: Path, hire: Hire) -> None:
    dead = await asyncio.to_thread(hire)
    enqueue(store, new_job())
    dead.take_one()
    dead.die()
    async with listening(store, url, folder) as (_, rung):
        assert await asyncio.to_thread(rescue, store) == 1
        await heard(rung)


async def test_what_people_make_ready_rings(store: Store, url: str, folder: Path, hire: Hire) -> None:
    hand, late = await asyncio.to_thread(hire), new_job(delay=HOUR)
    enqueue(store, new_job(), late)
    ended = hand.run_one(Event.FAIL)
    control = store.control
    async with listening(store, url, folder) as (_, rung):
        for plan in (
            control.revive(JobFilter(ids=(ended.id,)), 10, None),
            control.hasten(JobFilter(ids=(late.id,)), 10, None),
        ):
            assert (await store.arun(plan)).changed == 1
            await heard(rung)
        await store.arun(control.pause(QUEUE))
        await store.arun(control.resume(QUEUE))
        await heard(rung)
        assert not rung.is_set(Ring.CANCEL)


async def test_a_wish_to_cancel_rings_for_the_runner_that_holds_the_job(
    store: Store, url: str, folder: Path, hire: Hire
) -> None:
    hand = await asyncio.to_thread(partial(hire, id_=EARS))
    enqueue(store, new_job())
    claimed = hand.take_one()
    async with listening(store, url, folder) as (_, rung):
        asked = await store.arun(store.control.ask(JobFilter(), "no more", 10, None))
        assert asked.changed == 1
        await heard(rung, Ring.CANCEL)
        assert not rung.is_set()
        assert await store.arun(store.operations.asked(EARS)) == [(claimed.id, claimed.token, "no more")]


@ON_POSTGRES
async def test_a_wish_to_cancel_does_not_ring_for_others(store: Store, url: str, folder: Path, hire: Hire) -> None:
    hand = await asyncio.to_thread(hire)
    enqueue(store, new_job(), new_job())
    hand.take_one()
    async with listening(store, url, folder) as (_, rung):
        await store.arun(store.control.ask(JobFilter(), "no more", 10, None))
        await store.arun(store.operations.enqueue([new_job()]))
        await heard(rung)  # which was notified later, and so is heard later
        assert not rung.is_set(Ring.CANCEL)


@SHARE
async def test_a_ring_comes_from_another_store_and_from_another_process(
    store: Store, url: str, folder: Path, opened: Callable[[], Store]
) -> None:
    other = opened()
    async with listening(store, url, folder) as (_, rung):
        await asyncio.to_thread(enqueue, other, new_job())
        await heard(rung)
        command = [sys.executable, "-m", "tests.support.enqueuer", url]
        await asyncio.to_thread(subprocess.run, command, cwd=ROOT, check=True)
        await heard(rung)


async def test_several_listeners_all_hear(store: Store, url: str, folder: Path) -> None:
    async with listening(store, url, folder) as (_, first):
        listener, second = store.listener(b"\x08" * 16), Rung()
        task = asyncio.create_task(listener.listen(second))
        async with asyncio.timeout(10):
            while not second.is_set():  # until it listens, rings pass it by
                await store.arun(store.operations.enqueue([new_job()]))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(second.events[Ring.WORK].wait(), 0.02)
        await heard(first)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_one_can_stop_listening_and_listen_again(store: Store, url: str, folder: Path) -> None:
    for _ in range(3):
        async with listening(store, url, folder) as (_, rung):
            await store.arun(store.operations.enqueue([new_job()]))
            await heard(rung)


def test_a_listener_that_is_gone_with_its_loop_hurts_nobody(store: Store, url: str, folder: Path) -> None:
    listeners: list[Listener] = []

    async def listened() -> None:
        async with listening(store, url, folder) as (listener, _):
            listeners.append(listener)

    asyncio.run(listened())
    enqueue(store, new_job())
    assert tables(store) == (1, 0)


async def test_whether_something_changed_is_never_missed(store: Store, url: str, opened: Callable[[], Store]) -> None:
    listener = store.listener(b"\7" * 16)
    await listener.changed()
    enqueue(store, new_job())
    assert await listener.changed()
    if "memory" not in url:
        enqueue(opened(), new_job())
        assert await listener.changed()


@pytest.mark.parametrize("url", ["sqlite-file"], indirect=True)
async def test_a_quiet_file_is_seen_to_be_unchanged(store: Store) -> None:
    listener = store.listener(b"\7" * 16)
    enqueue(store, new_job())
    assert await listener.changed()
    assert not await listener.changed()
    assert not await listener.idle(1)


@pytest.mark.parametrize("url", ["sqlite-file"], indirect=True)
def test_the_bell_of_a_dead_worker_is_taken_down(store: Store, folder: Path, hand: Hand) -> None:
    bell = folder / "jobs.db-conveyor" / f"{'0f' * 16}.bell"
    command = f"import os; os.mkfifo({str(bell)!r})"
    subprocess.run([sys.executable, "-c", command], check=True)
    enqueue(store, new_job())
    assert not bell.exists()


# -- PostgreSQL alone: notifications are asked for


def notified(connection: psycopg.Connection[tuple[object, ...]]) -> list[str]:
    """What was notified on our channel until now: a last notification of our own marks the end."""
    connection.execute("SELECT pg_notify('conveyor', 'the end')")
    notes: list[str] = []
    for note in connection.notifies(timeout=10):
        if note.payload == "the end":
            return notes
        notes.append(note.payload)
    raise AssertionError("our own notification did not come")


@pytest.mark.direct
@ON_POSTGRES
def test_notifications_are_sent_only_while_somebody_asked_for_them(store: Store, url: str, hand: Hand) -> None:
    ears = store.listener(hand.id)

    async def asked() -> bool:
        try:
            return await ears.idle(30)
        finally:
            await store.aclose()

    def work() -> None:
        enqueue(store, new_job(), new_job(), new_job(queue="other"))
        first, second = hand.take(2)
        hand.end(first, Event.RETRY, delay=HOUR)
        hand.end(second, Event.SUCCEED)
        store.run(store.operations.repeat_enqueue([new_job(queue="third")]))

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("LISTEN conveyor")
        work()
        assert notified(connection) == []
        assert asyncio.run(asked())
        work()
        notes = [note.split(" ", 2) for note in notified(connection)]
        assert sorted((priority, queue) for priority, _, queue in notes) == [
            ("0", "default"),
            ("0", "default"),
            ("0", "other"),
            ("0", "third"),
        ]
        late = rows(store, "SELECT max(run_after) FROM conveyor_job WHERE queue = 'default'")[0][0]
        assert str(late) in {due for _, due, _ in notes}
        rows(store, "SELECT setval('conveyor_bell', conveyor_now() - 1)")
        work()
        assert notified(connection) == []


@ON_POSTGRES
async def test_asking_says_whether_one_more_look_is_needed(store: Store, hand: Hand) -> None:
    listener = store.listener(hand.id)
    assert await listener.idle(30)
    assert not await listener.idle(30)
    assert await listener.idle(600)
    await store.aclose()


@ON_POSTGRES
async def test_asking_never_shortens_what_another_asked_for(store: Store) -> None:
    await store.listener(b"\1" * 16).idle(3600)
    before = rows(store, "SELECT last_value FROM conveyor_bell")
    await store.listener(b"\2" * 16).idle(1)
    assert rows(store, "SELECT last_value FROM conveyor_bell") == before
    await store.aclose()


@pytest.mark.direct
@ON_POSTGRES
async def test_a_lost_listening_connection_rings_and_is_made_anew(store: Store, url: str, folder: Path) -> None:
    async with listening(store, url, folder) as (_, rung):
        others = "FROM pg_stat_activity WHERE query LIKE 'LISTEN %' AND pid <> pg_backend_pid()"
        assert rows(store, f"SELECT count(pg_terminate_backend(pid)) {others}") == [(1,)]
        for why in Ring:  # whatever was notified meanwhile is lost, and it hears again by now
            await heard(rung, why)
        await store.arun(store.operations.enqueue([new_job()]))
        await heard(rung)
