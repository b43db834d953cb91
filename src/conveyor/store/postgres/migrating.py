"""Bringing the tables to this version: one transaction for each migration, and nobody held up for long.

A migration that changes a table needs it for itself for a moment. While it waits for that, everybody who comes after
waits behind it: so it waits briefly, lets them all through, and tries again.
"""

import logging
import time
from typing import Final

from psycopg import Connection
from psycopg.rows import TupleRow

from conveyor.core.backoff import jittered
from conveyor.core.errors import HeldElsewhere, UsageError
from conveyor.core.version import __version__
from conveyor.drivers.postgres import Collided, translated
from conveyor.store.sqlfiles import migrations, sql, statements

logger = logging.getLogger("conveyor.migrate")

LOCK: Final = 0x636F6E76
"""Two that migrate take turns by this advisory lock, which ends with its transaction."""
PAUSES: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0, 15.0, 15.0)
"""Seconds between tries: a minute and a half, in which a transaction that was only long has ended."""
LEDGER: Final = (
    "CREATE TABLE IF NOT EXISTS conveyor_migration "
    "(number integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
)
_ISOLATION: Final = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"
"""Whatever the database's default is: else what was written while we waited for a lock would not be seen."""
_SCRIPT: Final = """\
BEGIN;
{before};
DO $$ BEGIN
    IF (SELECT coalesce(max(number), 0) FROM conveyor_migration) <> {previous} THEN
        RAISE EXCEPTION '{name} is for a schema at migration {previous}, and this one is at %',
            (SELECT coalesce(max(number), 0) FROM conveyor_migration);
    END IF;
END $$;

-- {name}
{text}
{after};
COMMIT;
"""

Migration = tuple[int, str, str]
"""Number, name, text."""


def missing(connection: Connection[TupleRow]) -> list[Migration]:
    """What has not been applied yet; changes nothing, and asks for no right but to read."""
    seen = connection.execute("SELECT to_regclass('conveyor_migration') IS NOT NULL").fetchone()
    there = connection.execute("SELECT number FROM conveyor_migration").fetchall() if seen and seen[0] else []
    applied = {number for (number,) in there}
    return [migration for migration in migrations("postgres") if migration[0] not in applied]


def migrate(connection: Connection[TupleRow], lock_timeout: float) -> list[str]:
    """Apply what is missing; the names of what was applied. See ``Store.migrate``."""
    with translated(writes=False):
        pending = missing(connection)
    return [migration[1] for migration in pending if _applied_patiently(connection, migration, lock_timeout)]


def script(first: int, last: int, lock_timeout: float) -> str:
    """What ``migrate`` would run to bring a schema at *first* to *last*, to be run by ``psql`` or the like."""
    newest = migrations("postgres")[-1][0]
    if not 0 <= first < last <= newest:
        raise UsageError(f"there are migrations 1 to {newest}, so FROM and TO are numbers as in --sql 0 {newest}")
    wanted = [migration for migration in migrations("postgres") if first < migration[0] <= last]
    head = f"-- Conveyor {__version__}: its tables from migration {first} to {last}, in a transaction for each"
    return "\n".join([head, *(_written(migration, lock_timeout) for migration in wanted)])


def _written(migration: Migration, lock_timeout: float) -> str:
    number, name, text = migration
    before = ";\n".join(_before(number, lock_timeout))
    return _SCRIPT.format(
        before=before, previous=number - 1, name=name, text=text.strip(), after=recorded(number, name)
    )


def _before(number: int, lock_timeout: float) -> list[str]:
    """Who migrates at the same time is waited for as long as it takes: that keeps nobody else waiting."""
    limit = max(round(lock_timeout * 1_000), int(lock_timeout > 0))
    before = [_ISOLATION, f"SELECT pg_advisory_xact_lock({LOCK})", f"SET LOCAL lock_timeout = '{limit}ms'"]
    return [*before, LEDGER] if number == 1 else before


def recorded(number: int, name: str) -> str:
    """The statement that says that a migration was applied."""
    return f"INSERT INTO conveyor_migration (number, name) VALUES ({number}, '{name}')"  # noqa: S608 - our file's name


def _applied_patiently(connection: Connection[TupleRow], migration: Migration, lock_timeout: float) -> bool:
    for pause in PAUSES:
        try:
            return _applied(connection, migration, lock_timeout)
        except (HeldElsewhere, Collided):
            wait = jittered(pause)
            logger.warning("%s waits for %s; next try in %.1f s", migration[1], _holder(connection), wait)
            time.sleep(wait)
    try:
        return _applied(connection, migration, lock_timeout)
    except (HeldElsewhere, Collided) as error:
        raise HeldElsewhere(
            f"{migration[1]} was not applied and nothing was changed: in {len(PAUSES) + 1} tries of {lock_timeout:g} s "
            f"it did not get the tables for itself. It waits for {_holder(connection)}; end that, or give it longer "
            "with --lock-timeout, which holds up enqueues and workers for as long"
        ) from error


def _applied(connection: Connection[TupleRow], migration: Migration, lock_timeout: float) -> bool:
    """Apply it in a transaction; ``False`` when somebody else has done so by now."""
    number, name, text = migration
    with translated(writes=True), connection.transaction():
        for statement in _before(number, lock_timeout):
            connection.execute(statement.encode())
        if number not in {migration[0] for migration in missing(connection)}:
            return False
        for statement in [*statements(text), recorded(number, name)]:
            connection.execute(statement.encode())
    return True


def _holder(connection: Connection[TupleRow]) -> str:
    """Who is in a transaction that has touched our tables, the oldest first."""
    with translated(writes=False):
        row = connection.execute(sql("postgres", "blocker").encode()).fetchone()
    if row is None:
        return "a transaction that has just ended"
    pid, application, role, state, seconds = row
    return f"pid {pid} ({application}, role {role}), {state}, whose transaction is open for {seconds:.0f} s"
