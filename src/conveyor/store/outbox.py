"""An outbox: jobs for a store on Redis, held by a transaction on SQL, and forwarded after its commit, each once.

The way of a job: the user's transaction inserts it here (``hold``). A relay puts the oldest into a *batch* with a
number, and commits that (``take``); it sends the batch to the other store, which remembers the number with the very
step that stores the jobs (``Intake.relayed``), and deletes it here (``forwarded``). A relay may die anywhere: what is
in a batch stays in it, the next relay sends it again, and a number that is known stores nothing twice, also when the
jobs have ended and are gone since. A shard remembers some thousand numbers. That one relay works at a time only saves
work.

A relay that looked from the beginning each time would find all the rows first that it has deleted, as long as somebody
holds a snapshot. So it looks behind the position that it had reached some seconds ago, and only now and then at all.
Nor does a batch change the row that says whose turn it is: see ``Standing``.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Final, NamedTuple, Protocol, cast

import msgspec

from conveyor.core.errors import ConveyorError, UsageError
from conveyor.core.model import COUNTED, NewJob
from conveyor.core.options import PRIORITIES
from conveyor.core.text import NAME_LENGTH
from conveyor.core.unique import Hold, OnConflict
from conveyor.plan import Plan, Row, Statement, Steps
from conveyor.store.sqlbase import SqlBase, number

EACH: Final = 0.01
"""Seconds of patience for each job of many."""
JOBS: Final = 1_000
BYTES: Final = 1_000_000
"""Of one batch, at most; but for one job that is larger."""
AT_ONCE: Final = 10_000_000
"""Characters that one statement puts here, but for one job that is larger: PostgreSQL hangs up on a gigabyte."""
MOST_OPEN: Final = 8
"""Batches that are under way at a time: some may have to wait for a shard that cannot be reached."""
NUMBERS: Final = 100_000
"""That are a relay's each time when it says that the turn is its own: more than it can give until the next time."""


class Entry(NamedTuple):
    """One job of a batch."""

    position: int
    job: NewJob


class Batch(NamedTuple):
    """Jobs that are forwarded together."""

    number: int
    entries: Sequence[Entry]
    unread: Mapping[int, str] = {}
    """What was spoilt, by its position, and how: it stays, and nothing else waits for it."""


class Turn(NamedTuple):
    """Whose it is to forward."""

    mine: bool
    left: int
    """Microseconds that the turn lasts, whosever it is."""
    waiting: bool
    """Whether anything is to be forwarded."""


class Standing:
    """What a relay remembers while the turn is its own, so that the row which says so is written only to prolong it.

    Each version of that row, and each batch that has ended, would be passed again by whoever looks for the latest, for
    as long as somebody holds a snapshot.
    """

    def __init__(self) -> None:
        """It is not one's turn."""
        self.lowest = 0
        """The row's own number: those above it are this relay's, for as long as it stands there."""
        self.last = 0
        """The number that was given last."""
        self.open = 0
        """No batch of a lower number is under way."""

    def begin(self, lowest: int) -> None:
        """The turn was taken, or prolonged; somebody else may have had it meanwhile."""
        self.lowest = self.last = lowest
        self.open = 0


class Relayed(NamedTuple):
    """What became of batches."""

    stored: frozenset[bytes]
    """The ids of jobs that are in the store, or have been, or whose unique key another job holds."""
    trouble: ConveyorError | None = None
    """Why not all are."""
    behind: frozenset[int] = frozenset()
    """Numbers of batches that are older than all that is remembered: whether they are new cannot be told."""


class Outbox(Protocol):
    """The operations of an outbox, on SQL, for one store elsewhere."""

    def hold(self, jobs: Sequence[NewJob]) -> Plan[Mapping[bytes, bytes]]:
        """Over a connection of the user's that was visited: its commit leaves *jobs* to be forwarded, in order."""
        ...

    def turn(self, owner: str, since: int) -> Plan[Turn]:
        """Whose turn it is; nothing is changed. *since* as for ``take``."""
        ...

    def take(
        self, owner: str, lasting: int, since: int, standing: Standing | None = None
    ) -> Plan[Sequence[Batch] | None]:
        """All batches that are under way, in order, and one more; ``None``: it is somebody else's turn.

        The turn is *owner*'s for 3/4 of *lasting* microseconds more, at least. Jobs are looked for behind the position
        *since*. *standing* is *owner*'s, and the same each time.
        """
        ...

    def forwarded(self, batch: Batch, stored: frozenset[bytes]) -> Plan[None]:
        """Those of *batch* that are *stored* are gone from here, and so is the batch when nothing is left of it."""
        ...

    def undone(self, number: int) -> Plan[None]:
        """There is no batch of that number; what is left of it will be in another."""
        ...

    def pass_on(self, owner: str) -> Plan[None]:
        """It is nobody's turn, if it was *owner*'s."""
        ...

    def holds(self, id_: bytes) -> Plan[bool]:
        """Whether that job is here, and is to be forwarded yet."""
        ...

    def waiting(self) -> Plan[tuple[int, int | None]]:
        """How many jobs are here, counted up to ``COUNTED``, and the microseconds since the first of them came."""
        ...


