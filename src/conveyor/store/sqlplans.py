"""What both SQL dialects do alike. A dialect's own folder holds its statements, and the plans where it differs."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Final, cast

import msgspec

from conveyor.core.errors import StoreUnavailable
from conveyor.core.judge import judge_loss
from conveyor.core.lifecycle import TAKEN_BACK, ending
from conveyor.core.model import Claimed, Held, Outcome, Report, RunnerInfo
from conveyor.plan import Plan, Ring, Row, Steps
from conveyor.store.answers import Rescued, Settled
from conveyor.store.arrivals import Arrivals
from conveyor.store.ending import called_off, rescued
from conveyor.store.reads import Reads
from conveyor.store.sight import Sight
from conveyor.store.sqlbase import number

SETTLE_ROUNDS: Final = 20
"""So often may a row be rewritten just when it is to be settled."""
BURIAL = 60_000_000
"""Microseconds that a dead runner's row stays, so that rescue still looks for claims that were in flight."""


_NONE: Final[frozenset[bytes]] = frozenset()


class SqlOperations(Arrivals, Reads):
    """The operations that SQLite and PostgreSQL share; ``store.contract.Operations`` says what each owes."""

    @abstractmethod
    def claim_steps(
        self, runner: bytes, room: Mapping[str, int], tasks: Sequence[str], sight: Sight
    ) -> Steps[Sequence[Claimed]]:
        """The steps of ``claim``."""

    @abstractmethod
    def next_due_steps(self, queues: Sequence[str], sight: Sight) -> Steps[int | None]:
        """The steps of ``next_due``."""

    @abstractmethod
    def write_final(self, outcomes: Sequence[Outcome]) -> Steps[int]:
        """Move ended jobs to history; how many were still the runner's."""

    @abstractmethod
    def write_stops(self, outcomes: Sequence[Outcome]) -> Steps[frozenset[bytes]]:
        """The same for those alone that somebody wants cancelled; their ids."""

    @abstractmethod
    def write_again(self, outcomes: Sequence[Outcome]) -> Steps[int]:
        """Make jobs ready again; how many were still the runner's."""

    @abstractmethod
    def recorded(self, outcomes: Sequence[Outcome]) -> Steps[frozenset[bytes]]:
        """The ids among *outcomes* whose outcome is in the store."""

    @abstractmethod
    def still_held(self, outcomes: Sequence[Outcome]) -> Steps[frozenset[bytes]]:
        """The ids among *outcomes* whose attempt is going on, as far as the store knows."""

    @abstractmethod
    def cancelled(self, outcomes: Sequence[Outcome]) -> Steps[frozenset[bytes]]:
        """The ids among *outcomes* that are in history as cancelled."""

    @abstractmethod
    def write_reports(self, reports: Sequence[Report]) -> Steps[None]:
        """Keep how far running attempts have come."""

    def claim(
        self, runner: bytes, room: Mapping[str, int], tasks: Sequence[str], sight: Sight | None = None
    ) -> Plan[Sequence[Claimed]]:
        """See ``Operations.claim``."""
        return Plan(partial(self.claim_steps, runner, room, tasks, sight or Sight()), steady=True)

    def next_due(self, queues: Sequence[str], sight: Sight | None = None) -> Plan[int | None]:
        """See ``Operations.next_due``."""
        return Plan(partial(self.next_due_steps, queues, sight or Sight()), writes=False, steady=True)

    def settle(self, outcomes: Sequence[Outcome]) -> Plan[Settled]:
        """See ``Operations.settle``."""
        again = any(not ending(outcome.event) for outcome in outcomes)
        rings = Ring.WORK if again else None
        return Plan(partial(self._settle, sorted(outcomes, key=_by_id)), rings=rings, steady=True)

    def _settle(self, outcomes: Sequence[Outcome]) -> Steps[Settled]:
        """In the order of ids, so that two settles never wait for each other in a circle.

        A row that somebody else rewrites at the same moment is passed over by PostgreSQL (the version that we may
        see is gone, the new one is not ours to see), though the job is still ours: so what is still held is tried
        again, with a new snapshot. A job that somebody has asked to cancel is not made ready again: it ends here.
        """
        left = outcomes
        refused = stopped = _NONE
        for _ in range(SETTLE_ROUNDS):
            again = [outcome for outcome in left if not ending(outcome.event)]
            final = [outcome for outcome in left if ending(outcome.event)]
            written = (yield from self.write_final(final)) if final else 0
            written += (yield from self.write_again(again)) if again else 0
            if written == len(left):
                return Settled(refused, stopped)
            stopped |= (yield from self.write_stops(list(map(called_off, again)))) if again else _NONE
            held = yield from self.still_held(left)
            gone = [outcome for outcome in left if outcome.id not in held | stopped]
            stopped |= yield from self._ended_before(gone)
            recorded = yield from self.recorded(gone)
            refused |= frozenset(outcome.id for outcome in gone) - recorded - stopped
            left = [outcome for outcome in left if outcome.id in held]
            if not left:
                return Settled(refused, stopped)
        raise StoreUnavailable(f"{len(left)} jobs were rewritten {SETTLE_ROUNDS} times while they were to be settled")

    def _ended_before(self, gone: Sequence[Outcome]) -> Steps[frozenset[bytes]]:
        """Those of *gone* that an earlier settle has ended as cancelled, whose answer was lost.

        Not those of dead runners that another rescuer has ended: they are told of by that one.
        """
        own = (outcome for outcome in gone if not ending(outcome.event) and outcome.event not in TAKEN_BACK)
        again = [called_off(outcome) for outcome in own]
        return (yield from self.cancelled(again)) if again else _NONE

    def held(self, runner: bytes) -> Plan[Sequence[tuple[bytes, int]]]:
        """See ``Operations.held``."""

        def steps() -> "Steps[Sequence[tuple[bytes, int]]]":
            answer = yield self.statement("held", runner=self.id_param(runner))
            return cast(Sequence[tuple[bytes, int]], answer.rows)

        return Plan(steps, writes=False)

    def report(self, reports: Sequence[Report]) -> Plan[None]:
        """See ``Operations.report``."""
        return Plan(partial(self.write_reports, sorted(reports)))

    def asked(self, runner: bytes) -> Plan[Sequence[tuple[bytes, int, str]]]:
        """See ``Operations.asked``."""

        def steps() -> "Steps[Sequence[tuple[bytes, int, str]]]":
            answer = yield self.statement("asked", runner=self.id_param(runner))
            return cast(Sequence[tuple[bytes, int, str]], answer.rows)

        return Plan(steps, writes=False)

    def rescue(self, limit: int) -> Plan[Rescued]:
        """See ``Operations.rescue``.

        In one transaction, for it writes two statements: a rescuer that died between them would leave part of a dead
        runner's jobs, and the last of them would look as if it had been alone.
        """
        return Plan(partial(self._rescue, limit), atomic=True, rings=Ring.WORK)

    def _rescue(self, limit: int) -> Steps[Rescued]:
        """Find, judge, settle. A job whose row somebody holds is left for the next pass."""
        answer = yield self.statement("orphans", limit=limit)
        held = [Held._make(row) for row in answer.rows]
        if not held:
            yield self.statement("bury", grace=BURIAL)
            return Rescued((), more=False)
        outcomes = [judge_loss(job) for job in held]
        settled = yield from self._settle(sorted(outcomes, key=_by_id))
        return rescued(held, outcomes, settled, limit)

    def dead_runners(self) -> Plan[int]:
        """See ``Operations.dead_runners``."""

        def steps() -> "Steps[int]":
            return number((yield self.statement("dead_runners")))

        return Plan(steps, writes=False)

    def register(self, runner: bytes, info: RunnerInfo, lease: int) -> Plan[None]:
        """Make the runner known; *lease* in microseconds, where the lease is a row."""

        def steps() -> "Steps[None]":
            data = msgspec.json.encode(info)
            yield self.statement("register", runner=self.id_param(runner), info=data, lease=lease)

        return Plan(steps)

    def forget(self, runner: bytes) -> Plan[None]:
        """Make the runner unknown: it holds nothing, so nobody need look for what it held."""

        def steps() -> "Steps[None]":
            yield self.statement("forget", runner=self.id_param(runner))

        return Plan(steps)


_by_id: Final = attrgetter("id")


def id_set(rows: Iterable[Row]) -> frozenset[bytes]:
    """The ids in a one-column answer."""
    return frozenset(cast(bytes, id_) for (id_,) in rows)
