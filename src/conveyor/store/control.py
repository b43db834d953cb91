"""What people and upkeep do to jobs, over SQL; ``store.contract.Control`` says what each operation owes."""

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Final, cast

from conveyor.core.judge import EXPIRED
from conveyor.core.model import JobFilter
from conveyor.plan import Plan, Ring, Row, Steps
from conveyor.store.answers import Arranged, Mended, Pass
from conveyor.store.reading import conditions, filter_params
from conveyor.store.sqlbase import SqlBase

NOTHING: Final = Pass(0, 0, frozenset(), None)


class SqlControl(SqlBase):
    """The operations that SQLite and PostgreSQL share."""

    @abstractmethod
    def change(self, name: str, terms: str, params: dict[str, object]) -> Steps[Sequence[Row]]:
        """Change the jobs that *terms* pick: rows of id, and what tells where workers should look.

        A picked job that was not changed has nothing in its second place.
        """

    @abstractmethod
    def pruned(self, limit: int) -> Steps[int]:
        """Delete ended jobs whose time to stay is over; how many."""

    def cancel(self, where: JobFilter, reason: str, limit: int, after: bytes | None) -> Plan[Pass]:
        """See ``Control.cancel``."""
        return Plan(partial(self._stop, where, limit, after, reason, "state = 'waiting'"))

    def ask(self, where: JobFilter, reason: str, limit: int, after: bytes | None) -> Plan[Pass]:
        """See ``Control.ask``."""
        return Plan(partial(self._stop, where, limit, after, reason, "state = 'running'"), rings=Ring.CANCEL)

    def call_off(self, where: JobFilter, reason: str, limit: int, after: bytes | None) -> Plan[Pass]:
        """See ``Control.call_off``."""
        return Plan(partial(self._stop, where, limit, after, reason), rings=Ring.CANCEL)

    def revive(self, where: JobFilter, limit: int, after: bytes | None) -> Plan[Pass]:
        """See ``Control.revive``."""
        return Plan(partial(self._pass, "revive_ended", "conveyor_history", where, limit, after), rings=Ring.WORK)

    def hasten(self, where: JobFilter, limit: int, after: bytes | None) -> Plan[Pass]:
        """See ``Control.hasten``."""
        return Plan(partial(self._pass, "revive_waiting", "conveyor_job", where, limit, after), rings=Ring.WORK)

    def delete_waiting(self, where: JobFilter, limit: int, after: bytes | None) -> Plan[Pass]:
        """See ``Control.delete_waiting``."""
        return Plan(partial(self._pass, "delete_waiting", "conveyor_job", where, limit, after))

    def delete_ended(self, where: JobFilter, limit: int, after: bytes | None) -> Plan[Pass]:
        """See ``Control.delete_ended``."""
        return Plan(partial(self._pass, "delete_ended", "conveyor_history", where, limit, after))

    def expire(self, limit: int) -> Plan[Pass]:
        """See ``Control.expire``."""

        def steps() -> "Steps[Pass]":
            over = f"state = 'waiting' AND expires_at <= {self.reading.now}"
            rows = yield from self.change("stop", over, self.params(limit=limit, reason=EXPIRED))
            return _pass(rows)

        return Plan(steps)

    def prune(self, limit: int) -> Plan[int]:
        """See ``Control.prune``."""
        return Plan(partial(self.pruned, limit))

    def arrange(self) -> Plan[Arranged]:
        """See ``Control.arrange``. History is one table, unless a dialect says otherwise."""

        def steps() -> "Steps[Arranged]":
            yield from ()
            return Arranged()

        return Plan(steps, writes=False)

    def mend(self) -> Plan[Mended]:
        """See ``Control.mend``: the database looks after its indexes itself."""

        def steps() -> "Steps[Mended]":
            yield from ()
            return Mended()

        return Plan(steps, writes=False)

    def pause(self, queue: str) -> Plan[None]:
        """See ``Control.pause``."""

        def steps() -> "Steps[None]":
            yield self.statement("pause", queue=queue)

        return Plan(steps)

    def resume(self, queue: str) -> Plan[None]:
        """See ``Control.resume``."""

        def steps() -> "Steps[None]":
            yield self.statement("resume", queue=queue)

        return Plan(steps, rings=Ring.WORK)

    def _stop(self, where: JobFilter, limit: int, after: bytes | None, reason: str, only: str = "1 = 1") -> Steps[Pass]:
        rows = yield from self._changed("stop", "conveyor_job", where, limit, after, reason=reason, only=only)
        return _pass(rows)._replace(asked=sum(bool(row[2]) for row in rows))

    def _pass(self, name: str, table: str, where: JobFilter, limit: int, after: bytes | None) -> Steps[Pass]:
        return _pass((yield from self._changed(name, table, where, limit, after)))

    def _changed(
        self,
        name: str,
        table: str,
        where: JobFilter,
        limit: int,
        after: bytes | None,
        *,
        reason: str = "",
        only: str = "1 = 1",
    ) -> Steps[Sequence[Row]]:
        terms = conditions(self.reading, table, where)
        if terms is None:
            return []
        params = self.params(limit=limit, reason=reason) | filter_params(where)
        if where.ids is not None:
            params |= self.id_list(where.ids)
        if after is not None:
            terms = [*terms, "id > :after"]
            params["after"] = self.id_param(after)
        return (yield from self.change(name, " AND ".join([only, *terms]), params))


def _pass(rows: Sequence[Row]) -> Pass:
    if not rows:
        return NOTHING
    changed = [cast(bytes, row[1]) for row in rows if row[1] is not None]
    last = max(cast(bytes, row[0]) for row in rows)
    return Pass(len(rows), len(changed), frozenset(changed), last)
