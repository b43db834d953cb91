"""X01, I6: at most one unfinished job for each unique key, at every moment, whoever is killed.

A hundred enqueuers in four processes, as threads and as async tasks, want ten keys, one at a time and several in any
order; workers run what they get. Both are killed at random. Every 100 ms a snapshot of the whole database is looked at.
"""

import json
import random
import signal
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

import psycopg
import pytest

from conveyor.cli.chaos.keys import HOT, PAST, keys
from tests.support.rivals import Line, read
from tests.support.say import Say
from tests.support.stores import SERVED, sound, tables
from tests.support.waiting import until
from tests.support.yard import Process, Yard

KILLS, MANY_KILLS = 5, 120
IN_TURN = ["sqlite-file", "postgres", pytest.param("redis", marks=pytest.mark.soak)]
PROCESSES, RIVALS = 4, 25
LOOK = 0.1
SHORT = ("--lease", "1.5", "--beat", "0.3", "--rescue", "0.3")
DRAIN = 40.0
"""Seconds within which all is done once nobody is killed any more."""


# ---------------------------------------------------------------- snapshots


class Row(NamedTuple):
    """A job as a snapshot shows it."""

    id: str
    token: int
    started: bool
    key: str
    until: str
    unfinished: bool


_HOT = "SELECT id, token, started_at IS NOT NULL, extras, 1 FROM conveyor_job"
_PAST = "SELECT id, token, started_at IS NOT NULL, extras, 0 FROM conveyor_history"
EVERYTHING = f"{_HOT} UNION ALL {_PAST}"
FIELDS = ("token", "started_at", "extras")


@contextmanager
def snapshots(url: str) -> Iterator[Callable[[], list[Row]]]:
    """Gives what looks at all jobs as of one moment, by plain SQL, or by one script of Redis."""
    if url.startswith("redis"):
        with keys(url) as here:
            yield lambda: [_of(index in HOT, *cells) for index, cells in here.look((*HOT, *PAST), *FIELDS)]
        return
    if url.startswith("sqlite"):
        path = url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as file:
            yield lambda: [_row(*row) for row in file.execute(EVERYTHING)]
        return
    with psycopg.connect(url) as server:
        server.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        server.read_only = True

        def look() -> list[Row]:
            with server.transaction():
                return [_row(*row) for row in server.execute(EVERYTHING)]

        yield look


def _row(id_: bytes | UUID, token: int, started: bool, extras: str, unfinished: int) -> Row:
    wish: Mapping[str, str] = json.loads(extras)
    job = str(id_ if isinstance(id_, UUID) else UUID(bytes=id_))
    return Row(job, token, bool(started), wish["unique"], wish.get("until", "finish"), bool(unfinished))


def _of(hot: bool, id_: bytes | None, token: bytes | None, started: bytes | None, extras: bytes | None) -> Row:
    job = bytes.fromhex((id_ or b"").decode())
    return _row(job, int(token or 0), started is not None, (extras or b"").decode(), hot)


@dataclass
class Scan:
    """What the snapshots have shown."""

    looks: int = 0
    most: int = 0
    """Unfinished jobs at a time."""
    broken: list[str] = field(default_factory=list)
    tokens: dict[str, int] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)

    def see(self, rows: Sequence[Row]) -> None:
        """One more. A key is held until its job has ended, or until it has first been started."""
        self.looks += 1
        unfinished = [row for row in rows if row.unfinished]
        self.most = max(self.most, len(unfinished))
        holders = [(row.key, row.until) for row in unfinished if row.until == "finish" or not row.started]
        self.broken += [f"key {key} is held by {many} jobs" for key, many in Counter(holders).items() if many > 1]
        ids = Counter(row.id for row in rows)
        self.broken += [f"{job} is in both tables" for job, many in ids.items() if many > 1]
        self.broken += [f"the token of {row.id} fell" for row in rows if row.token < self.tokens.get(row.id, 0)]
        self.broken += [f"{row.id} had ended, and goes on" for row in unfinished if row.id in self.ended]
        self.broken += [f"{job} has ended, and is gone" for job in self.ended - ids.keys()]
        self.tokens = {row.id: row.token for row in rows}
        self.ended = {row.id for row in rows if not row.unfinished}


@contextmanager
def watched(url: str) -> Iterator[Scan]:
    """Look at the database every 100 ms while the block lasts."""
    scan, end, errors = Scan(), threading.Event(), list[BaseException]()

    def work(look: Callable[[], list[Row]]) -> None:
        try:
            while not end.wait(LOOK):
                scan.see(look())
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    with snapshots(url) as look:
        watcher = threading.Thread(target=work, args=(look,))
        watcher.start()
        try:
            yield scan
        finally:
            end.set()
            watcher.join()
        if errors:
            raise errors[0]
        scan.see(look())


