"""What may be done to a job: how a store is asked for it, and what that means for the model in ``orders``."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import ClassVar, cast

import psycopg

from conveyor.client.changes import cancelled, deleted, revived
from conveyor.core import ids
from conveyor.core.errors import DuplicateJob
from conveyor.core.judge import EXPIRED
from conveyor.core.lifecycle import TAKEN_BACK, Event, State, ending
from conveyor.core.model import Attempt, Claimed, Completion, JobFilter, NewJob, Outcome, Report, appended
from conveyor.core.unique import Hold, OnConflict
from conveyor.drivers.lend import lend
from conveyor.drivers.lent import BlockingLoan
from conveyor.plan import run
from conveyor.store.contract import Store
from conveyor.store.rounds import drive
from tests.support.jobs import HOUR, QUEUE, TASK
from tests.support.orders import Row, World

WISH = "the test's wish"
NEWS = b'{"value":0.5}'


@dataclass
class Scene:
    """Where a race begins: one job, and who has to do with it."""

    job: bytes
    claimed: Claimed | None
    """As its runner took it; of jobs that were claimed."""
    runner: bytes
    """Who took it, or would."""
    claimer: bytes
    """A living runner that may take it."""
    dead: bool
    """Whether who took it has lost its lease."""
    key: str | None
    strict: bool
    """Whether nothing may be passed over because somebody else writes it at the moment."""


class Act(ABC):
    """One act of a race. It is made for a scene, and done once."""

    name: ClassVar[str]
    works: ClassVar[str] = "waiting running ended"
    """The scenes in which it can do something."""

    def __init__(self, scene: Scene) -> None:
        """Prepare it."""
        self.scene = scene
        self.job = scene.job

    @abstractmethod
    def do(self, store: Store) -> object:
        """Do it; what was answered, in a form that can be compared."""

    @abstractmethod
    def after(self, world: World, answer: object) -> Sequence[World]:
        """See ``orders.Done``."""

    def only(self, world: World, row: Row | None, told: object, answer: object, otherwise: object) -> Sequence[World]:
        """*row* takes its old version's place, and *told* is answered; without one nothing happens, and *otherwise*."""
        if row is None:
            return [world] if answer == otherwise else []
        return [world.put(row)] if answer == told else []


def one(scene: Scene) -> JobFilter:
    """That job alone."""
    return JobFilter(ids=(scene.job,))


class Cancel(Act):
    """``Control.cancel``."""

    name, works = "cancel", "waiting running"

    def do(self, store: Store) -> object:
        return store.run(store.control.cancel(one(self.scene), WISH, 10, None)).changed

    def after(self, world: World, answer: object) -> Sequence[World]:
        row = world.get(self.job)
        then = row.end(Event.CANCEL, State.CANCELLED, WISH) if row and row.waits else None
        return self.only(world, then, 1, answer, 0)


class Ask(Act):
    """``Control.ask``."""

    name, works = "ask", "waiting running"

    def do(self, store: Store) -> object:
        return store.run(store.control.ask(one(self.scene), WISH, 10, None)).changed

    def after(self, world: World, answer: object) -> Sequence[World]:
        row = world.get(self.job)
        then = replace(row, wish=WISH) if row and row.runs and row.wish is None else None
        return self.only(world, then, 1, answer, 0)


class CallOff(Act):
    """``job.cancel()``: whatever it does just now, it is cancelled or asked, unless it has ended."""

    name = "call off"

    def do(self, store: Store) -> object:
        done = drive(store, cancelled(store, one(self.scene), WISH, dry_run=False))
        return (done.jobs, done.asked)

    def after(self, world: World, answer: object) -> Sequence[World]:
        row = world.get(self.job)
        if row and row.waits:
            return self.only(world, row.end(Event.CANCEL, State.CANCELLED, WISH), (1, 0), answer, None)
        then = replace(row, wish=WISH) if row and row.runs and row.wish is None else None
        return self.only(world, then, (0, 1), answer, (0, 0))


