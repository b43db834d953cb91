"""Unique keys: at most one unfinished job for each, whoever enqueues, and whatever becomes of the first."""

import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from conveyor.core import ids
from conveyor.core.errors import DuplicateJob
from conveyor.core.extras import decoded
from conveyor.core.lifecycle import GIVEN_BACK, TAKEN_BACK, Event, State, ending, targets
from conveyor.core.model import JobFilter, NewJob, Report
from conveyor.core.unique import OnConflict
from conveyor.drivers.postgres import carry
from conveyor.plan import run
from conveyor.store.contract import Store
from tests.support.jobs import HOUR, Hand, Hire, enqueue, key, new_job, new_jobs, outcome, rescue, see, tagged
from tests.support.postgres import session, waiting
from tests.support.stores import number, pass_time, tables
from tests.support.threads import together
from tests.support.waiting import until

ON_POSTGRES = pytest.mark.parametrize("url", ["postgres"], indirect=True)
HELD_TWICE = """
    SELECT count(*) FROM (SELECT unique_key FROM conveyor_job WHERE unique_key IS NOT NULL
                          GROUP BY unique_key HAVING count(*) > 1) AS held
"""
THREADS, ROUNDS, KEYS = 8, 6, 20


def keyed(name: str = "k", on_conflict: OnConflict = "existing", *, until_start: bool = False) -> NewJob:
    return new_job(unique=key(name, on_conflict, until_start=until_start))


def is_free(store: Store, name: str = "k") -> bool:
    """Whether the key can be had; if so, it is had by now."""
    job = keyed(name)
    return enqueue(store, job) == {}


# ------------------------------------------------------------ a second job


def test_a_second_job_is_dropped_and_the_first_is_named(store: Store) -> None:
    first, second = keyed(), keyed()
    assert enqueue(store, first) == {}
    before = see(store, first.id)
    assert enqueue(store, second) == {second.id: first.id}
    assert see(store, first.id) == before
    assert tables(store) == (1, 0)


def test_a_second_job_may_be_an_error_that_names_the_first(store: Store) -> None:
    first = keyed()
    enqueue(store, first)
    with pytest.raises(DuplicateJob, match=ids.text(first.id)) as raised:
        enqueue(store, keyed(on_conflict="raise"))
    assert raised.value.job_id == ids.text(first.id)
    assert tables(store) == (1, 0)


def test_a_second_job_may_be_written_over_the_first_while_that_one_waits(store: Store, hire: Hire, hand: Hand) -> None:
    first = keyed()
    enqueue(store, first)
    dead = hire()
    dead.take_one()
    dead.die()
    assert rescue(store) == 1
    lost = hand.take_one()
    store.run(store.operations.report([Report(lost.id, lost.token, hand.id, b'{"value":0.5}')]))
    hand.settle(outcome(lost, hand.id, Event.RETRY, delay=HOUR))
    before = see(store, first.id)
    assert (before.attempt, before.crashes, len(before.attempts)) == (2, 1, 2)
    assert before.progress is not None
    made = new_job(task="other", queue="q", priority=7, max_attempts=9, args=b"[[1],{}]", extras=tagged("a"))
    second = made._replace(unique=key(on_conflict="replace"), timeout=5_000_000, expires=HOUR, keep=-1)
    assert enqueue(store, second) == {second.id: first.id}
    info = see(store, first.id)
    assert tables(store) == (1, 0)
    assert (info.task, info.queue, info.priority, info.max_attempts) == ("other", "q", 7, 9)
    assert (info.payload, info.extras, info.state) == (second.args, decoded(second.extras), State.READY)
    assert info.timeout is not None
    assert info.timeout.total_seconds() == 5
    assert info.expires_at is not None
    for name in ("id", "enqueued_at", "token"):  # an outcome of an earlier attempt is still told apart by its token
        assert getattr(info, name) == getattr(before, name), name
    assert (info.attempt, info.crashes, info.attempts, info.progress) == (0, 0, (), None)
    assert (info.started_at, info.last_attempted_at) == (None, None)
    (claimed,) = hand.claim({"q": 1}, ["other"])
    assert claimed.attempt == 1
    assert claimed.token > before.token
    assert hand.settle(outcome(claimed, hand.id, Event.SUCCEED)) == frozenset()
    assert see(store, first.id).delete_after is None


