"""The operations on Redis: each is a call of a script, or a few. ``store.contract.Operations`` says what each owes."""

from binascii import unhexlify
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple, cast

from conveyor.core import ids
from conveyor.core.errors import DuplicateJob, StoreRefused, UsageError
from conveyor.core.judge import judge_loss
from conveyor.core.lifecycle import STORED_WAITING, TAKEN_BACK, Event, ending
from conveyor.core.model import Claimed, Completion, Held, NewJob, Outcome, Report
from conveyor.plan import Plan, Steps
from conveyor.store.answers import Rescued, Settled, Visit
from conveyor.store.ending import called_off, in_turn, rescued
from conveyor.store.redis.reads import RedisReads
from conveyor.store.redis.scripts import MOST, Argument, bounded, call, given
from conveyor.store.sight import Sight

RESTS: Final = 15.0
"""Seconds for which a worker at rest asks to be rung; it claims again within a third of that."""
EACH: Final = 0.001
"""Seconds of patience for each job of many."""
REFUSED, STOPPED, MISSING = b"rsm"
"""Letters of the answer of ``settle.lua``."""
NOTHING_RARE: Final[Sequence[None]] = (None, None, None, None, None)
"""What few jobs have: crashes, attempts before this one, an expiry, extras, and that somebody wants it cancelled."""
_USUAL: Final = Outcome(b"", 0, b"", Event.SUCCEED)
PLAIN: Final = (*_USUAL[4:9], *_USUAL[10:13])
"""What an outcome has, besides its result and its time, of which there is no more to be said."""


class Looked(NamedTuple):
    """What a claim has seen of one shard."""

    began: int | None
    """The server's clock at its first call."""
    whole: bool
    """Whether it found all that is due, and is rung when there is more."""
    due: int | None
    """Microseconds until there is, as far as that can be seen."""

    def more(self, at: int, soonest: bytes | None) -> "Looked":
        """Behind one more call, which tells when the next job comes due: never is empty, ``None`` if it cannot tell."""
        due = int(soonest) - at if soonest else None
        due = self.due if due is None else due if self.due is None else min(due, self.due)
        first = self.began is None
        return Looked(at if self.began is None else self.began, soonest is not None and (first or self.whole), due)


NOWHERE: Final = Looked(None, whole=False, due=None)


