"""The worker's parts by themselves, each with the trouble that it must outlive."""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from conveyor.around import Around
from conveyor.core.errors import HeldElsewhere, StoreUnavailable
from conveyor.core.lifecycle import Event
from conveyor.core.model import Attempt, Claimed, Outcome, RunnerInfo, appended
from conveyor.job import Desk
from conveyor.store.answers import Rescued, Settled
from conveyor.store.contract import Store
from conveyor.store.leases import Leases
from conveyor.store.listener import HearsAll, Listener
from conveyor.store.sight import Sight
from conveyor.task import define
from conveyor.worker.attempt import Interruption
from conveyor.worker.board import Board
from conveyor.worker.claim import Claimer, Identity
from conveyor.worker.duty import kept
from conveyor.worker.execute import Executor, Known
from conveyor.worker.finish import Parting
from conveyor.worker.heartbeat import Alone, Heartbeat
from conveyor.worker.rescue import LOOK_ANYWAY, Rescuer
from conveyor.worker.settle import Settler
from conveyor.worker.slots import Slots
from conveyor.worker.surround import Surround
from tests.support.waiting import until

RUNNER, OTHER = b"a" * 16, b"b" * 16
INFO = RunnerInfo("here", 1, {"default": 1}, ("wait",), "0")
BOARD = Board.create(60)
NOBODY = cast(Desk, None)
JOB = Claimed(b"j" * 16, "wait", "default", 0, 0, 1, 5, 0, 1, None, b"[[],{}]", None, 0)
DONE = Outcome(JOB.id, 1, RUNNER, Event.SUCCEED)

Wish = Callable[[Any], object]


def store(**wishes: Wish) -> Store:
    """A store whose operations are answered by *wishes*: each plan is the operation's name and arguments."""

    async def arun(plan: tuple[str, Any]) -> object:
        await asyncio.sleep(0)
        name, args = plan
        return wishes[name](args)

    operations = SimpleNamespace(**{name: lambda *args, name=name: (name, args) for name in wishes})
    return cast(Store, SimpleNamespace(arun=arun, operations=operations))


def settler(store_: Store) -> Settler:
    """A settler that tells nobody, and before whose writes nothing comes."""
    return Settler(store_, lambda _, __: None, nothing)


async def nothing() -> None:
    """Takes no time."""


async def soon(condition: Callable[[], bool]) -> None:
    """Go on once *condition* holds."""
    async with asyncio.timeout(2):
        while not condition():  # noqa: ASYNC110 - the parts have no event for it
            await asyncio.sleep(0)


def executing(known: Known, slots: Slots, outcomes: list[Outcome], written: list[bool] | None = None) -> Executor:
    """An executor over no store, which writes down what became of jobs; *written*: whether their own ends stand."""
    return Executor(
        known,
        slots,
        Surround(cast(Store, None), NOBODY, Around()),
        judged=lambda _, outcome: outcomes.append(outcome),
        written=lambda _, __, stands: (written if written is not None else []).append(stands),
        ended=lambda _: None,
        freed=lambda: None,
    )


class Hall:
    """An executor whose one task waits until it is let go, each attempt for itself."""

    def __init__(self, slots: int = 2) -> None:
        self.outcomes: list[Outcome] = []
        self.gates: list[asyncio.Event] = []
        self.slots = Slots({"default": slots})
        self.executor = executing({"wait": define(self.wait, "wait", takes_context=False)}, self.slots, self.outcomes)

    async def wait(self) -> None:
        gate = asyncio.Event()
        self.gates.append(gate)
        try:
            await gate.wait()
        except asyncio.CancelledError:
            await gate.wait()  # it takes its time to clean up
            raise

    @property
    def running(self) -> int:
        return self.slots.lanes["default"].running


# --------------------------------------------------------------- executor


