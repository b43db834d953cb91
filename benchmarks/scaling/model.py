"""Workers and stores as Conveyor has them, over measured service times: what many of both would do.

A worker claims as ``worker/claim.py`` does, what ``worker/slots.py`` has room for, and asks shards as
``store/redis/sharded.py`` does: those at which it does not rest, one after the other, another one first each time,
until there is no room left. On Redis it rests where a claim left room, and is rung as ``store/redis/bell.lua`` does.
On PostgreSQL a ring is for all that have room, and who found nothing asks when something comes due.
"""

import random
from collections import deque
from collections.abc import Callable
from functools import partial

from benchmarks.scaling.clockwork import Clock, Disk, Station, Then
from benchmarks.scaling.settings import Outcome, Setting
from conveyor.worker.claim import POLL_HEARING, UNSETTLED
from conveyor.worker.settle import AT_ONCE as SETTLED_AT_ONCE
from conveyor.worker.slots import AT_ONCE, HORIZON

CLAIMED_AT_ONCE = 1_000
"""``MOST`` of ``store/redis/plans.py``."""
PRODUCED_AT_ONCE = 100
"""Jobs that a call of enqueue stores where the most is asked for."""
SPREAD = 0.5
"""Of run times, to both sides, evenly: jobs do not end together."""
P95 = 1 + 0.9 * SPREAD


class Shard:
    """A part of the store, and the server that it is on."""

    def __init__(self, world: "World") -> None:
        """Nothing is in it."""
        self._world = world
        self._server = Station(world.clock, world.setting.cores, world.host)
        self._disk = Disk(world.clock, world.setting.commit) if world.setting.commit else None
        self.ready: deque[tuple[float, int]] = deque()
        self.resting: dict[Worker, None] = {}
        """Who waits to be rung, in the order in which they lay down."""
        self.taken = 0

    @property
    def busy(self) -> float:
        """Seconds that its server has worked."""
        return self._server.busy

    def call(self, begin: Callable[[], float], then: Then, *, writes: Callable[[], bool] = lambda: True) -> None:
        """One round trip; *begin* is called when the server turns to it, and gives the seconds that it takes."""
        way = self._world.setting.round_trip / 2

        def back() -> None:
            self._world.clock.after(way, then)

        def served() -> None:
            if self._disk is not None and writes():
                self._disk.commit(back)
            else:
                back()

        self._world.clock.after(way, partial(self._server.ask, begin, served))

    def lie_down(self, worker: "Worker", *, room: bool) -> None:
        """A claim of its ends: with *room* left it rests from now on, behind all others."""
        self.resting.pop(worker, None)
        if room:
            self.resting[worker] = None

    def rouse(self, count: int) -> "list[Worker]":
        """The first of those that rest, which do so no more."""
        found = list(self.resting)[:count]
        for worker in found:
            del self.resting[worker]
        return found

    def take(self, most: int) -> list[tuple[float, int]]:
        """The first that are ready, by the time when they came due."""
        found: list[tuple[float, int]] = []
        while self.ready and most:
            due, count = self.ready.popleft()
            if count > most:
                self.ready.appendleft((due, count - most))
                count = most
            found.append((due, count))
            most -= count
            self.taken += count
        return found


