"""What a running attempt writes besides its outcome: progress; and an end that is part of a transaction."""

import os
from collections.abc import Callable

import pytest

from conveyor.core.clock import stored
from conveyor.core.errors import SchemaOutdated, WrongStore
from conveyor.core.lifecycle import Event, State
from conveyor.core.model import Completion, JobFilter, Progress, Report
from conveyor.store.answers import Visit
from conveyor.store.contract import Store
from tests.support.jobs import Hand, Hire, enqueue, key, new_job, new_jobs, outcome, rescue, see
from tests.support.stores import SHARED, open_store, rows, tables

HALF = b'{"value":0.5,"message":"rows"}'


def report(store: Store, *reports: Report) -> None:
    store.run(store.operations.report(reports))


def complete(store: Store, done: Completion) -> bool:
    return store.run(store.operations.complete(done))


def confirm(store: Store, id_: bytes, token: int) -> bool:
    return store.run(store.operations.confirm(id_, token))


# ----------------------------------------------------------------- progress


def test_progress_is_shown_and_the_latest_counts(store: Store, hand: Hand) -> None:
    jobs = new_jobs(3)
    enqueue(store, *jobs)
    first, second, third = hand.take(3)
    assert see(store, first.id).progress is None
    report(store, *(Report(job.id, job.token, hand.id, HALF) for job in (first, second)))
    report(store, Report(second.id, second.token, hand.id, b'{"value":1.0}'))
    report(store)
    shown = [see(store, job.id).progress for job in (first, second, third)]
    assert shown == [Progress(0.5, "rows"), Progress(1.0), None]


@pytest.mark.parametrize("event", [Event.SUCCEED, Event.FAIL, Event.RETRY, Event.CANCEL])
def test_progress_stays_with_the_job(store: Store, hand: Hand, event: Event) -> None:
    enqueue(store, new_job())
    claimed = hand.take_one()
    report(store, Report(claimed.id, claimed.token, hand.id, HALF))
    hand.end(claimed, event)
    assert see(store, claimed.id).progress == Progress(0.5, "rows")


@pytest.mark.parametrize("wrong", ["token", "runner", "id"])
def test_progress_of_somebody_else_is_dropped_and_holds_back_no_other(store: Store, hand: Hand, wrong: str) -> None:
    enqueue(store, *new_jobs(2))
    first, second = hand.take(2)
    bad = {"token": first.token - 1, "runner": os.urandom(16), "id": os.urandom(16)}[wrong]
    reports = [Report(job.id, job.token, hand.id, HALF) for job in (first, second)]
    report(store, reports[0]._replace(**{wrong: bad}), reports[1])  # type: ignore[arg-type]  # the test's own
    assert [see(store, job.id).progress for job in (first, second)] == [None, Progress(0.5, "rows")]


@pytest.mark.parametrize("event", [Event.SUCCEED, Event.RETRY])
def test_progress_that_comes_after_the_outcome_changes_nothing(store: Store, hand: Hand, event: Event) -> None:
    enqueue(store, new_job())
    claimed = hand.take_one()
    hand.end(claimed, event)
    before = see(store, claimed.id)
    report(store, Report(claimed.id, claimed.token, hand.id, HALF))
    assert see(store, claimed.id) == before


def test_a_spoilt_progress_is_none(store: Store, hand: Hand) -> None:
    enqueue(store, new_job())
    claimed = hand.take_one()
    report(store, Report(claimed.id, claimed.token, hand.id, b"spoilt"))
    assert see(store, claimed.id).progress is None


# -------------------------------------------------------------- completion


def test_a_completion_ends_the_job_as_its_outcome_would(store: Store, hand: Hand) -> None:
    jobs = [new_job(unique=key(name))._replace(keep=5_000_000) for name in "ab"]
    enqueue(store, *jobs)
    first, second = hand.take(2)
    report(store, *(Report(job.id, job.token, hand.id, HALF) for job in (first, second)))
    assert complete(store, Completion(first.id, first.token, hand.id, b"42", None))
    hand.end(second, Event.SUCCEED)
    done, settled = see(store, first.id), see(store, second.id)
    assert tables(store) == (0, 2)
    for name in ("state", "result", "attempt", "crashes", "progress", "runner", "cancelled", "priority", "attempts"):
        assert getattr(done, name) == getattr(settled, name), name
    assert (done.token, done.run_time) == (
        first.token,
        done.finished_at and done.finished_at - (done.last_attempted_at or done.finished_at),
    )
    assert done.delete_after is not None
    assert done.finished_at is not None
    assert stored(done.delete_after) - stored(done.finished_at) == 5_000_000
    assert enqueue(store, new_job(unique=key("a"))) == {}