async def test_a_job_that_comes_again_while_its_old_attempt_still_ends_is_not_doubled_and_costs_no_slot() -> None:
    hall = Hall()
    hall.executor.accept(RUNNER, [JOB])
    await soon(lambda: len(hall.gates) == 1)
    hall.executor.interrupt(Interruption.LEASE_LOST)
    hall.executor.accept(OTHER, [JOB._replace(token=2)])  # rescued, and claimed again, here
    assert hall.executor.attempts[JOB.id].job.token == 1
    hall.gates[0].set()
    await soon(lambda: not hall.executor.attempts)
    assert (hall.running, len(hall.gates)) == (0, 1)
    assert [(outcome.token, outcome.event) for outcome in hall.outcomes] == [(2, Event.RELEASE), (1, Event.RELEASE)]
    assert hall.outcomes[0].delay


async def test_what_waits_for_a_slot_is_given_back_without_having_run() -> None:
    hall = Hall(slots=1)
    hall.executor.accept(RUNNER, [JOB, JOB._replace(id=b"k" * 16)])
    await soon(lambda: len(hall.gates) == 1)
    hall.executor.give_back()
    assert [(outcome.id, outcome.event) for outcome in hall.outcomes] == [(b"k" * 16, Event.RELEASE)]
    hall.gates[0].set()
    await soon(lambda: hall.running == 0)


async def test_a_suspect_starts_when_this_runner_holds_nothing_else_and_nothing_is_claimed_until_it_has_ended() -> None:
    hall = Hall()
    lost = appended(None, Attempt(1, Event.RESCUE.value, 0, 0, company=2))
    first, second, one = (JOB._replace(id=name * 16, attempts=lost) for name in (b"a", b"b", b"c"))
    hall.executor.accept(RUNNER, [first, JOB, second])
    hall.executor.seclude(held=3)
    await soon(lambda: len(hall.gates) == 1)
    assert [(outcome.id, outcome.event) for outcome in hall.outcomes] == [(second.id, Event.RELEASE)]
    assert (list(hall.executor.attempts), hall.executor.ward.closed) == ([JOB.id], True)
    hall.gates[0].set()
    await soon(lambda: not hall.executor.attempts)
    hall.executor.seclude(held=2)
    assert not hall.executor.attempts  # the store does not know yet how the other has ended
    hall.executor.seclude(held=1)
    await soon(lambda: len(hall.gates) == 2)
    assert (list(hall.executor.attempts), hall.executor.ward.closed) == ([first.id], True)
    hall.gates[1].set()
    await soon(lambda: not hall.executor.ward.closed)
    hall.executor.accept(RUNNER, [one])
    assert hall.executor.holds
    hall.executor.cancel(one.id, one.token, "enough")
    assert (hall.outcomes[-1].event, hall.executor.holds) == (Event.CANCEL, False)


async def test_what_is_abandoned_has_one_outcome_however_it_ends_later() -> None:
    hall = Hall()
    hall.executor.accept(RUNNER, [JOB])
    await soon(lambda: len(hall.gates) == 1)
    hall.executor.abandon(5)
    hall.gates[0].set()
    for _ in range(10):
        await asyncio.sleep(0)
    assert [(outcome.event, outcome.delay) for outcome in hall.outcomes] == [(Event.RELEASE, 5)]
    assert hall.running == 0


async def test_an_attempt_whose_outcome_cannot_be_judged_is_still_settled() -> None:
    outcomes: list[Outcome] = []

    def broken() -> None:
        raise ValueError

    executor = executing({"wait": define(broken, "wait", takes_context=False)}, Slots({"default": 1}), outcomes)
    executor.accept(RUNNER, [JOB._replace(attempts=b"spoiled")])
    await soon(lambda: bool(outcomes))
    executor.close()
    assert [(outcome.id, outcome.token) for outcome in outcomes] == [(JOB.id, JOB.token)]


# ---------------------------------------------------------------- claimer


class Listening(HearsAll):
    """A listener that hears nothing."""

    next_look = math.inf

    def __init__(self, *, hears: bool = False) -> None:
        self.sight = Sight()
        self.hears = hears

    async def idle(self, _: float) -> bool:
        return False


