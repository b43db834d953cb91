"""What every test may ask for: a PostgreSQL server for the run, a fresh database for the test."""

import gc
import os
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing

import pytest
from psycopg import AsyncConnection, Connection

from conveyor.cli.chaos.keys import Scratch
from tests.support.databases import Databases
from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import PostgresServer, prepare
from tests.support.redis import RedisServer, versions
from tests.support.say import say

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job, whose children would ignore it too
    signal.signal(signal.SIGINT, signal.default_int_handler)

__all__ = ["say"]

TEMPLATE = "conveyor_template"
EVERY_VALUE = {"failure", "hostile_endings", "hostile_values", "redact", "stored_bytes", "text", "times"}
EVERY_CARRIER = {
    *("completion", "completion_trouble", "loans", "loans_django", "loans_sqlalchemy", "loans_taught", "lost_commits"),
    *("suite_for_others", "within", "within_blocks", "within_locks", "within_unique"),
}
MATRIX = {f"test_{name}" for name in EVERY_VALUE | EVERY_CARRIER}
"""Modules that try each of very many things in turn: for `make test`, and not for each time that a file is saved."""
LONG = {"e2e", "faults"}
FAST = {"unit", "contract"}
SLOW = ("postgres", "soak", "matrix")
"""The folders of the tests for each time that a file is saved, and what in them is not for that."""
Reach = Callable[[str], str]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Find the tests without looking for garbage, and take nothing of them for garbage later.

    They stay to the end, and are so many that each full collection would take a quarter of a second longer for them.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs PostgreSQL, asked for by name or through a parameter whose id says so; the matrices; the fast."""
    for item in items:
        if item.path.stem in MATRIX:
            item.add_marker(pytest.mark.matrix)
        asked = {"postgres_server", "postgres_url", "pooler"} & set(getattr(item, "fixturenames", ()))
        callspec = getattr(item, "callspec", None)
        if asked or (callspec is not None and "postgres" in callspec.id):
            item.add_marker(pytest.mark.postgres)
        served = item.path.stem.startswith("test_redis")
        if item.path.parent.name in FAST and not served and not any(map(item.get_closest_marker, SLOW)):
            item.add_marker(pytest.mark.fast)
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    items[:] = dealt(items, workers) if workers > 1 else items


def dealt(items: Sequence[pytest.Item], hands: int) -> list[pytest.Item]:
    """*items* so that each test process begins with its share of the long ones, and has short ones to give away.

    xdist gives each process a stretch of the list. A process that is done takes from the end of another one's; if only
    long tests are left then, the others wait for the one that has them.
    """
    units: dict[object, list[pytest.Item]] = {}
    for item in items:
        if item.path.parent.name in LONG or _shares(item):
            units.setdefault(item.path if _shares(item) else item, []).append(item)
    piles: list[list[pytest.Item]] = [[] for _ in range(hands)]
    for number, unit in enumerate(units.values()):
        piles[number % hands] += unit
    chosen = {item for unit in units.values() for item in unit}
    short = [item for item in items if item not in chosen]
    found, left = [], len(items)
    for number, pile in enumerate(piles):
        room = max(left // (hands - number) - len(pile), 0)
        left -= len(pile) + room
        found += [*pile, *short[:room]]
        del short[:room]
    return found


def _shares(item: pytest.Item) -> bool:
    """Whether it has something in common with the others of its module that is made once for them."""
    known = getattr(item, "_fixtureinfo", None)
    return known is not None and any(
        definition.scope == "module" for found in known.name2fixturedefs.values() for definition in found
    )


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server per test process, of the version in CONVEYOR_TEST_PG (15, 17 or 18)."""
    with PostgresServer(os.environ.get("CONVEYOR_TEST_PG", "17")) as server:
        prepare(server.create_database(TEMPLATE))
        yield server


@pytest.fixture(scope="session")
def databases(postgres_server: PostgresServer) -> Iterator[Databases]:
    """Copies of the prepared template."""
    with Databases(postgres_server, TEMPLATE) as made:
        yield made


@pytest.fixture(scope="session")
def pooler(postgres_server: PostgresServer) -> Iterator[PgBouncer]:
    """A pgbouncer in transaction mode in front of that server."""
    with PgBouncer(postgres_server.url()) as started:
        yield started


@pytest.fixture(scope="session")
def reach(request: pytest.FixtureRequest) -> Reach:
    """How tests reach a database: by its own address, or through ``pooler`` with CONVEYOR_TEST_PG_POOLER=1."""
    if os.environ.get("CONVEYOR_TEST_PG_POOLER", "0") in {"", "0"}:
        return str
    for kind in (Connection, AsyncConnection):  # the tests' own connections, which go the same way
        vars(kind)["connect"].__func__.__kwdefaults__["prepare_threshold"] = None
    pooler: PgBouncer = request.getfixturevalue("pooler")
    return pooler.url


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest, databases: Databases, reach: Reach) -> Iterator[str]:
    """The address of a database of this test's own, in which is what is in the prepared template, and no more."""
    with databases.lent() as url:
        yield url if request.node.get_closest_marker("direct") else reach(url)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One server per test process, of the version in CONVEYOR_TEST_REDIS, or of the first that there is."""
    with RedisServer(versions()[0]) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> Iterator[str]:
    """The address of a store of this test's own: its keys bear a prefix, and are gone afterwards."""
    with closing(Scratch(redis_server.url())) as made:
        yield made.url
