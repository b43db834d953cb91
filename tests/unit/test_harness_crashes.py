"""``assert_idempotent``: crashes at every point, and what it says of them."""

import asyncio
import contextlib
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conveyor import Context, Conveyor, Snooze, UsageError
from conveyor.testing import Harness
from conveyor.testing.crashing import PASSAGES, Crash, Layout, Points, let_go
from tests.support import frail

ANYWHERE = r"(?s)"


@pytest.fixture
def harness() -> Iterator[Harness]:
    frail.reset()
    with Harness(frail.app) as opened:
        with contextlib.closing(sqlite3.connect(opened.path)) as own:
            own.executescript("CREATE TABLE orders (number); CREATE TABLE once (number PRIMARY KEY)")
        yield opened


def orders(harness: Harness) -> list[tuple[int]]:
    with contextlib.closing(sqlite3.connect(harness.path)) as own:
        return own.execute("SELECT number FROM orders").fetchall()


# ---------------------------------------------------------------- what is found


def test_an_effect_that_comes_twice_is_found_with_its_place(harness: Harness) -> None:
    with pytest.raises(AssertionError) as failed:
        harness.assert_idempotent(frail.charges_twice.bind(4), observe=lambda: frail.sent, reset=frail.reset)
    line = _line("    paid.add(order)")
    assert str(failed.value).splitlines() == [
        f"charges twice is not idempotent: after a crash before line {line} of frail.py: paid.add(order)",
        "it has done when run again (+), and does without a crash (-):",
        "  - [40]",
        "  + [40, 40]",
    ]


def test_a_task_that_looks_first_passes_and_the_crashes_are_counted(harness: Harness) -> None:
    """Before each of its lines but the first, and after its end."""
    observed = harness.assert_idempotent(frail.charges_once.bind(4), observe=lambda: frail.paid, reset=frail.reset)
    assert observed == 4


def test_a_job_that_is_enqueued_twice_is_found_without_being_observed(harness: Harness) -> None:
    with pytest.raises(AssertionError, match=r"after the call of the store in line \d+ of frail.py: receipt.enqueue"):
        harness.assert_idempotent(frail.enqueues_twice.bind(4))


def test_a_place_that_is_passed_often_is_crashed_in_its_first_passages(harness: Harness) -> None:
    """Three places in the loop, and the end."""
    assert harness.assert_idempotent(frail.enqueues_once.bind(4)) == 3 * PASSAGES + 1


def test_a_crash_after_an_await_is_found(harness: Harness) -> None:
    """All on one line, so that it is no line's end."""
    with pytest.raises(
        AssertionError, match=r"after a crash after the await in line \d+ of frail.py: await asyncio.gath"
    ):
        harness.assert_idempotent(frail.awaits_twice.bind(4))
    assert harness.assert_idempotent(frail.awaits_once.bind(4)) > 5


def test_what_a_transaction_writes_is_written_once(harness: Harness) -> None:
    def seen() -> object:
        return orders(harness), [str(job) for job in harness.enqueued()], frail.sent

    assert harness.assert_idempotent(frail.writes.bind(4), observe=seen, reset=frail.reset) == 4
    with pytest.raises(AssertionError, match=r"  - .*'committed, and so never again'"):
        harness.assert_idempotent(frail.writes_by_hand.bind(4), observe=seen, reset=frail.reset)
    assert harness.assert_idempotent(frail.writes_by_hand.bind(4), observe=lambda: seen()[:2], reset=frail.reset) >= 4  # type: ignore[index]  # a tuple


def test_the_store_is_put_back_with_the_tests_own_tables(harness: Harness) -> None:
    frail.receipt.enqueue(1)
    with contextlib.closing(sqlite3.connect(harness.path)) as own:
        own.execute("INSERT INTO orders VALUES (1)")
        own.commit()
        harness.assert_idempotent(frail.writes.bind(4))
        with pytest.raises(AssertionError):
            harness.assert_idempotent(frail.enqueues_twice.bind(4))
    assert orders(harness) == [(1,)]
    assert [str(job.text) for job in harness.enqueued()] == ["receipt(1)"]
    assert len(harness.drain()) == 1


