"""How a worker hears that there is something to do."""

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from conveyor.core.lifecycle import Event
from conveyor.core.model import JobFilter
from conveyor.plan import Ring
from conveyor.store.contract import Store
from conveyor.testing.contract.hands import Suite, ask, new_job
from conveyor.testing.hand import HOUR, PATIENCE, TASK, Hand, enqueue, outcome

ROUND = 0.05
"""Seconds to wait for one ring: a listener cannot say since when it hears, so the first ones may be in vain."""


async def rung(listening: Store, runner: bytes, do: Callable[[], object], why: Ring) -> bool:
    """Whether the listener of *runner* is rung for that reason, when *do* is done often enough."""
    heard: asyncio.Queue[Ring] = asyncio.Queue()
    listener = listening.listener(runner)
    task = asyncio.create_task(listener.listen(heard.put_nowait))
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                await listening.arun(listening.operations.claim(runner, {"default": 100}, [TASK], listener.sight))
                await listener.idle(60.0)
                await asyncio.to_thread(do)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(ROUND):
                        while await heard.get() is not why:
                            pass
                        return True
    finally:
        task.cancel()
        await asyncio.wait([task])
        await listening.aclose()


class Listening(Suite):
    """``Listener``: never the only wake-up, but one that comes."""

    def test_an_enqueue_rings(self, store: Store, second: Store, hand: Hand) -> None:
        """By whomever."""
        assert asyncio.run(rung(store, hand.id, lambda: enqueue(store, new_job()), Ring.WORK))
        assert asyncio.run(rung(store, hand.id, lambda: enqueue(second, new_job()), Ring.WORK))

    @pytest.mark.parametrize("change", ["hasten", "resume", "release"])
    def test_what_makes_jobs_ready_rings(self, store: Store, hand: Hand, change: str) -> None:
        """There is something to claim."""

        def hasten() -> None:
            enqueue(store, new_job(delay=HOUR))
            store.run(store.control.hasten(JobFilter(), 10, None))

        def resume() -> None:
            store.run(store.control.pause("default"))
            store.run(store.control.resume("default"))

        def release() -> None:
            enqueue(store, new_job(queue="r"))
            hand.settle(*(outcome(job, hand.id, Event.RELEASE) for job in hand.claim({"r": 10})))

        change_it = {"hasten": hasten, "resume": resume, "release": release}[change]
        assert asyncio.run(rung(store, hand.id, change_it, Ring.WORK))

    def test_the_wish_to_cancel_rings(self, store: Store, hand: Hand) -> None:
        """Otherwise than work does, and the runner that holds the job."""

        def wish() -> None:
            enqueue(store, new_job())
            hand.claim()
            ask(store, JobFilter())

        assert asyncio.run(rung(store, hand.id, wish, Ring.CANCEL))

    def test_a_listener_can_be_asked_for_changes(self, store: Store) -> None:
        """It says whether something may have changed, and whether it has proof that it hears."""

        async def asked() -> None:
            try:
                listener = store.listener(b"\7" * 16)
                assert listener.hears in {True, False}
                assert listener.next_look > 0
                assert await listener.changed() in {True, False}
                assert await listener.idle(1.0) in {True, False}
            finally:
                await store.aclose()

        asyncio.run(asked())
