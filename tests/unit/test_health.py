"""What ``app.doctor()`` makes of facts: each finding, how bad it is, and what is to be done."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from conveyor.core.errors import UnfitArguments
from conveyor.core.failure import describe
from conveyor.core.health import (
    MOST,
    Finding,
    Severity,
    bounded,
    note,
    of_clock,
    of_quarantine,
    of_queues,
    of_schema,
    of_tasks,
    of_unfit,
    of_workers,
    span,
    trouble,
)
from conveyor.core.model import Attempt, DueTask, QueueInfo, Runner, RunnerInfo
from conveyor.store.postgres.checks.history import ASTRAY, History, of_history
from conveyor.store.postgres.checks.server import Setting, of_server
from tests.unit.test_why import JOB

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
SECOND = 1_000_000
MAIL = QueueInfo("mail", None, ready=3, scheduled=0, retryable=0, running=1, oldest=timedelta(minutes=5), workers=1)


def runner(
    id_: str = "a" * 32, *, alive: bool = True, version: str = "1", tasks: tuple[str, ...] = ("send",)
) -> Runner:
    return Runner(id_, RunnerInfo("box", 42, {"mail": 10}, tasks, version), alive, NOON)


def only(findings: list[Finding]) -> Finding:
    (finding,) = findings
    return finding


# ---------------------------------------------------------------- schema and clock


@pytest.mark.parametrize(
    ("found", "severity", "fix"),
    [(1, Severity.TROUBLE, "conveyor migrate"), (2, Severity.FINE, ""), (3, Severity.NOTE, "bring this program")],
)
def test_the_tables_are_those_of_this_version_or_not(found: int, severity: Severity, fix: str) -> None:
    finding = of_schema(found, 2)
    assert finding.severity is severity
    assert finding.fix.startswith(fix)
    assert f"migration {found}" in finding.text


@pytest.mark.parametrize(
    ("ahead", "error", "severity"),
    [
        (0, 0, Severity.FINE),
        (5 * SECOND, 0, Severity.FINE),
        (-5 * SECOND, 0, Severity.FINE),
        (5 * SECOND + 1, 0, Severity.TROUBLE),
        (-6 * SECOND, 0, Severity.TROUBLE),
        (8 * SECOND, 4 * SECOND, Severity.FINE),  # a slow answer proves nothing
    ],
)
def test_clocks_may_differ_by_some_seconds(ahead: int, error: int, severity: Severity) -> None:
    assert of_clock(ahead, error).severity is severity


def test_who_is_ahead_is_said() -> None:
    assert of_clock(60 * SECOND, 2_000).text.endswith("differ by 60.000 s, give or take 0.002 s: this host is behind")
    assert of_clock(-60 * SECOND, 0).text.endswith("this host is ahead")


# ---------------------------------------------------------------- queues


def test_all_is_well() -> None:
    finding = only(of_queues([MAIL, replace(MAIL, name="idle", ready=0, oldest=None, workers=0)]))
    assert (finding.severity, finding.text) == (Severity.FINE, "3 jobs due in 2 queues, the oldest for 5 min")
    assert only(of_queues([])).text == "0 jobs due in 0 queues"


QUEUES = {
    "nobody serves it": (
        replace(MAIL, workers=0),
        Severity.TROUBLE,
        "no running worker serves queue 'mail', with 3 jobs due, the oldest for 5 min",
        "conveyor worker -q mail",
    ),
    "paused": (
        replace(MAIL, paused_at=NOON),
        Severity.NOTE,
        "queue 'mail' is paused since 2030-01-01 12:00:00 UTC, with 3 jobs due",
        "conveyor queues resume mail",
    ),
    "paused and forgotten": (
        replace(MAIL, paused_at=NOON, oldest=timedelta(days=1), workers=0),
        Severity.TROUBLE,
        "is paused since",
        "conveyor queues resume mail",
    ),
    "due for a day": (
        replace(MAIL, oldest=timedelta(days=2)),
        Severity.TROUBLE,
        "queue 'mail' has 3 jobs due, the oldest for 2 d",
        "conveyor jobs --state ready --queue mail --oldest-first",
    ),
    "a name that a shell would read": (
        replace(MAIL, name="a b;c", workers=0),
        Severity.TROUBLE,
        "queue 'a b;c'",
        "conveyor worker -q 'a b;c'",
    ),
    "more than can be counted": (
        replace(MAIL, ready=10_001, workers=0),
        Severity.TROUBLE,
        "with more than 10,000 jobs due",
        "conveyor worker",
    ),
}


@pytest.mark.parametrize(("queue", "severity", "text", "fix"), QUEUES.values(), ids=QUEUES)
def test_a_queue_that_nothing_is_taken_from(queue: QueueInfo, severity: Severity, text: str, fix: str) -> None:
    finding = only(of_queues([queue, MAIL]))
    assert finding.severity is severity
    assert text in finding.text
    assert finding.fix.startswith(fix)


@pytest.mark.parametrize("paused", [None, NOON])
def test_a_queue_in_which_nothing_is_due_is_no_trouble(paused: datetime | None) -> None:
    assert only(of_queues([replace(MAIL, ready=0, oldest=None, workers=0, paused_at=paused)])).severity is Severity.FINE


# ---------------------------------------------------------------- tasks

DUE = {"mail": [DueTask("send", 3, timedelta(minutes=5)), DueTask("old", 1, timedelta(hours=3))]}


@pytest.mark.parametrize(
    ("own", "fix"),
    [
        (None, "start workers with the code that has it"),
        ({"send", "old"}, "this app knows it: restart the workers"),
        ({"send"}, "this app does not know it either: bring it back, or conveyor delete --task old"),
    ],
)
def test_a_task_that_no_worker_knows(own: set[str] | None, fix: str) -> None:
    finding = only(of_tasks(DUE, [runner()], own))
    assert finding.severity is Severity.TROUBLE
    assert finding.text == (
        "no running worker of queue 'mail' knows the task 'old', with 1 job due, the oldest for 3 h"
    )
    assert finding.fix.startswith(fix)


def test_what_a_dead_worker_or_one_of_another_queue_knows_does_not_help() -> None:
    elsewhere = replace(runner(), info=RunnerInfo("box", 1, {"other": 1}, ("send", "old"), "1"))
    runners = [runner(), runner(alive=False, tasks=("old",)), elsewhere]
    assert "'old'" in only(of_tasks(DUE, runners, None)).text


def test_tasks_that_are_known() -> None:
    assert only(of_tasks(DUE, [runner(), runner(tasks=("old",))], None)).severity is Severity.FINE
    assert of_tasks({}, [runner()], None) == []


# ---------------------------------------------------------------- workers


def severities(findings: list[Finding]) -> list[Severity]:
    return [finding.severity for finding in findings]


def test_workers_are_counted() -> None:
    finding = only(of_workers([runner(), runner("b" * 32)], 0))
    assert (finding.severity, finding.text) == (Severity.FINE, "2 workers, 20 slots")


def test_no_worker_runs() -> None:
    finding = only(of_workers([], 0))
    assert (finding.severity, finding.text, finding.fix) == (Severity.NOTE, "no worker is running", "conveyor worker")


def test_jobs_of_dead_workers_are_taken_back_while_somebody_lives() -> None:
    taken, dead = of_workers([runner(), runner("b" * 32, alive=False)], 2)
    assert taken == note("workers", "2 jobs running on dead workers; another worker takes them back within seconds")
    assert dead.severity is Severity.NOTE
    assert dead.text.startswith("worker bbbbbbbb (box pid 42) has died without a word")


def test_nobody_is_there_to_take_them_back() -> None:
    found = of_workers([runner(alive=False)], 1)
    assert severities(found) == [Severity.TROUBLE, Severity.NOTE, Severity.NOTE]
    assert (found[0].text[:5], found[0].fix) == ("1 job", "conveyor worker")


def test_workers_of_several_versions() -> None:
    finding = only(of_workers([runner(), runner(version="2"), runner(version="3", alive=False)][:2], 0))
    assert finding.severity is Severity.NOTE
    assert finding.text.endswith("1, 2")


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ([("a",), ("a",)], []),
        ([("a",), ("b",)], []),  # two programs that share a queue
        ([("a",), ("a", "b")], ["1 of 2 workers of queue 'mail' do not know all that the others know: b"]),
        (
            [("a", "b"), ("a", "c"), ("z",)],
            ["2 of 3 workers of queue 'mail' do not know all that the others know: b, c"],
        ),
        (
            [("a",), ("a", *"bcdef")],
            ["1 of 2 workers of queue 'mail' do not know all that the others know: b, c, d and 2 more"],
        ),
    ],
)
def test_workers_that_know_different_tasks(known: list[tuple[str, ...]], told: list[str]) -> None:
    found = of_workers([runner(tasks=tasks) for tasks in known], 0)
    assert [finding.text for finding in found if finding.severity is not Severity.FINE] == told


def test_many_findings_are_told_in_bounds_the_worst_first() -> None:
    many = [note("x", f"note {n}") for n in range(MOST)] + [trouble("x", f"trouble {n}", "") for n in range(5)]
    told = bounded("x", many)
    assert len(told) == MOST + 1
    assert [finding.text for finding in told[:6]] == [*(f"trouble {n}" for n in range(5)), "note 0"]
    assert told[-1] == note("x", "and 5 more of the kind")
    assert bounded("x", many[:MOST]) == many[:MOST]


# ---------------------------------------------------------------- the server

SOUND = {
    "role": "shopkeeper",
    "database": "shop",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "transaction_read_only": "off",
    "in_hot_standby": "off",
}


@pytest.mark.parametrize(
    ("changed", "severity", "text"),
    [
        ({}, Severity.FINE, "fsync is on, synchronous_commit is on"),
        ({"synchronous_commit": "local"}, Severity.FINE, "synchronous_commit is local"),
        ({"synchronous_commit": "off"}, Severity.TROUBLE, "may lose jobs it has accepted"),
        ({"fsync": "off", "full_page_writes": "off"}, Severity.TROUBLE, "fsync and full_page_writes are off"),
        ({"fsync": "off"}, Severity.TROUBLE, "fsync is off"),
        ({"full_page_writes": "off"}, Severity.TROUBLE, "full_page_writes is off"),
        ({"in_hot_standby": "on", "fsync": "off"}, Severity.TROUBLE, "is a standby"),
        ({"transaction_read_only": "on"}, Severity.TROUBLE, "lets nothing be written"),
    ],
)
def test_the_servers_settings(changed: dict[str, str], severity: Severity, text: str) -> None:
    finding = only(of_server({name: Setting(value) for name, value in (SOUND | changed).items()}))
    assert finding.severity is severity
    assert text in finding.text
    assert bool(finding.fix) == (severity is Severity.TROUBLE)


@pytest.mark.parametrize(
    ("source", "fix"),
    [
        ("configuration file", "ALTER SYSTEM SET fsync = on; SELECT pg_reload_conf()"),
        ("command line", "start the server without fsync on its command line"),
        ("database user", "ALTER ROLE shopkeeper IN DATABASE shop RESET fsync"),
    ],
)
def test_a_setting_is_mended_where_it_was_made(source: str, fix: str) -> None:
    settings = {name: Setting(value) for name, value in SOUND.items()} | {"fsync": Setting("off", source)}
    assert only(of_server(settings)).fix == fix


DAYS_AHEAD = History(there=37, ahead=3 * 86_400_000_000, overdue=0, stray=0)


@pytest.mark.parametrize(
    ("history", "text"),
    [
        (DAYS_AHEAD._replace(ahead=None), "lacks partitions for jobs that end now"),
        (DAYS_AHEAD._replace(ahead=-1), "lacks partitions for jobs that end now"),
        (DAYS_AHEAD._replace(ahead=3_600_000_000), "in less than a day"),
        (DAYS_AHEAD._replace(overdue=2), "2 partitions of history are over for a day"),
        (DAYS_AHEAD._replace(stray=ASTRAY), "10,000 ended jobs or more have no partition"),
    ],
)
def test_partitions_of_history_that_are_missing_or_over(history: History, text: str) -> None:
    finding = only(of_history(history))
    assert (finding.check, finding.severity) == ("history", Severity.NOTE)
    assert text in finding.text
    assert finding.fix


def test_partitions_of_history_as_they_should_be() -> None:
    found = [only(of_history(DAYS_AHEAD)), only(of_history(DAYS_AHEAD._replace(stray=ASTRAY - 1)))]
    assert [finding.severity for finding in found] == [Severity.FINE] * 2
    assert "37 partitions" in found[0].text


# ---------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(seconds=-3), "0 s"),
        (timedelta(seconds=59.4), "59 s"),
        (timedelta(seconds=59.6), "1 min"),
        (timedelta(minutes=59), "59 min"),
        (timedelta(minutes=59.7), "1 h"),
        (timedelta(hours=23), "23 h"),
        (timedelta(hours=23.8), "1 d"),
        (timedelta(days=400), "400 d"),
    ],
)
def test_durations_have_one_unit(length: timedelta, text: str) -> None:
    assert span(length) == text


# ---------------------------------------------------------------- poison, and deploys


def test_quarantined_jobs_are_named_with_what_to_do_and_nothing_is_said_of_none() -> None:
    finding = only(of_quarantine(2))
    assert (finding.severity, finding.text) == (Severity.NOTE, "2 jobs in quarantine: of each, 3 workers have died")
    assert "conveyor jobs --state quarantined" in finding.fix
    assert of_quarantine(0) == []


@pytest.mark.parametrize(("minutes", "severity"), [(1, Severity.NOTE), (10, Severity.TROUBLE)])
def test_jobs_that_fit_no_code_are_trouble_once_no_deploy_takes_so_long(minutes: int, severity: Severity) -> None:
    error = describe(UnfitArguments("mail(user): missing a required argument: 'user'"))
    releases = tuple(Attempt(1, "release", at * 60 * SECOND, 0, "aa", error) for at in (0, minutes))
    jobs = [replace(JOB, task="mail", attempts=releases), replace(JOB, task="mail", attempts=releases[:1])]
    finding = only(of_unfit(jobs, 7))
    assert finding.severity is severity
    assert finding.text == f"2 of 7 jobs to be tried again fit no code so far, task 'mail': {error.message}"
    assert f"conveyor why {JOB.id}" in finding.fix
    assert of_unfit([], 7) == []
