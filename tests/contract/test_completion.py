"""A transaction whose commit completes its job: every way to open one, on both stores."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from conveyor import AttemptFenced, ConveyorError, State, UsageError
from conveyor.core.lifecycle import Event
from conveyor.core.model import Progress
from conveyor.worker.attempt import Interruption
from tests.support.bench import Bench, Ended
from tests.support.carriers import Kind
from tests.support.ground import Site
from tests.support.inside import FEW, WAYS, Body, Inside, Way, make_task
from tests.support.matrix import COMPLETIONS


class Work:
    """A task, its one job, and what became of it."""

    def __init__(self, site: Site, bench: Bench, way: Way, body: Body, **options: Any) -> None:
        self._bench = bench
        self.site = site
        self.job = make_task(site.app, way, body, **options).enqueue()

    def perform(self, claimed: Callable[[], None] = lambda: None) -> Ended:
        return self._bench.perform(claimed)

    @property
    def state(self) -> State:
        return self.job.refresh().state

    def left(self) -> tuple[State, list[int], list[int]]:
        """The job's state, the user's rows, and the children."""
        return self.state, self.site.own(), self.site.stored()


Make = Callable[..., Work]


def only(*ways: Way) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("way", ways, ids=lambda way: way.id)


ALL = only(*COMPLETIONS)
EACH = only(*FEW)
BLOCKS = only(*(way for way in FEW if not way.declared))
USING = only(*(way for way in WAYS if way.carrier))
POSTGRES = only(*(way for way in FEW if way.kind == "postgresql"))


@pytest.fixture
def site(way: Way, clean: Callable[[Kind], str]) -> Iterator[Site]:
    made = Site(clean(way.kind))
    yield made
    made.close()


@pytest.fixture
def bench(site: Site) -> Iterator[Bench]:
    made = Bench(site.app)
    yield made
    made.close()


@pytest.fixture
def work(site: Site, bench: Bench, way: Way) -> Make:
    def made(body: Body, **options: Any) -> Work:
        return Work(site, bench, way, body, **options)

    return made


# ---------------------------------------------------------------- commit and rollback


@ALL
def test_one_commit_for_the_writes_the_children_the_result_and_the_end(site: Site, work: Make) -> None:
    def body(inside: Inside) -> int:
        with inside.transaction(result=42):
            inside.write(1)
            inside.ctx.progress(0.5, "half")
            inside.enqueue(site.task, 2)
            assert (site.own(), site.stored()) == ([], [])
        return 42

    done = work(body)
    ended = done.perform()
    assert (ended.event, ended.itself, ended.stands) == (Event.SUCCEED, True, True)
    assert done.left() == (State.SUCCEEDED, [1], [2])
    assert done.job.result(timeout=1) == 42
    assert done.job.refresh().progress == Progress(0.5, "half")
    if site.app.store.kind == "postgresql":
        assert len(site.transactions()) == 1


@ALL
def test_an_error_takes_all_of_it_back_and_is_the_attempts(site: Site, work: Make) -> None:
    def body(inside: Inside) -> None:
        with inside.transaction():
            inside.write(1)
            inside.enqueue(site.task, 2)
            raise ArithmeticError("no")

    done = work(body)
    ended = done.perform()
    assert (ended.event, ended.itself, ended.stands) == (Event.RETRY, False, True)
    assert done.left() == (State.RETRYABLE, [], [])
    (attempt,) = done.job.refresh().attempts
    assert attempt.error is not None
    assert attempt.error.type == "ArithmeticError"


@ALL
def test_savepoints_inside_keep_and_take_back(site: Site, work: Make) -> None:
    def body(inside: Inside) -> None:
        with inside.transaction():
            user = inside.user()
            inside.write(1)
            user.savepoint()
            inside.write(2)
            inside.enqueue(site.task, 2)
            user.rollback_to()
            user.savepoint()
            inside.write(3)
            inside.enqueue(site.task, 3)
            user.savepoint()
            inside.enqueue(site.task, 4)
            user.rollback_to()
            user.release()

    done = work(body)
    assert done.perform().itself
    assert done.left() == (State.SUCCEEDED, [1, 3], [3])


@EACH
def test_an_attempt_whose_job_is_anothers_takes_all_of_it_back(site: Site, bench: Bench, work: Make) -> None:
    raised: list[type[Exception]] = []

    def body(inside: Inside) -> int:
        try:
            with inside.transaction(result=1):
                inside.write(1)
                inside.enqueue(site.task, 2)
        except AttemptFenced as error:
            raised.append(type(error))
            raise
        return 1

    done = work(body)
    ended = done.perform(bench.give_away)
    assert (ended.itself, ended.stands) == (True, False)
    assert done.left() == (State.RUNNING, [], [])
    assert done.job.attempt == 2
    assert raised in ([], [AttemptFenced])  # the worker, and not the task, commits a declared one


@POSTGRES
def test_also_when_that_happens_inside_of_the_transaction(site: Site, bench: Bench, work: Make) -> None:
    """On SQLite nobody else writes meanwhile."""

    def body(inside: Inside) -> None:
        with inside.transaction():
            inside.write(1)
            inside.enqueue(site.task, 2)
            bench.give_away()

    done = work(body)
    ended = done.perform()
    assert (ended.itself, ended.stands) == (True, False)
    assert done.left() == (State.RUNNING, [], [])


@EACH
def test_a_result_that_is_not_to_be_stored_is_not(work: Make) -> None:
    def body(inside: Inside) -> int:
        with inside.transaction(result=42):
            inside.write(1)
        return 42

    done = work(body, store_result=False)
    assert done.perform().stands
    assert done.job.result(timeout=1) is None


@BLOCKS
def test_what_comes_after_the_block_changes_nothing(site: Site, work: Make, caplog: pytest.LogCaptureFixture) -> None:
    def body(inside: Inside) -> int:
        with inside.transaction(result=1):
            inside.write(1)
        inside.enqueue(site.task, 2)
        raise ArithmeticError("too late")

    done = work(body)
    with caplog.at_level(logging.WARNING):
        assert done.perform().stands
    assert "raised after its transaction was committed, which changes nothing: ArithmeticError: too late" in caplog.text
    assert done.left() == (State.SUCCEEDED, [1], [2])
    assert done.job.result(timeout=1) == 1


@BLOCKS
def test_a_block_without_a_result_gives_none(work: Make) -> None:
    def body(inside: Inside) -> int:
        tx = inside.ctx.transaction(inside.held.connection if inside.held else None)
        inside.do(tx.__enter__, tx.__aenter__)
        inside.do(lambda: tx.__exit__(None, None, None), lambda: tx.__aexit__(None, None, None))
        return 42

    done = work(body)
    assert done.perform().stands
    assert done.job.result(timeout=1) is None


@EACH
def test_it_is_for_once(site: Site, work: Make) -> None:
    def body(inside: Inside) -> None:
        with inside.transaction():
            inside.write(1)
            with pytest.raises(UsageError, match=r"open already, .*; use ctx\.connection"):
                inside.ctx.transaction()
        if not inside.way.declared:
            with pytest.raises(UsageError, match="once in an attempt"):
                inside.ctx.transaction()

    done = work(body)
    assert done.perform().stands
    assert done.left() == (State.SUCCEEDED, [1], [])


@BLOCKS
def test_after_one_that_was_taken_back_there_may_be_another(site: Site, work: Make) -> None:
    def body(inside: Inside) -> None:
        for n in (1, 2):
            try:
                with inside.transaction(result=n):
                    inside.write(n)
                    inside.enqueue(site.task, n)
                    assert n == 2, "once more"
            except AssertionError:
                continue

    done = work(body)
    assert done.perform().stands
    assert done.left() == (State.SUCCEEDED, [2], [2])
    assert done.job.result(timeout=1) == 2


@USING
def test_a_connection_with_a_transaction_of_its_own_is_refused_and_left_alone(site: Site, work: Make) -> None:
    def body(inside: Inside) -> None:
        assert inside.held is not None
        inside.held.begin()
        inside.write(1)
        with pytest.raises(ConveyorError, match=r"must be the outermost one, and .*; "), inside.transaction():
            raise AssertionError("it began")
        inside.held.commit()

    done = work(body)
    assert not done.perform().itself
    assert done.left() == (State.SUCCEEDED, [1], [])


# ---------------------------------------------------------------- ended from outside


@only(*(way for way in FEW if way.carrier is None or "session" in way.id or "asyncpg" in way.id))
@pytest.mark.parametrize("why", list(Interruption))
def test_an_attempt_that_is_ended_inside_of_its_transaction_takes_all_of_it_back(
    site: Site, bench: Bench, work: Make, why: Interruption
) -> None:
    def body(inside: Inside) -> None:
        with inside.transaction():
            inside.write(1)
            inside.enqueue(site.task, 2)
            bench.attempt.interrupt(why, "enough")
            inside.do(inside.ctx.checkpoint, lambda: asyncio.sleep(60))

    done = work(body)
    ended = done.perform()
    events = {Interruption.TIMEOUT: Event.RETRY, Interruption.CANCEL: Event.CANCEL}
    assert (ended.event, ended.itself) == (events.get(why, Event.RELEASE), False)
    assert (site.own(), site.stored()) == ([], [])


@EACH
def test_a_cancellation_that_comes_too_late_to_be_heard_does_not_undo_a_success(site: Site, work: Make) -> None:
    """On SQLite it waits for the transaction; and a stricter level than READ COMMITTED fails, and ends as cancelled."""

    def body(inside: Inside) -> None:
        with inside.transaction():
            inside.write(1)
            if inside.way.kind == "postgresql":
                site.app.jobs.cancel(inside.ctx.job.id)

    done = work(body)
    assert done.perform().stands
    assert done.left() == (State.SUCCEEDED, [1], [])