def test_what_runs_is_not_written_over(store: Store, hand: Hand) -> None:
    first = keyed()
    enqueue(store, first)
    hand.take_one()
    before = see(store, first.id)
    second = new_job(args=b"[[1],{}]", unique=key(on_conflict="replace"))
    assert enqueue(store, second) == {second.id: first.id}
    assert see(store, first.id) == before


def test_a_job_may_be_put_off_and_its_key_be_held_until_the_start_instead(store: Store, hand: Hand) -> None:
    first = keyed()
    enqueue(store, first)
    later = keyed(on_conflict="replace", until_start=True)._replace(delay=HOUR)
    enqueue(store, later)
    assert see(store, first.id).state is State.SCHEDULED
    assert hand.claim() == []
    pass_time(store, 3600)
    assert hand.take_one().id == first.id
    assert is_free(store)


def test_different_keys_do_not_meet_and_jobs_without_one_are_free(store: Store) -> None:
    odd = "tâche.Ω.😀:a'b\"c%s%(x)s{y}\x1f\n"
    enqueue(store, keyed("a"), keyed("b"), keyed("A"), keyed(odd), *new_jobs(2))
    assert tables(store) == (6, 0)
    assert not is_free(store, odd)


# ------------------------------------------------------------- for how long


@pytest.mark.parametrize("event", [event for event in Event if targets(State.RUNNING, event)])
def test_a_key_is_held_until_the_job_has_ended(store: Store, hand: Hand, event: Event) -> None:
    enqueue(store, keyed())
    claimed = hand.take_one()
    assert not is_free(store)
    hand.end(claimed, event)
    assert is_free(store) is (ending(event) is not None)


def test_a_rescued_job_keeps_its_key(hire: Hire, store: Store) -> None:
    enqueue(store, keyed())
    dead = hire()
    dead.take_one()
    dead.die()
    rescue(store)
    assert not is_free(store)


@pytest.mark.parametrize("event", sorted(GIVEN_BACK | TAKEN_BACK | {Event.RETRY}))
def test_a_key_that_is_held_until_the_start_is_free_from_then_on(store: Store, hand: Hand, event: Event) -> None:
    first, second = keyed(until_start=True), keyed(until_start=True)
    enqueue(store, first)
    assert not is_free(store)
    claimed = hand.take_one()
    assert enqueue(store, second) == {}
    third = keyed()
    assert enqueue(store, third) == {third.id: second.id}
    hand.end(claimed, event)  # it waits beside the second, or has ended, and nobody minds
    assert tables(store) == ((1, 1) if ending(event) else (2, 0))
    assert not is_free(store)


def test_who_is_cancelled_or_deleted_frees_its_key(store: Store) -> None:
    cancelled, deleted, expired = keyed("a"), keyed("b"), keyed("c")._replace(expires=1)
    enqueue(store, cancelled, deleted, expired)
    pass_time(store, 1)
    store.run(store.control.cancel(JobFilter(ids=(cancelled.id,)), "enough", 10, None))
    store.run(store.control.delete_waiting(JobFilter(ids=(deleted.id,)), 10, None))
    store.run(store.control.expire(10))
    assert tables(store) == (0, 2)
    assert all(is_free(store, name) for name in "abc")


def test_who_is_wanted_once_more_takes_its_key_back_unless_another_has_it(store: Store, hand: Hand) -> None:
    first, second = keyed("a"), keyed("b")
    enqueue(store, first, second)
    for claimed in hand.take(2):
        hand.end(claimed, Event.FAIL)
    enqueue(store, keyed("b"))
    done = store.run(store.control.revive(JobFilter(), 10, None))
    assert (done.picked, done.changed) == (2, 1)
    assert [see(store, job.id).state for job in (first, second)] == [State.READY, State.FAILED]
    assert not is_free(store, "a")