@pytest.mark.parametrize(("result", "said", "shown"), [(None, None, None), (b'"x"', HALF, Progress(0.5, "rows"))])
def test_a_completion_brings_its_result_and_the_last_progress(
    store: Store, hand: Hand, result: bytes | None, said: bytes | None, shown: Progress | None
) -> None:
    enqueue(store, new_job())
    claimed = hand.take_one()
    assert complete(store, Completion(claimed.id, claimed.token, hand.id, result, said))
    info = see(store, claimed.id)
    assert (info.result, info.progress) == (result, shown)


@pytest.mark.parametrize("wrong", ["token", "runner", "id"])
def test_a_completion_of_somebody_else_changes_nothing(store: Store, hand: Hand, wrong: str) -> None:
    enqueue(store, new_job())
    claimed = hand.take_one()
    before = see(store, claimed.id)
    bad = {"token": claimed.token - 1, "runner": os.urandom(16), "id": os.urandom(16)}[wrong]
    done = Completion(claimed.id, claimed.token, hand.id, b"1", None)
    assert not complete(store, done._replace(**{wrong: bad}))  # type: ignore[arg-type]  # the test's own
    assert see(store, claimed.id) == before
    assert complete(store, done)
    assert not complete(store, done)


def test_a_completion_after_a_rescue_changes_nothing(store: Store, hire: Hire) -> None:
    enqueue(store, new_job())
    dead = hire()
    claimed = dead.take_one()
    dead.die()
    rescue(store)
    assert not complete(store, Completion(claimed.id, claimed.token, dead.id, b"1", None))
    assert see(store, claimed.id).state is State.READY


def test_a_job_that_was_asked_to_stop_may_still_complete(store: Store, hand: Hand) -> None:
    enqueue(store, new_job())
    claimed = hand.take_one()
    store.run(store.control.ask(JobFilter(), "stop", 10, None))
    assert complete(store, Completion(claimed.id, claimed.token, hand.id, b"1", None))
    assert (see(store, claimed.id).state, see(store, claimed.id).cancelled) == (State.SUCCEEDED, None)


# ------------------------------------------------- what became of an attempt


def test_what_became_of_an_attempt_can_be_asked(store: Store, hand: Hand) -> None:
    enqueue(store, *new_jobs(4))
    running, completed, failed, retried = hand.take(4)
    assert complete(store, Completion(completed.id, completed.token, hand.id, None, None))
    hand.end(failed, Event.FAIL)
    hand.end(retried, Event.RETRY)
    answers = [confirm(store, job.id, job.token) for job in (running, completed, failed, retried)]
    assert answers == [False, True, True, False]
    assert not confirm(store, completed.id, completed.token - 1)
    assert not confirm(store, os.urandom(16), 1)


def test_an_attempt_whose_job_somebody_else_ended_has_not(store: Store, hire: Hire, hand: Hand) -> None:
    enqueue(store, new_job(), new_job(max_attempts=1))
    dead = hire()
    first, second = sorted(dead.take(2), key=lambda job: -job.max_attempts)
    dead.die()
    rescue(store)
    again = hand.take_one()
    hand.settle(outcome(again, hand.id, Event.SUCCEED))
    assert [confirm(store, job.id, job.token) for job in (first, second)] == [False, False]
    assert confirm(store, again.id, again.token)


# ----------------------------------------------------------------- identity


def test_every_store_has_an_identity_of_its_own(store: Store, opened: Callable[[], Store], url: str) -> None:
    identity = store.run(store.operations.identity())
    assert len(identity) >= 32
    assert rows(store, "SELECT value FROM conveyor_meta WHERE name = 'store_id'") == [(identity,)]
    again = store if "memory" in url else opened()
    assert again.run(again.operations.identity()) == identity
    other = open_store("sqlite:///:memory:")
    assert other.run(other.operations.identity()) != identity
    other.close()


def test_a_visitor_from_another_store_is_told_so(store: Store) -> None:
    visit = store.operations.visit(Visit("a connection", "sqlite:///other.db", "0" * 32))
    with pytest.raises(WrongStore, match=r"a connection is connected to the store .* and this app's is 0{32}"):
        store.run(visit)


@pytest.mark.parametrize("url", SHARED, indirect=True)
def test_a_visitor_who_cannot_see_the_tables_is_told_so(store: Store, url: str) -> None:
    identity = store.run(store.operations.identity())
    rows(store, "ALTER TABLE conveyor_meta RENAME TO elsewhere")
    # On SQLite the file is known to be the store's own, so that its tables are not looked for once more.
    with pytest.raises((WrongStore, SchemaOutdated), match=r"cannot see Conveyor's tables|run `conveyor migrate`"):
        store.run(store.operations.visit(Visit("a connection", store.url, identity)))
