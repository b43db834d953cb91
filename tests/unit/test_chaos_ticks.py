"""What ``conveyor chaos`` says of schedules: jobs made by hand, each wrong in one way."""

import pytest

from conveyor.cli.chaos.scenarios.outages import CASES, HELD, Case, expected
from conveyor.cli.chaos.ticks import SECOND, Cursor, Made, judged, told, violations

NAME = "a"
LAST = 3


def cursor(**changes: object) -> Cursor:
    """Made half a second before the first of three ticks, all of which have passed."""
    good = Cursor(NAME, SECOND // 2, 4 * SECOND, LAST * SECOND, LAST, None, None)
    return Cursor(**{**good._asdict(), **changes})


def made(*ticks: int, at: float = 0.25) -> list[Made]:
    """A job of each tick, so many seconds after it."""
    return [
        Made(f"{number}", NAME, tick * SECOND, tick * SECOND + int(at * SECOND)) for number, tick in enumerate(ticks)
    ]


def test_one_job_for_each_tick_is_in_order_and_its_lateness_is_told() -> None:
    ticks = judged([cursor()], made(1, 2, 3), SECOND)
    assert violations(ticks) == []
    assert told(ticks) == (
        "3 ticks, 0 doubled, 0 missed; their jobs were made 0.250 s after them, p99 0.250, max 0.250"
    )


def test_the_jobs_of_other_schedules_are_not_counted() -> None:
    other = [job._replace(schedule="b") for job in made(1, 2)]
    assert violations(judged([cursor()], [*made(1, 2, 3), *other], SECOND)) == []


def test_a_tick_may_come_while_the_schedule_is_being_made() -> None:
    young = cursor(created_at=SECOND + 1)
    assert violations(judged([young], made(1, 2, 3), SECOND)) == []
    assert violations(judged([young._replace(fired=2)], made(2, 3), SECOND)) == []


WRONG: dict[str, tuple[Cursor, list[Made], list[str]]] = {
    "doubled": (cursor(fired=4), made(1, 2, 2, 3), ["ticks: 1 doubled: a at 00:00:02"]),
    "missed": (cursor(fired=2), made(1, 3), ["ticks: 1 missed: a at 00:00:02"]),
    "lost": (
        cursor(),
        made(1, 2),
        ["ticks: 1 missed: a at 00:00:03", "ticks: 1 wrong: a says that it has made 3 jobs, and there are 2"],
    ),
    "none at all": (
        cursor(tick=None, fired=0),
        made(1),
        ["ticks: 2 wrong: a has no tick at 00:00:01, a says that it has made 0 jobs, and there are 1"],
    ),
    "before its time": (
        cursor(created_at=SECOND * 5 // 2),
        made(1, 2, 3),
        ["ticks: 1 wrong: a has no tick at 00:00:01"],
    ),
    "many": (
        cursor(tick=9 * SECOND, fired=0),
        [],
        ["ticks: 9 missed: a at 00:00:01, a at 00:00:02, a at 00:00:03, ..."],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named(case: str) -> None:
    where, jobs, said = WRONG[case]
    assert violations(judged([where], jobs, SECOND)) == said


# ---------------------------------------------------------------- outages

FIRST = 1_000
"""The first tick that nobody saw, in seconds."""


def fired(case: Case, late: int, jobs: int = 1) -> list[int]:
    """The seconds after ``FIRST`` whose ticks make jobs when somebody looks so much later."""
    before = cursor(next_at=FIRST * SECOND, fired=jobs)
    return [tick // SECOND - FIRST for tick in expected(case, before, (FIRST + late) * SECOND)]


OUTAGES: dict[str, tuple[int, list[int]]] = {
    "latest": (45, [44]),
    "skip": (45, [44]),
    "all": (45, [36, 40, 44]),
    "latest, few missed": (26, [0, 24]),
    "skip, few missed": (26, [0, 24]),
    "all, few missed": (33, [0, 14, 28]),
    "skip, and the latest is too late": (33, []),
    "skip while held": (45, []),
    "skip, and it has ended": (45, [44]),
    "cancel": (45, [44]),
    "latest, twice": (45, [44]),
    "all, three times": (45, [36, 40]),
}


def test_each_case_of_an_outage_has_an_expectation_made_by_hand() -> None:
    assert OUTAGES.keys() == CASES.keys()


@pytest.mark.parametrize("name", OUTAGES)
def test_after_an_outage_there_are_the_jobs_that_the_policy_says(name: str) -> None:
    late, jobs = OUTAGES[name]
    assert fired(CASES[name], late) == jobs


def test_what_is_not_due_makes_no_job() -> None:
    case = Case(4, {"catch_up": "all"}, HELD)
    assert fired(case, -1) == []
    assert expected(case, cursor(next_at=None), FIRST * SECOND) == []
    assert fired(CASES["all, three times"], 45, jobs=3) == []
