"""Connections of sqlite3 that lose the answers to COMMITs, and some COMMITs: as ``proxy`` does for PostgreSQL."""

import sqlite3
from collections.abc import Callable
from typing import Any

from conveyor.cli.chaos.proxy import Cut


def spoil(patch: Callable[[Any, str, Any], None], mark: str, choose: Callable[[], Cut | None]) -> None:
    """Spoil all connections made from now on, whoever makes them; see ``Proxy``. *patch* is ``setattr``, or undone."""

    class Spoilt(sqlite3.Connection):
        """An error of the disk: before it or after it, the transaction is as good as its log says."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._marked = False
            self.set_trace_callback(self._look)

        def _look(self, text: str) -> None:
            self._marked = self._marked or mark in text

        def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
            if sql.strip().upper() == "COMMIT":
                return self._committed(lambda: super(Spoilt, self).execute(sql))
            return super().execute(sql, *args)

        def commit(self) -> None:
            self._committed(super().commit)

        def _committed(self, commit: Callable[[], Any]) -> Any:
            cut = choose() if self._marked and self.in_transaction else None
            if cut is Cut.BEFORE:
                raise sqlite3.OperationalError("disk I/O error, said the test")
            answer = commit()
            if cut is not None:
                raise sqlite3.OperationalError("disk I/O error, said the test")
            return answer

    connect = sqlite3.connect
    for module in (sqlite3, sqlite3.dbapi2):
        patch(module, "connect", lambda *args, **kwargs: connect(*args, **{"factory": Spoilt, **kwargs}))
