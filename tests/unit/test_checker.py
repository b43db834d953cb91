"""The checker of the fault tests must see what it is there to see: histories made by hand, each bad in one way."""

import contextlib
import os
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg
import pytest

from conveyor.cli.chaos.checker import Promises, violations
from conveyor.cli.chaos.history import again, running
from conveyor.cli.chaos.tables import EFFECTS, asking, make_effects, read_effects, registered, unfinished
from conveyor.core import ids
from conveyor.core.lifecycle import Event
from conveyor.core.model import Attempt, appended
from tests.support.history import History, Kind, Record, Report, Row, Run, Tables, check, read_tables, runs_of
from tests.support.jobs import TASK, Hand, enqueue, new_job, outcome
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


def test_a_job_that_was_given_back_is_well_numbered_and_only_not_finished_yet() -> None:
    given_back = [*ACCEPTED, *run(1, 2, how="raised"), *run(3, 4, 2, how="gone")]
    assert found(given_back, hot(row("waiting", 1, (1,)))) == {"lost": (JOB,)}
    assert found([*given_back, *run(5, 6, 3)], hot(row("waiting", 1, (1,)))) == {"lost": (JOB,), "misnumbered": (JOB,)}


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


# --------------------------------------------------------------- promises

PROMISES = Promises(tokens=frozenset({"paid", "told"}), effects=frozenset({"paid"}))


def promised(row: Row, *records: Record, effects: Mapping[str, Sequence[int]] | None = None) -> dict[str, object]:
    """What the checker has to say against a job of a task that makes promises."""
    report = check(sorted([*ACCEPTED, *records], key=lambda record: record.at), past(row), effects, PROMISES)
    against = ("foreign", "reset", "unrun", "unexplained", "effects_doubled", "effects_missing", "effects_uncalled")
    return {name: getattr(report, name) for name in against if getattr(report, name)}


PAID, TOLD = row()._replace(task="paid", result=b"10"), row()._replace(task="told", result=b"10")
PROMISED: dict[str, tuple[Row, list[Record], dict[str, list[int]], dict[str, object]]] = {
    "kept": (PAID, run(1, 2), {JOB: [10]}, {}),
    "another attempt's result": (TOLD._replace(result=b"9"), run(1, 2), {}, {"foreign": (JOB,)}),
    "no result": (TOLD._replace(result=None), run(1, 2), {}, {"foreign": (JOB,)}),
    "never run": (TOLD, [], {}, {"unrun": (JOB,)}),
    "never run to its end": (TOLD, run(1, 2, how="raised"), {}, {"unrun": (JOB,)}),
    "the token went back": (TOLD._replace(token=9, result=b"9"), run(1, 2), {}, {"reset": (JOB,)}),
    "no effect": (PAID, run(1, 2), {}, {"effects_missing": (JOB,)}),
    "two effects": (PAID, run(1, 2), {JOB: [9, 10]}, {"effects_doubled": (JOB,)}),
    "an effect of a failure": (
        PAID._replace(state="failed", numbers=(1,)),
        run(1, 2, how="raised"),
        {JOB: [10]},
        {"effects_uncalled": (JOB,)},
    ),
    "a job without promises": (row()._replace(task="other"), [], {}, {}),
}


@pytest.mark.parametrize("case", PROMISED)
def test_promises_are_held_against_what_is_there(case: str) -> None:
    row, records, effects, said = PROMISED[case]
    assert promised(row, *records, effects=effects) == said


TWICE = [*run(1, 2), *run(3, 4, 2, pid=SUCCESSOR)]


EXPLAINED: dict[str, list[Record]] = {
    "its process died before it could write the outcome": [at(2.5, "gone")],
    "that death was seen late": [at(3.5, "gone")],
    "it was frozen": [at(1.5, "stopped"), at(3.5, "resumed")],
    "it was frozen when it began": [at(0.5, "stopped"), at(1.2, "resumed")],
    "it was frozen before it could write the outcome": [at(2.5, "stopped"), at(3.5, "resumed")],
    "it was never thawed": [at(2.5, "stopped")],
}
UNEXPLAINED: dict[str, list[Record]] = {
    "nothing happened": [],
    "the other one's process died": [at(4.5, "gone", pid=SUCCESSOR)],
    "its process died when the other one had long begun": [at(5, "gone")],
    "it was frozen when the other one had begun": [at(3.5, "stopped"), at(6, "resumed")],
    "it was frozen before": [at(0.5, "stopped"), at(0.6, "resumed")],
    "the other one's process was frozen": [at(1.5, "stopped", pid=SUCCESSOR), at(2.5, "resumed", pid=SUCCESSOR)],
}
LATE = [*run(1, 2), *run(601, 602, 2, pid=SUCCESSOR)]