class RedisOperations(RedisReads):
    """See ``store.contract.Operations``."""

    def enqueue(self, jobs: Sequence[NewJob]) -> Plan[Mapping[bytes, bytes]]:
        """See ``Operations.enqueue``."""
        return Plan(partial(_enqueue, "first", jobs), patience=len(jobs) * EACH)

    def repeat_enqueue(self, jobs: Sequence[NewJob]) -> Plan[Mapping[bytes, bytes]]:
        """See ``Operations.repeat_enqueue``."""
        return Plan(partial(_enqueue, "again", jobs), patience=len(jobs) * EACH)

    def relayed_steps(self, outbox: str, batch: int, jobs: Sequence[NewJob]) -> Steps[bool]:
        """The steps that store jobs of an outbox in one shard; whether they are there. See ``store.outbox.Intake``."""
        answer = yield from _sent("again", jobs, outbox, batch)
        return answer[0] != b"behind"

    def visit(self, visit: Visit) -> Plan[str]:
        """There are no transactions to join: raises ``UsageError``."""
        raise UsageError(
            f"{visit.name} cannot lend its transaction to a store on Redis ({visit.url}): enqueue after its commit"
        )

    def join(self, jobs: Sequence[NewJob]) -> Plan[Mapping[bytes, bytes]]:
        """As ``visit``."""
        raise UsageError(f"{len(jobs)} jobs cannot join a transaction: the store is on Redis")

    def complete(self, done: Completion) -> Plan[bool]:
        """As ``visit``."""
        raise UsageError(f"job {ids.text(done.id)} cannot be completed in a transaction: the store is on Redis")

    def confirm(self, id_: bytes, token: int) -> Plan[bool]:
        """See ``Operations.confirm``: nothing is ever under way."""

        def steps() -> "Steps[bool]":
            state, bears = cast("list[bytes | None]", (yield call("standing", id_.hex())).rows[0][0])
            return state not in {None, b"waiting", b"running"} and int(bears or 0) == token

        return Plan(steps, writes=False)

    def claim(
        self, runner: bytes, room: Mapping[str, int], tasks: Sequence[str], sight: Sight | None = None
    ) -> Plan[Sequence[Claimed]]:
        """See ``Operations.claim``. Up to ``MOST`` at a time, so that nobody waits for long."""
        seen = sight or Sight()

        def steps() -> "Steps[Sequence[Claimed]]":
            seen.rests_until = None
            jobs = yield from self.claimed(runner, room, tasks, seen, 0)
            seen.rests_until = seen.rest.until(1, room)
            return jobs

        return Plan(steps, steady=True)

    def claimed(
        self, runner: bytes, room: Mapping[str, int], tasks: Sequence[str], sight: Sight, shard: int
    ) -> Steps[Sequence[Claimed]]:
        """The steps of ``claim`` in one *shard*; whether its worker rests in all of them is not told."""
        queues = [queue for queue, count in room.items() if count > 0]
        rung = sight.rest.end(shard, queues)
        jobs, looked = yield from _claim(runner, room, tasks, sight.rest.ear, rung=rung)
        sight.until = sight.until if looked.began is None else looked.began
        if looked.whole:
            sight.rest.begin(shard, queues, looked.due)
        return jobs

    def next_due(self, queues: Sequence[str], sight: Sight | None = None) -> Plan[int | None]:
        """See ``Operations.next_due``."""
        return Plan(partial(_next_due, queues, sight or Sight()), writes=False, steady=True)

    def settle(self, outcomes: Sequence[Outcome]) -> Plan[Settled]:
        """See ``Operations.settle``."""
        return Plan(partial(_settle, outcomes), steady=True, patience=len(outcomes) * EACH)

    def settled(self, outcomes: Sequence[Outcome]) -> Steps[tuple[Settled, Sequence[Outcome]]]:
        """The steps of ``settle`` in one shard, and the outcomes of jobs that are not there."""
        return _settled(outcomes)

    def report(self, reports: Sequence[Report]) -> Plan[None]:
        """See ``Operations.report``."""

        def steps() -> "Steps[None]":
            yield from self.reported(reports)

        return Plan(steps)

    def reported(self, reports: Sequence[Report]) -> Steps[Sequence[Report]]:
        """The steps of ``report`` in one shard, and the reports of jobs that are not there."""
        missing: set[bytes] = set()
        for part in bounded(reports):
            fields = [(one.id.hex(), one.token, one.runner.hex(), one.progress) for one in part]
            answer = yield call("report", *(value for row in fields for value in row))
            missing.update(map(unhex, cast("list[bytes]", answer.rows[0][0])))
        return [one for one in reports if one.id in missing]

    def asked(self, runner: bytes) -> Plan[Sequence[tuple[bytes, int, str]]]:
        """See ``Operations.asked``."""

        def steps() -> "Steps[Sequence[tuple[bytes, int, str]]]":
            rows = cast("list[tuple[bytes, bytes, bytes]]", (yield call("asked", runner.hex())).rows[0][0])
            return [(unhex(id_), int(token), reason.decode()) for id_, token, reason in rows]

        return Plan(steps, writes=False)

    def held(self, runner: bytes) -> Plan[Sequence[tuple[bytes, int]]]:
        """See ``Operations.held``."""

        def steps() -> "Steps[Sequence[tuple[bytes, int]]]":
            flat = cast("list[bytes]", (yield call("held", runner.hex())).rows[0][0])
            return [(unhex(id_), int(token)) for id_, token in zip(flat[::2], flat[1::2], strict=True)]

        return Plan(steps, writes=False)

    def rescue(self, limit: int) -> Plan[Rescued]:
        """See ``Operations.rescue``. Up to ``MOST`` jobs at a time; who has more stays known as dead meanwhile."""
        return Plan(partial(_rescue, limit))


def _sent(how: str, jobs: Sequence[NewJob], outbox: str = "", batch: int = 0) -> Steps[list[bytes]]:
    """*batch* is the number of these jobs in an *outbox*."""
    values = (value for job in jobs for value in arriving(job))
    return cast("list[bytes]", (yield call("enqueue", how, outbox, batch, *values)).rows[0][0])