def claimer(store_: Store, hall: Hall, identity: Callable[[], Identity]) -> Claimer:
    return Claimer(
        store_, cast(Listener, Listening()), hall.slots, hall.executor, settler(store_), ["wait"], identity, burst=True
    )


async def test_a_claim_that_is_answered_after_the_lease_was_lost_starts_nothing() -> None:
    hall = Hall()
    identities = [Identity(RUNNER, BOARD)]

    def claim(_: object) -> Sequence[Claimed]:
        identities.append(Identity(OTHER, BOARD))  # the lease is lost while the claim is under way
        return [JOB]

    claiming = claimer(store(claim=claim), hall, lambda: identities[-1])
    await claiming._claim({"default": 1})
    for _ in range(10):
        await asyncio.sleep(0)
    started = len(hall.gates)
    for gate in hall.gates:
        gate.set()
    assert started == 0
    assert [(outcome.event, outcome.runner) for outcome in hall.outcomes] == [(Event.RELEASE, RUNNER)]


async def test_stop_waits_for_a_claim_that_is_under_way() -> None:
    hall = Hall()
    answer: asyncio.Future[Sequence[Claimed]] = asyncio.get_running_loop().create_future()
    slow = cast(
        Store,
        SimpleNamespace(arun=lambda _: answer, operations=SimpleNamespace(claim=lambda *_: None)),
    )
    identity = Identity(RUNNER, BOARD)
    claiming = claimer(slow, hall, lambda: identity)
    work = asyncio.create_task(claiming.work())
    await asyncio.sleep(0)
    stopping = asyncio.create_task(claiming.stop())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not stopping.done()
    hall.executor.shut()
    answer.set_result([JOB])
    await asyncio.gather(work, stopping)
    assert claiming.unconfirmed == {JOB.id: 1}
    hall.executor.give_back()
    assert [outcome.event for outcome in hall.outcomes] == [Event.RELEASE]


async def test_who_stops_while_others_are_rung_instead_claims_nothing_more() -> None:
    claims: list[object] = []
    declining, declined = asyncio.Event(), asyncio.Event()

    class Declining(Listening):
        async def decline(self, _: object) -> None:
            declining.set()
            await declined.wait()

    identity = Identity(RUNNER, BOARD)
    claiming = claimer(store(claim=claims.append), Hall(), lambda: identity)
    claiming._listener = cast(Listener, Declining())
    work = asyncio.create_task(claiming.work())
    await declining.wait()
    await claiming.stop()
    declined.set()
    await work
    assert claims == []


async def test_a_mute_store_does_not_hold_up_who_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mute(Listening):
        async def leave(self, _: object) -> None:
            await asyncio.Event().wait()

    monkeypatch.setattr("conveyor.worker.claim.LEAVING", 0.01)
    identity = Identity(RUNNER, BOARD)
    claiming = claimer(store(), Hall(), lambda: identity)
    claiming._listener = cast(Listener, Mute())
    async with asyncio.timeout(5):
        await claiming.stop()


async def test_a_claim_that_is_cut_off_is_doubted_and_what_it_took_is_given_back() -> None:
    hall, identity = Hall(), Identity(RUNNER, BOARD)
    under_way = asyncio.Event()
    written: list[Outcome] = []

    def settle(outcomes: Sequence[Outcome]) -> Settled:
        written.extend(outcomes)
        return Settled()

    async def arun(plan: tuple[str, Any]) -> object:
        name, argument = plan
        if name != "claim":
            return settle(argument) if name == "settle" else [(JOB.id, JOB.token)]
        under_way.set()
        return await asyncio.Event().wait()

    operations = SimpleNamespace(
        claim=lambda *args: ("claim", args),
        held=lambda runner: ("held", runner),
        settle=lambda outcomes: ("settle", outcomes),
    )
    claiming = claimer(cast(Store, SimpleNamespace(arun=arun, operations=operations)), hall, lambda: identity)
    work = asyncio.create_task(kept("claim", claiming.work))
    await under_way.wait()
    assert claiming.holds_nothing
    work.cancel()
    await asyncio.wait([work])
    assert (work.cancelled(), identity.doubtful, claiming.holds_nothing) == (True, True, False)
    settling = asyncio.create_task(claiming._settler.work())
    await claiming.resolve_doubt()
    assert await claiming._settler.drained(1)
    settling.cancel()
    assert [(o.id, o.token, o.runner, o.event) for o in written] == [(JOB.id, JOB.token, RUNNER, Event.RELEASE)]
    assert hall.gates == []


