"""What a claimer on PostgreSQL remembers: how far it has come in each lane, and what may still turn up behind that.

While some session holds a snapshot, the rows of ended jobs stay where they were, and a claim that began at the start
of its index would walk over all of them, each time. So each claim begins where the one before it ended: at a *cursor*
for each lane, which is one priority of one queue. Then a job can come to lie behind the cursor:

*   one whose transaction commits after the claimer has passed its time. So each second the claimer notes the time and
    an id of a transaction; once all transactions before that one have ended, whatever was stamped before that time has
    been there to be seen. That time is the *floor* of each lane: each second the claimer goes back there, once.
*   one whose row somebody else had locked when the cursor passed, and did not take: a claimer that was killed just
    then. A floor lies no higher than where the cursor was when it was noted, so that this is found by the same step
    back, once the lock is gone.
*   one that was locked so twice. For this rarest case old times are searched bit by bit, and without haste.

A job that is made ready again is given the present time, and a commit that rings says which time it has written.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from conveyor.core.model import Claimed
from conveyor.store.postgres.agenda import Agenda
from conveyor.store.sight import Sight

HIGHEST: Final = 100
LOWEST: Final = -100
GRACE: Final = 50_000
"""Microseconds that an enqueue needs from its stamp to its commit. Who takes longer is found by a step back."""
SLACK: Final = 100_000
"""Microseconds that the server's clock may have been set back."""
STEP_BACK: Final = 1.0
"""Seconds between steps back, and between notes."""
WIDE: Final = 0.1
"""Seconds between claims that look into all lanes, and not only into those that had jobs."""
SEARCH: Final = 10.0
"""Seconds between searches."""
SHARE: Final = 20
"""Steps back, and searches, take at most one part in so many of the time."""
NARROWEST: Final = 1_000_000
"""Microseconds of old times that a search looks at, at least."""
QUICK: Final = 20_000
"""Microseconds that a search may take and be widened."""
WIDEN: Final = 4
MOST_NOTES: Final = 60
"""While a transaction goes on for very long, every other note will do."""


class Said(msgspec.Struct, frozen=True):
    """What a claim says of itself, beside its jobs. Times in microseconds."""

    now: int
    xmin: int
    """All transactions before this one have ended."""
    mark: int | None
    """The claim's own transaction, if that was asked for."""
    took: int
    picked: int
    """Rows that it was to take; one that somebody else rewrote at that moment it has not."""
    looked: Sequence[str]
    """Queues that it has looked into: not those that are paused, and none without a lease."""


class Looked(NamedTuple):
    """One lane that a claim looks into, from *since* on."""

    queue: str
    priority: int
    since: int


class Window(NamedTuple):
    """Old times that a search looks at: from *start* to before *end*."""

    start: int
    end: int


@dataclass(slots=True)
class Lane:
    """One priority of one queue."""

    at: int = 0
    """The cursor: what is due before was seen."""
    floor: int = 0
    """Where a step back leads."""
    passed: int = 0
    """Where the cursor was at the latest step back; once it is there again, the step is complete."""
    promised: int = 0
    """The floor after that."""


@dataclass(slots=True)
class _Note:
    """Where all cursors were at *time*, before transaction *mark* began."""

    time: int
    mark: int
    places: dict[tuple[str, int], int]
    rest: dict[str, int]
    """Of each queue, the lowest of all other cursors."""

    def place(self, queue: str, priority: int) -> int:
        """Where one cursor was, at least."""
        return self.places.get((queue, priority), self.rest.get(queue, 0))


