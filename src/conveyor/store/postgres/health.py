"""What ``app.doctor()`` looks at in a PostgreSQL store besides its jobs."""

import os
from collections.abc import Callable, Mapping
from typing import Final

import psycopg
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from conveyor.core.errors import ConveyorError
from conveyor.core.health import Finding, Severity, fine, note, trouble
from conveyor.store.postgres.checks import tables
from conveyor.store.postgres.checks.look import Check, Look
from conveyor.store.postgres.listen import CHANNEL

PATIENCE: Final = 3.0
"""Seconds that our own notification gets to come back."""

Connect = Callable[[], Connection[TupleRow]]


def examined(connect: Connect, checks: Mapping[str, Check], listen: Connect | None = None) -> list[Finding]:
    """What is found. *connect* gives connections of its own, for a session's state is tried.

    *listen* gives one as workers listen on, where that is another.
    """
    found: list[Finding] = []
    with Look(connect) as look:
        for name, check in checks.items():
            try:
                found += check(look)
            except ConveyorError as error:
                found.append(trouble(name, f"this could not be looked at: {error}", "mend that, and ask again"))
            if any(_hopeless(finding) for finding in found):
                return found
    return [*found, _listening(connect, listen or connect)]


def amiss(connect: Connect) -> list[Finding]:
    """What is wrong with the tables themselves, and with the right to use them. Raises as ``Store.run`` does."""
    with Look(connect) as look:
        return list(tables.looked(look))


def _hopeless(finding: Finding) -> bool:
    """Whether nothing more can be asked: no transaction can be had."""
    return finding.check == "pooler" and finding.severity is Severity.TROUBLE


def _listening(connect: Connect, listen: Connect) -> Finding:
    """Whether a notification reaches who listens, tried on ourselves.

    Another connection notifies: through a pooler in transaction mode our own might happen to use the very process of
    the server that was told to listen, and be answered.
    """
    name = f"{CHANNEL}_{os.urandom(8).hex()}"
    try:
        with listen() as listener, connect() as other:
            listener.execute(sql.SQL("LISTEN {}").format(sql.Identifier(name)))
            other.execute("SELECT pg_notify(%s, '')", (name,))
            heard = any(heard.channel == name for heard in listener.notifies(timeout=PATIENCE, stop_after=1))
    except (psycopg.Error, ConveyorError) as error:
        return note("listen", f"LISTEN cannot be tried: {' '.join(str(error).split())}")
    if heard:
        return fine("listen", "a notification reaches who listens")
    fix = "connect workers past the pooler (pgbouncer in transaction mode loses LISTEN), if a second matters"
    return note("listen", "no notification arrives: workers look each second instead of being told", fix)
