"""Waiting for a store that is away: a server that restarts, a primary that fails over, a shard on its way."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

from conveyor.core.backoff import jittered
from conveyor.core.errors import HeldElsewhere, OutcomeUnknown, StoreClosed, StoreUnavailable
from conveyor.plan import Plan
from conveyor.store.contract import Store

T = TypeVar("T")

PATIENCE: Final = 60.0
"""Seconds from a first failure on in which a plan is tried again."""
PAUSES: Final = (0.1, 0.2, 0.5)
"""Seconds between two tries, the last of them ever after."""
Away = StoreUnavailable | OutcomeUnknown
"""What a store that is away raises; it may come back."""


class Patience:
    """Carries plans out that may be carried out twice, for as long as it takes, within ``PATIENCE``.

    A store that tells by ``StoreClosed`` or ``HeldElsewhere`` why it does not do something is not away.
    """

    def __init__(self, hears: Callable[[Away], None]) -> None:
        """*hears* is called with the first failure of several in a row."""
        self._hears = hears

    def run(self, store: Store, plan: Plan[T]) -> T:
        """What *plan* gives. Raises as ``Store.run`` in the end."""
        try:
            return store.run(plan)
        except (StoreUnavailable, OutcomeUnknown) as error:
            if isinstance(error, StoreClosed | HeldElsewhere):
                raise
            self._hears(error)
        return self._again(store, plan, time.monotonic() + PATIENCE)

    def _again(self, store: Store, plan: Plan[T], end: float) -> T:
        tries = 0
        while True:
            time.sleep(jittered(PAUSES[min(tries, len(PAUSES) - 1)]))
            tries += 1
            try:
                return store.run(plan)
            except (StoreUnavailable, OutcomeUnknown) as error:
                if isinstance(error, StoreClosed | HeldElsewhere) or time.monotonic() > end:
                    raise
