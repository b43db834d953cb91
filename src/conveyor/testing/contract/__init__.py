"""What every store owes, as tests: for whoever makes one. Needs pytest, and no plugin.

A class of yours inherits them, and says how the store is opened::

    class TestMyStore(StoreContract):
        @pytest.fixture
        def open_store(self, tmp_path):
            return lambda: MyStore(f"mine://{tmp_path}")

``shared = False`` for a store that is another one each time it is opened, as in memory. Only ``store.contract.Store``
is used; how a store keeps its jobs is its own affair.
"""

from conveyor.testing.contract.arrivals import Arrivals
from conveyor.testing.contract.changes import Changes
from conveyor.testing.contract.claims import Claims
from conveyor.testing.contract.listening import Listening
from conveyor.testing.contract.locks import Locking
from conveyor.testing.contract.looking import Looking
from conveyor.testing.contract.losses import Losses
from conveyor.testing.contract.moving import Moving
from conveyor.testing.contract.schedules import Schedules
from conveyor.testing.contract.settling import Settling
from conveyor.testing.contract.unique import UniqueKeys

__all__ = [
    "Arrivals",
    "Changes",
    "Claims",
    "Listening",
    "Locking",
    "Looking",
    "Losses",
    "Moving",
    "Schedules",
    "Settling",
    "StoreContract",
    "UniqueKeys",
]


class StoreContract(
    Arrivals, UniqueKeys, Claims, Settling, Losses, Changes, Looking, Listening, Schedules, Locking, Moving
):
    """All of it, for one kind of store."""
