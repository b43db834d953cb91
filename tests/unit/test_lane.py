"""A lane that is closed: whoever comes late is told so, and nobody waits for a thread that has ended."""

import sqlite3
from concurrent.futures import Future
from contextlib import suppress

import pytest

from conveyor.core.errors import StoreUnavailable
from conveyor.plan import Plan, Statement, Steps
from conveyor.store.sqlite.lane import Lane
from tests.support.threads import together

WAIT = 5
"""Seconds that nothing here should take."""
ROUNDS = 10
THREADS = 2


def memory() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", isolation_level=None)


def one() -> Plan[object]:
    """Gives 1."""

    def steps() -> Steps[object]:
        answer = yield Statement("SELECT 1", {})
        return answer.rows[0][0]

    return Plan(steps)


def test_what_was_submitted_before_the_close_is_done_and_what_comes_after_is_refused() -> None:
    lane = Lane("closed", memory)
    early = [lane.submit(one()) for _ in range(10)]
    lane.close()
    assert [future.result(timeout=0) for future in early] == [1] * 10
    with pytest.raises(StoreUnavailable, match="was closed; nothing was written"):
        lane.submit(one())


def test_nobody_waits_for_ever_who_submits_while_the_lane_is_closed() -> None:
    for _ in range(ROUNDS):
        lane = Lane("closing", memory)
        taken: list[Future[object]] = []

        def submit(lane: Lane = lane, taken: list[Future[object]] = taken) -> None:
            with suppress(StoreUnavailable):
                while True:
                    taken.append(lane.submit(one()))

        together([*[submit] * THREADS, lane.close])
        assert {future.result(timeout=WAIT) for future in taken} <= {1}
