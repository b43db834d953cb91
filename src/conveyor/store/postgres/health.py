"""What ``app.doctor()`` looks at in a PostgreSQL store besides its jobs."""

import os
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import psycopg
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from conveyor.core.errors import ConveyorError
from conveyor.core.health import Finding, fine, note, trouble
from conveyor.plan import Plan
from conveyor.store.postgres.listen import CHANNEL
from conveyor.store.postgres.plans import PostgresOperations

PATIENCE: Final = 3.0
"""Seconds that our own notification gets to come back."""

Run = Callable[[Plan[Sequence[str]]], Sequence[str]]


class Server(NamedTuple):
    """The settings that jobs depend on, in the order of ``settings.sql``."""

    fsync: str
    synchronous_commit: str
    full_page_writes: str
    read_only: str
    standby: str


def examined(operations: PostgresOperations, run: Run, connect: Callable[[], Connection[TupleRow]]) -> list[Finding]:
    """What is found. *connect* gives a connection of its own, for a session's state is tried."""
    try:
        found = of_server(Server(*run(operations.settings())))
    except ConveyorError as error:
        found = [trouble("server", f"its settings could not be read: {error}", "mend that, and ask again")]
    return [*found, _listening(connect)]


def of_server(server: Server) -> list[Finding]:
    """Whether the server takes writes, and keeps them."""
    if server.standby == "true" or server.read_only == "on":
        what = "is a standby" if server.standby == "true" else "lets nothing be written (transaction_read_only)"
        return [trouble("server", f"the server {what}: no job can be enqueued or run", "connect to the primary")]
    settings = {"fsync": server.fsync, "full_page_writes": server.full_page_writes}
    if risky := [name for name, value in settings.items() if value == "off"]:
        are = "are" if len(risky) > 1 else "is"
        text = f"{' and '.join(risky)} {are} off: a crash of the server's host may destroy the whole database"
        return [trouble("durability", text, "turn that on in postgresql.conf")]
    if server.synchronous_commit == "off":
        text = "synchronous_commit is off: a crash of the server may lose jobs it has accepted, and start others twice"
        fix = "turn it on, for this role at least: ALTER ROLE ... SET synchronous_commit = on"
        return [trouble("durability", text, fix)]
    return [fine("durability", f"fsync is on, synchronous_commit is {server.synchronous_commit}")]


def _listening(connect: Callable[[], Connection[TupleRow]]) -> Finding:
    """Whether a notification reaches who listens, tried on ourselves."""
    name = f"{CHANNEL}_{os.urandom(8).hex()}"
    try:
        with connect() as connection:
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(name)))
            connection.execute("SELECT pg_notify(%s, '')", (name,))
            heard = any(heard.channel == name for heard in connection.notifies(timeout=PATIENCE, stop_after=1))
    except (psycopg.Error, ConveyorError) as error:
        return note("listen", f"LISTEN cannot be tried: {' '.join(str(error).split())}")
    if heard:
        return fine("listen", "a notification reaches who listens")
    fix = "connect workers past the pooler (pgbouncer in transaction mode loses LISTEN), if a second matters"
    return note("listen", "no notification arrives: workers look each second instead of being told", fix)