class Settle(Act):
    """``Operations.settle`` of one outcome, by the runner that claimed the job."""

    works = "running"
    event: ClassVar[Event]
    later: ClassVar[bool] = False

    def do(self, store: Store) -> object:
        claimed = cast(Claimed, self.scene.claimed)
        made = Outcome(
            claimed.id, claimed.token, self.scene.runner, self.event, delay=HOUR if self.later else 0, run_time=7
        )
        if self.event is Event.SUCCEED:
            made = made._replace(result=b"42")
        if self.event in {Event.RETRY, Event.FAIL}:
            made = made._replace(record=appended(claimed.attempts, Attempt(claimed.attempt, self.event.value, 1, 2)))
        answer = store.run(store.operations.settle([made]))
        assert not answer.refused & answer.stopped
        return "refused" if answer.refused else "stopped" if answer.stopped else "written"

    def after(self, world: World, answer: object) -> Sequence[World]:
        row, claimed = world.get(self.job), self.scene.claimed
        if row is None or claimed is None:
            return [world] if answer == "refused" else []
        if not row.held_by(self.scene.runner, claimed.token):
            return self.late(world, row, claimed.token, answer)
        back = {"attempt": row.attempt - 1} if self.event in {Event.RELEASE, Event.SNOOZE} else {}
        failed = {"failed": row.failed or self.event in {Event.RETRY, Event.FAIL}}
        end = ending(self.event)
        if end is not None:
            return self.only(world, row.end(self.event, end, None, **failed), "written", answer, None)
        if row.wish is not None:
            stopped = row.end(Event.CANCEL, State.CANCELLED, row.wish, **failed)
            return self.only(world, stopped, "stopped", answer, None)
        return self.only(world, row.wait(self.event, later=self.later, **back, **failed), "written", answer, None)

    def late(self, world: World, row: Row, token: int, answer: object) -> Sequence[World]:
        """It is not this attempt's any more; the store tells by the token whether its outcome may be in there."""
        there = row.token == token and not row.runs
        told = {"written"} if there else {"refused"}
        if there and row.stored == State.CANCELLED.value and ending(self.event) is None:
            told |= {"stopped"}
        return [world] if answer in told else []


class Succeed(Settle):
    name, event = "succeed", Event.SUCCEED


class Fail(Settle):
    name, event = "fail", Event.FAIL


class Retry(Settle):
    name, event = "retry", Event.RETRY


class RetryLater(Settle):
    name, event, later = "retry later", Event.RETRY, True


class Release(Settle):
    name, event = "release", Event.RELEASE


class SnoozeLater(Settle):
    name, event, later = "snooze", Event.SNOOZE, True


class Complete(Act):
    """The completion inside a transaction of the user's own."""

    name, works = "complete", "running"

    def do(self, store: Store) -> object:
        claimed = cast(Claimed, self.scene.claimed)
        done = Completion(claimed.id, claimed.token, self.scene.runner, b"42", None)
        with closing(cast("closing[object]", store.connect())) as connection:  # type: ignore[type-var]  # what connect gives can be closed
            loan = lend(connection)
            assert isinstance(loan, BlockingLoan)
            loan.begin()
            try:
                if run(store.operations.complete(done), loan.carry):
                    loan.commit()
                    return True
            except psycopg.errors.SerializationFailure:
                return "taken back"  # where the database's default has it so: the transaction is the user's
            finally:
                loan.rollback()
        return False

    def after(self, world: World, answer: object) -> Sequence[World]:
        row, claimed = world.get(self.job), self.scene.claimed
        if answer == "taken back":
            return [world]
        mine = row is not None and claimed is not None and row.held_by(self.scene.runner, claimed.token)
        then = row.end(Event.SUCCEED, State.SUCCEEDED) if row and mine else None
        return self.only(world, then, True, answer, False)


class Rescue(Act):
    """``Operations.rescue``; it finds the job when its runner is dead. What somebody holds is left to a later pass."""

    name, works = "rescue", "running"

    def do(self, store: Store) -> object:
        found = store.run(store.operations.rescue(100))
        return tuple(outcome.event.value for held, outcome in found.jobs if held.id == self.job)

    def after(self, world: World, answer: object) -> Sequence[World]:
        row = world.get(self.job)
        if row is None or not row.runs or row.runner == self.scene.claimer or not self.scene.dead:
            return [world] if answer == () else []
        if answer == () and not self.scene.strict:
            return [world]
        event = Event.RESCUE if row.attempt < row.limit else Event.LOSE
        changes = {"token": row.token + 1, "crashes": row.crashes + 1, "failed": True}
        assert {Event.RESCUE, Event.LOSE} <= TAKEN_BACK
        if event is Event.LOSE:
            return self.only(world, row.end(event, State.FAILED, None, **changes), ("lose",), answer, None)
        if row.wish is not None:
            stopped = row.end(Event.CANCEL, State.CANCELLED, row.wish, **changes)
            return self.only(world, stopped, ("cancel",), answer, None)
        return self.only(world, row.wait(event, later=False, **changes), ("rescue",), answer, None)


