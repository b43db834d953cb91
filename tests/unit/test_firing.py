"""Which ticks fire: in time, after an outage, under each policy (FAULTS C06)."""

from collections.abc import Mapping

import pytest

from conveyor.core.clock import stored
from conveyor.core.extras import decoded
from conveyor.core.schedules import Move, Planned, Scheduled, Spec, written
from conveyor.schedule import Rule, cron, every, once
from conveyor.schedule.firing import GRACE, move_of
from tests.support.jobs import new_job
from tests.support.moments import at

SECOND = 1_000_000
MINUTE = 60 * SECOND
NOW = at("2026-03-04 12:00:30")
"""Half a minute after a tick of each minute."""
OUTAGE = at("2026-03-04 10:00:00")
"""The first tick of a two-hour outage."""
MINUTES = every(minutes=1)


def due(rule: Rule, since: int, now: int = NOW, fired: int = 0, **policies: object) -> Move:
    """The step of a schedule whose next tick was at *since*."""
    spec = Spec(rule.dump(), Planned.of(new_job()), **policies)  # type: ignore[arg-type]  # as given
    return move_of(Scheduled("it", written(spec), None, since, None, fired, None, None, 3, 0, now))


def ticks(move: Move) -> list[int]:
    return [decoded(job.extras).tick for job in move.jobs]


def test_a_tick_in_time_fires_and_the_next_one_is_to_come() -> None:
    move = due(MINUTES, NOW - 30 * SECOND)
    assert (ticks(move), move.tick, move.next_at) == ([NOW - 30 * SECOND], NOW - 30 * SECOND, NOW + 30 * SECOND)
    assert (move.due, move.version, move.jobs[0].due) == (NOW - 30 * SECOND, 3, NOW - 30 * SECOND)


def test_ticks_that_are_only_late_all_fire_whatever_the_policy() -> None:
    for policy in ("latest", "skip", "all"):
        move = due(every(seconds=1), NOW - GRACE, catch_up=policy, most=2)
        assert ticks(move) == [NOW - GRACE + number * SECOND for number in range(31)]
        assert move.next_at == NOW + SECOND


@pytest.mark.parametrize(
    ("policies", "fire"),
    [
        ({"catch_up": "latest"}, [at("2026-03-04 12:00:00")]),
        ({"catch_up": "all", "most": 3}, [at(f"2026-03-04 {time}:00") for time in ("11:58", "11:59", "12:00")]),
        ({"catch_up": "all", "most": 1_000}, [OUTAGE + number * MINUTE for number in range(121)]),
        ({"catch_up": "all", "most": 1_000, "overlap": "skip"}, [at("2026-03-04 12:00:00")]),
        ({"catch_up": "all", "most": 1_000, "times": 130}, [OUTAGE + number * MINUTE for number in range(30)]),
        ({"catch_up": "all", "end": at("2026-03-04 10:01:30")}, [OUTAGE, OUTAGE + MINUTE]),
        ({"catch_up": "latest", "end": at("2026-03-04 10:01:30")}, [OUTAGE + MINUTE]),
        ({"catch_up": "skip", "end": at("2026-03-04 10:01:30")}, []),
    ],
    ids=str,
)
def test_after_an_outage_of_two_hours_the_policy_says_what_is_made_up(
    policies: Mapping[str, object], fire: list[int]
) -> None:
    assert ticks(due(MINUTES, OUTAGE, fired=100, **policies)) == fire


def test_what_was_missed_may_be_passed_over_and_the_cursor_goes_on() -> None:
    late = NOW + 15 * SECOND
    move = due(MINUTES, OUTAGE, late, catch_up="skip")
    assert (ticks(move), move.tick, move.next_at) == ([], NOW - 30 * SECOND, NOW + 30 * SECOND)
    assert ticks(due(MINUTES, OUTAGE, NOW, catch_up="skip")) == [NOW - 30 * SECOND]  # the latest is not too late


