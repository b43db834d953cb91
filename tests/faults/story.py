"""One short life of a few jobs, in which any call to the store may go wrong.

The reactions are the ones that the callers of a store owe: a failed enqueue is repeated as such, a failed claim is
left to rescue, a failed settle is repeated, and a failed rescue is the next pass's business.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import TypeVar

from conveyor.core.errors import OutcomeUnknown, StoreUnavailable
from conveyor.core.lifecycle import Event, State, ending
from conveyor.core.model import Claimed, NewJob
from conveyor.plan import Plan
from conveyor.store.contract import Store
from tests.support.jobs import QUEUE, TASK, Hand, new_job, outcome, see
from tests.support.stores import tables

T = TypeVar("T")
Tell = Callable[[str], None]

LOST = (OutcomeUnknown, StoreUnavailable)
FIRST = (Event.SUCCEED, Event.RETRY, Event.FAIL, Event.RELEASE)
"""What the first round makes of the first four jobs."""
ATTEMPTS = (1, 5, 1, 1, 5)
"""So that of the two which the first runner takes again and dies of, one is failed and one goes on.

The fifth comes later, to keep that one company: whatever is lost, no job is ever alone with a dead runner, and so
nobody may be charged with a crash.
"""


def cast_of_jobs() -> list[NewJob]:
    """The jobs of one story."""
    return [new_job(max_attempts=attempts) for attempts in ATTEMPTS]


class Story:
    """The callers of one store. What a call has acknowledged is told at once, for whoever checks it."""

    def __init__(self, store: Store, jobs: Sequence[NewJob], hire: Callable[[], Hand], tell: Tell) -> None:
        self.store, self.jobs, self.hire, self.tell = store, jobs, hire, tell

    def begin(self) -> None:
        """Until the first runner is dead."""
        self.enqueue(self.jobs[:4])
        hand = self.hired()
        self.settle(hand, self.claim(hand), FIRST)
        self.claim(hand)
        self.kill(hand)
        self.enqueue(self.jobs[4:])

    def end(self) -> None:
        """Whatever state the store is in: rescue, and work off what is there."""
        self.rescue()
        claimed: Sequence[Claimed] | None = None
        while claimed is None or claimed:
            hand = self.hired()
            claimed = self.claim(hand)
            self.settle(hand, claimed, [Event.SUCCEED])
            self.kill(hand)
            self.rescue()

    def enqueue(self, jobs: Sequence[NewJob]) -> None:
        try:
            self.store.run(self.store.operations.enqueue(jobs))
        except LOST:
            self.stubborn(self.store.operations.repeat_enqueue(jobs))
        self.tell("enqueued")

    def claim(self, hand: Hand) -> Sequence[Claimed] | None:
        try:
            return self.store.run(self.store.operations.claim(hand.id, {QUEUE: 10}, [TASK]))
        except LOST:
            return None

    def settle(self, hand: Hand, claimed: Sequence[Claimed] | None, events: Sequence[Event]) -> None:
        places = {job.id: place for place, job in enumerate(self.jobs)}
        chosen = [(job, events[places[job.id] % len(events)]) for job in claimed or ()]
        outcomes = [outcome(job, hand.id, event) for job, event in chosen]
        assert self.stubborn(self.store.operations.settle(outcomes)) == frozenset()
        for job, event in chosen:
            self.tell(f"{job.id.hex()} {event} {job.token}")

    def rescue(self) -> None:
        while self.stubborn(self.store.operations.rescue(1000)).more:
            pass

    def hired(self) -> Hand:
        return stubborn(self.hire)

    def kill(self, hand: Hand) -> None:
        stubborn(lambda: hand.lease.retire(clean=False))

    def stubborn(self, plan: Plan[T]) -> T:
        return stubborn(lambda: self.store.run(plan))


def stubborn(call: Callable[[], T]) -> T:
    """Repeat *call* until it is answered; one fault is all that a story has."""
    for _ in range(3):
        with contextlib.suppress(*LOST):
            return call()
    raise AssertionError("one fault made three calls fail")


def check(store: Store, jobs: Sequence[NewJob], told: Sequence[str]) -> None:
    """Every job has ended once, as was acknowledged where it was, and nothing is recorded twice."""
    assert tables(store) == (0, len(jobs))
    acknowledged = [line.split(" ") for line in told if " " in line]
    for job in jobs:
        info = see(store, job.id)
        mine = [(Event(event), int(token)) for id_, event, token in acknowledged if id_ == job.id.hex()]
        ends = [(ending(event), token) for event, token in mine if ending(event)]
        assert ends in ([], [(info.state, info.token)])
        numbers = [attempt.number for attempt in info.attempts]
        assert numbers == sorted(set(numbers)), "an attempt is recorded twice"
        assert info.attempt <= info.max_attempts
        if info.state is State.FAILED:
            assert info.attempts[-1].event in {"fail", "lose"}
        else:
            assert (info.state, info.result) == (State.SUCCEEDED, b"42")
        assert info.crashes == 0, "a job in company was charged with the crash"
