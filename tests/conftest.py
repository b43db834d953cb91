"""What every test may ask for: a PostgreSQL server for the run, a fresh database for the test."""

import itertools
import os
from collections.abc import Iterator

import pytest

from tests.support.postgres import PostgresServer, prepare

TEMPLATE = "conveyor_template"
_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs PostgreSQL, asked for by name or through a parameter whose id says so."""
    for item in items:
        asked = {"postgres_server", "postgres_url"} & set(getattr(item, "fixturenames", ()))
        callspec = getattr(item, "callspec", None)
        if asked or (callspec is not None and "postgres" in callspec.id):
            item.add_marker(pytest.mark.postgres)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server per test process, of the version in CONVEYOR_TEST_PG (15, 17 or 18)."""
    with PostgresServer(os.environ.get("CONVEYOR_TEST_PG", "17")) as server:
        prepare(server.create_database(TEMPLATE))
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of a database of this test's own, a copy of the prepared template."""
    name = f"test_{next(_numbers)}"
    yield postgres_server.create_database(name, template=TEMPLATE)
    postgres_server.drop_database(name)
