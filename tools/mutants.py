"""Breaks the code on purpose, one break at a time, and proves that the test named beside it notices.

Usage: python tools/mutants.py [--jobs N] [WORD ...]. With words, only mutants whose name has one of them. First all
the tests must pass on an unbroken copy of src; then each must *fail* (not merely stop with an error) on the broken
one. Exits 1 if a break goes unnoticed, and 2 if the table no longer fits the code.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGE = "src/conveyor"
CONTRACT = "tests/contract"
FENCING = f"{CONTRACT}/test_fencing.py"
WRONG = f"{FENCING}::test_an_outcome_with_something_wrong_is_refused_and_named"
RESCUE = f"{CONTRACT}/test_rescue.py"
CONTROL = f"{CONTRACT}/test_control.py"
UNIQUE = f"{CONTRACT}/test_unique.py"
PROGRESS = f"{CONTRACT}/test_progress.py"
CURSOR = f"{CONTRACT}/test_cursor.py"
TARGETS = f"{CONTRACT}/test_mutation_targets.py"
DUTIES = "tests/unit/test_worker_duties.py"
LIFE = "tests/faults/test_worker_life.py"
HEARTBEAT = f"{LIFE}::test_heartbeat_on_the_loop_would_double_a_job_that_blocks_the_loop"
RAN_SINCE = f"{CONTRACT}/test_repeat_enqueue.py::test_a_job_that_has_run_since_stays_as_it_is"
REPEATED = f"{FENCING}::test_a_repeated_settle_changes_nothing_and_is_not_refused"
REWRITTEN = f"{CONTRACT}/test_meanwhile.py::test_a_job_whose_row_is_rewritten_during_its_settle_is_settled_once"
GIVEN_BACK = f"{CONTRACT}/test_settle.py::test_a_release_gives_the_attempt_back_and_leaves_no_record"
ASKED = f"{CONTROL}::test_a_job_that_was_asked_ends_by_itself_or_as_cancelled"
PAUSED = f"{CONTRACT}/test_queues.py::test_nothing_of_a_paused_queue_is_claimed_until_it_is_resumed"
KINDS = ("sqlite-file", "postgres")
DIALECTS = ("sqlite", "postgres")
SPINE, OPTIONS = "migrations/0001_spine", "migrations/0002_options"
SETTLES = ("settle_final", "settle_delete")


SHOWN = 100
"""Characters of why a test failed: it must be for the reason that it is there for."""


class Edit(NamedTuple):
    """In *file* (below the package), *old*, which must be there exactly once, becomes *new*."""

    file: str
    old: str
    new: str


class Mutant(NamedTuple):
    """One break; *name* says what it takes away."""

    name: str
    edits: Sequence[Edit]
    tests: Sequence[str]
    """All of these must fail."""


def _on_both(name: str, sqlite: Sequence[Edit], postgres: Sequence[Edit], test: str, case: str = "") -> Mutant:
    """The same break in both dialects, that a test must notice on both stores: as ``[kind-case]``."""
    return Mutant(name, [*sqlite, *postgres], [f"{test}[{kind}{case and '-' + case}]" for kind in KINDS])


def _sql(name: str, old: str, new: str, *, dialect: str = "sqlite") -> Edit:
    return Edit(f"store/{dialect}/{name}.sql", old, new)


def lite(name: str, old: str, new: str = "") -> Edit:
    """An edit of a statement of SQLite's."""
    return _sql(name, old, new)


def post(name: str, old: str, new: str = "") -> Edit:
    """An edit of a statement of PostgreSQL's."""
    return _sql(name, old, new, dialect="postgres")