@dataclass(slots=True)
class LaneSight(Sight):
    """The sight of one claimer."""

    clock: Callable[[], float] = time.monotonic
    """Seconds, for how often things are done; what is due is told by the server's clock alone."""
    lanes: dict[str, dict[int, Lane]] = field(default_factory=dict[str, dict[int, Lane]])
    busy: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    """The priorities of each queue that had jobs, or were told of; the highest first."""
    notes: deque[_Note] = field(default_factory=deque[_Note])
    heard: dict[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])
    """The earliest time that was told of, by queue and priority, since the latest claim began."""
    agenda: Agenda = field(default_factory=Agenda)
    whole: bool = False
    unseen: dict[str, int] = field(default_factory=dict[str, int])
    """Of each queue, the priority below which all lanes are still to be looked into."""
    _wide_at: float = float("-inf")
    _noted_at: float = float("-inf")
    _stepped_at: float = float("-inf")
    _stepping: bool = False
    """Whether the next claim is the first after a step back."""
    _step_took: int = 0
    _searched_at: float = float("-inf")
    _search_took: int = 0
    _window: Window | None = None
    _xmin: int = 0

    def forget(self) -> None:
        """See ``Sight``."""
        self.until = None
        self.agenda.forget()
        self.lanes.clear()
        self.notes.clear()
        self.unseen.clear()

    def look_wide(self) -> None:
        """See ``Sight``."""
        self.unseen.clear()

    def hear(self, queue: str, priority: int, due: int) -> None:
        """A job of *queue* and *priority* was stored that comes due at *due*, which may be behind the cursor."""
        key = (queue, priority)
        self.heard[key] = min(due, self.heard.get(key, due))
        self.agenda.hear(queue, due)

    @property
    def wants_note(self) -> bool:
        """Whether the next claim should tell its transaction."""
        return self.clock() - self._noted_at >= STEP_BACK

    def look(self, queues: Mapping[str, int]) -> list[Looked]:
        """Where the next claim is to look, queue by queue, the highest priority first."""
        now = self.clock()
        wide = STEP_BACK if self.heard else WIDE  # news say where to look: a job that waits comes first
        self._take_heard()
        if now - self._stepped_at >= max(STEP_BACK, self._step_took * SHARE / 1_000_000):
            self._step_back(now)
        self.whole = not self.lanes
        if now - self._wide_at >= wide:
            self._wide_at = now
            self.unseen.clear()
        return [looked for queue in queues for looked in self._lanes_of(queue)]

    def _lanes_of(self, queue: str) -> list[Looked]:
        lanes = self.lanes.get(queue)
        if lanes is None:
            lanes = self.lanes[queue] = {priority: Lane() for priority in range(HIGHEST, LOWEST - 1, -1)}
        below, busy = self.unseen.get(queue, HIGHEST + 1), self.busy.get(queue, ())
        if below == LOWEST:
            return [Looked(queue, priority, lanes[priority].at) for priority in busy]
        every = lanes.items()
        return [Looked(queue, priority, lane.at) for priority, lane in every if priority < below or priority in busy]

    def learn(self, looked: Sequence[Looked], room: Mapping[str, int], jobs: Sequence[Claimed], said: Said) -> None:
        """Take in what a claim has found where it *looked*."""
        if self.until is not None and said.now < self.until - GRACE:
            self.forget()  # another server's clock, behind the one that the cursors are of
            return
        self._note(said)
        self.until = said.now
        if self._stepping:
            self._stepping, self._step_took = False, said.took
        taken, last = _by_lane(jobs)
        self.missed = said.picked > len(jobs)
        if self.missed:
            return  # fewer jobs than room does not mean that there are no more
        left = {queue: room[queue] for queue in said.looked}
        below = {queue: self.unseen.get(queue, HIGHEST + 1) for queue in left}
        self.unseen.update(dict.fromkeys(left, LOWEST))
        for queue, priority, since in looked:
            if left.get(queue, 0) <= 0:
                continue  # paused, or full before this lane's turn
            lane = queue, priority
            left[queue] -= taken[lane]
            if taken[lane]:
                self._keep_busy(queue, priority)
            if left[queue] <= 0:
                self.unseen[queue] = min(below[queue], priority)
            end = said.now - GRACE if left[queue] > 0 else last.get(lane, since)
            self._pass(self.lanes[queue][priority], end)

    def search(self) -> Window | None:
        """Which old times to search now, if any."""
        pause = max(SEARCH, self._search_took * SHARE / 1_000_000)
        if self.whole or self.clock() - self._searched_at < pause:
            return None
        if self._window is None:
            end = max((lane.at for lane in self._all()), default=0)
            self._window = Window(end - NARROWEST, end)
        return self._window

    def searched(self, window: Window, took: int, found: Sequence[tuple[str, int, int]]) -> None:
        """It took so many microseconds, and *found* queues and priorities with a job that is due at a time."""
        for queue, priority, due in found:
            lane = self.lanes[queue][priority]
            lane.at = min(lane.at, due)
            self._keep_busy(queue, priority)
        self._searched_at, self._search_took = self.clock(), took
        width = window.end - window.start
        width = width * WIDEN if took < QUICK else max(width // WIDEN, NARROWEST)
        self._window = Window(max(window.start - width, 0), window.start) if window.start > 0 else None

    def every_lane(self) -> Iterator[Looked]:
        """All lanes, and where the cursor is in each."""
        for queue, lanes in self.lanes.items():
            for priority, lane in lanes.items():
                yield Looked(queue, priority, lane.at)

    def _all(self) -> Iterator[Lane]:
        for lanes in self.lanes.values():
            yield from lanes.values()

    def _keep_busy(self, queue: str, priority: int) -> None:
        known = self.busy.setdefault(queue, [])
        if priority not in known:
            known.append(priority)
            known.sort(reverse=True)

    def _take_heard(self) -> None:
        heard, self.heard = self.heard, {}
        for (queue, priority), due in heard.items():
            if queue not in self.lanes:
                continue  # not ours, or one that is looked into from its start
            lane = self.lanes[queue][priority]
            lane.at = min(lane.at, due)
            self._keep_busy(queue, priority)

    def _pass(self, lane: Lane, end: int) -> None:
        lane.at = end
        if lane.passed and lane.at >= lane.passed:
            lane.floor, lane.passed = lane.promised, 0

    def _note(self, said: Said) -> None:
        """The time is that of the claim before, which was over when this one's transaction began."""
        if said.mark is not None:
            if self.until is not None:
                self.notes.append(self._noted(self.until, said.mark))
                if len(self.notes) > MOST_NOTES:
                    self.notes = deque(list(self.notes)[::2])
            self._noted_at = self.clock()
        while len(self.notes) > 1 and self.notes[1].mark <= said.xmin:
            self.notes.popleft()
        self._xmin = said.xmin

    def _noted(self, when: int, mark: int) -> _Note:
        """Where the cursors are; in a lane where a step back has just begun, where it was before."""
        places: dict[tuple[str, int], int] = {}
        rest: dict[str, int] = {}
        for queue, lanes in self.lanes.items():
            busy = self.busy.get(queue, ())
            places |= {(queue, priority): lanes[priority].passed or lanes[priority].at for priority in busy}
            others = (lane.passed or lane.at for priority, lane in lanes.items() if priority not in busy)
            rest[queue] = min(others, default=0)
        return _Note(when, mark, places, rest)

    def _step_back(self, now: float) -> None:
        self._stepped_at, self._stepping = now, True
        note = self.notes[0] if self.notes and self.notes[0].mark <= self._xmin else None
        for queue, lanes in self.lanes.items():
            for priority, lane in lanes.items():
                if lane.passed:
                    continue  # the latest step is not complete
                seen = 0 if note is None else min(note.place(queue, priority), note.time - SLACK)
                lane.promised = max(lane.floor, seen)
                lane.passed, lane.at = lane.at, min(lane.floor, lane.at)


def _by_lane(jobs: Sequence[Claimed]) -> tuple[Counter[tuple[str, int]], dict[tuple[str, int], int]]:
    """How many jobs there are of each queue and priority, and when the last of them came due."""
    taken: Counter[tuple[str, int]] = Counter()
    last: dict[tuple[str, int], int] = {}
    for job in jobs:
        lane = job.queue, job.priority
        taken[lane] += 1
        if job.run_after > last.get(lane, 0):
            last[lane] = job.run_after
    return taken, last
