"""Every store, one after the other: a test that asks for ``store`` or ``url`` runs on all of them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from conveyor.store.contract import Store
from tests.support.jobs import Hand, Hire
from tests.support.stores import KINDS, open_store, sqlite_url


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory where there is one: it is the contract that is tested here, not the disk."""
    memory = Path("/dev/shm")  # noqa: S108 - the folder in it has a name of its own
    with TemporaryDirectory(prefix="conveyor-", dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, folder: Path) -> str:
    """The address of a new, empty store."""
    if request.param == "postgres":
        address: str = request.getfixturevalue("postgres_url")
        return address
    return "sqlite:///:memory:" if request.param == "sqlite-memory" else sqlite_url(folder)


@pytest.fixture
def opened(url: str) -> Iterator[Callable[[], Store]]:
    """Opens the store at ``url``, once more at each call; for a store in memory each is another one."""
    stores: list[Store] = []

    def another() -> Store:
        stores.append(open_store(url))
        return stores[-1]

    yield another
    for store in stores:
        store.close()


@pytest.fixture
def store(opened: Callable[[], Store]) -> Store:
    """An opened store, with its tables."""
    return opened()


@pytest.fixture
def hire(opened: Callable[[], Store], store: Store) -> Iterator[Hire]:
    """Makes living runners."""
    hands: list[Hand] = []

    def made(on: Store | None = None, *, seconds: float = 60.0) -> Hand:
        hands.append(Hand(on or store, seconds))
        return hands[-1]

    yield made
    for hand in hands:
        hand.die()


@pytest.fixture
def hand(hire: Hire) -> Hand:
    """A living runner."""
    return hire()