ORPHANS_BY_AGE = (
    lite(
        "orphans",
        "FROM (SELECT DISTINCT runner FROM conveyor_job WHERE state = 'running')\n"
        "    WHERE NOT conveyor_alive(runner) ORDER BY",
        "FROM conveyor_job WHERE last_attempted_at < :now - 20000000 ORDER BY",
    ),
    post(
        "orphans",
        "AND NOT EXISTS (\n"
        "        SELECT FROM conveyor_runner r WHERE r.id = j.runner AND r.expires_at > conveyor_now())",
        "AND j.last_attempted_at < conveyor_now() - 20000000",
    ),
)
CURSORS = (
    (
        "a claimer never steps back",
        "lane.passed, lane.at = lane.at, min(lane.floor, lane.at)",
        "lane.passed = lane.at",
        ["test_a_late_commit_that_nobody_hears_is_found_by_the_next_step_back"],
    ),
    (
        "the floor does not wait for transactions that are under way",
        "if self.notes and self.notes[0].mark <= self._xmin else None",
        "if self.notes else None",
        ["test_a_late_commit_that_nobody_hears_is_found_by_the_next_step_back"],
    ),
    (
        "the floor does not ask where the cursor was",
        "min(note.place(queue, priority), note.time - SLACK)",
        "note.time - SLACK",
        ["test_a_row_that_was_locked_in_an_old_backlog_is_found_by_the_next_step_back"],
    ),
    (
        "the time that a commit tells of is not heard",
        "            lane.at = min(lane.at, due)\n            self._keep_busy(queue, priority)\n\n    def _pass",
        "            self._keep_busy(queue, priority)\n\n    def _pass",
        ["test_a_commit_that_rings_is_claimed_at_once_however_old_its_stamp_is"],
    ),
    (
        "the cursor passes what a claim has not looked into",
        "left = {queue: room[queue] for queue in said.looked}",
        "left = dict(room)",
        ["test_a_paused_queue_is_not_passed", "test_who_has_lost_the_lease_passes_nothing"],
    ),
    (
        "priorities that had no jobs are not looked for",
        "if now - self._wide_at >= wide:",
        "if self.whole:",
        ["test_a_priority_that_had_no_jobs_before_is_looked_for_now_and_then"],
    ),
)
FETCH = "(queue, priority DESC, run_after);"
COUNTED_LATE = (
    lite("claim", "attempt = attempt + 1, "),
    lite("claimed", "run_after, attempt, max", "run_after, attempt + 1, max"),
    lite("settle_final", "j.attempt - (", "j.attempt + 1 - (given.flags >> 1 & 1) - ("),
    lite("settle_again", "attempt - (", "attempt + 1 - (:flags >> 1 & 1) - ("),
    post("claim", "attempt = j.attempt + 1,", "attempt = j.attempt,"),
    post("claim", "j.run_after, j.attempt, j.max", "j.run_after, j.attempt + 1, j.max"),
    post("settle_final", " attempt - (", " attempt + 1 - (flags >> 1 & 1) - ("),
    post("settle_again", "j.attempt - (", "j.attempt + 1 - (held.flags >> 1 & 1) - ("),
)
STEADY = "tests/contract/test_steady.py"
COMPLETION = "tests/contract/test_completion_trouble.py"
STANDS_STILL = (
    "tests/contract/test_meanwhile.py::test_a_completion_that_stands_still_holds_up_the_rescue_of_no_other_job"
)
WAITS = "tests/contract/test_within_locks.py::test_the_first_statement_of_a_transaction_waits_for_the_writer"
WRONG_COMPLETION = f"{COMPLETION}::test_a_completion_with_something_wrong_ends_nothing"
SWALLOWED = "tests/contract/test_lost_commits.py::test_it_runs_again_though_the_task_has_swallowed_the_error"
TRANSACTIONS: tuple[Mutant, ...] = (
    *(
        Mutant(
            f"postgres: a transaction completes its job whatever its {what}",
            [Edit("store/postgres/complete.sql", condition, "true")],
            [f"{WRONG_COMPLETION}[{what}-postgresql]"],
        )
        for what, condition in (
            ("token", "token = CAST(:token AS bigint)"),
            ("runner", "runner = CAST(CAST(:runner AS text) AS uuid)"),
        )
    ),
    *(
        Mutant(
            f"sqlite: a transaction completes its job whatever its {what}",
            [
                Edit(f"store/sqlite/{name}.sql", f" AND {what} = :{what}", "")
                for name in ("complete", "complete_delete")
            ],
            [f"{WRONG_COMPLETION}[{what}-sqlite]"],
        )
        for what in ("token", "runner")
    ),
    Mutant(
        "postgres: the row of a transaction's job is looked for where it was",
        [
            Edit(
                "store/postgres/complete.sql",
                "id = CAST(CAST(:id AS text) AS uuid)",
                "ctid = (SELECT ctid FROM conveyor_job WHERE id = CAST(CAST(:id AS text) AS uuid) FOR UPDATE)",
            )
        ],
        [
            f"{COMPLETION}::test_a_row_that_is_rewritten_at_that_moment_is_completed_all_the_same[{change}]"
            for change in ("progress = 'x'", "cancelled = 'x'")
        ],
    ),
    Mutant(
        "a transaction whose commit was lost is believed to stand if the task says nothing",
        [
            Edit(
                "worker/attempt.py",
                "return Unsure(Interrupted(LOST_PAUSE, self.described(completing.break_)), completing.result)",
                "return ending()",
            )
        ],
        [f"{SWALLOWED}[using-postgres-psycopg]"],
    ),
    Mutant(
        "postgres: a rescue does not pass by a transaction that stands still",
        [Edit("store/postgres/orphans.sql", "FOR UPDATE SKIP LOCKED", "FOR UPDATE NOWAIT")],
        [f"{STANDS_STILL}[postgres]"],
    ),
    Mutant(
        "sqlite: a transaction of the user's reads before it writes",
        [Edit("store/sqlite/plans.py", '            yield self.statement("take_lock")\n', "            pass\n")],
        [f"{WAITS}[sqlite-sqlite3-by-hand]"],
    ),
)

