"""``app.migrations``: what ``app.migrate()`` would do to the store's tables."""

from collections.abc import Callable

from conveyor.store.contract import LOCK_TIMEOUT, Store


class Migrations:
    """The migrations of an app's store. Nothing here changes it: that does ``app.migrate()``."""

    def __init__(self, opened: Callable[[], Store]) -> None:
        """*opened* gives the store."""
        self._opened = opened

    def pending(self) -> list[str]:
        """The names of those that are missing."""
        return self._opened().pending()

    def sql(self, first: int, last: int, *, lock_timeout: float = LOCK_TIMEOUT) -> str:
        """What would be run to bring PostgreSQL's tables from migration *first* to *last*, for ``psql``.

        0 is an empty database. Raises ``UsageError`` for other numbers than there are, and on SQLite.
        """
        return self._opened().script(first, last, lock_timeout)