class Revive(Act):
    """``Control.revive``."""

    name, works = "revive", "ended running"

    def do(self, store: Store) -> object:
        done = store.run(store.control.revive(one(self.scene), 10, None))
        return (done.picked, done.changed)

    def after(self, world: World, answer: object) -> Sequence[World]:
        row = world.get(self.job)
        if row is None or not row.ended:
            return [world] if answer == (0, 0) else []
        if world.holder(row.key) is not None:
            return [world] if answer == (1, 0) else []
        return self.only(world, again(row), (1, 1), answer, None)


def again(row: Row) -> Row:
    """An ended job that a person wants once more."""
    limit = max(row.limit, row.attempt + 1)
    return row.wait(Event.REVIVE, later=False, wish=None, limit=limit, crashes=0, stale=False, progress=None)


class Hasten(Act):
    """``Control.hasten``."""

    name, works = "hasten", "waiting"

    def do(self, store: Store) -> object:
        return store.run(store.control.hasten(one(self.scene), 10, None)).changed

    def after(self, world: World, answer: object) -> Sequence[World]:
        row = world.get(self.job)
        then = row.wait(Event.REVIVE, later=False) if row and row.waits and row.later else None
        return self.only(world, then, 1, answer, 0)


class TryAgain(Act):
    """``job.retry()``."""

    name = "try again"

    def do(self, store: Store) -> object:
        done = drive(store, revived(store, one(self.scene), dry_run=False))
        return (done.jobs, done.left)

    def after(self, world: World, answer: object) -> Sequence[World]:
        row = world.get(self.job)
        if row and row.ended:
            held = world.holder(row.key) is not None
            return self.only(world, None if held else again(row), (1, 0), answer, (0, 1))
        then = row.wait(Event.REVIVE, later=False) if row and row.waits and row.later else None
        return self.only(world, then, (1, 0), answer, (0, 0))


class DeleteWaiting(Act):
    """``Control.delete_waiting``."""

    name, works = "delete waiting", "waiting"

    def do(self, store: Store) -> object:
        return store.run(store.control.delete_waiting(one(self.scene), 10, None)).changed

    def after(self, world: World, answer: object) -> Sequence[World]:
        row = world.get(self.job)
        gone = row is not None and row.waits
        return [world.drop(self.job) if gone else world] if answer == int(gone) else []


class DeleteEnded(Act):
    """``Control.delete_ended``."""

    name, works = "delete ended", "ended"

    def do(self, store: Store) -> object:
        return store.run(store.control.delete_ended(one(self.scene), 10, None)).changed

    def after(self, world: World, answer: object) -> Sequence[World]:
        row = world.get(self.job)
        gone = row is not None and row.ended
        return [world.drop(self.job) if gone else world] if answer == int(gone) else []


class Delete(Act):
    """What ``app.jobs.delete`` does."""

    name = "delete"

    def do(self, store: Store) -> object:
        return drive(store, deleted(store, one(self.scene), dry_run=False)).jobs

    def after(self, world: World, answer: object) -> Sequence[World]:
        row = world.get(self.job)
        gone = row is not None and not row.runs
        return [world.drop(self.job) if gone else world] if answer == int(gone) else []


class Expire(Act):
    """``Control.expire``."""

    name, works = "expire", "waiting"

    def do(self, store: Store) -> object:
        return store.run(store.control.expire(10)).changed

    def after(self, world: World, answer: object) -> Sequence[World]:
        row = world.get(self.job)
        then = row.end(Event.EXPIRE, State.CANCELLED, EXPIRED) if row and row.waits and row.over else None
        return self.only(world, then, 1, answer, 0)


class Prune(Act):
    """``Control.prune``. What somebody else holds is left to a later pass."""

    name, works = "prune", "ended"

    def do(self, store: Store) -> object:
        return store.run(store.control.prune(10))

    def after(self, world: World, answer: object) -> Sequence[World]:
        row = world.get(self.job)
        if row is not None and row.stale and answer == 1:
            return [world.drop(self.job)]
        may_pass = row is None or not row.stale or not self.scene.strict
        return [world] if answer == 0 and may_pass else []


