"""Reading one job, and counting many."""

import pytest

from conveyor.core.lifecycle import FINAL, Event, State
from conveyor.core.model import COUNTED, JobFilter
from conveyor.store.contract import Store
from tests.support.jobs import HOUR, TASK, Hand, Hire, enqueue, new_job, new_jobs, rescue, see
from tests.support.stores import pass_time, rows

NOTHING = {state: 0 for state in State if state is not State.BLOCKED}


def counts(store: Store, where: JobFilter = JobFilter()) -> dict[State, int]:  # noqa: B008 - it is frozen
    return store.run(store.operations.counts(where))


def next_due(store: Store, *queues: str) -> int | None:
    return store.run(store.operations.next_due(queues or ("default",)))


def one_of_each(store: Store, hire: Hire) -> dict[State, bytes]:
    """One job in every state that there is so far; all but the scheduled one of priority 0."""
    hand, made = hire(), {}
    ends = {State.RETRYABLE: Event.RETRY, State.SUCCEEDED: Event.SUCCEED, State.FAILED: Event.FAIL}
    ends |= {State.QUARANTINED: Event.QUARANTINE, State.CANCELLED: Event.CANCEL}
    for state, event in ends.items():
        job = new_job()
        enqueue(store, job)
        hand.end(hand.take_one(), event, delay=HOUR if event is Event.RETRY else 0)
        made[state] = job.id
    for state, delay in ((State.RUNNING, 0), (State.SCHEDULED, HOUR), (State.READY, 0)):
        job = new_job(delay=delay)
        enqueue(store, job)
        if state is State.RUNNING:
            hand.take_one()
        made[state] = job.id
    return made


def test_an_unknown_job_is_none(store: Store) -> None:
    assert store.run(store.operations.get(new_job().id)) is None


def test_every_state_is_shown_and_counted(store: Store, hire: Hire) -> None:
    made = one_of_each(store, hire)
    assert {state: see(store, id_).state for state, id_ in made.items()} == {state: state for state in made}
    assert counts(store) == NOTHING | dict.fromkeys(made, 1)


def test_an_empty_store_counts_nothing(store: Store) -> None:
    assert counts(store) == NOTHING


def test_time_alone_makes_waiting_jobs_ready(store: Store, hire: Hire) -> None:
    made = one_of_each(store, hire)
    pass_time(store, 3601)
    for state in (State.SCHEDULED, State.RETRYABLE, State.READY):
        assert see(store, made[state]).state is State.READY
    assert counts(store, JobFilter(states=(State.READY, State.SCHEDULED, State.RETRYABLE))) == {
        State.READY: 3,
        State.SCHEDULED: 0,
        State.RETRYABLE: 0,
    }


def test_a_released_job_that_waits_is_counted_as_it_is_shown(store: Store, hand: Hand) -> None:
    for job in new_jobs(2):
        enqueue(store, job)
    first, second = hand.take(2)
    hand.end(first, Event.RETRY)
    hand.end(hand.take_one(), Event.RELEASE, delay=HOUR)
    hand.end(second, Event.RELEASE, delay=HOUR)
    shown = sorted(see(store, job.id).state for job in (first, second))
    assert shown == [State.RETRYABLE, State.SCHEDULED]
    assert counts(store) == NOTHING | dict.fromkeys(shown, 1)


def test_filters_narrow_the_counts(store: Store) -> None:
    enqueue(store, *(new_job(queue=queue, task=task) for queue in "ab" for task in "xyz"))
    pass_time(store, 1)
    assert counts(store, JobFilter(queue="a"))[State.READY] == 3
    assert counts(store, JobFilter(task="x"))[State.READY] == 2
    assert counts(store, JobFilter(queue="b", task="z", states=(State.READY,))) == {State.READY: 1}
    assert counts(store, JobFilter(queue="c"))[State.READY] == 0
    assert counts(store, JobFilter(states=(State.BLOCKED,))) == {}


@pytest.mark.parametrize("where", [JobFilter(queue=""), JobFilter(task="")])
def test_an_empty_name_matches_nothing(store: Store, where: JobFilter) -> None:
    enqueue(store, new_job())
    assert counts(store, where) == NOTHING
    assert store.run(store.operations.list(where, limit=10, after=None, direction="newest")) == []


def test_counts_stop_one_above_the_bound(store: Store) -> None:
    enqueue(store, *new_jobs(COUNTED))
    pass_time(store, 1)
    assert counts(store)[State.READY] == COUNTED
    enqueue(store, *new_jobs(50))
    pass_time(store, 1)
    assert counts(store)[State.READY] == COUNTED + 1


def test_ahead_counts_what_would_be_claimed_before(store: Store, hand: Hand) -> None:
    enqueue(store, *(new_job(priority=1) for _ in range(3)), *new_jobs(4), new_job(priority=5, delay=HOUR))
    enqueue(store, new_job(queue="other", priority=9))
    job = new_job()
    enqueue(store, job, new_job(), new_job(priority=-1))
    pass_time(store, 1)
    ahead = store.operations.ahead(see(store, job.id), 100)
    assert store.run(ahead) == 7
    assert store.run(store.operations.ahead(see(store, job.id), 5)) == 5
    hand.take(5)
    assert store.run(ahead) == 2


def test_nothing_is_due_next_when_nothing_is_scheduled(store: Store, hand: Hand) -> None:
    assert next_due(store) is None
    assert next_due(store, "a", "b") is None
    enqueue(store, *new_jobs(2))
    pass_time(store, 1)
    assert next_due(store) is None
    hand.take_one()
    assert next_due(store) is None


def test_the_next_due_job_is_the_earliest_of_all_priorities_and_of_the_given_queues(store: Store) -> None:
    enqueue(store, *(new_job(delay=HOUR * hours, priority=hours) for hours in (9, 3, 7)))
    enqueue(store, new_job(delay=HOUR, queue="other"), new_job(delay=2 * HOUR, queue="second"))
    enqueue(store, new_job(queue="second"))
    pass_time(store, 1)
    for queues, hours in ((["default"], 3), (["default", "second"], 2), (["other", "default"], 1)):
        due = next_due(store, *queues)
        assert due is not None
        assert HOUR * hours - 60_000_000 < due < HOUR * hours


def test_a_retry_is_due_next_after_its_delay(store: Store, hand: Hand) -> None:
    enqueue(store, new_job())
    hand.end(hand.take_one(), Event.RETRY, delay=HOUR)
    due = next_due(store)
    assert due is not None
    assert HOUR - 60_000_000 < due <= HOUR


def test_the_schema_is_the_newest_that_we_know(store: Store) -> None:
    newest = {"postgresql": 9, "sqlite": 6}[store.kind]
    assert store.run(store.operations.schema()) == store.migrations == newest


def test_migrating_again_does_nothing(store: Store) -> None:
    assert store.migrate() == []
    assert store.run(store.operations.schema()) == store.migrations


def test_final_states_stay(store: Store, hire: Hire) -> None:
    made = one_of_each(store, hire)
    before = {state: see(store, id_) for state, id_ in made.items() if state in FINAL}
    pass_time(store, 100_000)
    hand = hire()
    while hand.claim(tasks=[TASK]):
        pass
    hand.die()
    rescue(store)
    assert {state: see(store, made[state]) for state in before} == before


def test_the_store_has_an_identity(store: Store) -> None:
    ((value,),) = rows(store, "SELECT value FROM conveyor_meta WHERE name = 'store_id'")
    assert len(str(value)) >= 32
