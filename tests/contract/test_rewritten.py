"""PostgreSQL: what is asked of a job is done, though somebody else is just writing its row.

READ COMMITTED passes over a row that was rewritten after the statement's snapshot and is looked up by its place; each
test here holds a row in a transaction of its own until the statement under test waits for it.
"""

from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar, cast

import pytest

from conveyor.client.changes import Affected, cancelled, deleted, revived
from conveyor.core.lifecycle import Event, State
from conveyor.core.model import Claimed, JobFilter, NewJob, Outcome
from conveyor.core.unique import Hold
from conveyor.drivers.postgres import carry
from conveyor.plan import Answer, Plan, Statement, run
from conveyor.store.answers import Pass
from conveyor.store.contract import Store
from conveyor.store.rounds import drive
from tests.support.jobs import HOUR, QUEUE, TASK, Hire, enqueue, new_job, outcome, see
from tests.support.postgres import session, waiting
from tests.support.waiting import until

pytestmark = pytest.mark.parametrize("url", ["postgres"], indirect=True)

T = TypeVar("T")

REWRITE = "UPDATE conveyor_job SET progress = '{}'"
Change = Callable[[Store, JobFilter], Plan[Pass]]
CHANGES: dict[str, tuple[str, Change]] = {
    "cancel": ("ready", lambda store, where: store.control.cancel(where, "why", 10, None)),
    "ask": ("running", lambda store, where: store.control.ask(where, "why", 10, None)),
    "call off what waits": ("ready", lambda store, where: store.control.call_off(where, "why", 10, None)),
    "call off what runs": ("running", lambda store, where: store.control.call_off(where, "why", 10, None)),
    "hasten": ("later", lambda store, where: store.control.hasten(where, 10, None)),
    "delete": ("ready", lambda store, where: store.control.delete_waiting(where, 10, None)),
}


@contextmanager
def meanwhile(url: str, text: str) -> Generator[Callable[[Callable[[], object]], Future[object]]]:
    """Write *text* in a transaction; what is given is started, waits for it, and then it is committed."""
    with session(url) as other, ThreadPoolExecutor(1) as pool:
        other.execute(text.encode())

        def start(call: Callable[[], object]) -> Future[object]:
            going = pool.submit(call)
            until(lambda: waiting(url) == 1 or going.done())
            other.commit()
            return going

        yield start


def claimed_by(store: Store, runner: bytes) -> Claimed:
    """The one job that is due."""
    found: list[Claimed] = []

    def claim() -> bool:
        taken = store.run(store.operations.claim(runner, {QUEUE: 1}, [TASK]))
        found.extend(taken)
        return bool(found)

    until(claim)
    return found[0]


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_reaches_a_job_whose_row_is_just_being_rewritten(
    store: Store, url: str, hire: Hire, name: str
) -> None:
    kind, change = CHANGES[name]
    job = new_job(delay=HOUR if kind == "later" else 0)
    enqueue(store, job)
    if kind == "running":
        claimed_by(store, hire().id)
    with meanwhile(url, REWRITE) as start:
        done = start(lambda: store.run(change(store, JobFilter(ids=(job.id,))))).result()
    assert isinstance(done, Pass)
    assert (done.picked, done.changed) == (1, 1)


@pytest.mark.parametrize(
    ("kind", "move", "expected", "state"),
    [
        (
            "running",
            "UPDATE conveyor_job SET state = 'waiting', runner = NULL",
            Affected(1, asked=0),
            State.CANCELLED,
        ),
        (
            "ready",
            f"UPDATE conveyor_job SET state = 'running', runner = '{'a' * 32}', token = 7",
            Affected(0, asked=1),
            State.RUNNING,
        ),
    ],
)
def test_a_job_that_moves_while_it_is_called_off_gets_what_it_needs(
    store: Store, url: str, hire: Hire, kind: str, move: str, expected: Affected, state: State
) -> None:
    job = new_job()
    enqueue(store, job)
    if kind == "running":
        claimed_by(store, hire().id)
    where = JobFilter(ids=(job.id,))
    with meanwhile(url, move) as start:
        done = start(lambda: drive(store, cancelled(store, where, "why", dry_run=False)))
        assert done.result() == expected
    info = see(store, job.id)
    assert (info.state, info.cancelled) == (state, "why")


# ----------------------------------------------------------------- rescue