class Claim(Act):
    """``Operations.claim``, by a living runner. What somebody else holds is left to a later claim."""

    name, works = "claim", "waiting"

    def do(self, store: Store) -> object:
        plan = store.operations.claim(self.scene.claimer, {QUEUE: 1}, [TASK])
        return tuple((job.id, job.token, job.attempt) for job in store.run(plan))

    def after(self, world: World, answer: object) -> Sequence[World]:
        due = [row for row in world.rows if row.waits and not row.later and not world.paused]
        if answer == ():
            return [world] if not due or not self.scene.strict else []
        ((id_, token, attempt),) = cast("tuple[tuple[bytes, int, int]]", answer)
        row = next((row for row in due if row.id == id_), None)
        if row is None or token <= row.token or attempt != row.attempt + 1:
            return []
        key = None if row.until_start else row.key
        taken = replace(
            row, stored="running", runner=self.scene.claimer, token=token, attempt=attempt, key=key, later=False
        )
        return [world.put(row.moved(Event.CLAIM, taken))]


class Tell(Act):
    """``Operations.report``. A row that somebody else holds is passed over."""

    name, works = "report", "running"

    def do(self, store: Store) -> object:
        claimed = cast(Claimed, self.scene.claimed)
        return store.run(store.operations.report([Report(claimed.id, claimed.token, self.scene.runner, NEWS)]))

    def after(self, world: World, answer: object) -> Sequence[World]:
        row, claimed = world.get(self.job), self.scene.claimed
        assert answer is None
        if row is None or claimed is None or not row.held_by(self.scene.runner, claimed.token):
            return [world]
        told = world.put(replace(row, progress=NEWS))
        return [told] if self.scene.strict else [told, world]


class Pause(Act):
    """``Control.pause``."""

    name, works = "pause", "waiting"

    def do(self, store: Store) -> object:
        return store.run(store.control.pause(QUEUE))

    def after(self, world: World, answer: object) -> Sequence[World]:
        return [world._replace(paused=True)] if answer is None else []


class Enqueue(Act):
    """A second enqueue of the job's unique key."""

    works = "keyed"
    policy: ClassVar[OnConflict]

    def __init__(self, scene: Scene) -> None:
        """The new job's arguments are its own."""
        super().__init__(scene)
        self.id = ids.new()
        self.args = f'[["{self.id.hex()}"],{{}}]'.encode()

    def do(self, store: Store) -> object:
        hold = Hold(cast(str, self.scene.key), until_start=False, on_conflict=self.policy)
        new = NewJob(self.id, TASK, QUEUE, 0, 0, 0, 5, None, self.args, unique=hold)
        try:
            holders = store.run(store.operations.enqueue([new]))
        except DuplicateJob as refusal:
            return ("refused", refusal.job_id)
        return ("holder", ids.text(holders[self.id])) if self.id in holders else "created"

    def after(self, world: World, answer: object) -> Sequence[World]:
        holder = world.holder(self.scene.key)
        if holder is None:
            new = Row(self.id, "waiting", key=self.scene.key, args=self.args)
            return [world.put(new)] if answer == "created" else []
        told = "refused" if self.policy == "raise" else "holder"
        then = self.replaced(holder) if self.policy == "replace" and holder.waits else holder
        return self.only(world, then, (told, ids.text(holder.id)), answer, None)

    def replaced(self, holder: Row) -> Row:
        """The holder, as a new job with the new one's arguments and options: nothing that it has been through stays."""
        return Row(holder.id, "waiting", token=holder.token, key=holder.key, args=self.args)


class EnqueueExisting(Enqueue):
    name, policy = "enqueue", "existing"


class EnqueueReplace(Enqueue):
    name, policy = "replace", "replace"


class EnqueueRaise(Enqueue):
    name, policy = "enqueue or raise", "raise"


ACTS: tuple[type[Act], ...] = (
    Cancel,
    Ask,
    CallOff,
    Succeed,
    Fail,
    Retry,
    RetryLater,
    Release,
    SnoozeLater,
    Complete,
    Rescue,
    Revive,
    Hasten,
    TryAgain,
    DeleteWaiting,
    DeleteEnded,
    Delete,
    Expire,
    Prune,
    Claim,
    Tell,
    Pause,
    EnqueueExisting,
    EnqueueReplace,
    EnqueueRaise,
)