def test_a_connection_that_a_crash_leaves_open_is_closed_as_by_the_end_of_a_process(harness: Harness) -> None:
    assert harness.assert_idempotent(frail.leaves_open.bind(str(harness.path))) == 4


def test_a_store_in_memory_is_emptied_of_what_is_new() -> None:
    with Harness(frail.app, "sqlite:///:memory:") as harness:
        frail.receipt.enqueue(1)
        assert harness.assert_idempotent(frail.enqueues_once.bind(4)) > 3
        with pytest.raises(AssertionError):
            harness.assert_idempotent(frail.enqueues_twice.bind(4))
        assert [job.text for job in harness.enqueued()] == ["receipt(1)"]


def test_a_check_after_each_run_says_after_which_crash_it_fails(harness: Harness) -> None:
    def once() -> None:
        assert len(frail.sent) == 1

    with pytest.raises(AssertionError) as failed:
        harness.assert_idempotent(frail.charges_twice.bind(4), reset=frail.reset, check=once)
    assert failed.value.__notes__ == [
        f"after a crash before line {_line('    paid.add(order)')} of frail.py: paid.add(order)"
    ]

    def never() -> None:
        raise AssertionError("never")

    with pytest.raises(AssertionError, match="never") as clean:
        harness.assert_idempotent(frail.charges_once.bind(4), check=never)
    assert not hasattr(clean.value, "__notes__")


def test_a_task_that_catches_everything_is_told_of(harness: Harness) -> None:
    with pytest.raises(AssertionError, match="swallows catches BaseException and goes on: a crash before line"):
        harness.assert_idempotent(frail.swallows.bind(), reset=frail.reset)


def test_a_task_that_cannot_be_run_again_is_told_of(harness: Harness) -> None:
    with pytest.raises(AssertionError, match=r"(?s)run again after a crash .* raises LookupError\('not the first") as f:
        harness.assert_idempotent(frail.fails_the_second_time.bind())
    assert isinstance(f.value.__cause__, LookupError)


def test_what_fails_without_a_crash_fails_as_it_does(harness: Harness) -> None:
    with pytest.raises(LookupError, match="always"):
        harness.assert_idempotent(frail.fails.bind())
    with pytest.raises(Snooze):
        harness.assert_idempotent(frail.snoozes.bind())


def test_a_task_may_end_by_cancelling_itself(harness: Harness) -> None:
    assert harness.assert_idempotent(frail.cancels.bind(4), observe=lambda: frail.paid, reset=frail.reset) == 3


def test_finally_blocks_run_but_a_dead_process_calls_no_store(harness: Harness) -> None:
    """And no crash comes in them, for what they give back is to be given back."""
    seen: list[int] = []

    def look() -> None:
        seen.append(len(harness.enqueued()))

    harness.assert_idempotent(frail.cleans_up.bind(), reset=frail.reset, check=look)
    assert set(seen) == {1}
    with pytest.raises(AssertionError, match="'finally', 'finally'"):
        harness.assert_idempotent(frail.cleans_up.bind(), observe=lambda: frail.sent, reset=frail.reset)


def test_a_decorated_task_is_crashed_where_it_is_written(harness: Harness) -> None:
    with pytest.raises(AssertionError, match="after its end, before a worker could write that"):
        harness.assert_idempotent(frail.is_decorated.bind(4), observe=lambda: frail.sent, reset=frail.reset)
    assert harness.assert_idempotent(frail.is_decorated.bind(4), observe=lambda: frail.paid, reset=frail.reset) >= 4


# ---------------------------------------------------------------- misuse


def test_effects_that_are_not_undone_between_runs_prove_nothing(harness: Harness) -> None:
    with pytest.raises(UsageError, match=r"reset= must undo all that observe= can see:\n  - \[40\]\n  \+ \[40, 40\]"):
        harness.assert_idempotent(frail.charges_twice.bind(4), observe=lambda: frail.sent)


def test_too_many_points_and_tasks_that_run_once_are_refused(harness: Harness) -> None:
    with pytest.raises(UsageError, match="more than 2 points"):
        harness.assert_idempotent(frail.charges_once.bind(4), reset=frail.reset, limit=2)
    with pytest.raises(UsageError, match="charges once has max_attempts=1"):
        harness.assert_idempotent(frail.charges_once.using(max_attempts=1).bind(4))


