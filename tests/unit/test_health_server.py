"""What ``conveyor doctor`` makes of a server's facts, where they cannot be had on a server that is made for a test."""

from dataclasses import dataclass

import pytest

from conveyor.core.health import Finding, Severity
from conveyor.store.postgres.checks.inventory import Thing, compared, expected
from conveyor.store.postgres.checks.pooler import of_processes
from conveyor.store.postgres.checks.sessions import HELD_MANY, HELD_TOO_MANY, Holder, Room, of_holder, of_room
from conveyor.store.postgres.checks.vacuum import MIB, Index, Table, of_index, of_table

MINUTE = 60.0
READER = Holder("session", "42", "report", "clerk", "idle in transaction", 10, 10 * MINUTE, 9 * MINUTE, "SELECT  1")
BUSY = Table("conveyor_job", True, 900_000, 50, 1_000.0, MINUTE, 9_999.0, True, False, 100 * MIB, 300.0)
"""A minute after a vacuum, at 15,000 jobs a second."""


def severity(finding: Finding | None) -> Severity | None:
    return None if finding is None else finding.severity


@pytest.mark.parametrize(
    ("holder", "told"),
    [
        (READER, Severity.NOTE),
        (READER._replace(seconds=4 * MINUTE), None),
        (READER._replace(seconds=60 * MINUTE), Severity.TROUBLE),
        (
            READER._replace(kind="standby", transactions=HELD_MANY - 1),
            None,
        ),  # its connection may be old, and is not meant
        (READER._replace(kind="standby", transactions=HELD_MANY), Severity.NOTE),
        (READER._replace(kind="slot", seconds=None, transactions=HELD_TOO_MANY), Severity.TROUBLE),
    ],
)
def test_a_snapshot_may_be_held_for_a_while(holder: Holder, told: Severity | None) -> None:
    assert severity(of_holder(holder)) is told


def test_what_a_session_does_is_told_in_one_line() -> None:
    finding = of_holder(READER._replace(query="SELECT\n  " + "x" * 80))
    assert finding is not None
    assert finding.text.startswith(
        "pid 42 (report, role clerk) is idle in transaction; its transaction is open for 10 min, its last query "
        f"9 min ago (SELECT {'x' * 50}...)"
    )
    active = of_holder(READER._replace(state="active", application="", query=""))
    assert active is not None
    assert active.text.startswith(
        "pid 42 (no application_name, role clerk) is active; its transaction is open for 10 min: "
    )
    assert active.fix == "SELECT pg_terminate_backend(42); that is, unless it is meant"


@pytest.mark.parametrize(
    ("room", "told"),
    [
        (Room("server", "", 97, 87, 20), None),
        (Room("server", "", 97, 88, 20), Severity.NOTE),
        (Room("server", "", 97, 95, 20), Severity.TROUBLE),
        (Room("role", "clerk", 97, 120, 0), Severity.TROUBLE),
        (Room("role", "clerk", 8, 4, 4), None),  # few are allowed, and half of them are left
        (Room("role", "clerk", 8, 5, 5), Severity.NOTE),
    ],
)
def test_connections_are_left_or_not(room: Room, told: Severity | None) -> None:
    assert severity(of_room(room)) is told


@dataclass
class Case:
    """A table, and what is said of it."""

    table: Table
    told: list[Severity]


CASES = {
    "a busy queue": Case(BUSY, []),
    "autovacuum is late": Case(BUSY._replace(since=3_600.0), [Severity.NOTE]),
    "and there is much to do": Case(BUSY._replace(since=3_600.0, dead=2_000_000), [Severity.TROUBLE]),
    "it has begun": Case(BUSY._replace(since=3_600.0, running=True), []),
    "it has never come": Case(BUSY._replace(since=-1.0), [Severity.NOTE]),
    "the server has just started": Case(BUSY._replace(since=-1.0, watched=MINUTE), []),
    "few are dead": Case(BUSY._replace(since=-1.0, dead=9_000), []),
    "few for so many rows": Case(BUSY._replace(since=-1.0, dead=90_000, trigger=50_000.0), []),
    "it may not come": Case(BUSY._replace(enabled=False), [Severity.TROUBLE]),
    "once a long queue": Case(BUSY._replace(size=400 * MIB), []),
    "far too large": Case(BUSY._replace(size=4_000 * MIB), [Severity.NOTE]),
    "large and full": Case(BUSY._replace(size=4_000 * MIB, live=10_000_000), []),
    "empty and large": Case(BUSY._replace(size=4_000 * MIB, live=0, row=None), [Severity.NOTE]),
    "nobody knows how wide": Case(BUSY._replace(size=4_000 * MIB, row=None), []),
    "a crash has lost the counts": Case(BUSY._replace(size=4_000 * MIB, known=False), []),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_table_is_looked_after_or_not(case: Case) -> None:
    assert [finding.severity for finding in of_table(case.table)] == case.told


@pytest.mark.parametrize(
    ("index", "told"),
    [
        (Index("conveyor_job_fetch", 2_000 * MIB, 10, known=True), Severity.NOTE),
        (Index("conveyor_job_fetch", 2_000 * MIB, 10_000_000, known=True), None),
        (Index("conveyor_job_fetch", 200 * MIB, 10, known=True), None),
        (Index("conveyor_job_fetch", 2_000 * MIB, 10, known=False), None),
    ],
)
def test_an_index_has_the_size_of_what_is_in_it(index: Index, told: Severity | None) -> None:
    assert severity(of_index(index)) is told


@pytest.mark.parametrize(
    ("pids", "text"),
    [
        ((5, 5, 6, 5), "none is seen"),
        ((9, 5, 6, 5), "a pooler in session mode, it seems"),
        ((9, 5, 5, 5), "a pooler in transaction mode"),
        ((5, 5, 6, 6), "a pooler in transaction mode"),
    ],
)
def test_a_pooler_is_told_by_whose_processes_answer(pids: tuple[int, int, int, int], text: str) -> None:
    assert text in of_processes(*pids).text


def test_what_belongs_to_a_missing_table_is_not_told_one_by_one() -> None:
    there = [thing for thing in expected() if thing.table != "conveyor_job"]
    assert [finding.text for finding in compared(there, 2)] == ["the table conveyor_job is missing"]


def test_what_is_a_users_own_is_left_alone() -> None:
    own = Thing("index", "conveyor_history", "shop_by_task", "CREATE INDEX shop_by_task ON conveyor_history USING ...")
    assert list(compared([*expected(), own], 2)) == []
