"""Who is told of ends and of progress: the worker's parts by themselves."""

import asyncio
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from conveyor import Ended, State
from conveyor.around import Around
from conveyor.context import Context
from conveyor.core.errors import OutcomeUnknown, StoreRefused, StoreUnavailable
from conveyor.core.lifecycle import Event
from conveyor.core.model import Outcome, Report
from conveyor.hooks import Hooks
from conveyor.store.answers import Settled
from conveyor.store.contract import Store
from conveyor.task import define
from conveyor.worker.attempt import Attempt
from conveyor.worker.duty import kept
from conveyor.worker.progress import KEPT, Reporter
from conveyor.worker.settle import Settler
from conveyor.worker.tell import Teller
from conveyor.worker.threads import DaemonThreads
from tests.unit.test_worker_parts import DONE, JOB, RUNNER, nothing, soon, store


class Ear:
    """A teller of one task, and what its hooks have heard."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, State, str | None]] = []
        every = ("on_success", "on_failure", "on_retry", "on_finish")
        around = Around(hooks=Hooks(**{name: (self._hook(name),) for name in every}))
        self.teller = Teller({"wait": define(nothing, "wait", takes_context=False)}, around)

    def _hook(self, name: str) -> Callable[[Ended], object]:
        async def hook(end: Ended) -> None:
            self.heard.append((name, end.state, end.reason))

        return hook

    async def all(self) -> list[tuple[str, State, str | None]]:
        """What was heard, once nobody is being told any more."""
        await soon(lambda: not len(self.teller))
        return self.heard


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conveyor.worker.duty.jittered", lambda _: 0.0)


async def settled(ear: Ear, outcome: Outcome, *answers: Settled | Exception) -> None:
    """Put *outcome* through a settler, to whom the store gives *answers* one after the other."""
    left = list(answers)

    def settle(_: object) -> Settled:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def told(outcomes: Sequence[Outcome], answer: Settled) -> None:
        for one in outcomes:
            ear.teller.settled(one, refused=one.id in answer.refused, stopped=one.id in answer.stopped)

    ear.teller.expect(JOB, outcome)
    settler = Settler(store(settle=settle), told, nothing)
    settler.put(outcome)
    work = asyncio.create_task(kept("settle", settler.work))
    assert await settler.drained(5)
    work.cancel()
    assert left == []


LOST = OutcomeUnknown("the answer was lost")


@pytest.mark.usefixtures("no_pauses")
async def test_an_end_whose_answer_was_lost_is_told_once() -> None:
    ear = Ear()
    await settled(ear, DONE, LOST, LOST, Settled())
    ear.teller.settled(DONE, refused=False, stopped=False)
    assert await ear.all() == [("on_success", State.SUCCEEDED, None), ("on_finish", State.SUCCEEDED, None)]


@pytest.mark.usefixtures("no_pauses")
async def test_an_end_that_is_another_runners_is_told_by_nobody() -> None:
    ear = Ear()
    await settled(ear, DONE, LOST, Settled(refused=frozenset({JOB.id})))
    assert (await ear.all(), ear.teller.expects) == ([], False)


async def test_a_success_whose_result_the_store_refused_is_told_as_the_failure_that_it_was_written_as() -> None:
    ear = Ear()
    await settled(ear, DONE._replace(result=b"1"), StoreRefused("too large"), Settled())
    assert await ear.all() == [("on_failure", State.FAILED, None), ("on_finish", State.FAILED, None)]


async def test_a_retry_that_the_store_made_a_cancellation_is_told_as_one() -> None:
    ear = Ear()
    await settled(ear, DONE._replace(event=Event.RETRY), Settled(stopped=frozenset({JOB.id})))
    assert await ear.all() == [("on_finish", State.CANCELLED, None)]


@pytest.mark.parametrize("event", [Event.RELEASE, Event.SNOOZE])
async def test_what_is_no_end_is_told_to_nobody(event: Event) -> None:
    ear = Ear()
    await settled(ear, DONE._replace(event=event), Settled())
    assert await ear.all() == []


async def test_a_thread_that_raises_stop_iteration_is_heard_of() -> None:
    """asyncio's futures do not take it: who awaits would wait for ever."""
    threads = DaemonThreads("test")
    with pytest.raises(RuntimeError, match="StopIteration"):
        await asyncio.get_running_loop().run_in_executor(threads, next, iter(()))
    threads.shutdown()


# --------------------------------------------------------------- progress


class Desk:
    """An attempt that says how far it has come, and a store that writes it down when it is let."""

    def __init__(self) -> None:
        self.context = Context(JOB, cast(Any, None), cast(Any, None))
        self.attempt = cast(Attempt, SimpleNamespace(context=self.context, job=JOB, runner=RUNNER, untouchable=False))
        self.written: list[bytes] = []
        self.gate: asyncio.Event | None = None
        self.errors: list[Exception] = []
        operations = SimpleNamespace(report=lambda reports: reports)
        self.store = cast(Store, SimpleNamespace(operations=operations, arun=self._report))
        self.reporter = Reporter(self.store, lambda: [self.attempt])

    async def _report(self, reports: Sequence[Report]) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)
        self.written += [report.progress for report in reports]

    def says(self, value: float) -> None:
        self.context.progress(value)

    def ends(self) -> None:
        self.reporter.ended(self.attempt)


async def test_an_older_report_never_arrives_after_a_newer_one_nor_after_the_outcome() -> None:
    desk = Desk()
    desk.gate = asyncio.Event()
    desk.says(0.1)
    slow = asyncio.create_task(desk.reporter.work())
    await asyncio.sleep(0)
    desk.says(0.9)
    desk.ends()
    before = asyncio.create_task(desk.reporter.flush())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not before.done()
    desk.gate.set()
    await asyncio.gather(slow, before)
    assert desk.written == [b'{"value":0.1}', b'{"value":0.9}']


async def test_progress_that_could_not_be_written_is_written_in_the_next_round_unless_there_is_newer() -> None:
    desk = Desk()
    for newer in (None, 0.7):
        desk.says(0.5)
        desk.errors = [StoreUnavailable("gone")]
        with pytest.raises(StoreUnavailable):
            await desk.reporter.work()
        if newer is not None:
            desk.says(newer)
        await desk.reporter.work()
    assert desk.written == [b'{"value":0.5}', b'{"value":0.7}']


async def test_the_last_progress_is_kept_while_the_store_is_away_and_keeps_no_outcome_waiting() -> None:
    desk = Desk()
    desk.says(0.5)
    desk.ends()
    desk.errors = [StoreUnavailable("gone"), OutcomeUnknown("who knows")]
    await desk.reporter.flush()
    await desk.reporter.flush()
    assert desk.written == []
    await desk.reporter.flush()
    assert desk.written == [b'{"value":0.5}']


async def test_progress_that_the_store_refuses_is_dropped() -> None:
    desk = Desk()
    desk.says(0.5)
    desk.ends()
    desk.errors = [StoreRefused("no")]
    await desk.reporter.flush()
    await desk.reporter.flush()
    assert desk.written == []


async def test_progress_that_is_kept_is_bounded() -> None:
    desk = Desk()
    for _ in range(KEPT + 10):
        desk.says(0.5)
        desk.ends()
    await desk.reporter.flush()
    assert len(desk.written) == KEPT


async def test_only_the_latest_progress_counts() -> None:
    desk = Desk()
    for value in range(100_000):
        desk.says(value / 100_000)
    await desk.reporter.work()
    await desk.reporter.work()
    assert desk.written == [b'{"value":0.99999}']
