"""Leases: who is alive, until when, and that a lease once lost stays lost."""

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from conveyor.core.lifecycle import Event, State
from conveyor.core.model import Runner
from conveyor.store.contract import Store
from tests.support.jobs import INFO, Hand, Hire, enqueue, new_job, new_jobs, rescue, see
from tests.support.stores import SHARED, rows
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
SHORT = 0.05


def known(store: Store) -> list[Runner]:
    found = store.run(store.operations.runners())
    return list(found)


def dead(store: Store) -> int:
    return store.run(store.operations.dead_runners())


def test_a_registered_runner_is_known_and_alive(store: Store, hand: Hand) -> None:
    (runner,) = known(store)
    assert (runner.id, runner.info, runner.alive) == (hand.id.hex(), INFO, True)
    assert runner.started_at.tzinfo is not None
    assert dead(store) == 0


def test_runners_are_told_apart(store: Store, hire: Hire) -> None:
    hands = [hire() for _ in range(3)]
    hands[1].die()
    assert [(runner.id, runner.alive) for runner in known(store)] == [
        (hand.id.hex(), place != 1) for place, hand in enumerate(hands)
    ]
    assert dead(store) == 1


def test_a_living_lease_is_renewed_and_so_outlives_its_length(store: Store, hire: Hire) -> None:
    hand = hire(seconds=0.3)
    end = time.monotonic() + 0.5
    until(lambda: not hand.renews() or time.monotonic() > end)
    assert hand.renews()
    assert dead(store) == 0
    enqueue(store, new_job())
    hand.take_one()


def test_a_lease_that_is_not_renewed_ends_and_stays_lost(store: Store, hire: Hire) -> None:
    hand = hire(seconds=SHORT)
    until(lambda: dead(store) == 1)
    enqueue(store, new_job())
    for _ in range(2):
        assert not hand.renews()
        assert hand.claim() == []
        assert not known(store)[0].alive


def test_the_jobs_of_an_expired_lease_are_rescued(store: Store, hire: Hire) -> None:
    job = new_job()
    enqueue(store, job)
    hand = hire(seconds=0.3)
    hand.take_one()
    until(lambda: rescue(store) == 1)
    assert see(store, job.id).state is State.READY
    assert not hand.renews()


def test_a_lease_that_was_given_up_ends_at_once(store: Store, hire: Hire) -> None:
    hand = hire()
    hand.retire(clean=False)
    assert dead(store) == 1
    assert not hand.renews()


def test_a_runner_that_left_clean_is_forgotten(store: Store, hire: Hire) -> None:
    hand = hire()
    hand.retire(clean=True)
    assert known(store) == []
    assert dead(store) == 0


def test_a_lease_may_be_given_up_twice(hire: Hire) -> None:
    hand = hire()
    hand.retire(clean=False)
    hand.retire(clean=False)
    hand.retire(clean=True)


def test_a_dead_runner_is_forgotten_once_nobody_can_hold_anything_for_it(store: Store, hire: Hire, url: str) -> None:
    hire().die()
    if url.startswith("postgres"):  # where a claim may be in flight still: a minute
        rescue(store)
        assert dead(store) == 1
        rows(store, "UPDATE conveyor_runner SET expires_at = expires_at - 61000000 RETURNING 1")
    rescue(store)
    assert dead(store) == 0
    assert known(store) == []


def test_held_names_what_a_runner_holds(store: Store, hire: Hire, hand: Hand) -> None:
    enqueue(store, *new_jobs(5))
    other = hire()
    other.take(2)
    taken = hand.take(3)
    hand.end(taken[0], Event.SUCCEED)
    held = store.run(store.operations.held(hand.id))
    assert sorted((bytes(id_), token) for id_, token in held) == sorted((job.id, job.token) for job in taken[1:])
    assert store.run(store.operations.held(b"\1" * 16)) == []


@pytest.mark.parametrize("url", SHARED, indirect=True)
def test_a_lease_is_seen_from_another_connection(opened: Callable[[], Store], hire: Hire) -> None:
    here, there = opened(), opened()
    hand = hire(there)
    assert [runner.alive for runner in known(here)] == [True]
    hand.die()
    assert [runner.alive for runner in known(here)] == [False]


@pytest.mark.parametrize("url", ["sqlite-file"], indirect=True)
def test_a_long_write_transaction_of_a_user_ends_no_lease(store: Store, folder: Path, hire: Hire) -> None:
    hand = hire()
    user = sqlite3.connect(folder / "jobs.db", isolation_level=None)
    user.execute("BEGIN IMMEDIATE")
    try:
        assert hand.renews()
        assert dead(store) == 0
    finally:
        user.execute("ROLLBACK")
        user.close()


@pytest.mark.parametrize(("url", "seconds"), [("sqlite-file", 60.0), ("postgres", 1.0)], indirect=["url"])
def test_a_killed_process_is_dead_at_once_on_sqlite_and_after_its_lease_on_postgres(
    store: Store, url: str, seconds: float
) -> None:
    job = new_job()
    enqueue(store, job)
    command = [sys.executable, "-m", "tests.support.claimer", url, str(seconds)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"claimed 1\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    until(lambda: rescue(store) == 1)
    assert (see(store, job.id).state, see(store, job.id).crashes) == (State.READY, 1)


@pytest.mark.parametrize("url", ["sqlite-file"], indirect=True)
def test_a_stopped_process_is_dead_once_its_beat_is_old(store: Store, url: str) -> None:
    enqueue(store, new_job())
    command = [sys.executable, "-m", "tests.support.claimer", url, "1.0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"claimed 1\n"
        process.send_signal(signal.SIGSTOP)
        try:
            until(lambda: rescue(store) == 1)
        finally:
            process.kill()
