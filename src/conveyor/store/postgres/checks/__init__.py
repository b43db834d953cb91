"""What ``app.doctor()`` asks of a PostgreSQL server: a check is a function, and the SQL that it asks with beside it."""

from typing import Final

from conveyor.store.postgres.checks import history, jobs, pooler, server, sessions, vacuum
from conveyor.store.postgres.checks.look import Check

CHECKS: Final[dict[str, Check]] = {
    "pooler": pooler.looked,
    "durability": server.looked,
    "connections": sessions.room,
    "snapshots": sessions.holding,
    "vacuum": vacuum.looked,
    "age": server.aged,
    "history": history.looked,
    "bell": jobs.ringing,
}
"""By the name under which it is said that a check could not be made. Add one here, and a test that seeds the fault."""
DEEP: Final[dict[str, Check]] = {"numbers": jobs.overflowing}
"""Those that read a whole table."""