@pytest.mark.parametrize("event", [Event.SUCCEED, Event.RETRY])
@pytest.mark.parametrize("commits", [True, False])
def test_rescue_leaves_what_its_runner_is_just_settling_and_takes_it_back_if_it_does_not(
    store: Store, url: str, hire: Hire, event: Event, commits: bool
) -> None:
    job = new_job()
    enqueue(store, job)
    zombie = hire()
    claimed = claimed_by(store, zombie.id)
    zombie.die()
    with session(url) as settling:
        run(store.operations.settle([outcome(claimed, zombie.id, event)]), carry(settling))
        assert store.run(store.operations.rescue(10)).jobs == ()
        if commits:
            settling.commit()
        else:
            settling.rollback()
    assert len(store.run(store.operations.rescue(10)).jobs) == (0 if commits else 1)
    info = see(store, job.id)
    assert (info.token, info.crashes) == ((claimed.token, 0) if commits else (claimed.token + 1, 1))
    assert info.state is (State.SUCCEEDED if commits and event is Event.SUCCEED else State.READY)


def test_a_job_whose_neighbour_is_just_being_settled_is_not_alone_with_their_runner(
    store: Store, url: str, hire: Hire
) -> None:
    jobs = [new_job(), new_job()]
    enqueue(store, *jobs)
    zombie = hire()
    first, second = claimed_by(store, zombie.id), claimed_by(store, zombie.id)
    zombie.die()
    with session(url) as settling:
        run(store.operations.settle([outcome(first, zombie.id, Event.SUCCEED)]), carry(settling))
        assert [held.id for held, _ in store.run(store.operations.rescue(10)).jobs] == [second.id]
        settling.commit()
    assert see(store, second.id).crashes == 0


# ---------------------------------------------------------------- replace


def keyed(key: str, *, until_start: bool, policy: str = "replace", args: bytes = b"[[],{}]") -> NewJob:
    """A job of a unique key."""
    assert policy in {"existing", "replace", "raise"}
    return new_job(args=args)._replace(unique=Hold(key, until_start, policy))  # type: ignore[arg-type]  # as just asserted


STARTED = "UPDATE conveyor_job SET unique_key = NULL, state = 'running', token = 7"


def replaced(store: Store, url: str, happens: str, *jobs: NewJob) -> object:
    """Enqueue *jobs*, whose key is held; *happens* to the holder when it has been found and is to be replaced."""
    with session(url) as other, ThreadPoolExecutor(1) as pool:
        other.execute("SELECT 1 FROM conveyor_job FOR UPDATE")  # which no insert waits for
        enqueueing = pool.submit(store.run, store.operations.enqueue(jobs))
        until(lambda: waiting(url) == 1)
        other.execute(happens.encode())
        other.commit()
        return enqueueing.result()


def test_a_replacement_whose_holder_has_just_started_is_enqueued_itself(store: Store, url: str) -> None:
    """Until its start the first job holds the key; then the second is a job of its own, and not lost."""
    first, second = keyed("k", until_start=True), keyed("k", until_start=True, args=b"[[2],{}]")
    enqueue(store, first)
    assert replaced(store, url, STARTED, second) == {}
    assert (see(store, second.id).payload, see(store, first.id).payload) == (b"[[2],{}]", b"[[],{}]")


def test_a_holder_that_has_just_started_and_keeps_its_key_stays_as_it_is(store: Store, url: str) -> None:
    first, second = keyed("k", until_start=False), keyed("k", until_start=False, args=b"[[2],{}]")
    enqueue(store, first)
    assert replaced(store, url, STARTED.replace("unique_key = NULL, ", ""), second) == {second.id: first.id}
    assert see(store, first.id).payload == b"[[],{}]"


def test_a_replacement_reaches_a_holder_whose_row_is_just_being_rewritten(store: Store, url: str) -> None:
    first, second = keyed("k", until_start=False), keyed("k", until_start=False, args=b"[[2],{}]")
    enqueue(store, first)
    assert replaced(store, url, REWRITE, second) == {second.id: first.id}
    assert see(store, first.id).payload == b"[[2],{}]"


@pytest.mark.parametrize("gone", ["DELETE FROM conveyor_job", STARTED])
def test_of_several_replacements_of_one_key_the_last_stands_also_when_the_holder_is_gone(
    store: Store, url: str, gone: str
) -> None:
    first = keyed("k", until_start=True)
    seconds = [keyed("k", until_start=True, args=b"[[%d],{}]" % place) for place in range(3)]
    enqueue(store, first)
    holders = replaced(store, url, gone, *seconds)
    assert holders == {seconds[1].id: seconds[0].id, seconds[2].id: seconds[0].id}
    assert see(store, seconds[0].id).payload == b"[[2],{}]"


