"""A terminal, and the stores that two processes can share."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import TupleRow

from conveyor.store.contract import Store
from tests.support.cli import Terminal
from tests.support.jobs import Hand, Hire
from tests.support.postgres import PostgresServer
from tests.support.redis import RedisServer, versions
from tests.support.stores import SHARED, address_of, open_store


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """An empty folder to type in."""
    folder = tmp_path / "here"
    folder.mkdir()
    return Terminal(folder)


@pytest.fixture(params=SHARED)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a new, empty store."""
    return address_of(request, tmp_path)


@pytest.fixture
def bare_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of a database of PostgreSQL without Conveyor's tables."""
    yield postgres_server.create_database("bare")
    postgres_server.drop_database("bare")


@pytest.fixture
def port_of_shop(request: pytest.FixtureRequest) -> Iterator[Callable[[], int]]:
    """The port of a server with an empty database ``shop``, for a page that needs one; made when it is asked for."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(_shop(request.getfixturevalue("postgres_server")))


@pytest.fixture
def port_of_redis() -> Iterator[Callable[[], int]]:
    """The port of a Redis server that keeps what it is told; made when it is asked for."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(RedisServer(versions()[0], appendonly="yes")).port


@contextmanager
def _shop(server: PostgresServer) -> Iterator[int]:
    server.create_database("shop")
    with psycopg.connect(server.url(), autocommit=True) as connection:
        before = _roles(connection)
        yield server.port
        server.drop_database("shop")
        for role in _roles(connection) - before:  # which are the server's, not the database's
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def _roles(connection: psycopg.Connection[TupleRow]) -> set[str]:
    return {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}


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
