"""A whole app in one process, on a store in memory: enqueue, work, look."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import threading
import warnings
import weakref
from datetime import timedelta
from pathlib import Path

import pytest

from conveyor import Backoff, Context, Conveyor, Job, JobFailed, JobNotFound, PayloadError, State, current
from conveyor.core.errors import ConveyorError, UsageError
from conveyor.core.model import JobInfo
from conveyor.store.sqlite import opened
from conveyor.worker.runner import Settings
from tests.support.forks import forked
from tests.support.stores import sqlite_url
from tests.support.threads import together

pytestmark = pytest.mark.smoke

FAST = Backoff.fixed(0)
WAIT = 5
"""Seconds that nothing here should take."""


def work(app: Conveyor) -> None:
    """Do all that is due."""
    assert app.run_worker(burst=True) == 0


def states(app: Conveyor) -> dict[State, int]:
    """The states that any job is in."""
    return {state: count for state, count in app.jobs.counts().items() if count}


# ---------------------------------------------------------- from end to end


def test_a_job_is_enqueued_done_and_its_result_read(app: Conveyor) -> None:
    @app.task(name="add")
    def add(a: int, b: int = 0) -> int:
        return a + b

    job = add.enqueue(1, b=2)
    assert (job.state, job.attempt) == (State.READY, 0)
    work(app)
    assert job.result(timeout=WAIT) == 3
    assert (job.state, job.attempt) == (State.SUCCEEDED, 1)


def test_an_async_task_is_no_different(app: Conveyor) -> None:
    @app.task(name="add")
    async def add(a: int, b: int = 0) -> int:
        await asyncio.sleep(0)
        return a + b

    async def both() -> Job[int]:
        return await add.aenqueue(1, b=2)

    job = asyncio.run(both())
    work(app)
    assert job.result(timeout=WAIT) == asyncio.run(job.aresult(timeout=WAIT)) == 3


def test_a_worker_may_run_in_another_thread(app: Conveyor) -> None:
    @app.task(name="where")
    def where() -> str:
        return threading.current_thread().name

    job = where.enqueue()
    worker = threading.Thread(target=work, args=[app])
    worker.start()
    assert job.result(timeout=WAIT).startswith("conveyor-task")
    worker.join()


def test_the_app_can_be_used_after_its_worker_has_ended(app: Conveyor) -> None:
    double = app.task(name="double")(lambda n: n * 2)
    for number in range(3):
        job = double.enqueue(number)
        work(app)
        assert job.result(timeout=WAIT) == number * 2
    assert states(app) == {State.SUCCEEDED: 3}


def test_many_calls_of_different_tasks_are_stored_in_their_order(app: Conveyor) -> None:
    seen: list[object] = []
    one = app.task(name="one")(seen.append)
    other = app.task(name="other")(lambda a, b: seen.append((a, b)))
    jobs = app.enqueue_many([one.bind(1), other.bind(2, b=3), one.bind(4)])
    more = asyncio.run(app.aenqueue_many(one.bind(n) for n in (5, 6)))
    assert [job.task for job in (*jobs, *more)] == ["one", "other", "one", "one", "one"]
    app.run_worker({"default": 1}, burst=True)
    assert seen == [1, (2, 3), 4, 5, 6]


def test_no_calls_are_no_jobs(app: Conveyor) -> None:
    assert app.enqueue_many([]) == asyncio.run(app.aenqueue_many([])) == []


def test_one_bad_call_keeps_all_from_being_stored(app: Conveyor) -> None:
    echo = app.task(name="echo")(lambda value: value)
    with pytest.raises(PayloadError, match=r"^value: nan"):
        app.enqueue_many(echo.bind(value) for value in (1, float("nan"), 3))
    with pytest.raises(TypeError, match=r"task\.bind\(\.\.\.\)"):
        app.enqueue_many([echo.bind(1), echo])  # type: ignore[list-item]  # what the test is about
    assert states(app) == {}


def test_options_and_arguments_never_meet(app: Conveyor) -> None:
    def greedy(queue: str, priority: int, name: str, self: int, args: int) -> list[object]:
        return [queue, priority, name, self, args]

    task = app.task(name="greedy")(greedy)
    given = {"queue": "q", "priority": 1, "name": "n", "self": 2, "args": 3}
    assert task(**given) == ["q", 1, "n", 2, 3]
    job = task.using(priority=9).enqueue(**given)
    work(app)
    assert job.result(timeout=WAIT) == ["q", 1, "n", 2, 3]


def test_using_changes_one_job_and_not_the_task(app: Conveyor) -> None:
    seen: list[str] = []
    say = app.task(name="say", queue="mail", priority=1)(seen.append)
    say.enqueue("plain")
    say.using(priority=2).enqueue("first")
    say.using(priority=-1, max_attempts=1).enqueue("last")
    later = say.using(run_after=timedelta(hours=1)).enqueue("not yet")
    app.run_worker({"mail": 1}, burst=True)
    assert seen == ["first", "plain", "last"]
    assert (later.state, later.refresh().state) == (State.SCHEDULED, State.SCHEDULED)


# ------------------------------------------------------- failures, retries


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_failure_is_retried_until_it_succeeds(app: Conveyor, asynchronous: bool) -> None:
    def flaky() -> int:
        if current().attempt < 3:
            raise ValueError(f"attempt {current().attempt}")
        return current().attempt

    async def aflaky() -> int:
        return flaky()

    job = app.task(name="flaky", backoff=FAST)(aflaky if asynchronous else flaky).enqueue()
    work(app)
    assert job.result(timeout=WAIT) == 3
    info = job.refresh()
    assert [(a.number, a.event, str(a.error)) for a in info.attempts] == [
        (1, "retry", "ValueError: attempt 1"),
        (2, "retry", "ValueError: attempt 2"),
    ]


def test_when_no_attempt_is_left_the_job_has_failed(app: Conveyor) -> None:
    def broken() -> None:
        raise LookupError("no tea")

    job = app.task(name="broken", backoff=FAST, max_attempts=2)(broken).enqueue()
    work(app)
    with pytest.raises(JobFailed, match=r"\(broken\) is failed: LookupError: no tea$"):
        job.result(timeout=WAIT)
    assert job.attempt == 2


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), StopIteration()], ids=repr)
def test_no_error_of_a_task_ends_the_worker(app: Conveyor, asynchronous: bool, error: BaseException) -> None:
    def rude() -> None:
        raise error

    async def arude() -> None:
        raise error

    bad = app.task(name="rude", max_attempts=1)(arude if asynchronous else rude).enqueue()
    good = app.task(name="good")(lambda: 1).enqueue()
    work(app)
    assert (bad.refresh().state, good.refresh().state) == (State.FAILED, State.SUCCEEDED)


def test_a_task_that_cancels_itself_has_failed_and_is_not_given_back(app: Conveyor) -> None:
    async def quits() -> None:
        raise asyncio.CancelledError

    job = app.task(name="quits", max_attempts=1)(quits).enqueue()
    work(app)
    assert job.refresh().state is State.FAILED


def test_a_result_that_cannot_be_stored_is_a_failure_that_no_retry_mends(app: Conveyor) -> None:
    job = app.task(name="odd", backoff=FAST)(object).enqueue()
    work(app)
    with pytest.raises(JobFailed, match=r"PayloadError: result: .*object"):
        job.result(timeout=WAIT)
    assert job.attempt == 1


def test_a_call_that_the_function_no_longer_takes_waits_for_code_that_takes_it(app: Conveyor) -> None:
    old = Conveyor("sqlite:///:memory:")
    old._opened = app.store
    job = old.task(name="moved", max_attempts=1)(lambda a, b: a + b).enqueue(1, 2)
    app.task(name="moved")(lambda a: a)
    work(app)
    info = job.refresh()
    assert (info.state, info.attempt) == (State.RETRYABLE, 0)
    assert info.error is not None
    assert str(info.error).endswith("UnfitArguments: moved(a): too many positional arguments")


async def test_an_async_task_is_ended_when_its_time_is_up(app: Conveyor) -> None:
    async def slow() -> None:
        await asyncio.Event().wait()

    job = await app.task(name="slow", timeout=0.01, max_attempts=1)(slow).aenqueue()
    async with asyncio.timeout(WAIT):
        await app.worker(Settings({"default": 1}, burst=True, sweep=0.01)).run()
    with pytest.raises(JobFailed, match=r"AttemptTimedOut: it ran longer than its timeout of 0\.01 s"):
        await job.aresult(timeout=WAIT)


def test_an_object_that_is_called_asynchronously_is_awaited(app: Conveyor) -> None:
    class Sender:
        async def __call__(self, number: int) -> int:
            return number

    job = app.task(name="sender")(Sender()).enqueue(7)
    work(app)
    assert job.result(timeout=WAIT) == 7


# ---------------------------------------------------------- the task's view


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_task_can_see_its_attempt(app: Conveyor, asynchronous: bool) -> None:
    seen: list[Context] = []

    def look(ctx: Context, number: int) -> str:
        seen.append(ctx)
        assert current() is ctx
        return f"{ctx.job.task} {ctx.queue} {ctx.attempt} {number}"

    async def alook(ctx: Context, number: int) -> str:
        return look(ctx, number)

    task = app.task(name="look", takes_context=True, queue="mail")(alook if asynchronous else look)
    job = task.enqueue(5)
    work(app)
    assert job.result(timeout=WAIT) == "look mail 1 5"
    (ctx,) = seen
    assert (ctx.job.id, ctx.job.state, ctx.cancelled) == (job.id, State.RUNNING, False)
    assert ctx.token == job.refresh().token


def test_jobs_that_run_together_see_each_their_own(app: Conveyor) -> None:
    async def look(_: int) -> bool:
        before = current().job.id
        await asyncio.sleep(0)
        return current().job.id == before

    jobs = app.enqueue_many(map(app.task(name="look")(look).bind, range(10)))
    work(app)
    assert all(job.result(timeout=WAIT) for job in jobs)


def test_outside_of_a_task_there_is_no_attempt() -> None:
    with pytest.raises(LookupError, match="only inside a running task"):
        current()


def test_a_task_may_enqueue(app: Conveyor) -> None:
    seen: list[int] = []

    def down(number: int) -> None:
        seen.append(number)
        if number:
            task.enqueue(number - 1)

    task = app.task(name="down")(down)
    task.enqueue(3)
    work(app)
    assert seen == [3, 2, 1, 0]


def test_the_log_of_a_task_says_which_attempt_it_is(app: Conveyor, caplog: pytest.LogCaptureFixture) -> None:
    job = app.task(name="say")(lambda: current().log.warning("hello")).enqueue()
    work(app)
    (record,) = [record for record in caplog.records if record.name == "conveyor.task"]
    assert (record.getMessage(), vars(record)["job"], vars(record)["attempt"]) == ("hello", job.id, 1)


# ------------------------------------------------------------------ looking


def test_counts_list_and_why(app: Conveyor) -> None:
    echo = app.task(name="echo")(lambda value: value)
    done = echo.enqueue(1)
    work(app)
    waiting, later = echo.enqueue(2), echo.using(queue="mail", run_after=60).enqueue(3)
    assert states(app) == {State.SUCCEEDED: 1, State.READY: 1, State.SCHEDULED: 1}
    assert app.jobs.counts(queue="mail")[State.SCHEDULED] == 1

    def listed(found: list[JobInfo]) -> set[str]:
        return {info.id for info in found}

    assert listed([*app.jobs.list()]) == {done.id, waiting.id, later.id}
    assert listed([*app.jobs.list(state="ready")]) == {waiting.id}
    assert listed([*asyncio.run(app.jobs.alist(queue="mail", task="echo"))]) == {later.id}
    assert app.jobs.why(done.id).startswith("succeeded: at attempt 1")
    assert app.jobs.why(waiting.id) == "ready: no worker is running; start one with `conveyor worker`"
    assert app.jobs.why(later.id).startswith("scheduled: its time is ")


def test_a_handle_can_be_had_by_id_and_reads_the_result(app: Conveyor) -> None:
    job = app.task(name="echo")(lambda value: value).enqueue([1])
    work(app)
    again = app.jobs.get(job.id)
    assert (again.id, again.state, again.result()) == (job.id, State.SUCCEEDED, [1])
    assert asyncio.run(app.jobs.aget(job.id)).state is State.SUCCEEDED


@pytest.mark.parametrize("id_", ["nonsense", "", "018f5c2e-7b6a-7c3d-9e8f-0123456789ab"])
def test_no_such_job(app: Conveyor, id_: str) -> None:
    for look in (app.jobs.get, app.jobs.why):
        with pytest.raises(JobNotFound, match=r"not a job id|there is no job"):
            look(id_)


@pytest.mark.parametrize(
    ("options", "text"),
    [({"limit": 0}, "limit=0"), ({"limit": 1_001}, "limit=1001"), ({"state": "done"}, "'done' is no state")],
)
def test_a_list_that_cannot_be_given(app: Conveyor, options: dict[str, object], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        app.jobs.list(**options)  # type: ignore[arg-type]  # what the test is about


@pytest.mark.parametrize("limit", ["5", 5.0, None, True])
def test_a_limit_is_a_number(app: Conveyor, limit: object) -> None:
    told = f"^limit must be an int, not {type(limit).__name__}$"
    for look in (app.jobs.list, app.jobs.failures):
        with pytest.raises(TypeError, match=told):
            look(limit=limit)  # type: ignore[arg-type]  # what the test is about


# --------------------------------------- processes, threads and event loops


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_an_app_can_be_used_on_both_sides_of_a_fork(tmp_path: Path) -> None:
    app = Conveyor(sqlite_url(tmp_path))
    echo = app.task(name="echo")(lambda value: value)
    echo.enqueue(1)

    async def asynchronously() -> None:
        await echo.aenqueue(3)

    def child() -> str:
        echo.enqueue(2)
        asyncio.run(asynchronously())
        return f"{app.jobs.counts()[State.READY]}"

    assert forked(child) == "3"
    echo.enqueue(4)
    work(app)
    assert states(app) == {State.SUCCEEDED: 4}
    app.close()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_while_another_thread_opens_the_store_does_not_lock_the_child_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent, opening, go_on = os.getpid(), threading.Event(), threading.Event()

    class SlowLane(opened.Lane):
        def __init__(self, *args: object, **kwargs: object) -> None:
            if os.getpid() == parent:
                opening.set()
                go_on.wait(WAIT)
            super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # as they came

    def child() -> str:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(1)
        return f"{app.jobs.counts()[State.READY]}"

    monkeypatch.setattr(opened, "Lane", SlowLane)
    app = Conveyor(sqlite_url(tmp_path))
    opener = threading.Thread(target=app.jobs.counts)
    opener.start()
    assert opening.wait(WAIT)
    said = forked(child)
    go_on.set()
    opener.join()
    app.close()
    assert said == "0"


def test_an_app_can_be_used_from_many_threads_from_the_start(app: Conveyor) -> None:
    echo = app.task(name="echo")(lambda value: value)
    ready = threading.Barrier(16)

    def enqueue(number: int) -> Job[object]:
        ready.wait()
        return asyncio.run(echo.aenqueue(number)) if number % 2 else echo.enqueue(number)

    jobs = together([lambda number=number: enqueue(number) for number in range(16)])
    work(app)
    assert [job.result(timeout=WAIT) for job in jobs] == list(range(16))


def test_two_threads_that_come_first_open_one_store(app: Conveyor, monkeypatch: pytest.MonkeyPatch) -> None:
    from conveyor.store.sqlite import opened

    both = threading.Barrier(2)
    made: list[object] = []

    class SlowLane(opened.Lane):
        def __init__(self, *args: object, **kwargs: object) -> None:
            made.append(self)
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(timeout=0.2)  # until the other thread has come here too, if it can
            super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(opened, "Lane", SlowLane)
    echo = app.task(name="echo")(lambda value: value)
    together([lambda: echo.enqueue(1), lambda: echo.enqueue(2)])
    assert (len(made), states(app)) == (1, {State.READY: 2})


def test_several_event_loops_one_after_the_other_leave_nothing_behind(app: Conveyor) -> None:
    echo = app.task(name="echo")(lambda value: value)
    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []

    async def enqueue(number: int) -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await asyncio.gather(*(echo.aenqueue(number) for _ in range(3)))

    for number in range(5):
        asyncio.run(enqueue(number))
    gc.collect()
    assert sum(loop() is not None for loop in loops) <= 1  # the lane may still hold what it did last
    work(app)
    assert states(app) == {State.SUCCEEDED: 15}


async def test_a_worker_that_is_cancelled_claims_no_more_and_lets_its_lease_go(app: Conveyor) -> None:
    started = asyncio.Event()

    async def wait() -> None:
        started.set()
        await asyncio.Event().wait()

    task = app.task(name="wait")(wait)
    await task.aenqueue()
    worker = asyncio.create_task(app.worker(Settings({"default": 1})).run())
    await started.wait()
    worker.cancel()
    with pytest.raises(asyncio.CancelledError):
        await worker
    left = [task for task in asyncio.all_tasks() if "Claimer" in repr(task) or "kept" in repr(task)]
    beats = [thread for thread in threading.enumerate() if thread.name == "conveyor-heartbeat"]
    for orphan in left:
        orphan.cancel()
    assert (left, beats) == ([], [])
    assert not any(runner.alive for runner in app.jobs.runners())


def test_an_app_goes_on_with_its_file_when_the_process_changes_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(here)
    app = Conveyor("sqlite:///jobs.db")
    double = app.task(name="double")(lambda n: n * 2)
    before = double.enqueue(1)
    os.chdir(elsewhere)  # monkeypatch brings us back
    app.close()  # the next use connects anew
    after = double.enqueue(2)
    work(app)
    assert (before.result(timeout=WAIT), after.result(timeout=WAIT)) == (2, 4)
    app.close()
    assert list(elsewhere.iterdir()) == []
    assert (here / "jobs.db").exists()


async def test_run_worker_in_a_running_loop_says_what_to_do_and_leaves_no_coroutine_behind(app: Conveyor) -> None:
    job = await app.task(name="echo")(lambda value: value).aenqueue(1)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with pytest.raises(UsageError, match=r"await app\.worker\(Settings\(\.\.\.\)\)\.run\(\)"):
            app.run_worker(burst=True)
        gc.collect()
    assert [str(warning.message) for warning in warned] == []
    assert await app.worker(Settings({"default": 1}, burst=True)).run() == 0
    assert await job.aresult(timeout=WAIT) == 1


# ----------------------------------------------------------------- settings


@pytest.mark.parametrize("queues", [{"default": 0}, {"default": -1}, {"": 1}, {"a\0": 1}, {}], ids=str)
def test_a_worker_needs_slots_and_queues_that_can_be(queues: dict[str, int]) -> None:
    with pytest.raises((ConveyorError, ValueError)):
        Settings(queues)


@pytest.mark.parametrize(
    "times", [{"lease": 0}, {"lease": float("nan")}, {"beat": 0}, {"lease": 5, "beat": 10}, {"grace": -1}], ids=str
)
def test_a_worker_needs_times_that_can_be(times: dict[str, float]) -> None:
    with pytest.raises((ConveyorError, ValueError)):
        Settings({"default": 1}, **times)


@pytest.mark.parametrize("url", ["mysql://x", "jobs.db", "http://x", "/jobs.db"])
def test_a_store_of_no_known_kind_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="must begin with sqlite:///, postgresql:// or redis://"):
        Conveyor(url)


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("plain.db", r"; for a file write sqlite:///plain\.db$"),
        (":memory:", "; for a file write sqlite:///:memory:$"),
        ("postgresql+asyncpg://localhost/shop", r"; leave \+asyncpg out$"),
        ("sqlite+aiosqlite:///shop.db", r"; leave \+aiosqlite out$"),
        ("//me:secret@nowhere/db", "redis://$"),
    ],
)
def test_a_url_that_was_nearly_right_is_put_right(url: str, hint: str) -> None:
    with pytest.raises(UsageError, match=hint):
        Conveyor(url)


def test_making_an_app_opens_nothing_and_hides_the_password() -> None:
    app = Conveyor("postgresql://me:secret@nowhere/db")
    assert repr(app) == "<Conveyor on postgresql>"


def test_another_store_can_be_chosen_until_the_first_is_in_use(app: Conveyor) -> None:
    app.use("sqlite:///:memory:")
    app.jobs.counts()
    with pytest.raises(UsageError, match="has used its store already"):
        app.use("sqlite:///:memory:")


def test_the_default_queues_are_those_that_the_tasks_name(app: Conveyor) -> None:
    app.task(name="a", queue="mail")(lambda: None)
    assert app.default_queues(3) == {"default": 3, "mail": 3}


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
