"""A job as a few lines of Python: what every store is compared with."""

from dataclasses import dataclass, field

from conveyor.core.judge import CRASHES_ALLOWED
from conveyor.core.lifecycle import FINAL, WAITING, Event, State, ending, targets


@dataclass
class Modelled:
    """One job, and what happened to it."""

    id: bytes
    task: str
    priority: int
    max_attempts: int
    state: State
    place: int
    """When it became due, in the order of such moments."""
    attempt: int = 0
    crashes: int = 0
    token: int = 0
    runner: bytes | None = None
    record: list[str] = field(default_factory=list)
    """The events of attempts that did not simply succeed."""

    def move(self, event: Event, target: State) -> None:
        """Do as the table says, and only that."""
        assert target in targets(self.state, event), f"{self.state} --{event}--> {target} is not in the table"
        self.state = target

    def claim(self, runner: bytes, token: int) -> None:
        """A runner took it."""
        assert token > self.token, "a token was used again"
        self.move(Event.CLAIM, State.RUNNING)
        self.runner, self.token, self.attempt = runner, token, self.attempt + 1

    def holds(self, runner: bytes, token: int) -> bool:
        """Whether an outcome of *runner* with *token* applies."""
        return self.state is State.RUNNING and (self.runner, self.token) == (runner, token)

    def settle(self, event: Event, place: int, *, later: bool) -> None:
        """Its runner wrote an outcome; *later*: there is time to pass before the next attempt."""
        if event in {Event.RETRY, Event.FAIL}:
            self.record.append(event.value)
        if event is Event.RELEASE:
            self.attempt -= 1
        self._leave(event, place, later=later)

    def lose(self, place: int, *, alone: bool) -> None:
        """Its runner died, and rescue found it."""
        self.crashes += alone
        event = Event.RESCUE if self.attempt < self.max_attempts else Event.LOSE
        if self.crashes >= CRASHES_ALLOWED:
            event = Event.QUARANTINE
        self.record.append(event.value)
        self._leave(event, place, later=False)

    def _leave(self, event: Event, place: int, *, later: bool) -> None:
        end = ending(event)
        if end is None:
            waiting = State.RETRYABLE if self.record else State.SCHEDULED
            self.move(event, waiting if later else State.READY)
            self.runner, self.place = None, place
        else:
            self.move(event, end)

    def come_due(self, place: int) -> None:
        """Its time has come."""
        self.move(Event.COME_DUE, State.READY)
        self.place = place

    @property
    def order(self) -> tuple[int, int]:
        """Where it stands among the ready jobs."""
        return (-self.priority, self.place)

    @property
    def waits_for_time(self) -> bool:
        """Whether only time has to pass."""
        return self.state in WAITING and self.state is not State.READY

    @property
    def final(self) -> bool:
        """Whether nothing more happens to it."""
        return self.state in FINAL
