"""A job as a few lines of Python: what every store is compared with."""

from dataclasses import dataclass, field

from conveyor.core.judge import CRASHES_ALLOWED, EXPIRED
from conveyor.core.lifecycle import FINAL, GIVEN_BACK, WAITING, Event, State, ending, targets
from tests.support.jobs import CHANGED_ITS_MIND


@dataclass
class Wish:
    """What a job is enqueued with. Times are in hours."""

    task: str
    priority: int = 0
    max_attempts: int = 5
    delay: int = 0
    expires: float | None = None
    """How long after it came due."""
    keep: float | None = None
    """How long it stays once it has ended; ``None`` for longer than any test lasts."""
    key: str | None = None
    until_start: bool = False


@dataclass
class Modelled:
    """One job, and what happened to it."""

    id: bytes
    wish: Wish
    state: State
    place: int
    """When it became due, in the order of such moments."""
    expires_at: float | None = None
    ended_at: float | None = None
    attempt: int = 0
    max_attempts: int = 0
    crashes: int = 0
    token: int = 0
    runner: bytes | None = None
    key: str | None = None
    """The unique key that it holds, or held when it ended."""
    until_start: bool = False
    cancelled: str | None = None
    """Why it is to be, or was, cancelled."""
    progress: bytes | None = None
    record: list[str] = field(default_factory=list)
    """The events of attempts that did not simply succeed."""

    @classmethod
    def enqueued(cls, id_: bytes, wish: Wish, place: int, now: float) -> "Modelled":
        """A new job."""
        job = cls(id_, wish, State.READY, place)
        job.write(wish, place, now)
        assert job.state in targets(None, Event.ENQUEUE)
        return job

    def write(self, wish: Wish, place: int, now: float) -> None:
        """It is as *wish* says, and as one that has not been through anything yet."""
        self.wish, self.place, self.max_attempts = wish, place, wish.max_attempts
        self.key, self.until_start = wish.key, wish.until_start
        self.expires_at = None if wish.expires is None else now + wish.delay + wish.expires
        self.attempt = self.crashes = 0
        self.progress, self.record = None, []
        self.state = self.waiting if wish.delay else State.READY

    @property
    def waiting(self) -> State:
        """How it is shown while it waits for its time."""
        return State.RETRYABLE if self.record else State.SCHEDULED

    def move(self, event: Event, target: State) -> None:
        """Do as the table says, and only that."""
        assert target in targets(self.state, event), f"{self.state} --{event}--> {target} is not in the table"
        self.state = target

    def claim(self, runner: bytes, token: int) -> None:
        """A runner took it."""
        assert token > self.token, "a token was used again"
        self.move(Event.CLAIM, State.RUNNING)
        self.runner, self.token, self.attempt = runner, token, self.attempt + 1
        if self.until_start:
            self.key = None

    def holds(self, runner: bytes, token: int) -> bool:
        """Whether an outcome of *runner* with *token* applies."""
        return self.state is State.RUNNING and (self.runner, self.token) == (runner, token)

    def settle(self, event: Event, place: int, now: float, *, later: bool) -> None:
        """Its runner wrote an outcome; *later*: there is time to pass before the next attempt."""
        if event in {Event.RETRY, Event.FAIL}:
            self.record.append(event.value)
        self._leave(event, place, now, later=later)

    def lose(self, place: int, now: float, *, alone: bool) -> None:
        """Its runner died, and rescue found it."""
        self.crashes += alone
        event = Event.RESCUE if self.attempt < self.max_attempts else Event.LOSE
        if self.crashes >= CRASHES_ALLOWED:
            event = Event.QUARANTINE
        self.record.append(event.value)
        self._leave(event, place, now, later=False)

    def _leave(self, event: Event, place: int, now: float, *, later: bool) -> None:
        if not ending(event) and self.cancelled is not None:
            self.end(Event.CANCEL, self.cancelled, now)
            return
        self.attempt -= event in GIVEN_BACK or event is Event.EXPIRE
        if ending(event):
            self.end(event, {Event.CANCEL: CHANGED_ITS_MIND, Event.EXPIRE: EXPIRED}.get(event), now)
            return
        self.move(event, self.waiting if later else State.READY)
        self.runner, self.place = None, place

    def end(self, event: Event, reason: str | None, now: float) -> None:
        """It ends; *reason*, when it ends as cancelled."""
        self.move(event, _only(targets(self.state, event)))
        self.cancelled, self.ended_at, self.expires_at = reason, now, None
        if self.until_start:
            self.key = None

    def revive(self, place: int) -> None:
        """A person wants it once more; what it waits for, or has been through, is over."""
        if self.final:
            self.max_attempts = max(self.max_attempts, self.attempt + 1)
            self.crashes, self.cancelled, self.progress, self.until_start = 0, None, None, False
            self.runner = self.ended_at = None
        self.move(Event.REVIVE, State.READY)
        self.place = place

    def come_due(self, place: int) -> None:
        """Its time has come."""
        self.move(Event.COME_DUE, State.READY)
        self.place = place

    @property
    def order(self) -> tuple[int, int]:
        """Where it stands among the ready jobs."""
        return (-self.wish.priority, self.place)

    @property
    def waits(self) -> bool:
        """Whether it waits, for its time or for a runner."""
        return self.state in WAITING

    @property
    def waits_for_time(self) -> bool:
        """Whether only time has to pass."""
        return self.waits and self.state is not State.READY

    @property
    def final(self) -> bool:
        """Whether nothing more happens to it."""
        return self.state in FINAL

    def expired(self, now: float) -> bool:
        """Whether it is not to be started any more."""
        return self.expires_at is not None and self.expires_at <= now

    def outstays(self, now: float) -> bool:
        """Whether it has ended, and is to stay no longer."""
        return self.ended_at is not None and self.wish.keep is not None and self.ended_at + self.wish.keep <= now


def _only(states: frozenset[State]) -> State:
    (state,) = states
    return state
