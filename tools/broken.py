"""Breaks the code on purpose, one break at a time, and proves that `conveyor chaos` sees each for what it is.

Usage: python tools/broken.py [WORD ...]. With words, only breaks whose name has one of them. First every scenario must
pass on an unbroken copy of src; then the one that is named for a break must find the named violation in it. Exits 1 if
a break goes unseen, and 2 if the table no longer fits the code.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from mutants import COUNTED_LATE, ROOT, SHOWN, Edit, Misfit, copied, lite, post

SEED = "7"
SERVER = """
import os
from tests.support.chaos import with_redis
from tests.support.postgres import PostgresServer
with PostgresServer("17") as server:
    print(with_redis(os.environ["PATH"]))
    print(server.create_database("shop"), flush=True)
    input()
"""


class Break(NamedTuple):
    """One break; *name* says what it takes away."""

    name: str
    edits: Sequence[Edit]
    scenario: str
    finds: str
    """What the scenario must say, as a regular expression."""
    rounds: int = 3
    store: str = "sqlite"


RUNNER = "j.runner = substr(:runners, given.key * 16 + 1, 16)\n"
UNFENCED = (
    lite("settle_final", f"j.token = given.token AND {RUNNER}  AND ", ""),
    lite("settle_delete", f"j.token = json_extract(given.value, '$[0]') AND {RUNNER}      AND ", ""),
)
TRUSTED = Edit(
    "store/postgres/complete.sql",
    "token = CAST(:token AS bigint)\n      AND runner = CAST(CAST(:runner AS text) AS uuid) AND",
    "",
)
LATE = (
    Edit("worker/board.py", "return self.renewed + self.lease * SAFE", "return self.renewed + self.lease * 100"),
    Edit(
        "worker/heartbeat.py",
        "        wanted = [",
        "        time.sleep(1.0 if any(asked > board.renewed + board.lease for board in kept.values()) else 0.0)\n"
        "        wanted = [",
    ),
)
"""A lost lease is noticed a second late, and by the heartbeat alone. Else cells are gone before they could end anything
that is no longer theirs, and the fence below is not even touched."""
BREAKS: tuple[Break, ...] = (
    Break(
        "an end is written whatever its token and runner, and a lost lease is noticed late",
        [*UNFENCED, *LATE],
        "P04",
        "I4: .* ended by an attempt",
        6,
    ),
    Break(
        "a transaction completes its job whatever its token and runner, and a lost lease is noticed late",
        [TRUSTED, *LATE],
        "P04",
        "I4: .* ended by",
        6,
        store="postgres",
    ),
    Break(
        "a transaction that was fenced is committed all the same, and a lost lease is noticed late",
        [
            Edit(
                "worker/transaction.py",
                "            await self._undo(loan, Stage.FENCED)\n            raise",
                "            await self._commit(loan)\n            raise",
            ),
            *LATE,
        ],
        "P04",
        "I2: .* with more than one effect",
        store="postgres",
    ),
    Break("attempts are counted when a job ends", COUNTED_LATE, "P01", "I12: .* miscounted", 8),
    Break(
        "a claim begins tokens anew",
        [lite("claim", "token = max(token + 1, :now)", "token = 1")],
        "P01",
        "I5: .* not the highest",
        8,
    ),
    Break(
        "a rescue does not look whether the runner lives",
        [lite("orphans", "    WHERE NOT conveyor_alive(runner) ORDER BY", "    ORDER BY")],
        "P03",
        "I4: .* at once",
        5,
    ),
    Break(
        "a release spends the attempt",
        [lite("settle_again", "attempt = attempt - (:flags >> 2 & 1), ", "")],
        "P03",
        "spent an attempt on a deploy",
        5,
    ),
    Break(
        "an end is deleted before it is in history",
        [
            lite(
                "settle_final",
                "WHERE j.token = given.token AND",
                "WHERE j.token % 5 > 0 AND j.token = given.token AND",
            )
        ],
        "P01",
        "I1: .* without an outcome",
        3,
    ),
    Break(
        "a lease is kept only while the event loop of its runner turns",
        [
            Edit(
                "worker/supervisor/hearing.py",
                "runner in child.runners and stopped(child.pid)",
                "runner in child.runners and "
                '(stopped(child.pid) or __import__("time").monotonic() - child.board.loop_tick > 2)',
            )
        ],
        "P06",
        "living worker",
        1,
    ),
    Break(
        "a job that was asked to stop is not stopped",
        [lite("asked", "WHERE cancelled IS NOT NULL AND", "WHERE cancelled = '' AND")],
        "X02",
        "went on|did not end as",
        1,
    ),
    Break(
        "a claim takes tasks that its worker does not know",
        [lite("due", "\n      AND task IN (SELECT value FROM json_each(:tasks))", "\n      AND :tasks != ''")],
        "U01",
        "did not wait unharmed",
        1,
    ),
    Break(
        "a lease is renewed by a write to the database",
        [
            Edit(
                "store/sqlite/leases.py",
                "        return frozenset(runner for runner in runners if self._lives.renew(runner))",
                "        self._forget(bytes(16))\n"
                "        return frozenset(runner for runner in runners if self._lives.renew(runner))",
            )
        ],
        "D11",
        "taken from workers that lived|have ended over the lock",
        1,
    ),
    Break(
        "SQLite's commits are acknowledged before they are made",
        [
            Edit(
                "store/sqlite/lane.py",
                "                _commit(connection)\n            except",
                "                for work, result in zip(works, results, strict=True):\n"
                "                    work.done.answer(result)\n"
                "                _commit(connection)\n            except",
            )
        ],
        "D12",
        "I1: .* without an outcome",
        20,
    ),
    Break(
        "a poison is never put away",
        [Edit("core/judge.py", "if crashes >= CRASHES_ALLOWED:", "if crashes >= 1000 * CRASHES_ALLOWED:")],
        "P05",
        "not put into quarantine",
        1,
    ),
    Break(
        "who watches over schedules does not look whether another one was quicker",
        [lite("ticking", " AND s.version = :version AND s.next_at = :due", "")],
        "C04",
        "ticks: .* doubled",
        5,
    ),
    Break(
        "who watches over schedules does not look whether another one was quicker",
        [post("fire", " AND s.version = move.version AND s.next_at = move.due", "")],
        "C04",
        "ticks: .* doubled",
        5,
        store="postgres",
    ),
    Break(
        "missed ticks are all made up, however many",
        [
            Edit(
                "schedule/firing.py",
                "return newest(rule, due - 1, until, spec.most)",
                "return newest(rule, due - 1, until, 1_000)",
            )
        ],
        "C06",
        "C06: .*: all: the ticks",
        1,
    ),
    Break(
        "jobs leave the outbox before they are in the store",
        [
            Edit(
                "worker/relay.py",
                "        done = await self._store",
                "        for batch in batches:\n"
                "            gone = frozenset(entry.job.id for entry in batch.entries)\n"
                "            await self._outbox.arun(self._plans.forwarded(batch, gone))\n"
                "        done = await self._store",
            )
        ],
        "D19",
        "I1: .* committed, and not in the store",
        6,
    ),
    Break(
        "jobs are put into the outbox beside the transaction",
        [
            Edit(
                "client/joining.py",
                "        holders = run(self.plan(jobs), loan.carry)",
                "        holders = self._into.run(self.plan(jobs))",
            )
        ],
        "D19",
        "I1: .* whose transaction was not committed",
        1,
        store="postgres",
    ),
    Break(
        "what is no Exception is not caught",
        [
            Edit(
                "worker/attempt.py",
                "except BaseException as error:  # noqa: BLE001 - the one place",
                "except Exception as error:  # noqa: BLE001 - the one place",
            )
        ],
        "P08",
        "worker has ended|not recorded as failed",
        1,
    ),
)


class Told(NamedTuple):
    """What the command has said."""

    status: int
    violations: Sequence[str]
    said: str


def run(source: Path, scenario: str, rounds: int, url: str) -> Told:
    """Run one scenario with the package from *source*."""
    words = [
        scenario,
        "--rounds",
        str(rounds),
        "--seconds",
        "8",
        "--seed",
        SEED,
        "--json",
        *(["--store", url] if url else []),
    ]
    done = subprocess.run(  # noqa: S603 - the table above is all that it runs
        [sys.executable, "-m", "conveyor", "chaos", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        found = json.loads(done.stdout)["scenarios"][scenario]
    except ValueError:
        return Told(done.returncode, (), done.stdout + done.stderr)
    return Told(done.returncode, found.get("violations", ()), json.dumps(found))


@contextmanager
def server() -> Generator[str]:
    """A PostgreSQL for the time of the block: its address. From then on a Redis is found, too."""
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - ourselves
        if process.stdout:
            os.environ["PATH"] = process.stdout.readline().strip()
            yield process.stdout.readline().strip()
        process.communicate("\n")


def proved(breaks: Sequence[Break], folder: Path, postgres: str) -> int:
    """The exit status."""
    for place, each in enumerate(breaks):  # a table that does not fit is said before anything is run
        copied(folder / f"break-{place}", each.edits)
    urls = {"sqlite": "", "postgres": postgres}
    whole = copied(folder / "whole", ())
    longest = {(b.scenario, b.store): b.rounds for b in sorted(breaks, key=lambda b: b.rounds)}
    for (scenario, store), rounds in longest.items():
        told = run(whole, scenario, rounds, urls[store])
        if told.status:
            raise Misfit(f"{told.said}\n{scenario} must find nothing in unbroken code; mend that first.")
        print(f"unbroken     {scenario} on {store} finds nothing", flush=True)
    unseen = 0
    for place, each in enumerate(breaks):
        began = time.monotonic()
        told = run(folder / f"break-{place}", each.scenario, each.rounds, urls[each.store])
        seen = [line for line in told.violations if re.search(each.finds, line)]
        unseen += not seen
        word, lasted = "caught" if seen else "UNSEEN", time.monotonic() - began
        print(f"{word:9}{lasted:5.1f} s  {each.scenario}  {each.name} ({each.store})")
        print(f"{'':23}{seen[0][:SHOWN] if seen else told.said}", flush=True)
    print(f"{len(breaks) - unseen} of {len(breaks)} broken builds are caught.")
    return 1 if unseen else 0


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python tools/broken.py", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD", help="only breaks with one of these in their name")
    words = parser.parse_args().words
    chosen = [b for b in BREAKS if not words or any(word in f"{b.name} {b.scenario}" for word in words)]
    with tempfile.TemporaryDirectory(prefix="conveyor-broken-") as folder, server() as postgres:
        try:
            return proved(chosen, Path(folder), postgres)
        except Misfit as error:
            print(error, file=sys.stderr)
            return 2


if __name__ == "__main__":
    raise SystemExit(main())