@pytest.mark.parametrize("case", EXPLAINED)
def test_what_was_done_twice_is_explained_by_the_loss_of_a_worker(case: str) -> None:
    assert promised(row(attempt=2, numbers=(1,)), *TWICE, *EXPLAINED[case]) == {}


@pytest.mark.parametrize("case", UNEXPLAINED)
def test_what_was_done_twice_is_explained_by_nothing_else(case: str) -> None:
    assert promised(row(attempt=2, numbers=(1,)), *TWICE, *UNEXPLAINED[case]) == {"unexplained": (JOB,)}


@pytest.mark.parametrize("later", [[at(600, "gone")], [at(300, "stopped"), at(310, "resumed")]])
def test_what_befalls_a_process_that_had_the_time_to_write_the_outcome_explains_nothing(later: list[Record]) -> None:
    assert promised(row(attempt=2), *LATE, *later) == {"unexplained": (JOB,)}


def test_what_was_done_twice_is_explained_by_the_record_of_the_first_attempt_alone() -> None:
    assert promised(row(attempt=2, numbers=(1,))._replace(taken={1: 0.0}), *LATE) == {}
    assert promised(row(attempt=2, numbers=(1,))._replace(taken={2: 0.0}), *LATE) == {"unexplained": (JOB,)}


@pytest.mark.parametrize(
    ("successes", "wrong"), [((), ()), ((2,), ()), ((1,), (JOB,)), ((3,), (JOB,)), ((2, 2), (JOB,))]
)
def test_a_success_is_the_last_attempts_and_there_is_one(successes: tuple[int, ...], wrong: tuple[str, ...]) -> None:
    told = check([], past(row(attempt=2, numbers=(1,))._replace(successes=successes)))
    assert told.misattributed == wrong
    assert len([line for line in violations(told) if "as the success of another" in line]) == len(wrong)


def refused(*records: Record) -> int:
    return check(sorted(records, key=lambda r: r.at), past(row(attempt=2, numbers=(1,)))).refused


def test_an_end_that_came_too_late_was_refused_unless_its_process_died_of_it() -> None:
    assert refused(*run(1, 2), *run(3, 4, 2, pid=SUCCESSOR)) == 1
    assert refused(*run(1, 2), at(2.5, "gone"), *run(3, 4, 2, pid=SUCCESSOR)) == 0
    assert refused(*run(1, 2), at(9, "gone"), *run(3, 4, 2, pid=SUCCESSOR)) == 1
    frozen = [at(1.5, "stopped"), at(5, "resumed"), at(5.5, "gone")]
    assert refused(*run(1, 5.1), *frozen, *run(3, 4, 2, pid=SUCCESSOR)) == 1
    assert refused(*run(1, 2, how="raised"), *run(3, 4, 2, pid=SUCCESSOR)) == 0


# ------------------------------------------------------------------ frozen

FREEZE = [at(2, "stopped"), at(6, "resumed")]


def frozen(*records: Record, notice: float = 0.0, tolerance: float = 0.0) -> Report:
    given = sorted([*FREEZE, *records], key=lambda record: record.at)
    return check(given, past(row(attempt=2, numbers=(1,))), notice=notice, tolerance=tolerance)


def test_while_a_process_is_frozen_nothing_of_it_runs() -> None:
    inside = [*run(1, 6, how="raised"), *run(3, 5, 2, pid=SUCCESSOR)]
    assert frozen(*inside).overlaps == ()
    assert frozen(*inside).recoveries == ((2, None, 1.0),)
    late = [*run(1, 6.5, how="raised"), *run(3, 9, 2, pid=SUCCESSOR)]
    assert frozen(*late).overlaps == (500.0,)
    assert frozen(*late, notice=0.3).overlaps == (pytest.approx(200.0),)
    assert frozen(*late, notice=0.5).overlaps == ()
    assert frozen(*late, tolerance=0.5).overlaps == ()
    early = [*run(1, 6, how="raised"), *run(1.5, 5, 2, pid=SUCCESSOR)]
    assert frozen(*early).overlaps == (500.0,)