async def test_a_claim_is_doubted_whatever_it_raises() -> None:
    """What it raises may be of a statement that came after its commit."""
    identity = Identity(RUNNER, BOARD)
    claiming = claimer(store(claim=fails), Hall(), lambda: identity)
    with pytest.raises(HeldElsewhere):
        await claiming._claim({"default": 1})
    assert identity.doubtful


async def test_a_claim_that_was_disturbed_is_not_taken_for_the_last_of_what_is_due() -> None:
    identity = Identity(RUNNER, BOARD)
    claiming = claimer(store(claim=lambda _: []), Hall(), lambda: identity)
    assert await claiming._claim({"default": 1})
    claiming._listener.sight.missed = True
    assert not await claiming._claim({"default": 1})


def fails(_: object) -> Sequence[Claimed]:
    raise HeldElsewhere("somebody holds the table")


async def test_a_burst_that_was_woken_during_an_empty_claim_looks_once_more() -> None:
    looks: list[int] = []

    def claim(_: object) -> Sequence[Claimed]:
        looks.append(1)
        if len(looks) == 1:
            claiming.wake()
        return []

    identity = Identity(RUNNER, BOARD)
    claiming = claimer(store(claim=claim), Hall(), lambda: identity)
    claiming._listener = cast(Listener, Listening())
    async with asyncio.timeout(2):
        await claiming.work()
    assert len(looks) == 2


async def test_what_comes_due_between_a_claim_and_the_look_at_the_next_one_is_claimed_at_once() -> None:
    sights: list[tuple[str, object]] = []
    again = asyncio.Event()

    async def arun(asked: tuple[str, object]) -> object:
        sights.append(asked)
        if asked[0] == "next_due":
            return -1
        if len(sights) > 1:
            again.set()
        return []

    operations = SimpleNamespace(claim=lambda *args: ("claim", args[-1]), next_due=lambda _, sight: ("next_due", sight))
    identity = Identity(RUNNER, BOARD)
    claiming = claimer(cast(Store, SimpleNamespace(arun=arun, operations=operations)), Hall(), lambda: identity)
    claiming._burst = False
    claiming._listener = cast(Listener, Listening(hears=True))
    work = asyncio.create_task(claiming.work())
    async with asyncio.timeout(5):
        await again.wait()
    work.cancel()
    await asyncio.wait([work])
    assert [name for name, _ in sights[:3]] == ["claim", "next_due", "claim"]
    assert len({id(sight) for _, sight in sights}) == 1


# ----------------------------------------------------------------- rescue


async def test_rescue_looks_again_now_and_then_though_nobody_is_known_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    now, looks = 1_000.0, []

    def rescue(_: object) -> Rescued:
        looks.append(now)
        return Rescued((), more=False)

    monkeypatch.setattr("conveyor.worker.rescue.time", SimpleNamespace(monotonic=lambda: now))
    rescuer = Rescuer(store(dead_runners=lambda _: 0, rescue=rescue), 20.0, lambda _, __: None)
    await rescuer.work()
    await rescuer.work()
    assert looks == [1_000.0]
    now += LOOK_ANYWAY / 2
    await rescuer.work()
    assert looks == [1_000.0]
    now += LOOK_ANYWAY
    await rescuer.work()
    await rescuer.work()
    assert looks == [1_000.0, now]


