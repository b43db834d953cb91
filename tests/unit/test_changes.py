"""``app.jobs`` and handles, changing jobs; on a store in memory, in passes of two."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest

from conveyor import Backoff, Conveyor, DuplicateJob, Job, JobNotFound, PayloadError, State, Unique, UsageError
from conveyor.client import changes
from conveyor.client.changes import Affected
from conveyor.core.errors import ConveyorError
from conveyor.store.contract import Store
from tests.support.jobs import Hand
from tests.support.stores import age

WAIT = 5


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[Conveyor]:
    """An app whose task fails when it is told to."""
    monkeypatch.setattr(changes, "PASS", 2)
    made = Conveyor("sqlite:///:memory:")

    @made.task(name="do", max_attempts=1, backoff=Backoff.fixed(0))
    def do(number: int, fails: bool = False) -> int:
        if fails:
            raise ValueError(number)
        return number

    yield made
    made.close()


def work(app: Conveyor) -> None:
    assert app.run_worker(burst=True) == 0


def enqueued(app: Conveyor, count: int, *, fails: bool = False, **options: object) -> list[Job[object]]:
    task = app.tasks["do"].using(**options)  # type: ignore[arg-type]  # the test's own
    return app.enqueue_many(task.bind(number, fails=fails) for number in range(count))


def running(app: Conveyor) -> tuple[Hand, str]:
    """A job that a runner holds, and the runner."""
    (job,) = enqueued(app, 1)
    hand = Hand(app.store)
    store: Store = app.store
    (claimed,) = store.run(store.operations.claim(hand.id, {"default": 1}, ["do"]))
    assert claimed.token
    return hand, job.id


def states(app: Conveyor) -> dict[State, int]:
    return {state: count for state, count in app.jobs.counts().items() if count}


# ---------------------------------------------------------------- many jobs


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_all_that_is_meant_is_changed_in_as_many_passes_as_it_takes(
    app: Conveyor, count: int, asynchronous: bool
) -> None:
    jobs = app.jobs

    def change(name: str, *given: str, **filters: object) -> Affected:
        made: Affected = (
            asyncio.run(getattr(jobs, f"a{name}")(*given, **filters))
            if asynchronous
            else getattr(jobs, name)(*given, **filters)
        )
        return made

    enqueued(app, count, tags=["x"])
    others = enqueued(app, 3, tags=["y"])
    assert change("cancel", tag="x", dry_run=True) == Affected(count)
    assert change("cancel", tag="x", reason="enough") == Affected(count)
    assert states(app) == {State.READY: 3, State.CANCELLED: count}
    assert {info.cancelled for info in jobs.list(state="cancelled")} == {"enough"}
    assert change("retry", state="cancelled", dry_run=True) == Affected(count)
    assert change("retry", state="cancelled") == Affected(count)
    assert states(app) == {State.READY: 3 + count}
    assert change("delete", others[0].id, others[2].id, dry_run=True) == Affected(2)
    assert change("delete", others[0].id, others[2].id) == Affected(2)
    assert change("cancel", queue="nowhere") == Affected(0)
    assert change("delete", everything=True) == Affected(1 + count)
    assert states(app) == {}


def test_what_runs_is_asked_and_stays(app: Conveyor) -> None:
    enqueued(app, 2, run_after=60)
    hand, id_ = running(app)
    assert app.jobs.cancel(everything=True, dry_run=True) == Affected(2, asked=1)
    done = app.jobs.cancel(everything=True)
    assert (done, int(done)) == (Affected(2, asked=1), 3)
    assert app.jobs.delete(id_) == Affected(0)
    info = app.jobs.get(id_).refresh()
    assert (info.state, info.cancelled) == (State.RUNNING, "cancelled by hand")
    assert app.jobs.why(id_).endswith("; asked to stop (cancelled by hand)")
    hand.die()


def test_without_a_state_only_dead_letters_are_run_once_more(app: Conveyor) -> None:
    enqueued(app, 2)
    enqueued(app, 3, fails=True)
    work(app)
    later = enqueued(app, 1, run_after=60)
    assert app.jobs.retry(task="do", dry_run=True) == Affected(3)
    assert app.jobs.retry(task="do") == Affected(3)
    assert states(app) == {State.SUCCEEDED: 2, State.SCHEDULED: 1, State.READY: 3}
    assert app.jobs.retry(state=["scheduled", "ready"]) == Affected(1)
    assert app.jobs.retry(*(job.id for job in later)) == Affected(0)
    assert states(app) == {State.SUCCEEDED: 2, State.READY: 4}


def test_failures_are_run_once_more_by_their_error(app: Conveyor) -> None:
    enqueued(app, 3, fails=True)
    work(app)
    (group,) = app.jobs.failures()
    assert (group.jobs, group.task) == (3, "do")
    assert group.error.message in {"0", "1", "2"}
    assert asyncio.run(app.jobs.afailures(limit=1)) == [group]
    assert app.jobs.retry(error=group.fingerprint) == Affected(3)
    assert app.jobs.failures() == []


def test_a_job_whose_key_another_holds_is_left(app: Conveyor) -> None:
    first, *_ = enqueued(app, 1, unique="k", fails=True)
    work(app)
    second, *_ = enqueued(app, 1, unique="k")
    assert second.created
    assert app.jobs.retry(first.id) == Affected(0, left=1)
    told = pytest.raises(DuplicateJob, match=f"job {first.id} stays as it is")
    with told as raised:
        first.retry()
    assert raised.value.job_id == second.id
    with told as raised:
        asyncio.run(first.aretry())
    assert raised.value.job_id == second.id


def test_a_retry_names_who_holds_the_arguments_that_are_the_key(app: Conveyor) -> None:
    first, *_ = enqueued(app, 1, unique=True, fails=True)
    work(app)
    second, *_ = enqueued(app, 1, unique=True, fails=True)
    with pytest.raises(DuplicateJob) as raised:
        first.retry()
    assert raised.value.job_id == second.id


# -------------------------------------------------------------------- prune


def test_prune_deletes_what_is_to_stay_no_longer(app: Conveyor) -> None:
    enqueued(app, 5, keep=10)
    enqueued(app, 1, keep=None)
    enqueued(app, 1)
    work(app)
    assert app.jobs.prune() == app.jobs.prune(dry_run=True) == Affected(0)
    age(app.store, 11)
    assert app.jobs.prune(dry_run=True) == Affected(5)
    assert asyncio.run(app.jobs.aprune()) == Affected(5)
    assert states(app) == {State.SUCCEEDED: 2}


def test_prune_by_age_whatever_keep_says(app: Conveyor) -> None:
    enqueued(app, 3, keep=None)
    enqueued(app, 2, fails=True)
    work(app)
    age(app.store, 100)
    enqueued(app, 1)
    work(app)
    enqueued(app, 1, run_after=60)
    assert app.jobs.prune(timedelta(seconds=99), dry_run=True) == Affected(5)
    assert app.jobs.prune(99, state="failed") == Affected(2)
    assert app.jobs.prune(99) == Affected(3)
    assert states(app) == {State.SUCCEEDED: 1, State.SCHEDULED: 1}


def test_prune_by_keep_takes_no_filters(app: Conveyor) -> None:
    with pytest.raises(UsageError, match="need older_than="):
        app.jobs.prune(queue="q")


def test_prune_is_about_ended_jobs(app: Conveyor) -> None:
    with pytest.raises(UsageError, match="ended jobs only"):
        app.jobs.prune(1, state=["failed", "ready"])
    with pytest.raises(PayloadError, match="older_than"):
        app.jobs.prune(-1)


# ------------------------------------------------------------------ one job


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_handle_cancels_retries_and_deletes_its_job(app: Conveyor, asynchronous: bool) -> None:
    def change(job: Job[object], name: str, *args: str) -> State | None:
        made: State | None = asyncio.run(getattr(job, f"a{name}")(*args)) if asynchronous else getattr(job, name)(*args)
        return made

    job, other = enqueued(app, 2, run_after=60)
    assert change(job, "cancel", "enough") is State.CANCELLED
    assert (job.state, job.info and job.info.cancelled) == (State.CANCELLED, "enough")
    assert change(job, "cancel") is State.CANCELLED
    assert change(job, "retry") is State.READY
    assert change(job, "retry") is State.READY
    assert change(other, "retry") is State.READY
    work(app)
    assert change(job, "cancel") is State.SUCCEEDED
    assert change(job, "retry") is State.READY
    work(app)
    assert (job.refresh().attempt, job.refresh().max_attempts) == (2, 2)
    assert change(job, "delete") is None
    for name in ("cancel", "retry", "delete", "refresh"):
        with pytest.raises(JobNotFound, match=f"there is no job {job.id}"):
            change(job, name)
    assert other.refresh().state is State.SUCCEEDED


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_running_job_is_asked_and_not_deleted(app: Conveyor, asynchronous: bool) -> None:
    hand, id_ = running(app)
    job = app.jobs.get(id_)
    assert (asyncio.run(job.acancel()) if asynchronous else job.cancel()) is State.RUNNING
    assert (asyncio.run(job.aretry()) if asynchronous else job.retry()) is State.RUNNING
    with pytest.raises(ConveyorError, match=f"job {id_} is running and was not deleted; cancel it first"):
        asyncio.run(job.adelete()) if asynchronous else job.delete()
    hand.die()


def test_a_reason_is_a_text_that_a_store_can_hold(app: Conveyor) -> None:
    job, *_ = enqueued(app, 1)
    for reason in ("x" * 501, "a\0b", "\ud800"):
        with pytest.raises(PayloadError, match=r"^reason: "):
            job.cancel(reason)
        with pytest.raises(PayloadError, match=r"^reason: "):
            app.jobs.cancel(job.id, reason=reason)
    with pytest.raises(TypeError, match=r"^reason must be a str"):
        job.cancel(5)  # type: ignore[arg-type]  # what the test is about
    assert job.cancel("") is State.CANCELLED
    assert app.jobs.why(job.id).startswith("cancelled: no reason given")


# --------------------------------------------------------------- unique jobs


def test_a_second_job_of_a_key_gives_the_handle_of_the_first(app: Conveyor) -> None:
    first, second = enqueued(app, 2, unique="k")
    assert (first.created, second.created) == (True, False)
    assert second.id == first.id
    third = asyncio.run(app.tasks["do"].using(unique="k").aenqueue(3))
    assert (third.created, third.id) == (False, first.id)
    work(app)
    assert second.result(timeout=WAIT) == 0
    fourth = asyncio.run(app.aenqueue_many([app.tasks["do"].using(unique="k").bind(4)]))[0]
    assert (fourth.created, fourth.id == first.id) == (True, False)


def test_a_task_may_be_unique_by_its_arguments(app: Conveyor) -> None:
    task = app.task(name="mail", unique=True)(lambda to: to)
    handles = [task.enqueue(to) for to in ("ada", "grace", "ada")]
    assert [job.created for job in handles] == [True, True, False]
    assert task.using(unique=None).enqueue("ada").created
    info = handles[0].refresh()
    assert info.unique == ""


def test_a_second_job_may_take_the_place_of_the_first_or_be_an_error(app: Conveyor) -> None:
    task = app.tasks["do"]
    first = task.using(unique="k").enqueue(1)
    second = task.using(unique=Unique("k", on_conflict="replace"), priority=5).enqueue(2)
    assert (second.id, second.created) == (first.id, False)
    with pytest.raises(DuplicateJob) as raised:
        task.using(unique=Unique("k", on_conflict="raise")).enqueue(3)
    assert raised.value.job_id == first.id
    work(app)
    assert first.result(timeout=WAIT) == 2
    assert first.refresh().priority == 5