LOCKS = "tests/contract/test_locks.py"
CLOCK = "tests/contract/test_locks_clock.py"
LOCKED: tuple[Mutant, ...] = (
    _on_both(
        "a lock is taken whoever has it",
        [lite("lock_take", "{lock_over} OR", "true OR")],
        [post("lock_take", "held.expires_at <= excluded.taken_at", "true")],
        f"{LOCKS}::test_who_has_it_is_named",
    ),
    Mutant(
        "sqlite: a lock runs out by a clock that can be set",
        [lite("lock_over", "held.counted = held.token", "false")],
        [f"{CLOCK}::test_a_clock_that_is_set_gives_no_lock_away[sqlite-file]"],
    ),
    Mutant(
        "sqlite: a lock runs out when its name's last holder's would have",
        [lite("lock_over", " AND held.counted = held.token")],
        [f"{CLOCK}::test_one_that_who_knows_no_better_clock_has_taken_is_held[sqlite-file]"],
    ),
    _on_both(
        "a lock is renewed whatever its token",
        [lite("lock_renew", " AND token = :token")],
        [post("lock_renew", " AND token = :token")],
        f"{LOCKS}::test_whose_lock_another_has_taken_is_told_so",
    ),
    _on_both(
        "a lock is given back whatever its token",
        [lite("lock_release", " AND token = :token")],
        [post("lock_release", " AND token = :token")],
        f"{LOCKS}::test_the_end_of_the_block_asks_once_more",
    ),
)

