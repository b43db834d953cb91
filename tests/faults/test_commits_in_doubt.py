"""COMMITs and their answers are lost in numbers, under a worker at work: effects and children exactly once."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conveyor.cli.chaos.proxy import Cut, Proxy
from tests.faults.test_kill_worker import drained, whole
from tests.faults.transactional import CUTS, EFFECT, TABLES
from tests.support.carriers import outside
from tests.support.effects import Effects, count
from tests.support.say import Say
from tests.support.stores import sqlite_url
from tests.support.waiting import until
from tests.support.yard import Yard

JOBS, MANY = 20, 1_500
PART = 0.5
"""Of the COMMITs, half each before the server hears of them and after."""
PATIENCE = 60.0

clock = threading.Event()


class Doubtful:
    """A yard whose workers lose COMMITs, and the count of those."""

    def __init__(self, yard: Yard, real: str, losses: str, cuts: Callable[[], Counter[str]]) -> None:
        self.yard, self.real, self.cuts = yard, real, cuts
        self._losses = losses
        yard.store.migrate()
        with outside(real) as connection:
            for table in TABLES:
                connection.execute(table)

    def work(self, jobs: int) -> Effects:
        assert (
            self.yard.start("tests.faults.transactional", "enqueue", "--jobs", str(jobs)).ends(PATIENCE + jobs / 5) == 0
        )
        worker = self.yard.start("tests.faults.transactional", "work", "--lease", "30", "--losses", self._losses)
        until(lambda: clock.wait(0.1) or drained(self.yard), patience=PATIENCE + jobs / 2)
        worker.kill()
        return count(self.real)


@pytest.fixture
def on_postgres(postgres_url: str, tmp_path: Path) -> Iterator[Doubtful]:
    chance = random.Random(1)

    def choose() -> Cut | None:
        return chance.choice([Cut.BEFORE, Cut.AFTER]) if chance.random() < PART else None

    with Proxy(postgres_url, EFFECT, choose) as proxy:
        yard = Yard(proxy.url, tmp_path)
        yield Doubtful(yard, postgres_url, "0", lambda: Counter({cut.name: n for cut, n in proxy.cuts.items()}))
        yard.close()


@pytest.fixture
def on_sqlite(tmp_path: Path) -> Iterator[Doubtful]:
    yard = Yard(sqlite_url(tmp_path), tmp_path)
    yield Doubtful(yard, yard.url, str(PART), lambda: Counter((tmp_path / CUTS).read_text().split()))
    yard.close()


@pytest.fixture(params=["sqlite", "postgres"])
def doubtful(request: pytest.FixtureRequest) -> Doubtful:
    made: Doubtful = request.getfixturevalue(f"on_{request.param}")
    return made


def survives(doubtful: Doubtful, jobs: int, say: Say) -> None:
    found, cuts = doubtful.work(jobs), doubtful.cuts()
    say(
        f"{jobs} jobs, {cuts['BEFORE']} COMMITs lost, {cuts['AFTER']} answers lost: {found.ends}; {found.effects} "
        f"effects, {len(found.doubled)} doubled, {len(found.missing)} missing, {found.children} children, "
        f"{len(found.childless)} not once for their parent"
    )
    assert found.clean, found
    assert (found.orders, found.succeeded, found.effects, found.children) == (jobs, jobs, 2 * jobs, jobs)
    assert min(cuts["BEFORE"], cuts["AFTER"]) > jobs // 100
    assert whole(doubtful.yard)


@pytest.mark.timeout(180)
def test_effects_are_there_once_though_commits_are_lost(doubtful: Doubtful, say: Say) -> None:
    survives(doubtful, JOBS, say)


@pytest.mark.soak
def test_effects_are_there_once_though_thousands_of_commits_are_lost(doubtful: Doubtful, say: Say) -> None:
    survives(doubtful, MANY, say)