class Intake(Protocol):
    """What the store owes that an outbox forwards to."""

    @property
    def name(self) -> str:
        """What the store calls itself, wherever it is: jobs for several stores may lie in one outbox."""
        ...

    def relayed(self, source: str, batches: Sequence[tuple[int, Sequence[NewJob]]]) -> Plan[Relayed]:
        """*batches* of the outbox *source* are stored, by their numbers, which ascend; what was stored before is not.

        Jobs that a shard cannot take are left, and what belongs there of later batches. Raises as ``Store.run`` does
        when nothing could be stored.
        """
        ...


Name = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_LENGTH)]
Micros = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
"""What Redis can reckon with. One job that it cannot would spoil each list of jobs that it is in."""


class _Held(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """A job, as it is written down here.

    What a newer version has added to one waits for a worker that knows of it: half of a job is not what was asked for.
    """

    id: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
    task: Name
    queue: Name
    priority: Annotated[int, msgspec.Meta(ge=PRIORITIES[0], le=PRIORITIES[-1])]
    due: Micros
    delay: Micros
    max_attempts: Annotated[int, msgspec.Meta(ge=1, le=2**15 - 1)]
    timeout: Micros | None
    args: str
    expires: Micros | None = None
    keep: Micros | None = None
    extras: str | None = None
    unique: str | None = None
    until_start: bool = False
    on_conflict: OnConflict = "existing"


_READ: Final = msgspec.json.Decoder(_Held)
_POSITIONS: Final = msgspec.json.Decoder(list[int])


class SqlOutbox(SqlBase):
    """The operations that SQLite and PostgreSQL share."""

    target: str

    def own(self, name: str, **params: object) -> Statement:
        """The statement *name* about what is for this target."""
        return self.statement(f"outbox_{name}", target=self.target, **params)

    def hold(self, jobs: Sequence[NewJob]) -> Plan[Mapping[bytes, bytes]]:
        """See ``Outbox``."""

        def steps() -> "Steps[Mapping[bytes, bytes]]":
            rows, size = list[tuple[str, str]](), 0
            for job in jobs:
                text = written(job)
                if rows and size + len(text) > AT_ONCE:
                    yield self.own("hold", rows=_text(rows))
                    rows, size = [], 0
                rows.append((job.id.hex(), text))
                size += len(text)
            yield self.own("hold", rows=_text(rows))
            return {}

        return Plan(steps)

    def turn(self, owner: str, since: int) -> Plan[Turn]:
        """See ``Outbox``."""

        def steps() -> "Steps[Turn]":
            whose, left, waiting = cast("tuple[str, int, int]", (yield self.own("turn", since=since)).rows[0])
            return Turn(whose == owner and left > 0, left, bool(waiting))

        return Plan(steps, writes=False)

    def take(
        self, owner: str, lasting: int, since: int, standing: Standing | None = None
    ) -> Plan[Sequence[Batch] | None]:
        """See ``Outbox``. The relay's row is locked first: who comes second sees all that the first has written."""
        steps = partial(self._take, owner, lasting, since, standing or Standing())
        return Plan(steps, atomic=True, patience=JOBS * EACH)

    def _take(self, owner: str, lasting: int, since: int, standing: Standing) -> Steps[Sequence[Batch] | None]:
        if not (yield from self._has_turn(owner, lasting, standing)):
            return None
        batches: list[Batch] = []
        taken: list[int] = []
        for number_, positions in cast("Sequence[tuple[int, str]]", (yield self.own("open", first=standing.open)).rows):
            if rows := (yield self.own("of", positions=positions)).rows:
                taken += _POSITIONS.decode(positions)
                batches.append(_batch(number_, rows))
            else:  # somebody has deleted them
                yield self.own("end", number=number_)
        if sum(1 for batch in batches if batch.entries) < MOST_OPEN:
            rows = (yield self.own("next", positions=_text(taken), since=since, limit=JOBS, bytes=BYTES)).rows
            if rows:
                standing.last += 1
                yield self.own("begin", number=standing.last, positions=_text([row[0] for row in rows]))
                batches.append(_batch(standing.last, rows))
        standing.open = min((batch.number for batch in batches), default=standing.last)
        return batches

    def _has_turn(self, owner: str, lasting: int, standing: Standing) -> Steps[bool]:
        """Whether it is *owner*'s turn. Numbers are the time: none comes twice after a restore or a failover."""
        if standing.lowest:
            rows = (yield self.own("mine", owner=owner, lasting=lasting * 3 // 4)).rows
            if rows and rows[0][0] == standing.lowest:
                return True
        rows = (yield self.own("own", owner=owner, lasting=lasting, numbers=NUMBERS)).rows
        if rows:
            standing.begin(cast(int, rows[0][0]))
        return bool(rows)

    def forwarded(self, batch: Batch, stored: frozenset[bytes]) -> Plan[None]:
        """See ``Outbox``."""

        def steps() -> "Steps[None]":
            gone = [entry.position for entry in batch.entries if entry.job.id in stored]
            if gone:
                yield self.own("forwarded", positions=_text(gone))
            # What could not be read is not of this number any more: it was not sent, and a shard now knows the number.
            if len(gone) == len(batch.entries):
                yield self.own("end", number=batch.number)

        return Plan(steps, atomic=True, patience=len(stored) * EACH)

    def undone(self, number: int) -> Plan[None]:
        """See ``Outbox``."""

        def steps() -> "Steps[None]":
            yield self.own("end", number=number)

        return Plan(steps)

    def pass_on(self, owner: str) -> Plan[None]:
        """See ``Outbox``."""

        def steps() -> "Steps[None]":
            yield self.own("disown", owner=owner)

        return Plan(steps)

    def holds(self, id_: bytes) -> Plan[bool]:
        """See ``Outbox``."""

        def steps() -> "Steps[bool]":
            return number((yield self.statement("outbox_holds", id=id_.hex()))) > 0

        return Plan(steps, writes=False)

    def waiting(self) -> Plan[tuple[int, int | None]]:
        """See ``Outbox``."""

        def steps() -> "Steps[tuple[int, int | None]]":
            rows = (yield self.own("waiting", limit=COUNTED + 1)).rows
            return cast("tuple[int, int | None]", rows[0])

        return Plan(steps, writes=False)


def written(job: NewJob) -> str:
    """One job, as it is written down here."""
    hold = job.unique
    timing = (job.queue, job.priority, job.due, job.delay, job.max_attempts, job.timeout)
    held = _Held(job.id.hex(), job.task, *timing, job.args.decode(), job.expires, job.keep, job.extras)
    if hold is not None:
        held.unique, held.until_start, held.on_conflict = hold
    return msgspec.json.encode(held).decode()


def read(text: str, put_at: int, now: int) -> NewJob:
    """The job that was written down at *put_at*; what counts from its enqueue has begun by then.

    Raises ``ValueError`` or ``MsgspecError`` for what somebody has spoilt.
    """
    held = _READ.decode(text)
    waited, late = max(now - put_at, 0), max(now - max(held.due, put_at + held.delay), 0)
    return NewJob(
        bytes.fromhex(held.id),
        held.task,
        held.queue,
        held.priority,
        held.due,
        max(held.delay - waited, 0),
        held.max_attempts,
        held.timeout,
        held.args.encode(),
        None if held.expires is None else max(held.expires - late, 0),
        held.keep,
        held.extras,
        None if held.unique is None else Hold(held.unique, held.until_start, held.on_conflict),
    )


def _batch(number: int, rows: Sequence[Row]) -> Batch:
    entries, unread = list[Entry](), dict[int, str]()
    for position, put_at, now, text in cast("Sequence[tuple[int, int, int, str]]", rows):
        try:
            entries.append(Entry(position, read(text, put_at, now)))
        except (ValueError, msgspec.MsgspecError) as error:
            unread[position] = str(error)
    return Batch(number, entries, unread)


def _text(values: Sequence[object]) -> str:
    return msgspec.json.encode(values).decode()


def needs_no_outbox(url: str) -> UsageError:
    """What is raised when a store at *url*, on SQL, is to take what an outbox forwards."""
    return UsageError(f"{url} joins transactions by itself (app.within); an outbox is for a store on Redis")
