"""``app.migrations``: what ``app.migrate()`` would do to the store's tables."""

from collections.abc import Callable

from conveyor.store.contract import LOCK_TIMEOUT, Store


class Migrations:
    """The migrations of an app's store, and of its outbox."""

    def __init__(self, opened: Callable[[], Store], outbox: Callable[[], Store | None]) -> None:
        """*opened* gives the store, *outbox* the other one, if the app has one."""
        self._opened, self._outbox = opened, outbox

    def _stores(self) -> list[Store]:
        outbox = self._outbox()
        return [self._opened()] if outbox is None else [self._opened(), outbox]

    def apply(self, lock_timeout: float) -> list[str]:
        """Apply those that are missing; their names."""
        return [name for store in self._stores() for name in store.migrate(lock_timeout)]

    def pending(self) -> list[str]:
        """The names of those that are missing."""
        return [name for store in self._stores() for name in store.pending()]

    def sql(self, first: int, last: int, *, lock_timeout: float = LOCK_TIMEOUT) -> str:
        """What would be run to bring PostgreSQL's tables from migration *first* to *last*, for ``psql``.

        0 is an empty database. Raises ``UsageError`` for other numbers than there are, and on SQLite. Of a store on
        Redis with an outbox: the outbox's tables.
        """
        return self._stores()[-1].script(first, last, lock_timeout)
