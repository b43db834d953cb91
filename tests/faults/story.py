"""One short life of a few jobs, in which any call to the store may go wrong.

The reactions are the ones that the callers of a store owe: a failed enqueue is repeated as such, a failed claim is
left to rescue, a failed settle is repeated, and a failed rescue is the next pass's business. People who cancel a job or
want it once more ask again until they are answered; progress that is lost is lost.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from conveyor.core import ids
from conveyor.core.errors import OutcomeUnknown, StoreUnavailable
from conveyor.core.lifecycle import Event, State, ending
from conveyor.core.model import Claimed, JobFilter, NewJob, Progress, Report
from conveyor.plan import Plan
from conveyor.store.contract import Store
from tests.support.jobs import HOUR, QUEUE, TASK, Hand, key, new_job, outcome, see
from tests.support.stores import sound, tables

T = TypeVar("T")
HALF = b'{"value":0.5}'
Tell = Callable[[str], None]

LOST = (OutcomeUnknown, StoreUnavailable)
FIRST = (Event.SUCCEED, Event.RETRY, Event.FAIL, Event.RELEASE)
"""What the first round makes of the first four jobs."""
ATTEMPTS = (1, 5, 1, 1, 5, 5, 5)
"""So that of the two which the first runner takes again and dies of, one is failed and one goes on."""
UNWANTED, COMPANY, KEYED, TWIN, LATER = (4, 5), 6, 7, 8, 9
"""Two jobs that are cancelled while they run; one that nothing happens to; one with a unique key, that fails and is
wanted once more; another with the same key; and one that is cancelled while it waits.

Whatever is lost, no job is ever alone with a dead runner, and so nobody may be charged with a crash: there are two at
least of what any statement changes.
"""
SECOND = {4: Event.RETRY, 5: Event.RETRY, KEYED: Event.FAIL}
"""What the second round makes of these; of all others a success."""


def cast_of_jobs() -> list[NewJob]:
    """The jobs of one story."""
    plain = [new_job(max_attempts=attempts) for attempts in ATTEMPTS]
    return [*plain, new_job(unique=key()), new_job(unique=key()), new_job(delay=HOUR)]


class Story:
    """The callers of one store. What a call has acknowledged is told at once, for whoever checks it."""

    def __init__(self, store: Store, jobs: Sequence[NewJob], hire: Callable[[], Hand], tell: Tell) -> None:
        self.store, self.jobs, self.hire, self.tell = store, jobs, hire, tell
        self.asked: frozenset[bytes] = frozenset()

    def begin(self) -> None:
        """Until the first two runners are dead."""
        self.enqueue(self.jobs[:4])
        hand = self.hired()
        self.settle(hand, self.claim(hand), dict(enumerate(FIRST)))
        self.claim(hand)
        self.kill(hand)
        self.enqueue(self.jobs[4:7])
        self.enqueue(self.jobs[7:])
        self.meddle()

    def meddle(self) -> None:
        """What people do to jobs, waiting, running and ended."""
        self.cancel_waiting()
        hand = self.hired()
        claimed = self.claim(hand)
        self.report(hand, claimed)
        self.ask()
        self.settle(hand, claimed, SECOND)
        self.kill(hand)
        keyed = self.jobs[KEYED]
        self.tell(f"{keyed.id.hex()} {Event.REVIVE} 0")  # from here on its first end need not be its last
        self.stubborn(self.store.control.revive(one(keyed), 10, None))

    def end(self) -> None:
        """Whatever state the store is in: rescue, and work off what is there."""
        self.cancel_waiting()
        self.rescue()
        claimed: Sequence[Claimed] | None = None
        while claimed is None or claimed:
            hand = self.hired()
            claimed = self.claim(hand)
            self.settle(hand, claimed, {})
            self.kill(hand)
            self.rescue()

    def enqueue(self, jobs: Sequence[NewJob]) -> None:
        try:
            holders = self.store.run(self.store.operations.enqueue(jobs))
        except LOST:
            holders = self.stubborn(self.store.operations.repeat_enqueue(jobs))
        twin, keyed = self.jobs[TWIN], self.jobs[KEYED]
        assert holders == ({twin.id: keyed.id} if twin in jobs else {})
        self.tell("enqueued")

    def claim(self, hand: Hand) -> Sequence[Claimed] | None:
        try:
            return self.store.run(self.store.operations.claim(hand.id, {QUEUE: 10}, [TASK]))
        except LOST:
            return None

    def settle(self, hand: Hand, claimed: Sequence[Claimed] | None, events: Mapping[int, Event]) -> None:
        """Write outcomes: by the jobs' places, or successes."""
        places = {job.id: place for place, job in enumerate(self.jobs)}
        chosen = [(job, events.get(places[job.id], Event.SUCCEED)) for job in claimed or ()]
        outcomes = [outcome(job, hand.id, event) for job, event in chosen]
        stopped = {job.id for job, event in chosen if job.id in self.asked and not ending(event)}
        assert self.stubborn(self.store.operations.settle(outcomes)) == (frozenset(), stopped)
        for job, event in chosen:
            self.tell(f"{job.id.hex()} {Event.CANCEL if job.id in stopped else event} {job.token}")

    def report(self, hand: Hand, claimed: Sequence[Claimed] | None) -> None:
        reports = [Report(job.id, job.token, hand.id, HALF) for job in claimed or ()]
        with contextlib.suppress(*LOST):
            self.store.run(self.store.operations.report(reports))

    def cancel_waiting(self) -> None:
        later = self.jobs[LATER]
        self.stubborn(self.store.control.cancel(one(later), "enough", 10, None))
        self.tell(f"{later.id.hex()} {Event.CANCEL} 0")

    def ask(self) -> None:
        """The answer may be lost, and the job be asked all the same: then the second try asks nobody."""
        unwanted = JobFilter(ids=tuple(self.jobs[place].id for place in UNWANTED))
        self.stubborn(self.store.control.ask(unwanted, "stop", 10, None))
        listed = self.stubborn(self.store.operations.list(unwanted, limit=10, after=None, direction="oldest"))
        self.asked = frozenset(ids.parse(info.id) for info in listed if info.cancelled == "stop")

    def rescue(self) -> None:
        while self.stubborn(self.store.operations.rescue(1000)).more:
            pass

    def hired(self) -> Hand:
        return stubborn(self.hire)

    def kill(self, hand: Hand) -> None:
        stubborn(lambda: hand.retire(clean=False))

    def stubborn(self, plan: Plan[T]) -> T:
        return stubborn(lambda: self.store.run(plan))