class Worker:
    """One runner."""

    def __init__(self, world: "World") -> None:
        """It has nothing, and has just looked in vain."""
        self._world = world
        self._cpu = Station(world.clock, 1, world.host)
        self._first = world.random.randrange(world.setting.shards)
        self._waiting: deque[tuple[float, int, int]] = deque()
        self._held = self._running = self._unsettled = 0
        self._ended: dict[int, int] = {}
        self._writing = self._woken = self._dry = False
        self._rests = True
        self._naps = 0
        self._at: set[int] = set()
        """Shards at which it rests."""
        self._rung: set[int] = set()

    # -- the claimer

    @property
    def room(self) -> int:
        """See ``Lane.room``."""
        if self._unsettled >= UNSETTLED:
            return 0
        slots, run_time = self._world.setting.slots, max(self._world.setting.run_time * P95, 1e-6)
        ahead = slots * HORIZON / run_time
        target = slots if ahead < slots else slots + int(min(ahead - slots, AT_ONCE))
        room = target - self._held
        starving = not self._waiting and self._running < slots
        return room if starving or room * 2 >= target else 0

    def wake(self, shard: int | None = None) -> None:
        """There may be something due: in that shard, or in any."""
        if shard is None:
            self._at.clear()
        else:
            self._at.discard(shard)
            self._rung.add(shard)
        self._dry = False
        self._rouse()

    def _rouse(self) -> None:
        self._woken = True
        if self._rests:
            self._rests = False
            self._turn()

    def _rest(self, seconds: float) -> None:
        if self._woken:
            self._turn()
            return
        self._rests = True
        self._naps += 1
        self._world.clock.after(seconds, partial(self._over, self._naps))

    def _over(self, nap: int) -> None:
        if self._rests and nap == self._naps:
            self._rests = False
            self._at.clear()
            self._turn()

    def _turn(self) -> None:
        self._woken = False
        room = self.room
        rung, self._rung = self._rung, set()
        if not room:
            for place in rung:
                self._world.pass_on(place)
            self._dry = False
            self._rest(POLL_HEARING)
            return
        self._first = (self._first + 1) % self._world.setting.shards
        self._cpu.ask(lambda: self._world.setting.costs.worker_call, partial(self._claim, room, 0))

    def _claim(self, left: int, turn: int) -> None:
        shards = self._world.shards
        if not left or turn == len(shards):
            self._claimed(left)
            return
        place = (self._first + turn) % len(shards)
        if place in self._at:
            self._claim(left, turn + 1)
            return
        taken: list[tuple[float, int]] = []
        self._rung.discard(place)

        def begin() -> float:
            taken.extend(shards[place].take(min(left, CLAIMED_AT_ONCE)))
            got = sum(count for _, count in taken)
            if self._world.setting.rings_one:
                shards[place].lie_down(self, room=got < left)
            return self._world.setting.costs.claim.of(got)

        def then() -> None:
            got = sum(count for _, count in taken)
            if self._world.setting.rings_one and got < left and place not in self._rung:
                self._at.add(place)
            self._held += got
            self._waiting.extend((due, count, place) for due, count in taken)
            cost = self._world.setting.costs.worker_call if turn + 1 < len(shards) and left > got else 0.0
            self._cpu.ask(lambda: cost, partial(self._claim, left - got, turn + 1))

        shards[place].call(begin, then, writes=lambda: bool(taken))

    def _claimed(self, left: int) -> None:
        self._dry = left > 0
        self._start()
        if not left:
            self._turn()
        elif self._world.setting.rings_one:
            self._rest(POLL_HEARING)
        else:
            self._idle(0)

    def _idle(self, shard: int) -> None:
        """What is due next is asked of each shard, one after the other."""
        shards = self._world.shards
        if shard == len(shards):
            self._rest(POLL_HEARING)
            return
        look = self._world.setting.costs.look
        shards[shard].call(lambda: look, partial(self._idle, shard + 1), writes=lambda: False)

    # -- jobs, and their ends

    def _start(self) -> None:
        free = self._world.setting.slots - self._running
        while free and self._waiting:
            due, count, place = self._waiting.popleft()
            if count > free:
                self._waiting.appendleft((due, count - free, place))
                count = free
            free -= count
            self._running += count
            self._world.started(due, count)
            cost = self._world.setting.costs.worker_job * count
            self._cpu.ask(partial(float, cost), partial(self._started, count, place))

    def _started(self, count: int, place: int) -> None:
        run_time = self._world.setting.run_time
        if not run_time:
            self._over_with(count, place)
            return
        for _ in range(count):
            seconds = run_time * (1 + SPREAD * self._world.random.uniform(-1, 1))
            self._world.clock.after(seconds, partial(self._over_with, 1, place))

    def _over_with(self, count: int, place: int) -> None:
        self._running -= count
        self._held -= count
        self._unsettled += count
        self._ended[place] = self._ended.get(place, 0) + count
        self._start()
        if not self._writing:
            self._settle()
        if not self._dry:
            self._rouse()

    def _settle(self) -> None:
        batch: list[tuple[int, int]] = []
        left = SETTLED_AT_ONCE
        while self._ended and left:
            place, count = self._ended.popitem()
            if count > left:
                self._ended[place] = count - left
                count = left
            left -= count
            batch.append((place, count))
        self._writing = bool(batch)
        if batch:
            self._cpu.ask(lambda: self._world.setting.costs.worker_call, partial(self._write, batch))

    def _write(self, batch: list[tuple[int, int]]) -> None:
        if not batch:
            self._settle()
            if not self._dry:
                self._rouse()
            return
        place, count = batch[0]

        def then() -> None:
            self._unsettled -= count
            self._world.settled_jobs(count)
            self._write(batch[1:])

        self._world.shards[place].call(lambda: self._world.setting.costs.settle.of(count), then)