def test_of_two_that_are_wanted_once_more_the_older_gets_the_key(store: Store, hand: Hand) -> None:
    old, young = sorted([keyed(), keyed()], key=lambda job: job.id)  # those of one millisecond have no order
    for job in (old, young):
        enqueue(store, job)
        hand.run_one(Event.FAIL)
    done = store.run(store.control.revive(JobFilter(), 10, None))
    assert (done.picked, done.changed) == (2, 1)
    assert [see(store, job.id).state for job in (old, young)] == [State.READY, State.FAILED]


# ------------------------------------------------------------------ in bulk


def test_of_many_jobs_the_first_of_each_key_is_stored_and_names_the_others(store: Store, hand: Hand) -> None:
    names = [f"{place % 10}" for place in range(200)]
    random.Random(5).shuffle(names)
    jobs = [keyed(name) for name in names]
    first = {name: job.id for name, job in reversed(list(zip(names, jobs, strict=True)))}
    holders = enqueue(store, *jobs)
    assert holders == {job.id: first[name] for name, job in zip(names, jobs, strict=True) if job.id != first[name]}
    expected = [job.id for job in jobs if job.id not in holders]
    assert [job.id for job in hand.take(10)] == expected


def test_jobs_with_and_without_keys_come_out_in_the_order_of_the_call(store: Store, hand: Hand) -> None:
    jobs = [keyed(f"{100 - place}") if place % 3 else new_job() for place in range(30)]
    enqueue(store, *jobs)
    assert [job.id for job in hand.take(30)] == [job.id for job in jobs]


def test_all_of_a_call_are_stored_or_none_when_one_is_refused(store: Store) -> None:
    enqueue(store, keyed("a"))
    calls = [new_job(), keyed("b"), keyed("a", "existing"), keyed("a", "raise"), new_job(), keyed("b", "replace")]
    with pytest.raises(DuplicateJob):
        enqueue(store, *calls)
    assert tables(store) == (1, 0)
    assert is_free(store, "b")


def test_a_job_may_be_written_over_one_of_the_same_call(store: Store) -> None:
    first, second, third = keyed(), keyed(on_conflict="replace"), keyed(on_conflict="replace")
    third = third._replace(args=b"[[3],{}]")
    assert enqueue(store, first, second, third) == {second.id: first.id, third.id: first.id}
    assert see(store, first.id).payload == b"[[3],{}]"


# ----------------------------------------------------------------- repeated


def repeat(store: Store, *jobs: NewJob) -> dict[bytes, bytes]:
    return dict(store.run(store.operations.repeat_enqueue(jobs)))


@pytest.mark.parametrize("on_conflict", ["existing", "replace", "raise"])
def test_a_repeat_does_not_take_what_it_has_stored_for_another(store: Store, on_conflict: OnConflict) -> None:
    jobs = [keyed("a", on_conflict), new_job(), keyed("b", on_conflict)]
    enqueue(store, *jobs)
    before = [see(store, job.id) for job in jobs]
    assert repeat(store, *jobs) == {}
    assert [see(store, job.id) for job in jobs] == before
    assert tables(store) == (3, 0)


def test_a_repeat_names_the_same_holders(store: Store, hand: Hand) -> None:
    jobs = [keyed(), keyed(), new_job()]
    holders = enqueue(store, *jobs)
    assert repeat(store, *jobs) == holders == {jobs[1].id: jobs[0].id}
    hand.take(2)
    assert repeat(store, *jobs) == holders


def test_a_repeat_completes_what_did_not_arrive_and_leaves_alone_what_has_run(store: Store, hand: Hand) -> None:
    jobs = [keyed("a"), keyed("b"), new_job()]
    enqueue(store, jobs[0], jobs[2])
    for claimed in hand.take(2):
        hand.end(claimed, Event.SUCCEED)
    assert repeat(store, *jobs) == {}
    assert tables(store) == (1, 2)
    assert repeat(store, *jobs) == {}
    assert tables(store) == (1, 2)


