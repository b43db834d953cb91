"""Transactions of somebody's own: an order, and the job that ships it, or neither."""

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from conveyor.app import Conveyor
from conveyor.cli.chaos.history import History
from conveyor.cli.chaos.sending import Enqueue
from conveyor.cli.chaos.tables import EFFECTS, asked, begin

if TYPE_CHECKING:
    from conveyor.cli.chaos.tables import Connected

MOST: Final = 40
"""Jobs of one transaction."""
ROLLED_BACK: Final = 0.2
"""Of the transactions, so many are."""


class Buyer:
    """One who orders."""

    def __init__(self, app: Conveyor, connection: "Connected", chance: random.Random, history: History) -> None:
        """*app* has its outbox in the database that *connection*, in autocommit, leads to."""
        self._app, self._connection, self._chance, self._history = app, connection, chance, history
        self._asked = asked(connection)

    def buy(self, calls: Mapping[Enqueue, int]) -> None:
        """One transaction, of some jobs, and a row of its own for each."""
        some = self._chance.choices(list(calls), list(calls.values()), k=self._chance.randint(1, MOST))
        for _ in some:
            self._history.write("asked")
        self._asked.execute(begin(self._connection))
        with self._app.within(self._connection):
            jobs = [call().id for call in some]
        for job in jobs:
            self._asked.execute(f"INSERT INTO {EFFECTS} (job, token) VALUES ('{job}', 0)")  # noqa: S608 - our own id
        commits = self._chance.random() > ROLLED_BACK
        self._asked.execute("COMMIT" if commits else "ROLLBACK")
        for job in jobs:
            self._history.write("accepted" if commits else "refused", job)
