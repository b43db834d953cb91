"""The checker of the fault tests must see what it is there to see: histories made by hand, each bad in one way."""

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest

from conveyor.core import ids
from conveyor.core.lifecycle import Event
from tests.support.history import History, Kind, Record, Report, Row, Run, Tables, check, read_tables, runs_of
from tests.support.jobs import Hand, enqueue, new_job, outcome
from tests.support.postgres import PostgresServer
from tests.support.stores import open_store, sqlite_url

JOB = "a"
WORKER, SUCCESSOR = 100, 200


def at(second: float, kind: Kind, job: str = "", attempt: int = 0, token: int = 0, pid: int = WORKER) -> Record:
    return Record(kind, second, second, pid, job, attempt, token)


def run(begin: float, end: float, attempt: int = 1, *, pid: int = WORKER, how: Kind = "ended") -> list[Record]:
    """An execution, with a token above all earlier ones; one that is "gone" ends with its process."""
    mark = (JOB, attempt, 10 * attempt, pid)
    return [at(begin, "started", *mark), at(end, how, pid=pid) if how == "gone" else at(end, how, *mark)]


ACCEPTED = [at(0, "asked", pid=1), at(0.1, "accepted", JOB, pid=1)]
ONCE = [*ACCEPTED, *run(1, 2)]


def row(state: str = "succeeded", attempt: int = 1, numbers: tuple[int, ...] = (), *, limit: int = 5) -> Row:
    return Row(JOB, state, attempt, limit, 10 * attempt, numbers)


def past(*rows: Row) -> Tables:
    return Tables((), rows)


def hot(*rows: Row) -> Tables:
    return Tables(rows, ())


def found(records: Sequence[Record], tables: Tables) -> dict[str, object]:
    """What the checker has to say against them."""
    report = check(sorted(records, key=lambda record: record.at), tables)
    against = ("lost", "uninvited", "in_both", "twice", "effects_twice", "stale", "misnumbered", "overlaps")
    return {name: getattr(report, name) for name in against if getattr(report, name)}


# ------------------------------------------------------------------- good


def test_nothing_at_all_is_in_order() -> None:
    assert check([], past()) == Report(0, 0, 0, 0, (), 0, (), (), (), (), (), (), ())


def test_a_job_that_was_accepted_and_run_once_is_in_order() -> None:
    report = check([*ONCE, at(1.5, "effect", JOB)], past(row()))
    assert found(ONCE, past(row())) == {}
    assert (report.accepted, report.unknown, report.completed, report.executions) == (1, 0, 1, 1)


GOOD: dict[str, tuple[list[Record], Tables]] = {
    "a retry": ([*ACCEPTED, *run(1, 2, how="raised"), *run(3, 4, 2)], past(row(attempt=2, numbers=(1,)))),
    "a death": ([*ACCEPTED, *run(1, 2, how="gone"), *run(3, 4, 2)], past(row(attempt=2, numbers=(1,)))),
    "a death before the start": ([*ACCEPTED, *run(3, 4, 2)], past(row(attempt=2, numbers=(1,)))),
    "a failure": ([*ACCEPTED, *run(1, 2, how="raised")], past(row("failed", numbers=(1,)))),
    "a death before the only start": (ACCEPTED, past(row("failed", numbers=(1,), limit=1))),
    "a refusal": ([*ONCE, at(5, "asked"), at(6, "refused")], past(row())),
    "no answer, and not there": ([*ONCE, at(5, "asked"), at(6, "unknown")], past(row())),
    "no answer, yet there": (
        [*ONCE, at(5, "asked"), at(6, "unknown")],
        past(row(), row("failed", numbers=(1,))._replace(job="b")),
    ),
    "killed while it asked": ([*ONCE, at(5, "asked")], past(row(), row("failed", numbers=(1,))._replace(job="b"))),
}


@pytest.mark.parametrize("case", GOOD)
def test_what_may_happen_is_not_held_against_anyone(case: str) -> None:
    assert found(*GOOD[case]) == {}


def test_a_running_job_is_well_numbered_and_only_not_finished_yet() -> None:
    assert found([*ACCEPTED, *run(1, 2, how="raised"), at(3, "started", JOB, 2, 20)], hot(row("running", 2, (1,)))) == {
        "lost": (JOB,)
    }


# -------------------------------------------------------------------- bad


