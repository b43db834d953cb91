"""What every test may ask for: a PostgreSQL server for the run, a fresh database for the test."""

import itertools
import os
from collections.abc import Iterator

import pytest

from tests.support.postgres import PostgresServer, prepare

TEMPLATE = "conveyor_template"
EVERY_VALUE = {"failure", "hostile_endings", "hostile_values", "redact", "stored_bytes", "text", "times"}
EVERY_CARRIER = {
    *("completion", "completion_trouble", "loans", "loans_django", "loans_sqlalchemy", "loans_taught", "lost_commits"),
    *("suite_for_others", "within", "within_blocks", "within_locks", "within_unique"),
}
MATRIX = {f"test_{name}" for name in EVERY_VALUE | EVERY_CARRIER}
"""Modules that try each of very many things in turn: for `make test`, and not for each time that a file is saved."""
_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs PostgreSQL, asked for by name or through a parameter whose id says so; and the matrices."""
    for item in items:
        if item.path.stem in MATRIX:
            item.add_marker(pytest.mark.matrix)
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
