"""How much each queue may take, and how much it should claim at a time."""

from collections import deque
from collections.abc import Mapping

from conveyor.core.model import Claimed

HORIZON = 0.05
"""A claim takes what will start within 50 ms: more would only wait here instead of in the store."""
AT_ONCE = 500
"""Jobs of one queue that a runner holds at most beyond its slots."""
SAMPLES = 64
FRESH = 16


Taken = tuple[Claimed, bytes]
"""A claimed job, and the runner in whose name it was claimed."""


class Pace:
    """The 95th percentile of the latest run times, in seconds."""

    def __init__(self) -> None:
        """Unknown yet: as if each job took the whole horizon, so that nothing is claimed ahead."""
        self._times: deque[float] = deque(maxlen=SAMPLES)
        self._since = 0
        self.p95 = HORIZON

    def add(self, seconds: float) -> None:
        """One more run time."""
        self._times.append(seconds)
        self._since += 1
        if self._since >= FRESH:
            self._since = 0
            ordered = sorted(self._times)
            self.p95 = ordered[len(ordered) * 95 // 100]


class Lane:
    """One queue of this worker: its slots, what runs in them, and what waits for one."""

    def __init__(self, name: str, slots: int) -> None:
        """All slots are free."""
        self.name = name
        self.slots = slots
        self.running = 0
        self.waiting: deque[Taken] = deque()
        self.pace = Pace()
        self.cautious = False
        """Claims nothing ahead: what was claimed last is on its last attempt, which a crash of ours would spend."""

    @property
    def target(self) -> int:
        """How many jobs it should hold: its slots, and what they will finish within the horizon."""
        if self.cautious:
            return self.slots
        ahead = self.slots * HORIZON / max(self.pace.p95, 1e-6)
        return self.slots if ahead < self.slots else self.slots + int(min(ahead - self.slots, AT_ONCE))

    @property
    def room(self) -> int:
        """How many jobs to claim now; 0 while it is worth waiting for more room."""
        held = self.running + len(self.waiting)
        room = self.target - held
        starving = not self.waiting and self.running < self.slots
        return room if starving or room * 2 >= self.target else 0

    def take(self, job: Claimed, runner: bytes) -> None:
        """Line *job* up for a slot."""
        self.cautious = job.attempt >= job.max_attempts or (self.cautious and bool(self.waiting))
        self.waiting.append((job, runner))

    def startable(self) -> list[Taken]:
        """The waiting jobs for which there is a slot; they count as running from now on."""
        count = min(self.slots - self.running, len(self.waiting))
        self.running += count
        return [self.waiting.popleft() for _ in range(count)]

    def ended(self, seconds: float) -> None:
        """One of its jobs has left its slot."""
        self.running -= 1
        self.pace.add(seconds)


class Slots:
    """All queues of a worker."""

    def __init__(self, queues: Mapping[str, int]) -> None:
        """Queue name to slots."""
        self.lanes = {name: Lane(name, slots) for name, slots in queues.items()}

    def room(self) -> dict[str, int]:
        """What to claim now, per queue; empty when there is nothing to claim."""
        wanted = {name: lane.room for name, lane in self.lanes.items()}
        return {name: room for name, room in wanted.items() if room > 0}