# ----------------------------------------------------------------- settle


def test_a_job_that_is_deleted_as_soon_as_its_settle_has_stopped_it_was_stopped(
    store: Store, url: str, hire: Hire
) -> None:
    job = new_job()
    enqueue(store, job)
    hand = hire()
    claimed = claimed_by(store, hand.id)
    where = JobFilter(ids=(job.id,))
    store.run(store.control.ask(where, "why", 1, None))
    with session(url) as settling:
        settling.autocommit = True
        carried = carry(settling)

        def carry_and_delete(statement: Statement) -> Answer:
            answer = carried(statement)
            drive(store, deleted(store, where, dry_run=False))
            return answer

        settled = run(store.operations.settle([outcome(claimed, hand.id, Event.RETRY)]), carry_and_delete)
    assert store.run(store.operations.get(job.id)) is None
    assert (settled.refused, settled.stopped) == (frozenset(), frozenset({job.id}))


@pytest.mark.parametrize("event", [Event.SUCCEED, Event.RETRY])
def test_a_job_that_is_rewritten_again_and_again_while_it_is_settled_is_not_refused(
    store: Store, url: str, hire: Hire, event: Event
) -> None:
    """To call it refused would leave it running for as long as its runner lives."""
    job = new_job()
    enqueue(store, job)
    hand = hire()
    plan = store.operations.settle([outcome(claimed_by(store, hand.id), hand.id, event)])
    times = 6
    with session(url) as settling, session(url) as other, ThreadPoolExecutor(1) as pool:
        settling.autocommit = True
        carried = carry(settling)

        def carry_amid(statement: Statement) -> Answer:
            nonlocal times
            if not times or not {"UPDATE", "DELETE"} & set(statement.text.split()):
                return carried(statement)
            times -= 1
            other.execute(REWRITE)
            going = pool.submit(carried, statement)
            until(lambda: waiting(url) == 1 or going.done())
            other.commit()
            return going.result()

        assert run(plan, carry_amid).refused == frozenset()
    assert times == 0
    assert see(store, job.id).state is (State.SUCCEEDED if event is Event.SUCCEED else State.READY)


def test_a_settle_that_is_repeated_after_it_stopped_a_job_says_so_again(store: Store, url: str, hire: Hire) -> None:
    """Its first answer was lost; whoever is told of the attempt's end is to be told of the right one."""
    job = new_job()
    enqueue(store, job)
    hand = hire()
    claimed = claimed_by(store, hand.id)
    store.run(store.control.ask(JobFilter(ids=(job.id,)), "why", 1, None))
    retry: Outcome = outcome(claimed, hand.id, Event.RETRY)
    answers = [store.run(store.operations.settle([retry])) for _ in range(2)]
    assert [(answer.refused, answer.stopped) for answer in answers] == [(frozenset(), frozenset({job.id}))] * 2


# ------------------------------------------------- jobs that move meanwhile


class Meddler:
    """A store, and somebody who does something after the first plan that it carries out."""

    def __init__(self, store: Store, happens: Plan[Pass]) -> None:
        self._store = store
        self._happens: Plan[Pass] | None = happens
        self.control = store.control

    def run(self, plan: Plan[T]) -> T:
        """See ``Store.run``."""
        answer = self._store.run(plan)
        happens, self._happens = self._happens, None
        if happens is not None:
            self._store.run(happens)
        return answer


def test_a_job_that_ends_between_the_two_questions_of_a_retry_is_run_once_more(store: Store, url: str) -> None:
    job = new_job(delay=HOUR)
    enqueue(store, job)
    where = JobFilter(ids=(job.id,))
    meddler = cast(Store, Meddler(store, store.control.cancel(where, "why", 1, None)))
    assert drive(meddler, revived(meddler, where, dry_run=False)) == Affected(1)
    assert see(store, job.id).state is State.READY


def test_a_job_that_is_revived_between_the_two_questions_of_a_deletion_is_deleted(store: Store, url: str) -> None:
    job = new_job()
    enqueue(store, job)
    where = JobFilter(ids=(job.id,))
    store.run(store.control.cancel(where, "why", 1, None))
    meddler = cast(Store, Meddler(store, store.control.revive(where, 1, None)))
    assert drive(meddler, deleted(meddler, where, dry_run=False)) == Affected(1)
    assert store.run(store.operations.get(job.id)) is None
