"""Where acts meet: several stores on one database, each with a thread and connections of its own."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import NamedTuple, Self, cast

from conveyor.core.lifecycle import Event
from conveyor.core.model import JobFilter, NewJob
from conveyor.core.unique import Hold
from conveyor.store.contract import Store
from tests.support.acts import WISH, Act, Scene, one
from tests.support.jobs import HOUR, Hand, enqueue, new_job, outcome
from tests.support.orders import Done, Row, World, explained
from tests.support.stores import open_store, rows

MOST = 3
"""Acts of one race."""
SPREAD = 0.0003
"""Seconds within which they begin: sometimes one is nearly over when another starts."""
KEY = "the key"


class Flavour(NamedTuple):
    """What the job of a race is like."""

    key: str | None = None
    until_start: bool = False
    over: bool = False
    brief: bool = False
    limit: int = 5


class Race(NamedTuple):
    """One race, as it went."""

    begin: World
    done: Sequence[Done]
    end: World
    order: Sequence[Done] | None
    overlapped: bool
    """Whether all acts were under way at one moment."""


@dataclass
class Figures:
    """What many races came to."""

    races: int = 0
    overlapped: int = 0
    illegal: list[Race] = field(default_factory=list)
    endings: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By where the job stood before, and where afterwards."""
    kinds: set[tuple[object, ...]] = field(default_factory=set)
    """Beginnings, acts, and where they led, told apart."""

    def add(self, race: Race) -> None:
        """One more."""
        self.races += 1
        self.overlapped += race.overlapped
        if race.order is None:
            self.illegal.append(race)
            return
        (before,) = race.begin.rows
        after = race.end.get(before.id)
        state = after.state.value if after else "deleted"
        self.endings[before.state.value, state] += 1
        acts = tuple(sorted((act.name, _kind(act.answer)) for act in race.done))
        self.kinds.add((before.state, before.wish, acts, state))

    @property
    def head(self) -> str:
        """In one line."""
        head = f"{self.races} races, {self.overlapped} of them with all acts under way at once"
        return f"{head}; {len(self.kinds)} different ones; illegal: {len(self.illegal)}"

    @property
    def table(self) -> str:
        """The same, and where the jobs of the races went."""
        lines = [self.head]
        lines += [f"  {before:>12} -> {after:<12} {count:6}" for (before, after), count in sorted(self.endings.items())]
        return "\n".join(lines)


def _kind(answer: object) -> str:
    """An answer without the ids and tokens in it."""
    if isinstance(answer, tuple):
        return " ".join(_kind(part) for part in answer)
    text = str(answer)
    return text if len(text) < 12 else "..."


class Arena:
    """See above. Used as ``with Arena(url) as arena``."""

    def __init__(self, url: str, *, slow: str = "") -> None:
        """*slow* is what is added to *url* for the stores that race."""
        self._stack = ExitStack()
        self.home = self._opened(url)
        self.stores = [self._opened(url + slow) for _ in range(MOST)]
        self.runner, self.claimer = self._hired(), self._hired()
        self.strict = self.home.kind == "sqlite"
        self._pool = self._stack.enter_context(ThreadPoolExecutor(MOST))

    def _opened(self, url: str) -> Store:
        store = open_store(url)
        self._stack.callback(store.close)
        return store

    def _hired(self) -> Hand:
        hand = Hand(self.home, 3600.0)
        self._stack.callback(hand.die)
        return hand

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def clear(self) -> None:
        """Nothing is left of the last race."""
        living = f"({_literal(self.home, self.runner.id)}, {_literal(self.home, self.claimer.id)})"
        for text in (
            "DELETE FROM conveyor_job",
            "DELETE FROM conveyor_history",
            "DELETE FROM conveyor_queue",
            f"DELETE FROM conveyor_runner WHERE id NOT IN {living}",
        ):
            rows(self.home, text)

    def scene(self, kind: str, flavour: Flavour) -> Scene:
        """A new job, brought to where it stands in a scene of that *kind*."""
        self.clear()
        job = _job(flavour, delay=HOUR if kind == "later" else 0)
        enqueue(self.home, job)
        hand = Hand(self.home, 3600.0) if "zombie" in kind else self.runner
        claimed = None if kind in {"ready", "later"} else hand.take_one()
        scene = Scene(job.id, claimed, hand.id, self.claimer.id, "zombie" in kind, flavour.key, self.strict)
        if "asked" in kind:
            assert self.home.run(self.home.control.ask(one(scene), WISH, 1, None)).changed == 1
        if claimed is not None and kind in _ENDS:
            self.home.run(self.home.operations.settle([outcome(claimed, hand.id, _ENDS[kind])]))
        if hand is not self.runner:
            hand.die()
        return scene

    def race(self, acts: Sequence[Act], chance: random.Random) -> Race:
        """Let *acts* begin at the same moment, nearly."""
        begin = self.world()
        barrier = threading.Barrier(len(acts))
        times: list[tuple[float, float]] = []

        def go(act: Act, store: Store, pause: float) -> object:
            barrier.wait()
            start = time.perf_counter()
            while time.perf_counter() - start < pause:
                pass
            start = time.perf_counter()
            answer = act.do(store)
            times.append((start, time.perf_counter()))
            return answer

        pauses = [chance.uniform(0, SPREAD) for _ in acts]
        going = [self._pool.submit(go, *each) for each in zip(acts, self.stores, pauses, strict=False)]
        done = [Done(act.name, each.result(), act.after) for act, each in zip(acts, going, strict=True)]
        end = self.world()
        overlapped = max(start for start, _ in times) < min(end for _, end in times)
        return Race(begin, done, end, explained(begin, done, end), overlapped)

    def world(self) -> World:
        """What both tables hold, read at one moment."""
        now = time.time_ns() // 1000
        found = [_row(row) for row in rows(self.home, _ALL.replace(":now", str(now)))]
        assert len({row.id for row in found}) == len(found), "a job is in both tables"
        counts = self.home.run(self.home.operations.counts(JobFilter()))
        states = Counter(row.state for row in found)
        assert {state: number for state, number in counts.items() if number} == states, "the counts are wrong"
        return World(frozenset(found), bool(rows(self.home, "SELECT 1 FROM conveyor_queue")))