def one(job: NewJob) -> JobFilter:
    """That job alone."""
    return JobFilter(ids=(job.id,))


def stubborn(call: Callable[[], T]) -> T:
    """Repeat *call* until it is answered; one fault is all that a story has."""
    for _ in range(3):
        with contextlib.suppress(*LOST):
            return call()
    raise AssertionError("one fault made three calls fail")


def check(store: Store, jobs: Sequence[NewJob], told: Sequence[str]) -> None:
    """Every job has ended once, as was acknowledged where it was, and nothing is recorded twice."""
    twin, later = jobs[TWIN], jobs[LATER]
    assert sound(store) == []
    assert tables(store) == (0, len(jobs) - 1)
    assert store.run(store.operations.get(twin.id)) is None, "a unique key was held twice"
    acknowledged = [line.split(" ") for line in told if " " in line]
    for job in jobs:
        if job is twin:
            continue
        info = see(store, job.id)
        mine = [(Event(event), int(token)) for id_, event, token in acknowledged if id_ == job.id.hex()]
        since = [place + 1 for place, (event, _) in enumerate(mine) if event is Event.REVIVE]
        ends = {(ending(event), token) for event, token in mine[max(since, default=0) :] if ending(event)}
        assert ends in (set(), {(info.state, info.token)})
        numbers = [attempt.number for attempt in info.attempts]
        assert numbers == sorted(set(numbers)), "an attempt is recorded twice"
        assert info.attempt <= info.max_attempts
        assert info.progress in {None, Progress(0.5)}
        if info.state is State.FAILED:
            assert info.attempts[-1].event in {"fail", "lose"}
        elif info.state is State.CANCELLED:
            assert (job is later, info.cancelled) in {(True, "enough"), (False, "stop")}
            assert job is later or jobs.index(job) in UNWANTED
        else:
            assert (info.state, info.result) == (State.SUCCEEDED, b"42")
        assert info.crashes == 0, "a job in company was charged with the crash"
