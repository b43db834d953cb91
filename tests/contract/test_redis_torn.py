"""A server that is killed in the middle of a write keeps half of a script, and may carry that out at a later start.

Redis 6.2 and 7.0 do: at the first start they pass over the half, and leave it in the file; at the second it is carried
out with what has come behind it. Valkey cuts it off. Whichever it is, all jobs run to their end.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from conveyor.core.lifecycle import Event
from conveyor.core.model import Claimed, JobFilter
from conveyor.store.contract import Store
from conveyor.store.redis.opened import RedisStore
from tests.support.jobs import Hand, enqueue, key, new_job, outcome, rescue
from tests.support.redis import RedisServer, versions
from tests.support.stores import mended, sound

JOBS: Final = 3
SHORT: Final = 3
"""Bytes that are missing of the command that was torn."""
Act = Callable[[Hand, Sequence[Claimed]], object]


def settled(event: Event, hand: Hand, taken: Sequence[Claimed]) -> None:
    hand.answer(*(outcome(job, hand.id, event) for job in taken))


ACTS: Final[dict[str, Act]] = {
    "a claim": lambda hand, _: hand.claim(),
    "an enqueue": lambda hand, _: enqueue(hand.store, *(new_job() for _ in range(JOBS))),
    "a cancel": lambda hand, _: hand.store.run(hand.store.control.call_off(JobFilter(), "enough", 10, None)),
    **{f"a settle: {event}": partial(settled, event) for event in (Event.SUCCEED, Event.FAIL, Event.RETRY)},
}


@pytest.fixture(params=versions())
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with RedisServer(request.param, appendonly="yes", appendfsync="always") as started:
        yield started


def file_of(server: RedisServer) -> Path:
    return max(server.root.rglob("*.aof"), key=lambda path: path.stat().st_mtime_ns)


def ends(commands: bytes) -> Iterator[int]:
    """Where each command of an append-only file ends."""
    place = 0
    while place < len(commands):
        words, place = _number(commands, place)
        for _ in range(words):
            length, place = _number(commands, place)
            place += length + 2
        yield place


def _number(commands: bytes, place: int) -> tuple[int, int]:
    end = commands.index(b"\r\n", place)
    return int(commands[place + 1 : end]), end + 2


@pytest.mark.parametrize("act", ACTS)
def test_wherever_a_script_was_torn_all_jobs_run_to_their_end(server: RedisServer, act: str) -> None:
    with closing(RedisStore(server.url())) as store:
        hand = Hand(store, 3_600.0)
        enqueue(store, *(new_job(unique=key(str(number))) for number in range(JOBS)))
        taken = () if act == "a claim" else hand.take(JOBS)
        before = file_of(server).stat().st_size
        ACTS[act](hand, taken)
    server.kill()
    file = file_of(server)
    written = file.read_bytes()
    mends = 0
    for _, end in pairwise(ends(written[before:])):
        file.write_bytes(written[: before + end - SHORT])
        mends += started_twice(server, hand.id)
        server.kill()
    assert (mends > 0) == (server.version != "valkey")


def started_twice(server: RedisServer, runner: bytes) -> int:
    """How many jobs were to be mended; all have ended now."""
    server.start()
    with closing(RedisStore(server.url())) as store:
        assert (sound(store), mended(store)) == ([], [])
        enqueue(store, new_job())
    server.kill()
    server.start()
    with closing(RedisStore(server.url())) as store:
        found = mended(store)
        assert (sound(store), mended(store)) == ([], [])
        run_to_the_end(store, runner)
        assert (sound(store), mended(store)) == ([], [])
    return len(found)


def run_to_the_end(store: Store, runner: bytes) -> None:
    """The worker of before the crash is dead; another takes what there is."""
    store.leases(1.0).retire(runner, clean=False)
    rescue(store)
    hand = Hand(store)
    while jobs := hand.claim():
        settled(Event.SUCCEED, hand, jobs)
    counts = store.run(store.operations.counts(JobFilter()))
    assert {state for state, count in counts.items() if count and not state.final} == set()
    assert sum(counts.values()) >= JOBS + 1
    hand.die()
