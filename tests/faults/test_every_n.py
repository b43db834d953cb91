"""T5: in a short story, every single call to the store goes wrong once; no job is lost, none is doubled."""

import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from conveyor.core.model import NewJob
from conveyor.store.contract import Store
from tests.faults.story import TWIN, Story, cast_of_jobs, check
from tests.support.faults import Faults, When
from tests.support.jobs import Hand
from tests.support.say import Say
from tests.support.stores import SERVED, end_leases, open_store, tables, wipe

pytestmark = [
    pytest.mark.parametrize("url", SERVED, indirect=True),
    pytest.mark.parametrize("when", ["before", "after"]),
]
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["tests.faults.test_every_n", "conveyor.store.postgres.opened", "conveyor.store.redis.opened"]
)


@pytest.fixture
def looker(opened: Callable[[], Store]) -> Store:
    """A store that nothing goes wrong with, to look and to tidy up."""
    return opened()


@contextlib.contextmanager
def storied(url: str, jobs: list[NewJob], tell: Callable[[str], None]) -> Iterator[Story]:
    """The story of *jobs*, over connections of its own."""
    store = open_store(url)
    hands: list[Hand] = []

    def hire() -> Hand:
        hands.append(Hand(store))
        return hands[-1]

    yield Story(store, jobs, hire, tell)
    for hand in hands:
        hand.die()
    store.close()


def test_a_call_that_is_lost_at_any_point_loses_and_doubles_no_job(
    url: str, when: When, looker: Store, say: Say
) -> None:
    for at in count(1):
        wipe(looker)
        faults, told, jobs = Faults(at, when), list[str](), cast_of_jobs()
        with pytest.MonkeyPatch.context() as patch, storied(url, jobs, told.append) as story:
            faults.install(patch)
            story.store.run(story.store.operations.schema())
            faults.armed = True
            story.begin()
            story.end()
            faults.armed = False
        check(looker, jobs, told)
        if len(faults.calls) < at:
            say(f"{at - 1} points, lost {when}:")
            assert at > 20
            return


def test_a_process_that_is_killed_at_any_point_loses_and_doubles_no_job(
    url: str, when: When, looker: Store, folder: Path, say: Say
) -> None:
    for at in count(1):
        wipe(looker)
        acks, jobs = folder / f"acks-{at}", cast_of_jobs()
        acks.touch()
        child = FORKS.Process(target=one_life, args=(url, jobs, at, when, str(acks)))
        child.start()
        child.join()
        told = acks.read_text().splitlines()
        end_leases(looker)  # where they take their time to end
        answered = told.count("enqueued")
        assert sum(tables(looker)) >= (0, 4, 7, 9)[answered]
        with storied(url, jobs, told.append) as story:
            twin = jobs[TWIN]  # it was refused for good, if that was answered; else it is refused now
            again = [job for job in jobs if answered < 3 or job is not twin]
            story.stubborn(story.store.operations.repeat_enqueue(again))
            story.end()
        check(looker, jobs, told)
        if child.exitcode == 0:
            say(f"{at - 1} points, killed {when}:")
            assert at > 20
            return
        assert child.exitcode == 137


def one_life(url: str, jobs: list[NewJob], at: int, when: When, acks: str) -> None:
    """The first process's part; it ends in the middle of a call."""
    file = os.open(acks, os.O_WRONLY | os.O_APPEND)
    faults = Faults(at, when, kill=True)
    faults.install(pytest.MonkeyPatch())
    with storied(url, jobs, lambda text: (os.write(file, f"{text}\n".encode()), None)[1]) as story:
        story.store.run(story.store.operations.schema())
        faults.armed = True
        story.begin()
        story.end()
        faults.armed = False