MUTANTS: tuple[Mutant, ...] = (
    # First, as it takes longest.
    Mutant(
        "the heartbeat beats on the event loop",
        [
            Edit("worker/heartbeat.py", "import logging\n", "import asyncio\nimport logging\n"),
            Edit(
                "worker/heartbeat.py",
                "        self._lost = lost\n",
                "        self._lost = lost\n        self._loop = asyncio.get_running_loop()\n",
            ),
            Edit(
                "worker/heartbeat.py",
                "self._renewed(self._kept)",
                "asyncio.run_coroutine_threadsafe(asyncio.sleep(0, self), self._loop).result()._renewed(self._kept)",
            ),
        ],
        [f"{HEARTBEAT}[{kind}]" for kind in KINDS],
    ),
    # -- outcomes
    _on_both(
        "an end is written whatever its token",
        [
            lite("settle_final", "j.token = given.token AND "),
            lite("settle_delete", "j.token = json_extract(given.value, '$[0]') AND "),
        ],
        [post("settle_final", "AND j.token = given.k ")],
        WRONG,
        "an older token-succeed",
    ),
    _on_both(
        "an end is written whatever its runner",
        [lite(name, "AND j.runner = substr(:runners, given.key * 16 + 1, 16)") for name in SETTLES],
        [post("settle_final", "AND j.runner = given.r ")],
        WRONG,
        "another runner-succeed",
    ),
    _on_both(
        "a retry is written whatever its token",
        [lite("settle_again", "AND token = :token ")],
        [post("settle_again", "AND j.token = given.k ")],
        WRONG,
        "an older token-retry",
    ),
    _on_both(
        "a retry is written whatever its runner",
        [lite("settle_again", "AND runner = :runner ")],
        [post("settle_again", "AND j.runner = given.r ")],
        WRONG,
        "another runner-retry",
    ),
    Mutant(
        "a rescue keeps the token",
        [
            Edit(
                "core/lifecycle.py",
                "TAKEN_BACK = frozenset({Event.RESCUE, Event.LOSE, Event.QUARANTINE})",
                "TAKEN_BACK: frozenset[Event] = frozenset()",
            )
        ],
        [f"{FENCING}::test_the_late_outcome_of_a_rescued_attempt_is_refused[{kind}-succeed]" for kind in KINDS],
    ),
    Mutant(
        "a settle that finds nothing does not ask history",
        [
            Edit(
                "store/sqlplans.py",
                "recorded = yield from self.recorded(gone)",
                "recorded: frozenset[bytes] = frozenset()",
            )
        ],
        [f"{REPEATED}[{kind}-succeed]" for kind in KINDS],
    ),
    Mutant(
        "postgres: an end is kept though its row was rewritten and stays",
        [post("settle_final", "FROM held JOIN gone USING (id), clock", "FROM held, clock")],
        [f"{REWRITTEN}[True-succeed-postgres]"],
    ),
    _on_both(
        "a release spends an attempt",
        [lite("settle_again", "attempt = attempt - (:flags >> 2 & 1)", "attempt = attempt")],
        [post("settle_again", "attempt = j.attempt - (held.flags >> 2 & 1)", "attempt = j.attempt")],
        GIVEN_BACK,
    ),
    Mutant(
        "attempts are counted at the settle, so a death spends none",
        COUNTED_LATE,
        [f"{RESCUE}::test_a_job_without_attempts_left_is_failed_as_lost[{kind}-0]" for kind in KINDS],
    ),
    Mutant(
        "rescue goes by the age of the attempt",
        ORPHANS_BY_AGE,
        [f"{TARGETS}::test_a_job_that_runs_for_long_is_left_to_its_living_runner[{kind}]" for kind in KINDS],
    ),
    # -- keys
    Mutant(
        "a repeated enqueue is one statement",
        [
            Edit(
                "store/arrivals.py", "            if left:\n                yield from self.delete_finished(left)\n", ""
            )
        ],
        [f"{RAN_SINCE}[{kind}-succeed]" for kind in KINDS],
    ),
    _on_both(
        "a unique key is not unique",
        [lite(OPTIONS, "CREATE UNIQUE INDEX conveyor_job_unique", "CREATE INDEX conveyor_job_unique")],
        [post(OPTIONS, "CREATE UNIQUE INDEX conveyor_job_unique", "CREATE INDEX conveyor_job_unique")],
        f"{UNIQUE}::test_a_second_job_is_dropped_and_the_first_is_named",
    ),
    _on_both(
        "a key that is taken is an error of the database",
        [lite("join", "ON CONFLICT DO NOTHING ")],
        [post("join", "    ON CONFLICT DO NOTHING\n")],
        f"{UNIQUE}::test_a_second_job_is_dropped_and_the_first_is_named",
    ),
    _on_both(
        "a claim does not free the key of a job that holds it until it starts",
        [lite("claim", "CASE WHEN until_start THEN NULL ELSE unique_key END", "unique_key")],
        [post("claim", "CASE WHEN j.until_start THEN NULL ELSE j.unique_key END", "j.unique_key")],
        f"{UNIQUE}::test_a_key_that_is_held_until_the_start_is_free_from_then_on",
        "retry",
    ),
    # -- what people do
    Mutant(
        "a cancel takes running jobs too",
        [Edit("store/control.py", "reason, \"state = 'waiting'\"", "reason, '1 = 1'")],
        [f"{CONTROL}::test_every_waiting_job_is_cancelled_and_no_other[{kind}]" for kind in KINDS],
    ),
    _on_both(
        "a job that was asked to stop is made ready again",
        [lite("settle_again", " AND cancelled IS NULL")],
        [post("settle_again", "          AND j.cancelled IS NULL\n")],
        ASKED,
        "retry",
    ),
    Mutant(
        "a repeated settle does not say what its first try has stopped",
        [Edit("store/sqlplans.py", "            stopped |= yield from self._ended_before(gone)\n", "")],
        [f"{ASKED}[{kind}-retry]" for kind in KINDS],
    ),
    _on_both(
        "a paused queue is claimed from",
        [lite("lanes", "    WHERE NOT EXISTS (SELECT 1 FROM conveyor_queue q WHERE q.name = want.value)\n")],
        [post("claim", "    WHERE NOT EXISTS (SELECT 1 FROM conveyor_queue q WHERE q.name = want.queue)\n")],
        PAUSED,
    ),
    _on_both(
        "a job that is wanted once more begins with its token anew",
        [lite("revive", "SELECT id, token, :now", "SELECT id, 0, :now")],
        [post("revive_ended", "SELECT id, token, clock.now", "SELECT id, 0, clock.now")],
        f"{CONTROL}::test_a_job_that_has_ended_is_ready_once_more",
        "failed",
    ),
    Mutant(
        "a job whose time is over is started",
        [
            Edit(
                "worker/execute.py",
                "if job.expires_at is not None and job.expires_at <= job.last",
                "if False and job.last",
            )
        ],
        [f"{DUTIES}::test_a_job_whose_time_is_over_or_that_nobody_wants_is_not_started[changes0-expire-expired]"],
    ),
    # -- transactions and progress
    _on_both(
        "a completion is written whatever its token",
        [lite(name, "AND token = :token ") for name in ("complete", "complete_delete")],
        [post("complete", " AND token = CAST(:token AS bigint)")],
        f"{PROGRESS}::test_a_completion_of_somebody_else_changes_nothing",
        "token",
    ),
    _on_both(
        "a completion is written whatever its runner",
        [lite(name, "AND runner = :runner ") for name in ("complete", "complete_delete")],
        [post("complete", "AND runner = CAST(CAST(:runner AS text) AS uuid) ")],
        f"{PROGRESS}::test_a_completion_of_somebody_else_changes_nothing",
        "runner",
    ),
    _on_both(
        "progress is written whatever its token",
        [lite("report", "AND token = :token ")],
        [post("report", "AND j.token = given.k ")],
        f"{PROGRESS}::test_progress_of_somebody_else_is_dropped_and_holds_back_no_other",
        "token",
    ),
    Mutant(
        "a job joins the transaction of a connection that nobody has looked through",
        [
            Edit(
                "client/joining.py", "block.isolation = run(self._visit(loan.name), loan.carry)", "block.isolation = ''"
            )
        ],
        [f"{TARGETS}::test_a_connection_to_another_store_takes_no_job[{kind}]" for kind in KINDS],
    ),
    # -- the cursor of claims on PostgreSQL
    *(
        Mutant(name, [Edit("store/postgres/sight.py", old, new)], [f"{CURSOR}::{test}[postgres]" for test in tests])
        for name, old, new, tests in CURSORS
    ),
    # -- what is planned once, and asked once
    Mutant(
        "postgres: a plan that is made once may gather all before it takes the first",
        [Edit("store/postgres/links.py", "set_config('enable_bitmapscan', 'off', false)", "'off'")],
        [f"{STEADY}::test_nor_one_that_was_planned_when_the_statistics_said_that_there_is_nothing[postgres]"],
    ),
    Mutant(
        "postgres: a plan that no longer fits is an error like any other",
        [Edit("drivers/postgres.py", "errors.SerializationFailure, *STALE)", "errors.SerializationFailure)")],
        [f"{STEADY}::test_a_plan_that_no_longer_fits_is_made_anew[postgres]"],
    ),
    Mutant(
        "postgres: what is heard while the next due job is asked for is not kept",
        [Edit("store/postgres/agenda.py", "(self._asking or (self._fresh and due > self._present))", "self._fresh")],
        ["tests/unit/test_agenda.py::test_what_is_heard_while_the_answer_is_on_its_way_may_be_none_of_it"],
    ),
    # -- indexes
    Mutant(
        "the fetch index holds the id",
        [_sql(SPINE, FETCH, "(queue, priority DESC, run_after, id);", dialect=dialect) for dialect in DIALECTS],
        [f"{TARGETS}::test_the_id_of_a_job_is_in_no_index_but_its_own[{kind}]" for kind in KINDS],
    ),
    Mutant(
        "the fetch index holds ready jobs alone",
        [
            _sql(SPINE, FETCH, "(queue, priority DESC, run_after) WHERE state = 'waiting';", dialect=dialect)
            for dialect in DIALECTS
        ],
        [
            *(f"{TARGETS}::test_no_index_names_a_column_that_a_claim_changes[{kind}]" for kind in KINDS),
            f"{TARGETS}::test_a_claim_writes_to_no_index[postgres]",
        ],
    ),
    *TRANSACTIONS,
    *LOCKED,
)