def _job(flavour: Flavour, delay: int) -> NewJob:
    hold = None if flavour.key is None else Hold(flavour.key, flavour.until_start, "existing")
    made = new_job(delay=delay, max_attempts=flavour.limit)
    return made._replace(expires=1 if flavour.over else None, keep=0 if flavour.brief else None, unique=hold)


_ENDS = {"succeeded": Event.SUCCEED, "failed": Event.FAIL, "cancelled": Event.CANCEL}
KINDS = ("ready", "later", "running", "zombie", "asked", "asked zombie", *_ENDS)
_NO = "(1 = 0)"
_ALL = f"""
SELECT id, state, state = 'waiting' AND run_after > :now, attempts IS NOT NULL, token, attempt, max_attempts, crashes,
       CASE WHEN state = 'running' THEN runner END, cancelled, unique_key, until_start,
       coalesce(expires_at <= :now, {_NO}), {_NO}, coalesce(keep = 0, {_NO}), args, progress
FROM conveyor_job
UNION ALL
SELECT id, state, {_NO}, attempts IS NOT NULL, token, attempt, max_attempts, crashes,
       CASE WHEN {_NO} THEN runner END, cancelled, unique_key, {_NO}, {_NO},
       coalesce(delete_after <= :now, {_NO}), coalesce(delete_after = finished_at, {_NO}), args, progress
FROM conveyor_history
"""


def _row(found: Sequence[object]) -> Row:
    id_, stored, later, failed, token, attempt, limit, crashes, runner, wish, key, *flags, args, progress = found
    until_start, over, stale, brief = map(bool, flags)
    return Row(
        id=cast(bytes, id_),
        stored=cast(str, stored),
        later=bool(later),
        failed=bool(failed),
        token=cast(int, token),
        attempt=cast(int, attempt),
        limit=cast(int, limit),
        crashes=cast(int, crashes),
        runner=cast("bytes | None", runner),
        wish=cast("str | None", wish),
        key=cast("str | None", key),
        until_start=until_start,
        over=over,
        stale=stale,
        brief=brief,
        args=cast(bytes, args),
        progress=cast("bytes | None", progress),
    )


def _literal(store: Store, id_: bytes) -> str:
    return f"x'{id_.hex()}'" if store.kind == "sqlite" else f"'{id_.hex()}'::uuid"


def fitting(kind: str, flavour: Flavour, acts: Sequence[type[Act]]) -> Sequence[type[Act]]:
    """Those of *acts* that can be done in a scene of that *kind*."""
    claimed = kind not in {"ready", "later"}
    return [act for act in acts if (claimed or act.works != "running") and (flavour.key or act.works != "keyed")]


Choose = Callable[[random.Random], tuple[str, Flavour, Sequence[type[Act]]]]


def run_races(arena: Arena, count: int, seed: int, acts: Sequence[type[Act]]) -> Figures:
    """So many races, chosen by *seed*."""
    chance, figures = random.Random(seed), Figures()
    for _ in range(count):
        flavour = _flavour(chance)
        kind = chance.choice(KINDS)
        scene = arena.scene(kind, flavour)
        menu = fitting(kind, flavour, acts)
        chosen = [chance.choice(menu)(scene) for _ in range(chance.choice((2, 2, 3)))]
        figures.add(arena.race(chosen, chance))
    return figures


def _flavour(chance: random.Random) -> Flavour:
    return Flavour(
        key=chance.choice((None, KEY, KEY)),
        until_start=chance.random() < 0.4,
        over=chance.random() < 0.3,
        brief=chance.random() < 0.3,
        limit=chance.choice((1, 5, 5)),
    )
