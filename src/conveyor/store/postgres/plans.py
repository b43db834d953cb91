"""The operations on PostgreSQL. Nearly each is one statement, which commits by itself in one round trip."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import ClassVar, Final, cast
from uuid import UUID

import msgspec

from conveyor.core.lifecycle import GIVEN_BACK, TAKEN_BACK, State, ending
from conveyor.core.model import Claimed, NewJob, Outcome, Report
from conveyor.plan import Column, Plan, Row, Statement, Steps
from conveyor.store.answers import Arranged
from conveyor.store.arrivals import Given
from conveyor.store.control import SqlControl
from conveyor.store.ending import in_turn
from conveyor.store.postgres.agenda import Agenda
from conveyor.store.postgres.sight import LaneSight, Said, Window
from conveyor.store.reading import Dialect, Head
from conveyor.store.sight import Sight
from conveyor.store.sqlbase import SqlBase, number
from conveyor.store.sqlfiles import sql
from conveyor.store.sqlplans import SqlOperations, id_set

_SAID: Final = msgspec.json.Decoder(Said)
_FOUND: Final = msgspec.json.Decoder(list[tuple[str, int, int]])
FLAGGED: Final = TAKEN_BACK | GIVEN_BACK
LOCK_WAIT: Final = 8_500
"""Milliseconds to wait for what another transaction holds: less than a caller waits for anything."""


class PostgresDialect(SqlBase):
    """How PostgreSQL takes values: many rows travel as columns, one array parameter for each."""

    folder: ClassVar[str] = "postgres"
    reading: ClassVar[Dialect] = Dialect(
        now="(SELECT conveyor_now())",
        id_form="uuid_send({})",
        id_list="{} = ANY (:ids::uuid[])",
        contains="strpos({}, :tag) > 0",
        ended="conveyor_ended(:id)",
        heads={
            State.READY: Head(f"({sql('postgres', 'due')}) AS due"),
            State.RUNNING: Head(f"({sql('postgres', 'started')}) AS started", unless=sql("postgres", "deep")),
            State.SCHEDULED: Head(f"({sql('postgres', 'later')}) AS later"),
        },
    )

    def id_param(self, id_: bytes) -> object:
        """See ``SqlBase.id_param``."""
        return UUID(bytes=id_)

    def plain_id(self, id_: bytes) -> object:
        """See ``SqlBase.plain_id``."""
        return id_.hex()

    def id_list(self, ids: Sequence[bytes]) -> dict[str, object]:
        """See ``SqlBase.id_list``."""
        return {"ids": Column("uuid", ids)}


class PostgresControl(PostgresDialect, SqlControl):
    """``SqlControl`` for PostgreSQL: each change is one statement."""

    def params(self, **params: object) -> dict[str, object]:
        """See ``SqlBase.params``."""
        return params | _patience()

    def change(self, name: str, terms: str, params: dict[str, object]) -> Steps[Sequence[Row]]:
        """See ``SqlControl.change``."""
        return (yield Statement(sql(self.folder, name).replace("{where}", terms), params)).rows

    def pruned(self, limit: int) -> Steps[int]:
        """See ``SqlControl.pruned``."""
        return number((yield self.statement("prune", limit=limit)))

    def arrange(self) -> Plan[Arranged]:
        """See ``Control.arrange``."""

        def steps() -> "Steps[Arranged]":
            return Arranged._make((yield self.statement("arrange")).rows[0])

        return Plan(steps)


class PostgresOperations(PostgresDialect, SqlOperations):
    """``SqlOperations`` for PostgreSQL."""

    def insert(self, name: str, jobs: Sequence[NewJob]) -> Steps[None]:
        """See ``SqlOperations.insert``."""
        ids, tasks, queues, priorities, dues, delays, limits, timeouts, payloads, expiries, keeps, extras, _ = zip(
            *jobs, strict=True
        )
        yield self.steady(
            name,
            id=Column("uuid", ids),
            task=Column("text", tasks),
            queue=Column("text", queues),
            priority=Column("int2", priorities),
            due=Column("int8", dues),
            delay=Column("int8", delays),
            max_attempts=Column("int2", limits),
            timeout=Column("int8", timeouts),
            args=Column("bytea", payloads),
            expires=Column("int8", expiries),
            keep=Column("int8", keeps),
            extras=Column("text", extras),
        )

    def take_turns(self, jobs: Sequence[NewJob]) -> Steps[None]:
        """See ``Arrivals.take_turns``."""
        keys = [job.unique.key for job in jobs if job.unique]
        yield self.statement("take_turns", keys=msgspec.json.encode(keys).decode(), **_patience())

    def rows_param(self, jobs: Sequence[NewJob]) -> dict[str, object]:
        """See ``Arrivals.rows_param``."""
        rows = msgspec.json.encode([Given.of(job, place) for place, job in enumerate(jobs)]).decode()
        return {"rows": rows} | _patience()

    def id_texts(self, given: Sequence[bytes]) -> dict[str, object]:
        """See ``Arrivals.id_texts``."""
        return {"ids": msgspec.json.encode([id_.hex() for id_ in given]).decode()}

    def complete_steps(self, key: Mapping[str, object], texts: Mapping[str, object]) -> Steps[bool]:
        """See ``Arrivals.complete_steps``."""
        return number((yield self.statement("complete", **key, **texts))) == 1

    def delete_finished(self, jobs: Sequence[NewJob]) -> Steps[None]:
        """See ``SqlOperations.delete_finished``."""
        yield self.statement("repeat_clean", id=Column("uuid", [job.id for job in jobs]))

    def claim_steps(
        self, runner: bytes, room: Mapping[str, int], tasks: Sequence[str], sight: Sight
    ) -> Steps[Sequence[Claimed]]:
        """See ``SqlOperations.claim_steps``. Who remembers nothing looks at all there is."""
        lasting = sight if isinstance(sight, LaneSight) else LaneSight()
        looked = lasting.look(room)
        lanes = Counter(lane.queue for lane in looked)
        ends = list(accumulate(lanes[queue] for queue in room))
        answer = yield self.steady(
            "claim",
            runner=self.id_param(runner),
            queue=Column("text", tuple(room)),
            room=Column("int8", tuple(room.values())),
            first=Column("int8", [end - lanes[queue] + 1 for end, queue in zip(ends, room, strict=True)]),
            last=Column("int8", ends),
            priority=Column("int2", [lane.priority for lane in looked]),
            since=Column("int8", [lane.since for lane in looked]),
            tasks=Column("text", tasks),
            note=int(lasting.wants_note),
        )
        *rows, last = answer.rows
        jobs = [*map(Claimed._make, rows)]
        lasting.learn(looked, room, jobs, _SAID.decode(cast(str, last[-1])))
        sight.until, sight.missed = lasting.until, lasting.missed
        window = lasting.search()
        if window is not None:
            yield from self._search(window, tasks, lasting)
        return in_turn(jobs)

    def _search(self, window: Window, tasks: Sequence[str], sight: LaneSight) -> Steps[None]:
        lanes = [lane for lane in sight.every_lane() if lane.since > window.start]
        answer = yield self.statement(
            "search",
            queue=Column("text", [lane.queue for lane in lanes]),
            priority=Column("int2", [lane.priority for lane in lanes]),
            until=Column("int8", [lane.since for lane in lanes]),
            start=window.start,
            end=window.end,
            tasks=Column("text", tasks),
        )
        found, took = cast("tuple[str | None, int]", answer.rows[0])
        sight.searched(window, took, _FOUND.decode(found or "[]"))

    def next_due_steps(self, queues: Sequence[str], sight: Sight) -> Steps[int | None]:
        """See ``SqlOperations.next_due_steps``. Who was told, and hears of the rest, asks nobody."""
        agenda = sight.agenda if isinstance(sight, LaneSight) else Agenda()
        if not agenda.knows(sight.until):
            agenda.ask(queues)
            answer = yield self.steady("next_due", queue=Column("text", queues), since=sight.until)
            due, now = cast("tuple[int | None, int]", answer.rows[0])
            agenda.learn(now, due)
        return agenda.wait(sight.until)

    def write_final(self, outcomes: Sequence[Outcome]) -> Steps[int]:
        """See ``SqlOperations.write_final``."""
        return number((yield self._final(outcomes, asked=False)))

    def write_stops(self, outcomes: Sequence[Outcome]) -> Steps[frozenset[bytes]]:
        """See ``SqlOperations.write_stops``."""
        answer = yield self._final(outcomes, asked=True)
        return frozenset(cast("list[bytes] | None", answer.rows[0][1]) or ())

    def _final(self, outcomes: Sequence[Outcome], *, asked: bool) -> Statement:
        """Turned by ``zip`` from rows into columns: this is done for every job there is."""
        ids, tokens, runners, events, _, _, backs, fences, crashes, *texts, run_times = zip(*outcomes, strict=True)
        results, records, reasons, fingerprints = texts
        common = not (any(backs) or any(fences) or any(crashes) or any(map(FLAGGED.__contains__, events)))
        return self.steady(
            "settle_final",
            id=Column("uuid", ids),
            token=Column("int8", tokens),
            runner=Column("uuid", runners),
            outcome=Column("text", [*map(ending, events)]),
            flags=Column("int2", [0] * len(ids) if common else [outcome.flags for outcome in outcomes]),
            run_time=Column("int8", run_times),
            result=Column("bytea", results),
            record=Column("bytea", records),
            reason=Column("text", reasons),
            fingerprint=Column("text", fingerprints),
            asked=int(asked),
        )

    def write_again(self, outcomes: Sequence[Outcome]) -> Steps[int]:
        """See ``SqlOperations.write_again``."""
        answer = yield self.statement(
            "settle_again",
            **_keys(outcomes),
            due=Column("int8", [outcome.due for outcome in outcomes]),
            delay=Column("int8", [outcome.delay for outcome in outcomes]),
            flags=Column("int2", [outcome.flags for outcome in outcomes]),
            record=Column("bytea", [outcome.record for outcome in outcomes]),
        )
        return number(answer)

    def write_reports(self, reports: Sequence[Report]) -> Steps[None]:
        """See ``SqlOperations.write_reports``."""
        progress = Column("bytea", [report.progress for report in reports])
        yield self.statement("report", **_keys(reports), progress=progress)

    def recorded(self, outcomes: Sequence[Outcome]) -> Steps[frozenset[bytes]]:
        """See ``SqlOperations.recorded``."""
        answer = yield self.statement(
            "settled",
            id=Column("uuid", [outcome.id for outcome in outcomes]),
            token=Column("int8", [outcome.written_token for outcome in outcomes]),
        )
        return id_set(answer.rows)

    def still_held(self, outcomes: Sequence[Outcome]) -> Steps[frozenset[bytes]]:
        """See ``SqlOperations.still_held``."""
        return id_set((yield self.statement("still_held", **_keys(outcomes))).rows)

    def cancelled(self, outcomes: Sequence[Outcome]) -> Steps[frozenset[bytes]]:
        """See ``SqlOperations.cancelled``."""
        ids = Column("uuid", [outcome.id for outcome in outcomes])
        tokens = Column("int8", [outcome.written_token for outcome in outcomes])
        return id_set((yield self.statement("ended_cancelled", id=ids, token=tokens)).rows)

    def renew(self, runners: Sequence[bytes], lease: int) -> Plan[frozenset[bytes]]:
        """The leases count anew from now; those that had not ended: a lease once lost stays lost."""

        def steps() -> "Steps[frozenset[bytes]]":
            return id_set((yield self.statement("renew", lease=lease, **self.id_list(runners))).rows)

        return Plan(steps)

    def retire(self, runner: bytes) -> Plan[None]:
        """The lease has ended; whatever the runner still holds will be rescued."""

        def steps() -> "Steps[None]":
            yield self.statement("retire", runner=self.id_param(runner))

        return Plan(steps)

    def ping(self, channel: str) -> Plan[None]:
        """A notification to whoever listens on *channel*, by the way that those of enqueuers take."""

        def steps() -> "Steps[None]":
            yield self.statement("ping", channel=channel)

        return Plan(steps, writes=False)

    def idle(self, window: int) -> Plan[None]:
        """Ask enqueuers to notify for the next *window* microseconds."""

        def steps() -> "Steps[None]":
            yield self.statement("idle", window=window)

        return Plan(steps)


def _patience() -> dict[str, object]:
    return {"patience": str(LOCK_WAIT)}


def _keys(outcomes: Sequence[Outcome | Report]) -> dict[str, object]:
    """What fences a write: job, token and runner."""
    return {
        "id": Column("uuid", [outcome.id for outcome in outcomes]),
        "token": Column("int8", [outcome.token for outcome in outcomes]),
        "runner": Column("uuid", [outcome.runner for outcome in outcomes]),
    }