class Misfit(Exception):
    """The table no longer fits the code."""


def copied(folder: Path, edits: Iterable[Edit]) -> Path:
    """A copy of src in *folder*, with *edits*; what to put on PYTHONPATH."""
    shutil.copytree(ROOT / "src", folder)
    for file, old, new in edits:
        path = folder / "conveyor" / file
        text = path.read_text()
        if text.count(old) != 1:
            raise Misfit(f"{PACKAGE}/{file} has {text.count(old)} times, not once: {old!r}")
        path.write_text(text.replace(old, new))
    return folder


def tested(source: Path, tests: Iterable[str]) -> tuple[int, str]:
    """Run *tests* with the package from *source*: pytest's exit status, and what it said."""
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", "--tb=short", "-p", "no:cacheprovider", *tests]
    surroundings = {"PYTHONPATH": str(source), "COLUMNS": "400"}
    done = subprocess.run(  # noqa: S603 - the table above is all that it runs
        command, cwd=ROOT, env={**os.environ, **surroundings}, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


class Verdict(NamedTuple):
    """What became of one mutant."""

    mutant: Mutant
    seconds: float
    caught: Mapping[str, str]
    """What each test that failed said; the others let the mutant live."""
    said: str


def judged(mutant: Mutant, folder: Path) -> Verdict:
    """Break a copy, and see which of its tests notice."""
    began = time.monotonic()
    _, said = tested(copied(folder, mutant.edits), mutant.tests)
    found = {test: re.search(rf"^FAILED {re.escape(test)}(?: - (.*))?$", said, re.MULTILINE) for test in mutant.tests}
    caught = {test: (match[1] or "")[:SHOWN] for test, match in found.items() if match}
    return Verdict(mutant, time.monotonic() - began, caught, said)


def shown(verdict: Verdict) -> bool:
    """Three lines for each test of the mutant; whether all have caught it."""
    for test in verdict.mutant.tests:
        word = "caught" if test in verdict.caught else "SURVIVED"
        file, _, name = test.partition("::")
        print(f"{word:9}{verdict.seconds:5.1f} s  {verdict.mutant.name}\n{'':18}{Path(file).stem}::{name}")
        print(f"{'':18}{verdict.caught.get(test, verdict.said)}", flush=True)
    return len(verdict.caught) == len(verdict.mutant.tests)


def run(mutants: Sequence[Mutant], jobs: int, folder: Path) -> int:
    """The exit status."""
    for place, mutant in enumerate(mutants):  # a table that does not fit is said before anything is run
        shutil.rmtree(copied(folder / f"try-{place}", mutant.edits))
    tests = sorted({test for mutant in mutants for test in mutant.tests}, key=lambda test: "postgres" in test)
    whole = copied(folder / "whole", ())
    with ThreadPoolExecutor(jobs) as pool:
        parts = [tests[part::jobs] for part in range(jobs) if tests[part::jobs]]
        for status, said in pool.map(lambda part: tested(whole, part), parts):
            if status:
                raise Misfit(f"{said}\nThese tests must pass on unbroken code; mend that first.")
    print(f"{len(tests)} tests pass on unbroken code.")
    survived = 0
    with ThreadPoolExecutor(jobs) as pool:
        places = [folder / f"mutant-{place}" for place in range(len(mutants))]
        for verdict in pool.map(judged, mutants, places):
            survived += not shown(verdict)
    print(f"{len(mutants) - survived} of {len(mutants)} mutants are caught.")
    return 1 if survived else 0


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python tools/mutants.py", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD", help="only mutants with one of these in their name")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time (default: 2)")
    options = parser.parse_args()
    chosen = [m for m in MUTANTS if not options.words or any(word in m.name for word in options.words)]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="conveyor-mutants-") as folder:
        try:
            return run(chosen, options.jobs, Path(folder))
        except Misfit as error:
            print(error, file=sys.stderr)
            return 2
        finally:
            print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    raise SystemExit(main())