def test_the_latest_of_millions_of_ticks_is_found_at_once() -> None:
    assert ticks(due(every(seconds=1), at("2016-03-04 12:00:00"))) == [NOW]
    assert len(ticks(due(every(seconds=1), at("2016-03-04 12:00:00"), catch_up="all", most=1_000))) == 1_000


def test_one_moment_fires_once_and_is_over() -> None:
    move = due(once(at=at("2026-03-04 09:00:00", aware=True)), at("2026-03-04 09:00:00"))
    assert (ticks(move), move.next_at) == ([at("2026-03-04 09:00:00")], None)


def test_no_tick_comes_after_the_end_and_none_before_the_start() -> None:
    assert due(MINUTES, NOW - 30 * SECOND, end=NOW).next_at is None
    assert due(MINUTES, NOW - 30 * SECOND, start=NOW + 10 * MINUTE).next_at == at("2026-03-04 12:11:00")


def test_jobs_are_spread_behind_their_tick_and_know_it_all_the_same() -> None:
    moves = [due(MINUTES, NOW - 30 * SECOND, jitter=10 * SECOND) for _ in range(200)]
    starts = sorted(move.jobs[0].due - move.tick for move in moves)
    assert 0 <= starts[0] < 2 * SECOND
    assert 8 * SECOND < starts[-1] <= 10 * SECOND
    assert {ticks(move)[0] for move in moves} == {NOW - 30 * SECOND}


def test_the_time_zone_is_that_of_the_rule() -> None:
    rule = cron("0 2 * * *", tz="Europe/Bucharest")
    move = due(rule, at("2026-03-28 00:00:00"), at("2026-03-28 00:00:01"))
    assert move.next_at == at("2026-03-29 00:00:00")
    assert due(rule, at("2026-03-29 00:00:00"), at("2026-03-29 00:00:01")).next_at == at("2026-03-29 23:00:00")


def test_a_tick_that_is_none_any_more_as_by_newer_rules_of_its_zone_is_not_made() -> None:
    rule = cron("0 2 * * *", tz="Europe/Bucharest")
    early = at("2026-03-27 23:00:00")  # where the zone was an hour ahead, when that was stored
    move = due(rule, early, early + 5 * SECOND)
    assert (ticks(move), move.next_at) == ([], at("2026-03-28 00:00:00"))


def test_a_schedule_that_cannot_be_read_is_an_error_of_its_own() -> None:
    row = Scheduled("it", '{"rule": {}}', None, NOW, None, 0, None, None, 1, 0, NOW)
    with pytest.raises(ValueError, match="job"):
        move_of(row)
    spec = Spec({"rule": "cron", "expression": "0 2 * * *", "zone": "Mars/Olympus"}, Planned.of(new_job()))
    with pytest.raises(ValueError, match="Mars/Olympus"):
        move_of(row._replace(spec=written(spec)))
    with pytest.raises(ValueError, match="not due"):
        move_of(row._replace(spec=written(Spec(MINUTES.dump(), spec.job)), next_at=NOW + 1))


def test_jobs_of_much_data_are_made_in_several_steps_and_none_is_left_out() -> None:
    spec = Spec(MINUTES.dump(), Planned.of(new_job()._replace(args=b"x" * 300_000)), catch_up="all", most=7)
    row = Scheduled("it", written(spec), None, OUTAGE, None, 0, None, None, 3, 0, NOW)
    found: list[int] = []
    for _ in range(3):
        move = move_of(row)
        assert len(move.jobs) <= 3
        found += ticks(move)
        assert move.next_at is not None
        row = row._replace(next_at=move.next_at, tick=move.tick)
    assert found == [at("2026-03-04 12:00:00") - number * MINUTE for number in range(6, -1, -1)]
    assert row.next_at == NOW + 30 * SECOND


def test_times_are_what_they_seem() -> None:
    assert at("1970-01-01 00:00:01") == SECOND
    assert stored(at("2026-03-04 12:00:30", aware=True)) == NOW
