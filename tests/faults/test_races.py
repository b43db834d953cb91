"""X02: cancel against settle against timeout against retry, and whatever else may be done to one job at a time.

Each race lets two or three acts begin at one barrier, each over a store and connections of its own. It is right when
some order of them explains all that was answered and all that is left: one winner where there can be one, and the
others told so. See ``tests.support.orders``.
"""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.acts import ACTS
from tests.support.arena import Arena, Figures, run_races
from tests.support.say import Say
from tests.support.stores import sqlite_url

RACES = {"sqlite-file": 300, "postgres": 250}
OTHER_LEVELS = 60
MANY_RACES = 10_000
OVERLAPPED = 10
"""At least one race in so many had all its acts under way at once; it is nearly all of them."""
SLOW = """
CREATE FUNCTION conveyor_slow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('conveyor.slow', true) = 'on' THEN PERFORM pg_sleep(random() * 0.003); END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER slow AFTER INSERT OR UPDATE OR DELETE ON conveyor_job FOR EACH ROW EXECUTE FUNCTION conveyor_slow()
"""
"""Holds the row for a while, in the sessions that race: what else is under way then waits for it, or passes it over."""


@pytest.fixture(params=RACES)
def arena(request: pytest.FixtureRequest, folder: Path) -> Iterator[Arena]:
    """Three stores on a new, empty database."""
    if request.param == "sqlite-file":
        with Arena(sqlite_url(folder)) as made:
            yield made
        return
    with slow_arena(request.getfixturevalue("postgres_url"), "read committed") as made:
        yield made


def slow_arena(url: str, level: str) -> Arena:
    """An arena on PostgreSQL, whose default isolation level is *level*."""
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = '{level}'".encode())
        server.execute(SLOW)
    return Arena(url, slow=f"{'&' if '?' in url else '?'}options=-c%20conveyor.slow%3Don")


def judged(figures: Figures) -> None:
    assert not figures.illegal, "\n\n".join(map(str, figures.illegal[:5]))
    assert figures.overlapped * OVERLAPPED >= figures.races


@pytest.mark.direct
def test_every_race_has_an_order_that_explains_it(arena: Arena, request: pytest.FixtureRequest, say: Say) -> None:
    kind: str = request.node.callspec.params["arena"]
    figures = run_races(arena, RACES[kind], 1, ACTS)
    say(f"{kind}: {figures.head}")
    judged(figures)


@pytest.mark.direct
@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_and_where_the_database_has_another_isolation_level_by_default(postgres_url: str, level: str, say: Say) -> None:
    with slow_arena(postgres_url, level) as arena:
        figures = run_races(arena, OTHER_LEVELS, 2, ACTS)
    say(f"{level}: {figures.head}")
    judged(figures)


@pytest.mark.direct
@pytest.mark.soak
def test_every_one_of_many_races_has_an_order_that_explains_it(
    arena: Arena, request: pytest.FixtureRequest, say: Say
) -> None:
    kind: str = request.node.callspec.params["arena"]
    figures = run_races(arena, MANY_RACES, 3, ACTS)
    say(f"{kind}: {figures.table}")
    judged(figures)
