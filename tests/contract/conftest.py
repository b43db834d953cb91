"""Every store, one after the other: a test that asks for ``store`` or ``url`` runs on all of them."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from conveyor import Conveyor
from conveyor.store.contract import Store
from tests.conftest import Reach
from tests.support.carriers import CARRIERS, Carrier, Held, Kind, outside
from tests.support.ground import Ground, Lender
from tests.support.jobs import Hand, Hire
from tests.support.lending import make_tables
from tests.support.postgres import PostgresServer, prepare
from tests.support.stores import KINDS, address_of, open_store, sqlite_url


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory where there is one: it is the contract that is tested here, not the disk."""
    memory = Path("/dev/shm")  # noqa: S108 - the folder in it has a name of its own
    with TemporaryDirectory(prefix="conveyor-", dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, folder: Path) -> str:
    """The address of a new, empty store."""
    return address_of(request, folder)


@pytest.fixture
def app(url: str) -> Iterator[Conveyor]:
    """An app on a new, empty store."""
    made = Conveyor(url)
    yield made
    made.close()


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

    def made(on: Store | None = None, *, seconds: float = 60.0, id_: bytes | None = None) -> Hand:
        hands.append(Hand(on or store, seconds, id_ or os.urandom(16)))
        return hands[-1]

    yield made
    for hand in hands:
        hand.die()


@pytest.fixture
def hand(hire: Hire) -> Hand:
    """A living runner."""
    return hire()


@pytest.fixture(params=CARRIERS, ids=lambda carrier: carrier.id)
def carrier(request: pytest.FixtureRequest) -> Carrier:
    """Each kind of connection that can lend its transaction, one after the other."""
    kind: Carrier = request.param
    return kind


@pytest.fixture(scope="session")
def lenders(postgres_server: PostgresServer, reach: Reach) -> str:
    """A database for all tests of loans, which are many."""
    return reach(postgres_server.create_database("lenders"))


@pytest.fixture
def lender_url(carrier: Carrier, request: pytest.FixtureRequest, folder: Path) -> str:
    """The address of a database for ``carrier``, with fresh tables of ``tests.support.lending``."""
    url = sqlite_url(folder) if carrier.kind == "sqlite" else request.getfixturevalue("lenders")
    make_tables(url)
    return url


@pytest.fixture
def held(carrier: Carrier, lender_url: str) -> Iterator[Held]:
    """An open connection of the kind ``carrier``, to ``lender_url``."""
    with carrier.open(lender_url) as opened:
        yield opened


@pytest.fixture(scope="session")
def postgres_ground(postgres_server: PostgresServer, reach: Reach) -> str:
    """A database with our tables and a user's own, for all tests of what joins a transaction."""
    url = reach(postgres_server.create_database("ground"))
    prepare(url)
    make_tables(url)
    return url


@pytest.fixture(scope="session")
def sqlite_ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a file, to be copied."""
    folder = tmp_path_factory.mktemp("ground")
    store = open_store(sqlite_url(folder))
    store.migrate()
    store.close()
    make_tables(sqlite_url(folder))
    return folder / "jobs.db"


@pytest.fixture
def clean(request: pytest.FixtureRequest, folder: Path) -> Callable[[Kind], str]:
    """Gives the address of a clean store of a kind, with our tables and a user's own."""

    def cleaned(kind: Kind) -> str:
        if kind == "sqlite":
            shutil.copy(request.getfixturevalue("sqlite_ground"), folder)
            return sqlite_url(folder)
        url: str = request.getfixturevalue("postgres_ground")
        with outside(url) as connection:
            connection.execute(
                "DELETE FROM conveyor_job; DELETE FROM conveyor_history; DELETE FROM child; DELETE FROM own"
            )
        return url

    return cleaned


@pytest.fixture
def ground(carrier: Carrier, clean: Callable[[Kind], str]) -> Iterator[Ground]:
    """A clean store for ``carrier``, and an app on it."""
    made = Ground(carrier, clean(carrier.kind))
    yield made
    made.close()


@pytest.fixture
def lender(ground: Ground) -> Iterator[Lender]:
    """A user with a connection that is open, and in no transaction yet."""
    with ground.lent() as opened:
        yield opened


@pytest.fixture(scope="session")
def postgres_elsewhere(postgres_server: PostgresServer, reach: Reach) -> str:
    """Another store, with the user's tables beside it."""
    url = reach(postgres_server.create_database("elsewhere"))
    prepare(url)
    make_tables(url)
    return url


@pytest.fixture
def elsewhere_of(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Kind], str]:
    """Gives the address of another store of a kind."""

    def found(kind: Kind) -> str:
        if kind == "sqlite":
            store = open_store(sqlite_url(tmp_path))
            store.migrate()
            store.close()
        url: str = sqlite_url(tmp_path) if kind == "sqlite" else request.getfixturevalue("postgres_elsewhere")
        make_tables(url)
        return url

    return found


@pytest.fixture
def elsewhere(carrier: Carrier, elsewhere_of: Callable[[Kind], str]) -> str:
    """The address of another store of the kind of ``carrier``."""
    return elsewhere_of(carrier.kind)


@pytest.fixture
def bare_url(carrier: Carrier, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database that has the user's tables alone."""
    url: str = sqlite_url(tmp_path) if carrier.kind == "sqlite" else request.getfixturevalue("lenders")
    make_tables(url)
    return url


@pytest.fixture
def other_kind(carrier: Carrier, tmp_path: Path) -> Iterator[Conveyor]:
    """An app whose store is of the other kind than ``carrier``'s; nobody need be there."""
    app = Conveyor("postgresql://127.0.0.1:1/nobody" if carrier.kind == "sqlite" else sqlite_url(tmp_path))
    yield app
    app.close()
