"""How much a queue claims at a time: its slots, and what it will finish within the horizon."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conveyor.core.model import Claimed
from conveyor.worker.slots import AT_ONCE, FRESH, HORIZON, SAMPLES, Lane, Pace, Slots, Taken

TAKEN: Taken = (Claimed(b"j" * 16, "t", "q", 0, 0, 1, 5, 0, 1, None, b"", None, 0), b"r" * 16)


def lane(slots: int = 10, *, running: int = 0, waiting: int = 0, p95: float = HORIZON) -> Lane:
    """A lane in that situation."""
    made = Lane("q", slots)
    made.running = running
    made.waiting.extend([TAKEN] * waiting)
    made.pace.p95 = p95
    return made


# ------------------------------------------------------------------ pace


def test_an_unknown_pace_is_that_of_one_job_per_horizon() -> None:
    assert Pace().p95 == HORIZON


def test_the_pace_is_taken_anew_every_so_many_jobs() -> None:
    pace = Pace()
    for _ in range(FRESH - 1):
        pace.add(1.0)
    assert pace.p95 == HORIZON
    pace.add(1.0)
    assert pace.p95 == 1.0


def test_one_slow_job_in_twenty_counts_and_one_in_sixty_four_does_not() -> None:
    pace = Pace()
    for number in range(SAMPLES):
        pace.add(9.0 if number % 16 == 0 else 0.001)
    assert pace.p95 == 9.0
    pace = Pace()
    for number in range(SAMPLES):
        pace.add(9.0 if number == 0 else 0.001)
    assert pace.p95 == 0.001


def test_the_pace_forgets_what_is_long_ago() -> None:
    pace = Pace()
    for seconds in [9.0] * SAMPLES + [0.001] * SAMPLES:
        pace.add(seconds)
    assert pace.p95 == 0.001


def test_the_pace_keeps_a_bounded_number_of_times() -> None:
    pace = Pace()
    for _ in range(10_000):
        pace.add(0.1)
    assert len(pace._times) == SAMPLES


# ---------------------------------------------------------------- target


@pytest.mark.parametrize(
    ("p95", "target"),
    [
        (60.0, 10),
        (HORIZON, 10),
        (HORIZON / 2, 20),
        (HORIZON / 10, 100),
        (1e-9, 10 + AT_ONCE),
        (0.0, 10 + AT_ONCE),
    ],
)
def test_the_quicker_the_jobs_the_more_are_held(p95: float, target: int) -> None:
    assert lane(p95=p95).target == target


# ------------------------------------------------------------------ room


@pytest.mark.parametrize(
    ("running", "waiting", "p95", "room"),
    [
        (0, 0, HORIZON, 10),
        (9, 0, HORIZON, 1),  # a free slot is filled at once
        (10, 0, HORIZON, 0),
        (10, 0, HORIZON / 10, 90),
        (10, 39, HORIZON / 10, 51),  # half of the target is worth a claim
        (10, 41, HORIZON / 10, 0),  # less is not
        (10, 90, HORIZON / 10, 0),
        (9, 91, HORIZON / 10, 0),
        (10, 90, 60.0, 0),  # the jobs have become slow: more is held than there should be
    ],
)
def test_room(running: int, waiting: int, p95: float, room: int) -> None:
    assert lane(running=running, waiting=waiting, p95=p95).room == room


@settings(max_examples=50)
@given(st.integers(1, 200), st.floats(0, 100), st.data())
def test_room_never_leads_beyond_the_target_and_never_starves_a_slot(
    slots: int, p95: float, data: st.DataObject
) -> None:
    running = data.draw(st.integers(0, slots))
    waiting = data.draw(st.integers(0, 1_000))
    this = lane(slots, running=running, waiting=waiting, p95=p95)
    assert slots <= this.target <= slots + AT_ONCE
    assert running + waiting + max(this.room, 0) <= max(this.target, running + waiting)
    if not waiting and running < slots:
        assert this.room >= slots - running


# ------------------------------------------------------ starting, ending


def test_no_more_start_than_there_are_slots() -> None:
    this = lane(3, running=1, waiting=5)
    assert len(this.startable()) == 2
    assert (this.running, len(this.waiting)) == (3, 3)
    assert this.startable() == []


def test_they_start_in_the_order_in_which_they_came() -> None:
    this = lane(2)
    taken = [(TAKEN[0]._replace(token=token), b"r") for token in range(4)]
    this.waiting.extend(taken)
    first = this.startable()
    this.ended(0.1)
    assert [*first, *this.startable()] == taken[:3]


def test_an_end_makes_room_and_is_part_of_the_pace() -> None:
    this = lane(2, running=2)
    this.ended(7.0)
    assert (this.running, list(this.pace._times)) == (1, [7.0])


def test_only_queues_with_room_are_asked_for() -> None:
    slots = Slots({"a": 2, "b": 3})
    assert slots.room() == {"a": 2, "b": 3}
    slots.lanes["a"].running = 2
    assert slots.room() == {"b": 3}
    slots.lanes["b"].running = 3
    assert slots.room() == {}


# ------------------------------------------------------- the last attempt


def test_nothing_is_claimed_ahead_after_a_job_on_its_last_attempt_until_another_comes() -> None:
    job, runner = TAKEN
    this = lane(running=10, p95=HORIZON / 10)
    assert (this.target, this.room) == (100, 90)
    this.take(job._replace(attempt=5, max_attempts=5), runner)
    assert (this.cautious, this.target, this.room) == (True, 10, 0)
    this.take(job._replace(attempt=4, max_attempts=5), runner)
    assert this.cautious  # it still waits
    this.running = 0
    this.startable()
    this.take(job._replace(attempt=4, max_attempts=5), runner)
    assert (this.cautious, this.target) == (False, 100)


def test_free_slots_are_filled_though_a_job_is_on_its_last_attempt() -> None:
    job, runner = TAKEN
    this = lane(p95=HORIZON / 10)
    this.take(job._replace(attempt=1, max_attempts=1), runner)
    this.startable()
    assert (this.running, this.room) == (1, 9)
