"""A lane that is closed: whoever comes late is told so, and nobody waits for a thread that has ended."""

import queue
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from conveyor.core.errors import StoreUnavailable
from conveyor.plan import Plan, Statement, Steps
from conveyor.store.sqlite import lane as lane_module
from conveyor.store.sqlite.lane import Lane
from conveyor.store.sqlite.pending import Pending
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
        taken: list[Pending[object]] = []

        def submit(lane: Lane = lane, taken: list[Pending[object]] = taken) -> None:
            with suppress(StoreUnavailable):
                while True:
                    taken.append(lane.submit(one()))

        together([*[submit] * THREADS, lane.close])
        assert {future.result(timeout=WAIT) for future in taken} <= {1}


class Interrupted(queue.SimpleQueue[Any]):
    """Calls *handle* when the first thing is put into it, before or after: what a signal handler may do."""

    handle: Callable[[], object] | None = None
    late = False

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        handle, self.handle = self.handle, None
        if handle and not self.late:
            handle()
        super().put(item, block, timeout)
        if handle and self.late:
            handle()


@pytest.fixture(params=[False, True], ids=["before", "after"])
def interrupted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Interrupted:
    """What a lane's items wait in."""
    made = Interrupted()
    made.late = request.param
    monkeypatch.setattr(lane_module, "queue", SimpleNamespace(SimpleQueue=lambda: made, Empty=queue.Empty))
    return made


def test_a_signal_handler_may_submit_while_its_thread_does(interrupted: Interrupted) -> None:
    lane = Lane("interrupted", memory)
    handled: list[Pending[object]] = []
    interrupted.handle = lambda: handled.append(lane.submit(one()))
    assert lane.submit(one()).result(timeout=WAIT) == 1
    assert handled[0].result(timeout=WAIT) == 1
    lane.close()


def test_nobody_waits_for_ever_whose_lane_is_closed_by_a_signal_handler(interrupted: Interrupted) -> None:
    lane = Lane("interrupted", memory)
    interrupted.handle = lane.close
    if interrupted.late:
        assert lane.submit(one()).result(timeout=WAIT) == 1
        return
    with pytest.raises(StoreUnavailable, match="was closed; nothing was written"):
        lane.submit(one())