def test_a_process_that_is_never_thawed_runs_nothing_any_more() -> None:
    records = [at(1, "started", JOB, 1, 10), at(2, "stopped"), *run(3, 5, 2, pid=SUCCESSOR)]
    assert check(records, past()).overlaps == ()


def test_a_start_that_was_held_up_by_a_freeze_is_not_held_against_its_token() -> None:
    late = [at(6.1, "started", JOB, 1, 10), at(6.2, "raised", JOB, 1, 10), *run(3, 5, 2, pid=SUCCESSOR)]
    assert frozen(*late, notice=0.5).stale == ()
    assert frozen(*late).stale == (JOB,)


def test_what_resumes_and_was_never_stopped_is_nothing() -> None:
    assert check([at(1, "resumed")], past()).overlaps == ()


def test_a_cancelled_job_may_have_an_attempt_in_its_record_or_none() -> None:
    for numbers in ((), (1,)):
        assert found([*ACCEPTED, *run(1, 2, how="raised")], past(row("cancelled", numbers=numbers))) == {}
    assert found(ACCEPTED, past(row("cancelled", 0))) == {}
    assert found([*ACCEPTED, *run(1, 2, how="raised")], past(row("cancelled", 2))) == {"misnumbered": (JOB,)}


# ------------------------------------------------------------- executions


def test_recovery_is_counted_from_the_death_of_the_process_until_its_job_was_taken_back_and_started() -> None:
    died = [*run(1, 2, how="gone"), *run(5, 6, 2, pid=SUCCESSOR)]
    raised = [*run(1, 2, how="raised"), *run(5, 6, 2, pid=SUCCESSOR)]
    assert check(died, past()).recoveries == ((2, None, 3.0),)
    for at_, freed in ((2.5, 0.5), (1.9, 0.0), (9.0, None)):
        taken = row(attempt=2, numbers=(1,))._replace(taken={1: at_})
        assert check(died, past(taken)).recoveries == ((2, freed, 3.0),)
    other = row(attempt=3, numbers=(1, 2))._replace(taken={2: 2.5})
    assert check(died, past(other)).recoveries == ((2, None, 3.0),)
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


def test_who_runs_what_is_known_and_what_was_started_again() -> None:
    records = [
        at(1, "started", "a", 1, 1),
        at(2, "ended", "a", 1, 1),
        at(3, "started", "b", 1, 2),
        at(4, "started", "c", 1, 3, SUCCESSOR),
        at(5, "raised", "c", 1, 3, SUCCESSOR),
        at(6, "started", "c", 1, 4, SUCCESSOR),
    ]
    assert again(records) == {"c"}
    assert running(records) == {WORKER, SUCCESSOR}
    assert running(records, {"a", "c"}) == {SUCCESSOR}


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
        if job.id == retried.id:
            hand.settle(outcome(job, hand.id, Event.RETRY))
        else:
            record = appended(job.attempts, Attempt(job.attempt, "succeed", 1, 2, hand.id.hex()))
            hand.settle(outcome(job, hand.id, Event.SUCCEED)._replace(record=record))
    hand.die()
    store.close()
    tables = read_tables(url)
    (waiting,), (ended,) = tables
    assert waiting._replace(token=0) == Row(ids.text(retried.id), "waiting", 1, 5, 0, (1,), TASK)
    assert ended._replace(token=0) == Row(ids.text(done.id), "succeeded", 1, 5, 0, (), TASK, b"42", successes=(1,))
    assert min(waiting.token, ended.token) > 0


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_effects_runners_and_unfinished_jobs_are_counted(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = request.getfixturevalue("postgres_url") if kind == "postgres" else sqlite_url(tmp_path)
    with contextlib.closing(open_store(url)) as store:
        enqueue(store, new_job(), new_job())
        hand = Hand(store)
        make_effects(url)
        with asking(url) as connection:
            for token in (1, 2):
                connection.execute(f"INSERT INTO {EFFECTS} VALUES ('a', {token})")
        assert read_effects(url) == {"a": [1, 2]}
        assert unfinished(url) == 2
        assert len(registered(url)) == 1
        hand.die()


def test_tables_that_are_not_there_are_an_error_and_no_good_news(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    with pytest.raises(sqlite3.OperationalError):
        read_tables(sqlite_url(tmp_path))
    with pytest.raises(psycopg.errors.UndefinedTable):
        read_tables(postgres_server.url())