# -------------------------------------------------------------------- storm


class Crowd:
    """Who is at work in a yard: processes of rivals, of both kinds, and workers."""

    def __init__(self, yard: Yard, seed: int) -> None:
        self.yard, self.chance = yard, random.Random(seed)
        self.rivals = [self._rivals(place) for place in range(PROCESSES)]
        self.workers = [self._worker() for _ in range(2)]
        for process in self.rivals:
            process.says("rivals are at it")
        for process in self.workers:
            process.working()

    def _rivals(self, place: int) -> Process:
        seed = f"{place}-{len(self.yard.processes)}"
        kind = ("--loop",) if place % 2 else ()
        return self.yard.start("tests.support.rivals", "--rivals", str(RIVALS), "--seed", seed, *kind)

    def _worker(self) -> Process:
        return self.yard.start("tests.support.worker", *SHORT)

    def kill_one(self) -> None:
        """Kill one of them soon, and have another take its place."""
        threading.Event().wait(self.chance.uniform(0.05, 0.5))
        if self.chance.random() < 0.5:
            place = self.chance.randrange(len(self.rivals))
            assert self.rivals[place].lives, self.rivals[place].said
            self.rivals[place].kill()
            self.rivals[place] = self._rivals(place)
            self.rivals[place].says("rivals are at it")
        else:
            place = self.chance.randrange(len(self.workers))
            self.workers[place].kill()
            self.workers[place] = self._worker().working()

    def end(self) -> None:
        """Let the rivals come to an end, and the workers do what is left."""
        for process in self.rivals:
            process.signal(signal.SIGTERM)
        for process in self.rivals:
            assert process.ends() == 0, process.said
        pause = threading.Event()
        until(lambda: pause.wait(LOOK) or tables(self.yard.store)[0] == 0, patience=DRAIN)
        for process in self.workers:
            process.kill()


def figures(kills: int, scan: Scan, lines: Sequence[Line], past: int) -> str:
    """What the release notes print."""
    told = Counter(line.what for line in lines)
    asked = sum(line.jobs for line in lines if line.what == "asked")
    return (
        f"{kills} kills: {asked} jobs asked for by {PROCESSES * RIVALS} rivals, {told['created']} created, "
        f"{told['holder']} were there, {told['duplicate']} calls refused as duplicates, {told['unknown']} unknown, "
        f"{told['refused']} refused; {past} jobs ended; {scan.looks} snapshots, {scan.most} unfinished jobs at most, "
        f"{len(scan.broken)} broken"
    )


def survives(yard: Yard, kills: int, say: Say) -> None:
    yard.store.migrate()  # a new file has no tables yet
    with watched(yard.url) as scan:
        crowd = Crowd(yard, kills)
        for _ in range(kills):
            crowd.kill_one()
        crowd.end()
    with snapshots(yard.url) as look:
        rows = look()
    lines = read(yard.folder)
    say(figures(kills, scan, lines, len(rows)))
    assert scan.broken == []
    assert sound(yard.store) == []
    assert not [row for row in rows if row.unfinished]
    there = {row.id for row in rows}
    created = [line.job for line in lines if line.what == "created"]
    assert len(set(created)) == len(created)
    assert set(created) <= there, "an acknowledged job is lost"
    assert {line.job for line in lines if line.what in {"holder", "duplicate"}} <= there, "a holder that never was"
    assert len(there - set(created)) <= unanswered(lines), "more jobs than were asked for"


def unanswered(lines: Sequence[Line]) -> int:
    """Jobs that were asked for, and of which nobody heard: each may be in the database, or not."""
    answered = sum(line.what in {"created", "holder"} for line in lines)
    return sum(line.jobs for line in lines if line.what == "asked") - answered


@pytest.mark.timeout(180)
@pytest.mark.parametrize("yard", IN_TURN, indirect=True)
def test_a_key_has_one_unfinished_job_at_every_moment_whoever_is_killed(yard: Yard, say: Say) -> None:
    survives(yard, KILLS, say)


@pytest.mark.soak
@pytest.mark.parametrize("yard", SERVED, indirect=True)
def test_a_key_has_one_unfinished_job_at_every_moment_whoever_is_killed_again_and_again(yard: Yard, say: Say) -> None:
    survives(yard, MANY_KILLS, say)
