"""When a lock on SQLite runs out: by a clock that nobody sets, where there is one."""

import time
from typing import cast

import pytest

from conveyor import Conveyor
from conveyor.core.clock import SystemClock
from conveyor.store.locks import Held
from tests.contract.test_locks import NAME, refused
from tests.support.stores import rows

pytestmark = [pytest.mark.parametrize("url", ["sqlite-memory", "sqlite-file"], indirect=True)]

HOUR = 3_600_000_000
"""Microseconds."""


def take(app: Conveyor, ttl: int) -> int | Held | None:
    """Take it for *ttl* microseconds, and keep nothing of it."""
    return app.store.run(app.store.locks.take(NAME, b"\0" * 16, "somebody", ttl))


def set_clock(monkeypatch: pytest.MonkeyPatch, by: int) -> None:
    """Set the machine's clock forward, or back."""

    def shown(_: SystemClock) -> int:
        return time.time_ns() // 1_000 + by

    monkeypatch.setattr(SystemClock, "microseconds", shown)


def test_a_clock_that_is_set_gives_no_lock_away(app: Conveyor, monkeypatch: pytest.MonkeyPatch) -> None:
    with app.locks.hold(NAME) as lock:
        set_clock(monkeypatch, HOUR)
        refused(app)
        lock.check()
    set_clock(monkeypatch, -HOUR)
    with app.locks.hold(NAME) as again:
        assert again.token > lock.token


def test_a_lock_runs_out_though_the_clock_is_set_back(app: Conveyor, monkeypatch: pytest.MonkeyPatch) -> None:
    first = take(app, 300_000)
    set_clock(monkeypatch, -HOUR)
    with app.locks.hold(NAME, wait=10) as lock:
        assert lock.token > cast(int, first)


@pytest.mark.parametrize("start", ["another", None])
def test_where_clocks_cannot_be_compared_it_is_the_machines(
    app: Conveyor, monkeypatch: pytest.MonkeyPatch, start: str | None
) -> None:
    """Whose clock counts from another start may live in a container that says so, beside us."""
    with app.locks.hold(NAME):
        monkeypatch.setattr("conveyor.store.sqlite.locks.boot", lambda: start)
        refused(app)
    with app.locks.hold(NAME):
        refused(app)
    first = take(app, 300_000)
    with app.locks.hold(NAME, wait=10) as lock:
        assert lock.token > cast(int, first)


def test_one_that_who_knows_no_better_clock_has_taken_is_held(app: Conveyor) -> None:
    """Conveyor before this clock, at work on the same file."""
    take(app, 1)
    in_a_minute = time.time_ns() // 1_000 + 60_000_000
    rows(app.store, f"UPDATE conveyor_lock SET token = token + 1, expires_at = {in_a_minute}")
    refused(app)
    rows(app.store, "UPDATE conveyor_lock SET expires_at = 0")
    with app.locks.hold(NAME) as lock:
        lock.check()
