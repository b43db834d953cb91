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
FENCING = "tests/contract/test_fencing.py"
WRONG = f"{FENCING}::test_an_outcome_with_something_wrong_is_refused_and_named"
RESCUE = "tests/contract/test_rescue.py"
TARGETS = "tests/contract/test_mutation_targets.py"
LIFE = "tests/faults/test_worker_life.py"
HEARTBEAT = f"{LIFE}::test_heartbeat_on_the_loop_would_double_a_job_that_blocks_the_loop"
RAN_SINCE = "tests/contract/test_repeat_enqueue.py::test_a_job_that_has_run_since_stays_as_it_is"
REPEATED = f"{FENCING}::test_a_repeated_settle_changes_nothing_and_is_not_refused"
REWRITTEN = "tests/contract/test_meanwhile.py::test_a_job_whose_row_is_rewritten_during_its_settle_is_settled_once"
GIVEN_BACK = "tests/contract/test_settle.py::test_a_release_gives_the_attempt_back_and_leaves_no_record"


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


def _unfenced(what: str, postgres: str, finals: str, again: str) -> list[Mutant]:
    """Settle without one of the two things that fence it: the condition as each statement words it."""
    wrong = {"token": "an older token", "runner": "another runner"}[what]
    final, more = ("postgres/settle_final.sql", "postgres/settle_again.sql")
    lite = [Edit(f"store/sqlite/{name}.sql", finals, "") for name in ("settle_final", "settle_delete")]
    return [
        Mutant(
            f"postgres: an end is written whatever its {what}",
            [Edit(f"store/{final}", postgres, "")],
            [f"{WRONG}[postgres-{wrong}-succeed]"],
        ),
        Mutant(
            f"postgres: a retry is written whatever its {what}",
            [Edit(f"store/{more}", postgres, "")],
            [f"{WRONG}[postgres-{wrong}-retry]"],
        ),
        Mutant(f"sqlite: an end is written whatever its {what}", lite, [f"{WRONG}[sqlite-file-{wrong}-succeed]"]),
        Mutant(
            f"sqlite: a retry is written whatever its {what}",
            [Edit("store/sqlite/settle_again.sql", again, "")],
            [f"{WRONG}[sqlite-file-{wrong}-retry]"],
        ),
    ]


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
                "if not self._renewed():",
                "if not asyncio.run_coroutine_threadsafe(asyncio.sleep(0, self), self._loop).result()._renewed():",
            ),
        ],
        [f"{HEARTBEAT}[{kind}]" for kind in ("sqlite-file", "postgres")],
    ),
    *_unfenced(
        "token",
        "AND j.token = given.k ",
        "j.token = json_extract(given.value, '$.token') AND ",
        "AND token = :token ",
    ),
    *_unfenced(
        "runner",
        "AND j.runner = given.r ",
        "AND j.runner = substr(:runners, given.key * 16 + 1, 16)",
        "AND runner = :runner ",
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
        [
            f"{FENCING}::test_the_late_outcome_of_a_rescued_attempt_is_refused[{kind}-succeed]"
            for kind in ("sqlite-file", "postgres")
        ],
    ),
    Mutant(
        "a settle that finds nothing does not ask history",
        [
            Edit(
                "store/sqlplans.py",
                "recorded = yield from self.recorded(left)",
                "recorded: frozenset[bytes] = frozenset()",
            )
        ],
        [f"{REPEATED}[{kind}-succeed]" for kind in ("sqlite-file", "postgres")],
    ),
    Mutant(
        "postgres: an end is kept though its row was rewritten and stays",
        [Edit("store/postgres/settle_final.sql", "FROM held JOIN gone USING (id), clock", "FROM held, clock")],
        [f"{REWRITTEN}[True-succeed-postgres]"],
    ),
    Mutant(
        "a repeated enqueue is one statement",
        [Edit("store/sqlplans.py", "            yield from self.delete_finished(jobs)\n", "")],
        [f"{RAN_SINCE}[{kind}-succeed]" for kind in ("sqlite-file", "postgres")],
    ),
    Mutant(
        "postgres: a release spends an attempt",
        [Edit("store/postgres/settle_again.sql", "attempt = j.attempt - held.back", "attempt = j.attempt")],
        [f"{GIVEN_BACK}[postgres]"],
    ),
    Mutant(
        "sqlite: a release spends an attempt",
        [Edit("store/sqlite/settle_again.sql", "attempt = attempt - :back", "attempt = attempt")],
        [f"{GIVEN_BACK}[sqlite-file]"],
    ),
    Mutant(
        "postgres: attempts are counted at the settle, so a death spends none",
        [
            Edit("store/postgres/claim.sql", "attempt = j.attempt + 1,", "attempt = j.attempt,"),
            Edit("store/postgres/claim.sql", "j.run_after, j.attempt, j.max", "j.run_after, j.attempt + 1, j.max"),
            Edit(
                "store/postgres/settle_final.sql",
                "priority, attempt, max_attempts, crashes + crash",
                "priority, attempt + 1 - fence, max_attempts, crashes + crash",
            ),
            Edit("store/postgres/settle_again.sql", "j.attempt - held.back", "j.attempt + 1 - held.back - held.fence"),
        ],
        [f"{RESCUE}::test_a_job_without_attempts_left_is_failed_as_lost[postgres-0]"],
    ),
    Mutant(
        "sqlite: attempts are counted at the settle, so a death spends none",
        [
            Edit("store/sqlite/claim.sql", "attempt = attempt + 1, ", ""),
            Edit("store/sqlite/claimed.sql", "run_after, attempt, max", "run_after, attempt + 1, max"),
            Edit(
                "store/sqlite/settle_final.sql",
                "j.priority, j.attempt,",
                "j.priority, j.attempt + 1 - json_extract(given.value, '$.fence'),",
            ),
            Edit("store/sqlite/settle_again.sql", "attempt - :back", "attempt + 1 - :back - :fence"),
        ],
        [f"{RESCUE}::test_a_job_without_attempts_left_is_failed_as_lost[sqlite-file-0]"],
    ),
    Mutant(
        "postgres: rescue goes by the age of the attempt",
        [
            Edit(
                "store/postgres/orphans.sql",
                "AND NOT EXISTS (\n"
                "        SELECT FROM conveyor_runner r WHERE r.id = j.runner AND r.expires_at > conveyor_now())",
                "AND j.last_attempted_at < conveyor_now() - 20000000",
            )
        ],
        [f"{TARGETS}::test_a_job_that_runs_for_long_is_left_to_its_living_runner[postgres]"],
    ),
    Mutant(
        "sqlite: rescue goes by the age of the attempt",
        [
            Edit(
                "store/sqlite/orphans.sql",
                "FROM (SELECT DISTINCT runner FROM conveyor_job WHERE state = 'running')\n"
                "    WHERE NOT conveyor_alive(runner) ORDER BY",
                "FROM conveyor_job WHERE last_attempted_at < :now - 20000000 ORDER BY",
            )
        ],
        [f"{TARGETS}::test_a_job_that_runs_for_long_is_left_to_its_living_runner[sqlite-file]"],
    ),
    *(
        Mutant(
            f"{dialect}: the fetch index holds {what}",
            [Edit(f"store/{dialect}/migrations/0001_spine.sql", "(queue, priority DESC, run_after);", columns)],
            [f"{TARGETS}::{test}[{kind}]" for test in tests],
        )
        for dialect, kind in (("postgres", "postgres"), ("sqlite", "sqlite-file"))
        for what, columns, tests in (
            (
                "the id",
                "(queue, priority DESC, run_after, id);",
                ["test_the_id_of_a_job_is_in_no_index_but_its_own"],
            ),
            (
                "ready jobs alone",
                "(queue, priority DESC, run_after) WHERE state = 'waiting';",
                ["test_no_index_names_a_column_that_a_claim_changes"]
                + ["test_a_claim_writes_to_no_index"] * (dialect == "postgres"),
            ),
        )
    ),
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
