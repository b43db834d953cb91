"""The answer to a COMMIT is lost, or the COMMIT itself: what became of it is found out, and nothing is done twice."""

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from conveyor import State
from conveyor.cli.chaos.proxy import Cut, Proxy
from conveyor.core.judge import LOSSES_ALLOWED
from conveyor.core.lifecycle import Event
from conveyor.worker.attempt import Interruption
from tests.contract.test_completion import Work, only
from tests.support.bench import Bench, Ended
from tests.support.carriers import Kind, outside
from tests.support.ground import Site
from tests.support.inside import FEW, Body, Inside, Way
from tests.support.postgres import waiting
from tests.support.spoilt import spoil
from tests.support.waiting import until

MARK = "INSERT INTO effect"
EACH = only(*FEW)
POSTGRES = only(*(way for way in FEW if way.kind == "postgresql"))
BLOCKS = only(*(way for way in FEW if not way.declared))


class Yard:
    """A job with one effect and one child, and what becomes of its COMMITs."""

    def __init__(self, url: str, real: str, cuts: list[Cut]) -> None:
        self.site = Site(url)
        self.real = real
        self.cuts = cuts
        self.bench = Bench(self.site.app)
        self.release: Callable[[], None] = lambda: None
        self.execute("CREATE TABLE IF NOT EXISTS effect (job text)")
        self.execute("DELETE FROM effect")

    def execute(self, text: str) -> None:
        with outside(self.real) as connection:
            connection.execute(text)

    def begin(self, way: Way, *, swallow: bool = False, max_attempts: int = 1) -> None:
        self.work = Work(self.site, self.bench, way, _effect(self.site, swallow=swallow), max_attempts=max_attempts)

    def perform(self) -> Ended:
        """One attempt, its pause passed over."""
        self.execute("UPDATE conveyor_job SET run_after = 0 WHERE task = 'work'")
        return self.work.perform()

    def effects(self) -> int:
        with outside(self.real) as connection:
            return len(connection.execute("SELECT 1 FROM effect").fetchall())

    def close(self) -> None:
        self.bench.close()
        self.site.close()


def _effect(site: Site, *, swallow: bool) -> Body:
    def body(inside: Inside) -> int:
        try:
            with inside.transaction(result=42):
                inside.user().write(f"{MARK} VALUES ('{inside.ctx.job.id}')")
                inside.enqueue(site.task, 1)
        except Exception:
            if not swallow:
                raise
        return 42

    return body