def _enqueue(how: str, jobs: Sequence[NewJob]) -> Steps[Mapping[bytes, bytes]]:
    if not jobs:
        return {}
    what, *pairs = yield from _sent(how, jobs)
    if what == b"known":
        raise StoreRefused(f"job {ids.text(unhex(pairs[0]))} is in the store already; ids must be new")
    if what == b"held":
        holder = ids.text(unhex(pairs[1]))
        raise DuplicateJob(f"job {holder} holds the unique key, and has not ended", holder)
    return {unhex(id_): unhex(holder) for id_, holder in zip(pairs[::2], pairs[1::2], strict=True)}


def arriving(job: NewJob) -> tuple[Argument, ...]:
    """One job as ``arriving.lua`` reads it."""
    timeout = b"" if job.timeout is None else job.timeout
    usual = (job.id.hex(), job.task, job.queue, job.priority, job.due, job.delay, job.max_attempts, timeout, job.args)
    hold = job.unique
    if hold is None and job.expires is None and job.keep is None and job.extras is None:
        return (*usual, 0)
    values = {"expires": job.expires, "keep": job.keep, "extras": job.extras}
    if hold is not None:
        values |= {"unique": hold.key, "on_conflict": hold.on_conflict, "until_start": 1 if hold.until_start else None}
    rare = [(name, value) for name, value in values.items() if value is not None]
    return (*usual, len(rare), *(part for pair in rare for part in pair))


