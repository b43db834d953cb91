"""The small duties of a worker: progress, cancelling, upkeep, hooks; and jobs that are not started any more."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from conveyor.around import Around
from conveyor.core.extras import Extras, encoded, marked
from conveyor.core.judge import EXPIRED
from conveyor.core.lifecycle import Event, State
from conveyor.core.model import Held, Outcome, Report
from conveyor.core.policy import Policy
from conveyor.hooks import Ended, Hooks
from conveyor.store.answers import Arranged, Cure, Mended, Pass
from conveyor.store.contract import Store
from conveyor.task import Definition, define
from conveyor.worker import watch
from conveyor.worker.attempt import Attempt, Interruption
from conveyor.worker.execute import Executor
from conveyor.worker.progress import Reporter
from conveyor.worker.slots import Slots
from conveyor.worker.surround import Surround
from conveyor.worker.tell import Teller
from conveyor.worker.upkeep import AT_ONCE, NAMED, PASSES, Upkeep
from conveyor.worker.watch import Watch
from tests.unit.test_worker_parts import DONE, JOB, NOBODY, RUNNER, Hall, executing, soon, store

NEXT = JOB._replace(id=b"k" * 16)

# --------------------------------------------- jobs that are not started any more


async def let_go(hall: Hall) -> None:
    """Let all end that has started: what clings on would hold up whoever tells that the test has failed."""
    await soon(lambda: len(hall.gates) == len(hall.executor.attempts))
    for gate in hall.gates:
        gate.set()
    await soon(lambda: hall.running == 0)


@pytest.mark.parametrize(
    ("changes", "event", "reason"),
    [
        ({"expires_at": 10}, Event.EXPIRE, EXPIRED),
        ({"expires_at": 9}, Event.EXPIRE, EXPIRED),
        ({"cancelled": "enough"}, Event.CANCEL, "enough"),
        ({"cancelled": "", "expires_at": 9}, Event.CANCEL, ""),
    ],
)
async def test_a_job_whose_time_is_over_or_that_nobody_wants_is_not_started(
    changes: dict[str, object], event: Event, reason: str
) -> None:
    hall = Hall()
    job = JOB._replace(last_attempted_at=10)
    hall.executor.accept(RUNNER, [job._replace(**changes), NEXT._replace(last_attempted_at=10, expires_at=11)])
    started, outcomes = list(hall.executor.attempts), list(hall.outcomes)
    await let_go(hall)
    assert [(outcome.id, outcome.event, outcome.reason, outcome.back) for outcome in outcomes] == [
        (JOB.id, event, reason, True)
    ]
    assert started == [NEXT.id]


async def test_a_job_that_is_cancelled_while_it_waits_for_a_slot_is_not_started() -> None:
    hall = Hall(slots=1)
    hall.executor.accept(RUNNER, [JOB, NEXT])
    await soon(lambda: len(hall.gates) == 1)
    hall.executor.cancel(NEXT.id, NEXT.token + 1, "another attempt's")
    hall.executor.cancel(b"z" * 16, 1, "nobody's")
    hall.executor.cancel(NEXT.id, NEXT.token, "enough")
    hall.gates[0].set()
    await soon(lambda: len(hall.outcomes) == 2)
    assert [(outcome.id, outcome.event, outcome.reason) for outcome in hall.outcomes] == [
        (NEXT.id, Event.CANCEL, "enough"),  # at once, and not when its turn would have come
        (JOB.id, Event.SUCCEED, None),
    ]
    assert (len(hall.gates), hall.running) == (1, 0)
    assert hall.outcomes[0].back


@pytest.mark.parametrize("token", [1, 2])
async def test_a_running_job_is_cancelled_by_its_token(token: int) -> None:
    hall = Hall()
    hall.executor.accept(RUNNER, [JOB])
    await soon(lambda: len(hall.gates) == 1)
    hall.executor.cancel(JOB.id, token, "enough")
    await asyncio.sleep(0)
    hall.gates[0].set()
    await soon(lambda: bool(hall.outcomes))
    (outcome,) = hall.outcomes
    assert (outcome.event, outcome.reason, outcome.back) == (
        (Event.CANCEL, "enough", False) if token == JOB.token else (Event.SUCCEED, None, False)
    )


async def test_a_shutdown_comes_before_a_cancellation_that_is_heard_later() -> None:
    """It is released, and the store, which knows, ends it."""
    hall = Hall()
    hall.executor.accept(RUNNER, [JOB])
    await soon(lambda: len(hall.gates) == 1)
    hall.executor.interrupt(Interruption.SHUTDOWN)
    hall.executor.cancel(JOB.id, JOB.token, "enough")
    hall.gates[0].set()
    await soon(lambda: bool(hall.outcomes))
    assert [outcome.event for outcome in hall.outcomes] == [Event.RELEASE]


# ----------------------------------------------------------------- progress


def attempts(count: int) -> list[Attempt]:
    """Attempts that run nothing."""
    definition = define(print, "wait", takes_context=False)
    surround = Surround(cast(Store, None), NOBODY, Around())
    return [Attempt(JOB._replace(id=bytes([at]) * 16), RUNNER, definition, surround) for at in range(count)]


def reporting(running: Iterable[Attempt]) -> tuple[Reporter, list[list[Report]]]:
    written: list[list[Report]] = []
    return Reporter(store(report=lambda args: written.append(list(args[0]))), lambda: running), written


async def test_the_latest_progress_of_each_attempt_is_written_once() -> None:
    running = attempts(3)
    reporter, written = reporting(running)
    await reporter.work()
    running[0].context.progress(0.1)
    running[0].context.progress(0.5, "rows")
    running[2].context.progress(message="begun")
    await reporter.work()
    await reporter.work()
    (reports,) = written
    assert [(report.id, report.token, report.runner, report.progress) for report in reports] == [
        (running[0].job.id, 1, RUNNER, b'{"value":0.5,"message":"rows"}'),
        (running[2].job.id, 1, RUNNER, b'{"message":"begun"}'),
    ]


async def test_what_an_ended_attempt_said_last_is_written_before_its_outcome() -> None:
    first, second = attempts(2)
    reporter, written = reporting([second])
    first.context.progress(1)
    second.context.progress(0.5)
    reporter.ended(first)
    reporter.ended(attempts(1)[0])  # which said nothing
    await reporter.flush()
    await reporter.flush()
    assert [[report.id for report in reports] for reports in written] == [[first.job.id]]


async def test_an_attempt_whose_transaction_suffers_no_other_write_keeps_its_progress() -> None:
    (attempt,) = attempts(1)
    attempt._completing = cast(Any, SimpleNamespace(alone=True))
    reporter, written = reporting([attempt])
    attempt.context.progress(0.5)
    await reporter.work()
    assert (written, attempt.context.unsaved is not None) == ([], True)


# -------------------------------------------------------------------- watch


class Ears:
    """An executor that writes down what it is to cancel."""

    def __init__(self) -> None:
        self.holds = True
        self.cancelled: list[tuple[bytes, int, str]] = []

    def cancel(self, id_: bytes, token: int, reason: str) -> None:
        self.cancelled.append((id_, token, reason))


async def watched(ears: Ears, until: Callable[[], bool], *, ring: bool) -> list[bytes]:
    """Let the watch look until then; in whose name it has asked."""
    asked: list[bytes] = []

    def answer(args: tuple[bytes]) -> list[tuple[bytes, int, str]]:
        asked.append(args[0])
        return [(JOB.id, 1, "enough")]

    duty = Watch(store(asked=answer), cast(Executor, ears), lambda: RUNNER)
    work = asyncio.create_task(duty.work())
    if ring:
        duty.ring()
    try:
        async with asyncio.timeout(5):
            while not until():  # noqa: ASYNC110 - the duty has no event for it
                await asyncio.sleep(0)
    finally:
        work.cancel()
        await asyncio.wait([work])
    return asked


async def test_a_ring_has_it_look_at_once_whoever_runs() -> None:
    ears = Ears()
    ears.holds = False
    assert await watched(ears, lambda: bool(ears.cancelled), ring=True) == [RUNNER]
    assert ears.cancelled == [(JOB.id, 1, "enough")]


async def test_it_looks_by_itself_while_something_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOOK", 0.001)
    ears = Ears()
    assert len(await watched(ears, lambda: len(ears.cancelled) >= 3, ring=False)) >= 3


async def test_it_asks_nobody_while_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    def short(_: float) -> float:
        nonlocal looks
        looks += 1
        return 0.0

    monkeypatch.setattr(watch, "jittered", short)
    ears = Ears()
    ears.holds = False
    assert await watched(ears, lambda: looks > 5, ring=False) == []


# ------------------------------------------------------------------- upkeep


class Rooms:
    """A store with so many jobs to expire, and so many to prune."""

    def __init__(self, over: int, old: int) -> None:
        self.over, self.old = over, old
        self.passes: list[str] = []
        self.amiss: list[tuple[str, Cure]] = []
        self.control = self

    def expire(self, limit: int) -> Pass:
        self.passes.append("expire")
        done = min(self.over, limit)
        self.over -= done
        return Pass(done, done, frozenset(), None)

    def prune(self, limit: int) -> int:
        self.passes.append("prune")
        done = min(self.old, limit)
        self.old -= done
        return done

    def arrange(self) -> Arranged:
        return Arranged()

    def mend(self) -> Mended:
        return Mended(self.amiss)

    async def arun(self, answer: object) -> object:
        await asyncio.sleep(0)
        return answer


@pytest.mark.parametrize(
    ("over", "old", "left", "passes"),
    [
        (0, 0, (0, 0), (1, 1)),
        (1, 2, (0, 0), (1, 1)),
        (AT_ONCE * 2, AT_ONCE + 1, (0, 0), (3, 2)),
        (AT_ONCE * (PASSES + 1), AT_ONCE * (PASSES + 2), (AT_ONCE, AT_ONCE * 2), (PASSES, PASSES)),
    ],
)
async def test_upkeep_works_in_passes_and_lets_nobody_wait_for_long(
    over: int, old: int, left: tuple[int, int], passes: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    rooms = Rooms(over, old)
    await Upkeep(cast(Store, cast(Any, rooms))).work()
    assert (rooms.over, rooms.old) == left
    assert (rooms.passes.count("expire"), rooms.passes.count("prune")) == passes
    said = [record.getMessage().partition(" ")[0] for record in caplog.records]
    assert said == [str(over - left[0])] * bool(over) + ["deleted"] * bool(old)


async def test_what_was_mended_is_told_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    rooms = Rooms(0, 0)
    await Upkeep(cast(Store, cast(Any, rooms))).work()
    assert not caplog.messages
    rooms.amiss = [(f"job{number}", Cure.LINED_UP if number % 3 else Cure.RELEASED) for number in range(NAMED + 2)]
    await Upkeep(cast(Store, cast(Any, rooms))).work()
    (told,) = caplog.messages
    assert told.startswith("7 jobs were not where they should be")
    assert told.endswith(": 3 released, 4 lined up (job0, job1, job2, job3, job4, ...)")


# -------------------------------------------------------------------- hooks


class Told:
    """Hooks that write down what they are told."""

    def __init__(self) -> None:
        self.ends: list[Ended] = []

    async def hear(self, ended: Ended) -> None:
        self.ends.append(ended)

    def teller(self) -> Teller:
        plain = define(print, "wait", takes_context=False)
        known = {"wait": Definition(plain.name, print, plain.codec, "thread", False, hooks=self.all)}
        return Teller(known, Around())

    @property
    def all(self) -> Hooks:
        return Hooks((self.hear,), (self.hear,), (self.hear,), (self.hear,))


async def drained(teller: Teller) -> None:
    await teller.drained(5)
    assert len(teller) == 0


async def test_nobody_is_told_before_the_store_has_answered() -> None:
    told = Told()
    teller = told.teller()
    teller.expect(JOB, DONE)
    assert (teller.expects, len(teller)) == (True, 0)
    teller.settled(DONE, refused=False, stopped=False)
    assert not teller.expects
    await drained(teller)
    assert [ended.state for ended in told.ends] == [State.SUCCEEDED] * 2  # of the success, and of the end
    teller.settled(DONE, refused=False, stopped=False)  # it was told of
    await drained(teller)
    assert len(told.ends) == 2


async def test_nobody_is_told_of_what_was_refused_and_of_a_stop_as_what_it_is() -> None:
    told = Told()
    teller = told.teller()
    again = Outcome(JOB.id, 1, RUNNER, Event.RETRY, reason="stop")
    teller.expect(JOB, again)
    teller.settled(again, refused=True, stopped=False)
    await drained(teller)
    assert (told.ends, teller.expects) == ([], False)
    teller.expect(JOB, again)
    teller.settled(again, refused=False, stopped=True)
    await drained(teller)
    assert [ended.state for ended in told.ends] == [State.CANCELLED]


@pytest.mark.parametrize("event", [Event.RELEASE, Event.SNOOZE])
async def test_nobody_is_told_of_what_was_no_end_of_an_attempt(event: Event) -> None:
    told = Told()
    teller = told.teller()
    teller.tell(JOB, Outcome(JOB.id, 1, RUNNER, event))
    await drained(teller)
    assert told.ends == []


async def test_only_jobs_of_tasks_with_hooks_are_remembered() -> None:
    teller = Told().teller()
    teller.expect(JOB._replace(task="another"), DONE)
    assert not teller.expects


async def test_a_job_of_a_dead_runner_is_told_of_with_its_labels() -> None:
    told = Told()
    teller = told.teller()
    extras = encoded(Extras(tags=marked(("a",))))
    held = Held(JOB.id, 1, RUNNER, 1, 1, 0, None, 0, 5, "wait", "mail", extras)
    teller.tell(held, Outcome(held.id, 1, RUNNER, Event.LOSE, run_time=5_000_000))
    await drained(teller)
    assert [(end.queue, end.tags, end.run_time.total_seconds()) for end in told.ends] == [("mail", ("a",), 5.0)] * 2


async def test_hooks_that_take_too_long_are_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    never = asyncio.Event()

    async def slow(_: Ended) -> None:
        await never.wait()

    plain = define(print, "wait", takes_context=False)
    known = {"wait": Definition(plain.name, print, plain.codec, "thread", False, hooks=Hooks(on_finish=(slow,)))}
    teller = Teller(known, Around())
    teller.tell(JOB, DONE)
    await teller.drained(0)
    assert "1 hooks were still running, and were cut off" in caplog.text
    await soon(lambda: len(teller) == 0)


# ------------------------------------------------------ tasks that cannot be read


async def test_what_the_policy_raises_does_not_lose_the_outcome(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: object) -> float:
        raise LookupError("of the user's")

    def fails() -> None:
        raise ValueError

    outcomes: list[Outcome] = []
    plain = define(fails, "wait", takes_context=False)
    policy = Policy(backoff=broken, retry_on=cast(Any, broken))
    known = {"wait": Definition(plain.name, fails, plain.codec, "thread", False, policy=policy)}
    executor = executing(known, Slots({"default": 1}), outcomes)
    executor.accept(RUNNER, [JOB])
    await soon(lambda: bool(outcomes))
    executor.close()
    assert outcomes[0].event is Event.RETRY
    assert 0 < outcomes[0].delay <= 5_000_000  # the default's
    assert "retry_on raised" in caplog.text
    assert "backoff raised" in caplog.text