@pytest.fixture
def yard(way: Way, clean: Callable[[Kind], str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Yard]:
    cuts: list[Cut] = []

    def choose() -> Cut | None:
        return cuts.pop(0) if cuts else None

    url = clean(way.kind)
    if way.kind == "sqlite":
        spoil(monkeypatch.setattr, MARK, choose)
        made = Yard(url, url, cuts)
        yield made
        made.close()
        return
    with Proxy(url, MARK, choose) as proxy:
        made = Yard(proxy.url, url, cuts)
        made.release = proxy.release
        yield made
        made.close()


# ---------------------------------------------------------------- one loss


@EACH
def test_a_commit_whose_answer_is_lost_stands(yard: Yard, way: Way) -> None:
    yard.begin(way)
    yard.cuts.append(Cut.AFTER)
    stands(yard, yard.perform())


@BLOCKS
def test_it_stands_though_the_task_has_swallowed_the_error(yard: Yard, way: Way) -> None:
    yard.begin(way, swallow=True)
    yard.cuts.append(Cut.AFTER)
    stands(yard, yard.perform())


def stands(yard: Yard, ended: Ended) -> None:
    assert (ended.event, ended.itself, ended.stands) == (Event.SUCCEED, True, True)
    assert (yard.work.state, yard.effects(), yard.site.stored()) == (State.SUCCEEDED, 1, [1])
    assert yard.work.job.result(timeout=1) == 42


@POSTGRES
def test_a_commit_that_is_lost_spends_no_attempt_and_the_job_runs_again(yard: Yard, way: Way) -> None:
    yard.begin(way)
    runs_again(yard)


@only(*(way for way in FEW if way.kind == "postgresql" and not way.declared))
def test_it_runs_again_though_the_task_has_swallowed_the_error(yard: Yard, way: Way) -> None:
    yard.begin(way, swallow=True)
    runs_again(yard)


def runs_again(yard: Yard) -> None:
    """One attempt is all that it may have."""
    yard.cuts.append(Cut.BEFORE)
    ended = yard.perform()
    assert (ended.event, ended.itself, ended.stands) == (Event.RELEASE, False, True)
    assert (yard.effects(), yard.site.stored()) == (0, [])
    assert yard.perform().itself
    info = yard.work.job.refresh()
    assert (info.state, info.attempt, len(info.attempts)) == (State.SUCCEEDED, 1, 1)
    assert (yard.effects(), yard.site.stored()) == (1, [1])


@only(*(way for way in FEW if way.kind == "sqlite"))
def test_a_commit_that_the_disk_refuses_is_an_error_of_the_attempt(yard: Yard, way: Way) -> None:
    """Nothing tells a full disk, which the job may have filled itself, from any other trouble."""
    yard.begin(way, max_attempts=2)
    yard.cuts.append(Cut.BEFORE)
    assert yard.perform().event is Event.RETRY
    assert (yard.effects(), yard.site.stored()) == (0, [])
    assert yard.perform().itself
    assert (yard.work.state, yard.effects(), yard.site.stored()) == (State.SUCCEEDED, 1, [1])


@POSTGRES
def test_a_commit_that_arrives_late_is_waited_for(yard: Yard, way: Way) -> None:
    """The client has lost its connection, the server has not heard of that yet, nor of the COMMIT."""
    yard.begin(way)
    yard.cuts.append(Cut.LATE)

    def released() -> None:
        until(lambda: waiting(yard.real) > 0)
        yard.release()

    thread = threading.Thread(target=released)
    thread.start()
    ended = yard.perform()
    thread.join()
    assert (ended.event, ended.itself, ended.stands) == (Event.SUCCEED, True, True)
    assert (yard.work.state, yard.effects(), yard.site.stored()) == (State.SUCCEEDED, 1, [1])


@only(*(way for way in FEW if way.kind == "postgresql" and way.colour == "async"))
@pytest.mark.parametrize("why", [Interruption.TIMEOUT, Interruption.SHUTDOWN, Interruption.CANCEL])
def test_an_attempt_that_is_ended_during_its_commit_is_heard_out(yard: Yard, way: Way, why: Interruption) -> None:
    yard.begin(way)
    yard.cuts.append(Cut.HELD)

    def ended() -> None:
        loop = asyncio.get_running_loop()

        def interrupted() -> None:
            until(lambda: not yard.cuts)
            loop.call_soon_threadsafe(yard.bench.attempt.interrupt, why)
            loop.call_soon_threadsafe(yard.release)

        threading.Thread(target=interrupted).start()

    stands(yard, yard.work.perform(ended))


# ---------------------------------------------------------------- again and again


@only(*(way for way in FEW if way.carrier is None and way.kind == "postgresql"))
def test_a_job_whose_commits_are_always_lost_comes_to_an_end(yard: Yard, way: Way) -> None:
    """It may be the job itself that breaks the connection: its result is too large for the proxy on its way, say."""
    yard.begin(way, max_attempts=2)
    yard.cuts += [Cut.BEFORE] * 100
    events = [yard.perform().event for _ in range(2 * (LOSSES_ALLOWED + 1))]
    lost = [Event.RELEASE] * LOSSES_ALLOWED
    assert events == [*lost, Event.RETRY, *lost, Event.FAIL]
    assert (yard.work.state, yard.effects(), yard.site.stored()) == (State.FAILED, 0, [])
    assert yard.work.job.refresh().attempt == 2