def _claim(
    runner: bytes, room: Mapping[str, int], tasks: Sequence[str], ear: str, *, rung: bool
) -> Steps[tuple[Sequence[Claimed], Looked]]:
    claimed: list[Claimed] = []
    left = {queue: count for queue, count in room.items() if count > 0}
    looked = NOWHERE
    named: list[Argument] = [runner.hex(), ear, round(RESTS * 1_000_000), int(rung), len(tasks), *tasks]
    while left and tasks:
        now = {queue: min(count, MOST // len(left) or 1) for queue, count in left.items()}
        answer = yield call("claim", *named, *(value for pair in now.items() for value in pair))
        clock, due, *lanes = cast("list[object]", answer.rows[0][0])
        at = int(cast(bytes, clock))
        looked = looked.more(at, cast("bytes | None", due))
        jobs = [job for lane in lanes for job in _claimed(cast("list[object]", lane), at)]
        claimed += jobs
        taken = Counter(job.queue for job in jobs)
        full = {queue: count - now[queue] for queue, count in left.items() if taken[queue] >= now[queue]}
        left = {queue: count for queue, count in full.items() if count > 0}
        looked = looked if left.keys() == full.keys() else looked._replace(whole=False)
    return in_turn(claimed), looked if ear else looked._replace(whole=False)


def _next_due(queues: Sequence[str], sight: Sight) -> Steps[int | None]:
    left, cursor, since = list(queues), b"0", sight.until
    soonest: int | None = None
    clock = 0
    while left:
        answer = yield call("next_due", given(since), cursor, *left)
        at, done, cursor, found = cast("tuple[bytes, int, bytes, bytes | None]", answer.rows[0][0])
        clock, left = int(at), left[done:]
        since = clock if since is None else since  # or what comes due between two calls would be told of by neither
        if found is not None and (soonest is None or int(found) < soonest):
            soonest = int(found)
    return None if soonest is None else soonest - clock


def _claimed(lane: Sequence[object], at: int) -> Iterator[Claimed]:
    """The jobs of one lane, as ``claim.lua`` gives them."""
    queue, priority, task = cast("list[bytes]", lane[:3])
    of, level, name = queue.decode(), int(priority), task.decode()
    for row in cast("list[list[bytes]]", lane[3:]):
        id_, after, attempt, most, token, timeout, args, *rare = row
        crashes, attempts, expires, extras, cancelled = cast("list[bytes | None]", rare) or NOTHING_RARE
        yield Claimed(
            unhex(id_),
            name,
            of,
            level,
            int(after),
            int(attempt),
            int(most),
            _int(crashes),
            int(token),
            None if timeout is None else int(timeout),  # type: ignore[redundant-expr]  # the only one that may be missing
            args,
            attempts,
            at,
            None if expires is None else int(expires),
            text(extras),
            text(cancelled),
        )


def _settle(outcomes: Sequence[Outcome]) -> Steps[Settled]:
    found, missing = yield from _settled(outcomes)
    return found._replace(refused=found.refused | frozenset(outcome.id for outcome in missing))


def _settled(outcomes: Sequence[Outcome]) -> Steps[tuple[Settled, Sequence[Outcome]]]:
    found, missing = Settled(), list[Outcome]()
    for part in bounded(outcomes):
        answer, absent = yield from _settled_part(part)
        found = Settled(found.refused | answer.refused, found.stopped | answer.stopped)
        missing += absent
    return found, missing


def _settled_part(outcomes: Sequence[Outcome]) -> Steps[tuple[Settled, Sequence[Outcome]]]:
    runner = outcomes[0].runner
    plain = [outcome for outcome in outcomes if outcome.runner == runner and _plain(outcome)]
    others = [outcome for outcome in outcomes if not (outcome.runner == runner and _plain(outcome))]
    arguments: list[Argument] = [runner.hex(), len(plain)]
    for outcome in plain:
        arguments += (outcome.id.hex(), outcome.token, outcome.run_time, given(outcome.result))
    for outcome in others:
        arguments += _outcome(outcome)
    letters = cast(bytes, (yield call("settle", *arguments)).rows[0][0])
    pairs = list(zip((*plain, *others), letters, strict=True))
    ids_of = {kind: frozenset(outcome.id for outcome, letter in pairs if letter == kind) for kind in (REFUSED, STOPPED)}
    missing = [outcome for outcome, letter in pairs if letter == MISSING]
    return Settled(ids_of[REFUSED], ids_of[STOPPED]), missing


def _plain(outcome: Outcome) -> bool:
    """Whether a job has succeeded, and there is nothing else to be said of it but its result."""
    return outcome.event is Event.SUCCEED and (*outcome[4:9], *outcome[10:13]) == PLAIN


def _outcome(outcome: Outcome) -> tuple[Argument, ...]:
    """One outcome as ``settle.lua`` reads it."""
    return (
        outcome.id.hex(),
        outcome.token,
        outcome.runner.hex(),
        ending(outcome.event) or STORED_WAITING,
        outcome.flags,
        outcome.due,
        outcome.delay,
        given(outcome.result),
        given(outcome.record),
        given(outcome.reason),
        given(outcome.fingerprint),
        outcome.run_time,
        f"{'-' if outcome.event in TAKEN_BACK else 'o'}{called_off(outcome).flags}",
    )


def _rescue(limit: int) -> Steps[Rescued]:
    held = yield from held_of(limit)
    outcomes = [judge_loss(job) for job in held]
    found = rescued(held, outcomes, (yield from _settle(outcomes)), limit)
    return found._replace(more=found.more or (len(held) >= MOST and bool(found.jobs)))  # else somebody else is at it


def held_of(limit: int) -> Steps[Sequence[Held]]:
    """The jobs that up to *limit* dead runners hold in one shard, or the first ``MOST`` of them."""
    rows = cast("list[list[bytes | None]]", (yield call("orphans", limit, MOST)).rows[0][0])
    return [_held(row) for row in rows]


def _held(row: Sequence[bytes | int | None]) -> Held:
    id_, token, runner, attempt, most, crashes, attempts, at, now, task, queue, extras, company = row
    return Held(
        unhex(cast(bytes, id_)),
        _int(token),
        unhex(cast(bytes, runner)),
        _int(attempt),
        _int(most),
        _int(crashes),
        cast("bytes | None", attempts),
        _int(at),
        _int(now),
        cast(bytes, task).decode(),
        cast(bytes, queue).decode(),
        text(cast("bytes | None", extras)),
        _int(company),
    )


def _int(value: bytes | int | None) -> int:
    return int(value or 0)


def unhex(value: bytes) -> bytes:
    """An id, as it is stored."""
    return unhexlify(value)


def text(value: bytes | None) -> str | None:
    """A text that may be missing. What somebody has spoilt must not spoil a whole answer."""
    return None if value is None else value.decode("utf-8", "replace")