BAD: dict[str, tuple[list[Record], Tables, dict[str, object]]] = {
    "lost: it is nowhere": (ACCEPTED, past(), {"lost": (JOB,)}),
    "lost: it has no outcome": (ACCEPTED, hot(row("waiting", 0)), {"lost": (JOB,)}),
    "uninvited: a refused enqueue is there": (
        [at(0, "asked"), at(1, "refused")],
        past(row("failed", numbers=(1,))),
        {"uninvited": 1},
    ),
    "uninvited: one unanswered enqueue is there twice": (
        [*ONCE, at(5, "asked"), at(6, "unknown")],
        Tables([row("waiting", 0)._replace(job="b")], [row(), row("failed", numbers=(1,))._replace(job="c")]),
        {"uninvited": 1},
    ),
    "in both tables": (ONCE, Tables([row("running")], [row()]), {"in_both": (JOB,)}),
    "twice: two attempts ran to their end": (
        [*ONCE, *run(3, 4, 2)],
        past(row(attempt=2, numbers=(1,))),
        {"twice": (JOB,)},
    ),
    "twice: one attempt ran to its end in two places": (
        [*ONCE, *run(3, 4, pid=SUCCESSOR)],
        past(row()),
        {"twice": (JOB,), "stale": (JOB,)},
    ),
    "two effects of one execution": (
        [*ONCE, at(1.5, "effect", JOB), at(1.6, "effect", JOB)],
        past(row()),
        {"effects_twice": (JOB,)},
    ),
    "stale: the token is the same": (
        [*ACCEPTED, *run(1, 2, how="raised"), at(3, "started", JOB, 2, 10), at(4, "ended", JOB, 2, 10)],
        past(row(attempt=2, numbers=(1,))),
        {"stale": (JOB,)},
    ),
    "stale: the token is older": (
        [*ACCEPTED, *run(1, 2, how="raised"), at(3, "started", JOB, 2, 9), at(4, "ended", JOB, 2, 9)],
        past(row(attempt=2, numbers=(1,))),
        {"stale": (JOB,)},
    ),
    "misnumbered: beyond the limit": (
        [*ACCEPTED, *run(1, 2, how="raised"), *run(3, 4, 2)],
        past(row(attempt=2, numbers=(1,), limit=1)),
        {"misnumbered": (JOB,)},
    ),
    "misnumbered: the record lacks an attempt": (
        [*ACCEPTED, *run(1, 2, how="raised"), *run(3, 4, 2)],
        past(row(attempt=2)),
        {"misnumbered": (JOB,)},
    ),
    "misnumbered: the record names one twice": (
        [*ACCEPTED, *run(1, 2, how="raised"), *run(3, 4, 2)],
        past(row(attempt=2, numbers=(1, 1))),
        {"misnumbered": (JOB,)},
    ),
    "misnumbered: the count went back": (
        [*ACCEPTED, at(1, "started", JOB, 2, 10), at(2, "raised", JOB, 2, 10), at(3, "started", JOB, 1, 20)],
        past(row("failed", 2, (1, 2))),
        {"misnumbered": (JOB,)},
    ),
    "misnumbered: it was started more often than counted": (
        [*ACCEPTED, *run(1, 2, how="raised"), *run(3, 4, 2, how="raised")],
        past(row("failed", numbers=(1,))),
        {"misnumbered": (JOB,)},
    ),
    "misnumbered: it succeeded in an attempt that was never started": (
        [*ACCEPTED, *run(1, 2, how="raised")],
        past(row(attempt=2, numbers=(1,))),
        {"misnumbered": (JOB,)},
    ),
    "misnumbered: a waiting job": (
        [*ACCEPTED, *run(1, 2, how="raised")],
        hot(row("waiting")),
        {"lost": (JOB,), "misnumbered": (JOB,)},
    ),
    "overlap: the second begins before the first ends": (
        [*ACCEPTED, *run(1, 3, how="raised"), *run(2, 4, 2, pid=SUCCESSOR)],
        past(row(attempt=2, numbers=(1,))),
        {"overlaps": (1000.0,)},
    ),
    "overlap: the second lies within the first": (
        [*ACCEPTED, *run(1, 5, how="raised"), *run(2, 2.5, 2, pid=SUCCESSOR)],
        past(row(attempt=2, numbers=(1,))),
        {"overlaps": (500.0,)},
    ),
    "overlap: nobody saw the first end": (
        [*ACCEPTED, at(1, "started", JOB, 1, 10), *run(2, 4, 2, pid=SUCCESSOR)],
        past(row(attempt=2, numbers=(1,))),
        {"overlaps": (2000.0,)},
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_each_break_is_found_and_called_by_its_name(case: str) -> None:
    records, tables, said = BAD[case]
    assert found(records, tables) == said


def test_a_job_with_two_bad_overlaps_has_both_measured() -> None:
    records = [*run(1, 3, how="raised"), *run(2, 5, 2, how="raised"), *run(4, 6, 3)]
    assert check(sorted(records, key=lambda record: record.at), past()).overlaps == (1000.0, 1000.0)


# ------------------------------------------------------------- executions


def test_recovery_is_counted_from_the_death_of_the_process_to_the_next_start() -> None:
    died = [*run(1, 2, how="gone"), *run(5, 6, 2, pid=SUCCESSOR)]
    raised = [*run(1, 2, how="raised"), *run(5, 6, 2, pid=SUCCESSOR)]
    assert check(died, past()).recoveries == (3.0,)
    assert check(raised, past()).recoveries == ()
    early = sorted([*run(1, 4, how="gone"), *run(3, 6, 2, pid=SUCCESSOR)], key=lambda record: record.at)
    assert check(early, past()).recoveries == ()


def test_a_death_ends_all_that_its_process_ran_and_nothing_else() -> None:
    records = [
        at(1, "started", "a", 1, 1),
        at(2, "started", "b", 1, 2),
        at(3, "started", "c", 1, 3, SUCCESSOR),
        at(4, "gone"),
        at(5, "ended", "c", 1, 3, SUCCESSOR),
    ]
    assert sorted(runs_of(records)) == [
        Run("a", 1, 1, WORKER, 1, 4, "gone"),
        Run("b", 1, 2, WORKER, 2, 4, "gone"),
        Run("c", 1, 3, SUCCESSOR, 3, 5, "ended"),
    ]


def test_an_end_without_a_start_is_no_execution() -> None:
    assert list(runs_of([at(1, "ended", JOB, 1, 1), at(2, "raised", JOB, 1, 1), at(3, "effect", JOB, 1, 1)])) == []


def test_an_execution_that_nobody_saw_the_end_of_lasts_for_ever() -> None:
    assert list(runs_of([at(1, "started", JOB, 1, 1)])) == [Run(JOB, 1, 1, WORKER, 1, float("inf"), "started")]


# ------------------------------------------------------------------ files


def test_what_is_written_is_read_in_the_order_of_time(tmp_path: Path) -> None:
    first, second = History(tmp_path), History(tmp_path)
    second.write("asked")
    first.write("accepted", JOB)
    second.write("started", JOB, 1, 7)
    first.write("gone", pid=WORKER)
    read = second.read()
    assert [(record.kind, record.pid) for record in read] == [
        ("asked", os.getpid()),
        ("accepted", os.getpid()),
        ("started", os.getpid()),
        ("gone", WORKER),
    ]
    assert (read[2].job, read[2].attempt, read[2].token) == (JOB, 1, 7)
    assert len(list(tmp_path.glob("*.history"))) == 2


def test_a_record_that_was_cut_off_was_never_written(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.write("asked")
    (file,) = tmp_path.glob("*.history")
    with file.open("ab") as more:
        more.write(b'["accepted", 1.0, 1.0')
    assert [record.kind for record in history.read()] == ["asked"]


def test_a_fork_writes_into_a_file_of_its_own(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.write("asked")
    if (child := os.fork()) == 0:
        history.write("accepted", JOB)
        os._exit(0)
    os.waitpid(child, 0)
    assert [record.pid for record in history.read()] == [os.getpid(), child]
    assert len(list(tmp_path.glob("*.history"))) == 2


# ----------------------------------------------------------------- tables


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_the_tables_are_read_as_they_are(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    url = request.getfixturevalue("postgres_url") if kind == "postgres" else sqlite_url(tmp_path)
    store = open_store(url)
    retried, done = new_job(), new_job()
    enqueue(store, retried, done)
    hand = Hand(store)
    for job in hand.take(2):
        hand.settle(outcome(job, hand.id, Event.RETRY if job.id == retried.id else Event.SUCCEED))
    hand.die()
    store.close()
    tables = read_tables(url)
    (waiting,), (ended,) = tables
    assert waiting._replace(token=0) == Row(ids.text(retried.id), "waiting", 1, 5, 0, (1,))
    assert ended._replace(token=0) == Row(ids.text(done.id), "succeeded", 1, 5, 0, ())
    assert min(waiting.token, ended.token) > 0


def test_tables_that_are_not_there_are_an_error_and_no_good_news(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    with pytest.raises(sqlite3.OperationalError):
        read_tables(sqlite_url(tmp_path))
    with pytest.raises(psycopg.errors.UndefinedTable):
        read_tables(postgres_server.url())