def test_a_transaction_of_the_tests_own_is_in_the_way(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conveyor.testing.rigged.LOCK_WAIT", 0.01)
    with contextlib.closing(sqlite3.connect(harness.path)) as own:
        own.execute("INSERT INTO orders VALUES (1)")
        with pytest.raises(UsageError, match=r"the store cannot be put back .* a transaction is open on"):
            harness.assert_idempotent(frail.charges_once.bind(4))


def test_what_must_be_awaited_is_for_async_code(harness: Harness) -> None:
    async def look() -> int:
        return 1

    with pytest.raises(UsageError, match=r"may be async with `await harness\.aassert_idempotent"):
        harness.assert_idempotent(frail.charges_once.bind(4), observe=look)


# ---------------------------------------------------------------- async code


async def test_in_an_event_loop_all_of_it_may_be_awaited() -> None:
    frail.reset()
    seen: list[str] = []

    async def observe() -> object:
        await asyncio.sleep(0)
        seen.append("observe")
        return frail.paid

    async def reset() -> None:
        frail.reset()

    async with Harness(frail.app) as harness:
        count = await harness.aassert_idempotent(frail.cancels.bind(4), observe=observe, reset=reset, check=reset)
        assert count == 3
        assert len(seen) == count + 3
        assert await harness.aassert_idempotent(frail.charges_once.bind(4), reset=frail.reset) == 4
        with pytest.raises(AssertionError, match="is not idempotent"):
            await harness.aassert_idempotent(frail.awaits_twice.bind(4))
        with pytest.raises(LookupError):
            await harness.aassert_idempotent(frail.fails.bind())
        with pytest.raises(UsageError, match=r"use `await harness\.aassert_idempotent\(\.\.\.\)`"):
            harness.assert_idempotent(frail.cancels.bind(4))


# ---------------------------------------------------------------- the parts


def test_the_tracing_of_others_is_left_as_it_was(harness: Harness) -> None:
    def tracer(*_: object) -> None:
        return None

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        with pytest.raises(Crash):
            Points(1, frail.charges_once.definition.function).plain(_context(), lambda: frail.charges_once(4))
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)


def test_what_has_no_source_has_no_lines() -> None:
    class Callable:
        def __call__(self) -> None: ...

    assert Points(1, len)._file == ""
    assert Points(1, Callable())._file == __file__
    assert Layout("nowhere.py").may_crash(1)
    points = Points(9, len)
    assert points.plain(_context(), lambda: 5) == 5
    assert points._place(0) == "what it calls"


def test_a_cancelled_task_is_cancelled_inside_too() -> None:
    seen: list[str] = []

    async def inner() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def main() -> None:
        task = asyncio.create_task(Points(99, inner).awaited(_context(), inner))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert seen == ["cancelled"]


def test_what_frames_hold_is_let_go_along_the_whole_chain() -> None:
    closed: list[str] = []

    class Held:
        def __init__(self, name: str) -> None:
            self.name = name

        def __del__(self) -> None:
            closed.append(self.name)

    def inner() -> None:
        held = Held("inner")
        raise LookupError(held.name)

    def outer() -> None:
        held = Held("outer")
        try:
            inner()
        except LookupError as error:
            raise ValueError(held.name) from error

    with pytest.raises(ValueError, match="outer") as caught:
        outer()
    assert closed == []
    let_go(caught.value, lambda: True)
    assert sorted(closed) == ["inner", "outer"]
    let_go(None, lambda: False)


def _context() -> Context:
    return None  # type: ignore[return-value]  # nobody looks at it


def _line(text: str) -> int:
    """The number of the first line of ``frail.py`` that is *text*."""
    return Path(frail.__file__).read_text("utf-8").splitlines().index(text) + 1


def test_an_app_of_another_kind_is_no_matter() -> None:
    """A callable object as a task: its class says where it is written."""
    app = Conveyor("sqlite:////nowhere/at-all.db")

    class Work:
        def __call__(self, number: int) -> int:
            number *= 2
            return number

    task = app.task(name="work")(Work())
    with Harness(app) as harness:
        assert harness.assert_idempotent(task.bind(2)) == 2