# ---------------------------------------------------------------- settler


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conveyor.worker.duty.jittered", lambda _: 0.0)


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("trouble", [StoreUnavailable("gone"), RuntimeError("a bug in a driver")], ids=repr)
async def test_no_error_of_the_store_loses_an_outcome(trouble: Exception) -> None:
    written: list[Outcome] = []
    troubles = [trouble]

    def settle(args: tuple[Sequence[Outcome]]) -> Settled:
        if troubles:
            raise troubles.pop()
        written.extend(args[0])
        return Settled()

    settling = settler(store(settle=settle))
    settling.put(DONE)
    work = asyncio.create_task(kept("settle", settling.work))
    assert await settling.drained(10)
    work.cancel()
    assert (written, len(settling)) == ([DONE], 0)


async def test_outcomes_that_come_during_a_write_share_the_next() -> None:
    batches: list[int] = []

    def settle(args: tuple[Sequence[Outcome]]) -> Settled:
        batches.append(len(args[0]))
        if len(batches) == 1:
            settling.put(DONE)
            settling.put(DONE)
        return Settled()

    settling = settler(store(settle=settle))
    settling.put(DONE)
    work = asyncio.create_task(settling.work())
    assert await settling.drained(10)
    work.cancel()
    assert batches == [1, 2]


async def test_others_know_of_a_job_before_its_first_step() -> None:
    """It may block the event loop there, and is not to be taken for nobody's."""
    hall, board = Hall(), Board.create(20)
    hall.executor._surround.board = board
    hall.executor.accept(RUNNER, [JOB._replace(timeout=9_000_000)])
    assert board.running == 1
    assert board.loop_deadline > time.monotonic() + 8
    await soon(lambda: bool(hall.gates))
    hall.gates[0].set()
    await soon(lambda: not hall.running)


async def test_drained_says_when_it_took_too_long() -> None:
    settling = settler(store())
    assert await settling.drained(0)
    settling.put(DONE)
    assert not await settling.drained(0)


# -------------------------------------------------------------- heartbeat


