"""Tables of a user's own, and statements that are carried over a loan."""

from conveyor.drivers.lend import Lent
from conveyor.plan import Answer, Statement
from tests.support.carriers import Held, outside

TABLES = {
    "child": "(parent integer REFERENCES own (n) DEFERRABLE INITIALLY DEFERRED)",
    "own": "(n integer PRIMARY KEY)",
    "ours": "(n bigint PRIMARY KEY, note text)",
}
"""``own`` and ``child`` are written by the user, ``ours`` by us. A child without a parent makes the commit fail."""
INSERT = "INSERT INTO ours (n, note) VALUES (CAST(:n AS bigint), CAST(:note AS text))"
WITH_INSERT = (
    "WITH given AS (SELECT CAST(:n AS bigint) AS n, CAST(:note AS text) AS note) "
    "INSERT INTO ours (n, note) SELECT n, note FROM given"
)


def make_tables(url: str) -> None:
    """Fresh tables in the database at *url*."""
    with outside(url) as connection:
        for name in TABLES:
            connection.execute(f"DROP TABLE IF EXISTS {name}")
        for name in reversed(TABLES):
            connection.execute(f"CREATE TABLE {name} {TABLES[name]}")


def carry(held: Held, loan: Lent, text: str, **params: object) -> Answer:
    """What a statement gives."""
    rows, touched = held.finish(loan.carry(Statement(text, params)))
    return Answer(list(rows), touched)


def insert(held: Held, loan: Lent, n: int, text: str = INSERT) -> None:
    """Write a row of ours."""
    carry(held, loan, text, n=n, note=f"note {n}")


def stored(url: str, table: str = "ours") -> list[int]:
    """The rows that everybody sees."""
    with outside(url) as connection:
        return [n for (n,) in connection.execute(f"SELECT n FROM {table} ORDER BY n").fetchall()]