# --------------------------------------------------------------- all at once


def test_of_many_that_come_at_once_one_has_the_key_and_all_others_name_it(
    store: Store, opened: Callable[[], Store], url: str
) -> None:
    """In batches of the same keys in different orders, which must not wait for each other in a circle."""
    stores = [store if "memory" in url else opened() for _ in range(THREADS)]
    batches = [[keyed(f"{place}") for place in range(KEYS)] for _ in range(THREADS * ROUNDS)]
    for number_, batch in enumerate(batches):
        random.Random(number_).shuffle(batch)

    def enqueues(place: int) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        for batch in batches[place::THREADS]:
            found |= enqueue(stores[place], *batch)
        return found

    holders = {k: v for part in together([lambda p=p: enqueues(p) for p in range(THREADS)]) for k, v in part.items()}
    assert tables(store) == (KEYS, 0)
    stored = {
        ids.parse(i.id) for i in store.run(store.operations.list(JobFilter(), limit=99, after=None, direction="oldest"))
    }
    names = {job.id: job.unique for batch in batches for job in batch}
    assert set(names) == stored | set(holders)
    assert all(names[mine] == names[holder] and holder in stored for mine, holder in holders.items())


def test_a_key_goes_from_job_to_job_while_they_run(
    store: Store, opened: Callable[[], Store], hire: Hire, url: str
) -> None:
    """I6: whoever looks, and whenever, sees one unfinished job of a key; and each that was stored runs once."""
    stores = [store if "memory" in url else opened() for _ in range(4)]
    hands = [hire(one) for one in stores[:2]]
    stored: list[bytes] = []
    ran: Counter[bytes] = Counter()
    over = False

    def enqueues(place: int) -> None:
        for round_ in range(40):
            jobs = [keyed(f"{(round_ + n) % 5}", "replace" if n % 2 else "existing") for n in range(3)]
            holders = enqueue(stores[place], *jobs)
            stored.extend(job.id for job in jobs if job.id not in holders)
            assert number(stores[place], HELD_TWICE) == 0

    def settles(hand: Hand) -> None:
        while not over or tables(store)[0]:
            taken = hand.claim(3)
            ran.update(job.id for job in taken)
            assert hand.settle(*(outcome(job, hand.id, Event.SUCCEED) for job in taken)) == frozenset()

    with ThreadPoolExecutor(2) as pool:
        working = [pool.submit(settles, hand) for hand in hands]
        try:
            together([lambda p=p: enqueues(p) for p in range(2, 4)])
        finally:
            over = True
        for work in working:
            work.result()
    assert set(ran.values()) == {1}
    assert set(ran) == set(stored)


@ON_POSTGRES
@pytest.mark.parametrize("commits", [True, False])
def test_an_enqueue_in_flight_is_waited_for(store: Store, url: str, commits: bool) -> None:
    first, second = keyed(), keyed()
    with session(url) as enqueueing, ThreadPoolExecutor(1) as pool:
        assert run(store.operations.enqueue([first]), carry(enqueueing)) == {}
        other = pool.submit(enqueue, store, second)
        until(lambda: waiting(url) == 1)
        if commits:
            enqueueing.commit()
        else:
            enqueueing.rollback()
        assert other.result() == ({second.id: first.id} if commits else {})
    assert tables(store) == (1, 0)


@ON_POSTGRES
@pytest.mark.parametrize("on_conflict", ["existing", "replace", "raise"])
def test_a_repeat_waits_for_its_own_first_try_and_is_no_duplicate_of_it(
    store: Store, url: str, on_conflict: OnConflict
) -> None:
    jobs = [keyed("a", on_conflict), new_job(), keyed("b", on_conflict)]
    with session(url) as first, ThreadPoolExecutor(1) as pool:
        run(store.operations.enqueue(jobs), carry(first))
        repeated = pool.submit(repeat, store, *jobs)
        until(lambda: waiting(url) == 1)
        first.commit()
        assert repeated.result() == {}
    assert tables(store) == (3, 0)
