"""A terminal, and the stores that two processes can share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from conveyor.store.contract import Store
from tests.support.cli import Terminal
from tests.support.jobs import Hand, Hire
from tests.support.postgres import PostgresServer
from tests.support.stores import SHARED, open_store, sqlite_url


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """An empty folder to type in."""
    folder = tmp_path / "here"
    folder.mkdir()
    return Terminal(folder)


@pytest.fixture(params=SHARED)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a new, empty store."""
    if request.param == "postgres":
        address: str = request.getfixturevalue("postgres_url")
        return address
    return sqlite_url(tmp_path)


@pytest.fixture
def bare_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of a database of PostgreSQL without Conveyor's tables."""
    yield postgres_server.create_database("bare")
    postgres_server.drop_database("bare")


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """The store at ``url``, opened by the test itself."""
    opened = open_store(url)
    yield opened
    opened.close()


@pytest.fixture
def hire(store: Store) -> Iterator[Hire]:
    """Makes living runners."""
    hands: list[Hand] = []
    usual = store

    def made(store: Store | None = None, *, seconds: float = 60.0) -> Hand:
        hands.append(Hand(store or usual, seconds))
        return hands[-1]

    yield made
    for hand in hands:
        hand.die()
