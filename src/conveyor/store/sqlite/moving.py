"""Moving everything to SQLite, or from there."""

from collections.abc import Sequence

from conveyor.core.moving import Mark, Record
from conveyor.plan import Statement, Steps
from conveyor.store.moving import GUARDED, SqlMoving
from conveyor.store.sqlfiles import sql
from conveyor.store.sqlite.plans import SqliteDialect


class SqliteMoving(SqliteDialect, SqlMoving):
    """``SqlMoving`` for SQLite: a transaction that writes has the file to itself."""

    def guards(self, mark: Mark) -> Sequence[str]:
        """See ``SqlMoving.guards``."""
        told = mark.told.replace("'", "''")
        made = [
            f"CREATE TRIGGER {table}_closed_{act.lower()} BEFORE {act} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{told}'); END"
            for table, acts in GUARDED[mark.role].items()
            for act in acts
        ]
        return [*self.unguards(), *made]

    def unguards(self) -> Sequence[str]:
        """See ``SqlMoving.unguards``."""
        pairs = [(table, act) for table, acts in GUARDED["source"].items() for act in acts]
        return [f"DROP TRIGGER IF EXISTS {table}_closed_{act.lower()}" for table, act in pairs]

    def lift(self, mark: Mark | None) -> Steps[None]:
        """See ``SqlMoving.lift``: others see the triggers again before they can write."""
        for text in self.unguards() if mark else ():
            yield Statement(text, {})

    def lower(self, mark: Mark | None) -> Steps[None]:
        """See ``SqlMoving.lower``."""
        for text in self.guards(mark) if mark else ():
            yield Statement(text, {})

    def inserted(self, name: str, records: Sequence[Record]) -> Steps[None]:
        """See ``SqlMoving.inserted``."""
        yield Statement(sql(self.folder, name), {}, [record._asdict() for record in records])