class FakeLease:
    """A lease whose renewals go as told."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.answers = list(answers)
        self.over = threading.Event()
        self.retired: list[bool] = []

    def register(self, runner: bytes, info: RunnerInfo) -> None: ...

    def renew(self, runners: Sequence[bytes]) -> frozenset[bytes]:
        if not self.answers:
            self.over.set()
            return frozenset(runners)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return frozenset(runners if answer else ())

    def retire(self, runner: bytes, *, clean: bool) -> None:
        assert runner == RUNNER
        self.retired.append(clean)

    def close(self) -> None: ...


def beating(lease: FakeLease, lost: Callable[[], None], *, seconds: float = 60.0) -> Alone:
    made = Alone(cast(Leases, lease), seconds, 0.001)
    made.hold(RUNNER, INFO, lost)
    return made


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("trouble", [StoreUnavailable("gone"), OSError(28, "No space left"), RuntimeError()], ids=repr)
def test_one_renewal_that_fails_in_any_way_does_not_end_the_beat(trouble: Exception) -> None:
    lease, lost = FakeLease(True, trouble, True), threading.Event()
    heartbeat = beating(lease, lost.set)
    assert lease.over.wait(2)
    assert not lost.is_set()
    heartbeat.let_go(RUNNER, clean=True)
    heartbeat.close()
    assert lease.retired == [True]


def test_a_lease_that_could_not_be_ended_is_ended_once_the_store_answers_again() -> None:
    """Else what a dead runner held waits until its lease is over, though its supervisor knows that it is dead."""
    back, ended = threading.Event(), threading.Event()
    retired: list[bytes] = []
    bugs = [RuntimeError("a bug in a driver")]

    class Away(FakeLease):
        def renew(self, runners: Sequence[bytes]) -> frozenset[bytes]:
            if back.is_set():
                return frozenset(runners)
            raise StoreUnavailable("gone")

        def retire(self, runner: bytes, *, clean: bool) -> None:
            assert not clean
            if bugs:
                raise bugs.pop()  # which the beat survives
            retired.append(runner)
            ended.set()

    heartbeat = Heartbeat(cast(Leases, Away()), 0.001, lambda _: None)
    for runner in (RUNNER, OTHER):
        heartbeat.start(runner, INFO, Board.create(60.0))
    until(lambda: not heartbeat.answered)
    heartbeat.stop(RUNNER, clean=False)
    assert retired == []
    back.set()
    assert ended.wait(2)
    heartbeat.close()
    assert retired == [RUNNER]


def test_a_lease_that_is_lost_is_reported_once() -> None:
    losses: list[int] = []
    told = threading.Event()
    heartbeat = beating(FakeLease(True, False), lambda: (losses.append(1), told.set()))  # type: ignore[arg-type,func-returns-value]  # two things in one
    assert told.wait(2)
    heartbeat.let_go(RUNNER, clean=False)
    heartbeat.close()
    assert losses == [1]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("trouble", [StoreUnavailable("gone"), OSError(28, "No space left")], ids=repr)
def test_a_lease_that_cannot_be_renewed_in_time_is_lost(trouble: Exception) -> None:
    told = threading.Event()
    heartbeat = beating(FakeLease(*[trouble] * 10_000), told.set, seconds=0.02)
    assert told.wait(2)
    heartbeat.let_go(RUNNER, clean=False)
    heartbeat.close()


# ------------------------------------------------------------------ the end


@pytest.mark.parametrize(
    ("grace", "safe", "wanted", "seconds"),
    [
        (30.0, 13.0, 60.0, 10.0),
        (0.0, 13.0, 60.0, 10.0),
        (0.0, 13.0, 2.0, 2.0),
        (-9.0, 13.0, 60.0, 2.0),  # a claim has taken of it
        (30.0, -5.0, 60.0, 10.0),  # there is time
        (6.0, -5.0, 60.0, 10.0),  # there is as much as outcomes get at least
    ],
)
async def test_the_last_words_of_a_runner_have_their_time(
    grace: float, safe: float, wanted: float, seconds: float
) -> None:
    parting = Parting(lambda: safe, 0.5)
    parting.begin(grace)
    assert parting.left(wanted) == pytest.approx(seconds, abs=0.5)
    parting.hurried = True
    assert parting.left(wanted) == 0.5


async def test_nobody_waits_for_a_store_that_has_not_answered_for_the_length_of_a_lease(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("conveyor.worker.finish.LAST_WORD", 0.0)
    hope = [1.0]
    parting = Parting(lambda: hope[0], 0.5)
    parting.begin(0.0)
    begun, over = asyncio.Event(), asyncio.Event()

    async def stuck() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            over.set()

    waiting = asyncio.create_task(parting.wait(stuck(), 60))
    await begun.wait()
    hope[0] = -1.0  # it was renewed until now
    await asyncio.wait_for(waiting, 5)
    await asyncio.wait_for(over.wait(), 5)
    assert parting.left(60) == 0.0


async def test_what_can_be_done_at_once_is_done_though_there_is_no_time_and_errors_are_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("conveyor.worker.finish.LAST_WORD", 0.0)
    parting = Parting(lambda: -1.0, 0.5)
    parting.begin(0.0)
    done: list[int] = []

    async def quick() -> None:
        done.append(1)

    async def slow() -> None:
        await asyncio.sleep(0.01)
        done.append(2)

    async def wrong() -> None:
        raise KeyError

    await parting.wait(quick(), 10)
    await parting.wait(slow(), 10)  # there is no time for that
    await parting.wait(slow(), 10, 5.0)
    with pytest.raises(KeyError):
        await parting.wait(wrong(), 10)
    assert done == [1, 2]