class World:
    """All of it."""

    def __init__(self, setting: Setting) -> None:
        """Workers at rest; with as many as go, a deep backlog in all shards."""
        self.setting = setting
        self.random = random.Random(setting.seed)  # noqa: S311 - a model, and the same each time
        self.clock = Clock()
        self.host = Station(self.clock, setting.host) if setting.host else None
        self.shards = [Shard(self) for _ in range(setting.shards)]
        self.workers = [Worker(self) for _ in range(setting.workers)]
        self._found = Outcome()
        self._ended = 0
        self._warm = False

    def run(self) -> Outcome:
        """Let it go on until it is warm, and then for the time that is looked at."""
        if not self.setting.offered:
            self._fill()
        else:
            self._produce()
        for shard in self.shards:
            self._background(shard)
        for worker in self.workers:
            self.clock.after(self.random.random() * 0.01, worker.wake)
        self.clock.run(self.setting.warm)
        self._warm, self._ended = True, 0
        before, taken = [shard.busy for shard in self.shards], [shard.taken for shard in self.shards]
        self.clock.run(self.setting.warm + self.setting.seconds)
        most = self.setting.seconds * self.setting.cores
        self._found.busy = [(shard.busy - was) / most for shard, was in zip(self.shards, before, strict=True)]
        got = [shard.taken - was for shard, was in zip(self.shards, taken, strict=True)]
        self._found.hottest = max(got) / max(sum(got), 1)
        self._found.ended = self._ended / self.setting.seconds
        self._found.events = self.clock.events
        return self._found

    def started(self, due: float, count: int) -> None:
        """So many begin, that came due at one time."""
        if self._warm:
            self._found.waits.append((self.clock.now - due, count))

    def settled_jobs(self, count: int) -> None:
        """The ends of so many are written; where the most is asked for, as many are enqueued."""
        self._ended += count
        if not self.setting.offered:
            self._enqueue(count, share=count / PRODUCED_AT_ONCE, rings=self.setting.rings_one)

    def _place(self) -> int:
        if self.setting.hot and self.random.random() < self.setting.hot:
            return 0
        return self.random.randrange(256) % self.setting.shards  # as ``sharding.by_id``

    def _fill(self) -> None:
        deep = self.setting.workers * (self.setting.slots + AT_ONCE) * 4 // self.setting.shards + 1_000
        for shard in self.shards if not self.setting.hot else self.shards[:1]:  # where it would come to lie
            shard.ready.append((0.0, deep))

    def _produce(self) -> None:
        self._enqueue(1, share=1.0, rings=True)
        self.clock.after(self.random.expovariate(self.setting.offered), self._produce)

    def _enqueue(self, count: int, *, share: float, rings: bool) -> None:
        """*share* of a call for itself, and what its jobs cost."""
        place, costs = self._place(), self.setting.costs
        shard, woken = self.shards[place], list[Worker]()

        def begin() -> float:
            shard.ready.append((self.clock.now, count))
            woken.extend(shard.rouse(count + 1) if rings else ())
            return costs.enqueue.each * share + costs.enqueue.job * count + costs.bell.job * len(woken)

        def then() -> None:
            for worker in woken:
                worker.wake(place)
            if rings and not self.setting.rings_one:
                self._ring()

        shard.call(begin, then)

    def pass_on(self, place: int) -> None:
        """Who was rung there has no room by now: another one is rung instead."""
        woken: list[Worker] = []

        def begin() -> float:
            woken.extend(self.shards[place].rouse(1))
            return self.setting.costs.look + self.setting.costs.bell.job * len(woken)

        def then() -> None:
            for worker in woken:
                worker.wake(place)

        self.shards[place].call(begin, then)

    def _ring(self) -> None:
        """Whoever has room hears that there is something."""
        bell = self.setting.costs.bell.of(self.setting.workers)

        def heard() -> None:
            for worker in self.workers:
                worker.wake()

        self.shards[0].call(lambda: bell, heard, writes=lambda: False)

    def _background(self, shard: Shard) -> None:
        """Leases, looks for the dead, and for what is to be cancelled: of all workers, in each shard."""
        rate = self.setting.workers * self.setting.costs.rate
        shard.call(lambda: self.setting.costs.look, lambda: None, writes=lambda: False)
        self.clock.after(self.random.expovariate(rate), partial(self._background, shard))


def modelled(setting: Setting) -> Outcome:
    """What comes of *setting*; the same each time."""
    return World(setting).run()
