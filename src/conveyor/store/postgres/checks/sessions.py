"""Sessions: who keeps dead rows from being removed, and how many connections there may still be."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Final, NamedTuple

from conveyor.core.health import Finding, bounded, fine, note, span, trouble
from conveyor.store.postgres.checks.look import Look

HELD_LONG: Final = 300.0
"""Seconds that a transaction may well take: a report, a copy of a small database."""
HELD_TOO_LONG: Final = 3_600.0
HELD_MANY: Final = 100_000
"""Transactions, where the time is not known: some minutes of a busy server."""
HELD_TOO_MANY: Final = 10_000_000
A_WORKER: Final = 10
"""Connections that one worker may open: 8 for its work, one for its lease, one to listen."""
HARDLY_ANY: Final = 2
SHOWN: Final = 60
"""Characters of a query that are shown."""


class Holder(NamedTuple):
    """Who may hold dead rows back, in the order of ``holders.sql``."""

    kind: str
    """``session``, ``standby`` (its feedback), ``prepared`` or ``slot``."""
    name: str
    """A pid, or a name as SQL has it."""
    application: str
    user: str
    state: str
    transactions: int
    """How many transactions began since."""
    seconds: float | None
    """How long its transaction is open; ``None`` where the server does not say."""
    query_seconds: float | None
    query: str


class Room(NamedTuple):
    """Connections to something, in the order of ``connections.sql``."""

    what: str
    name: str
    limit: int
    used: int
    ours: int


def holding(look: Look) -> Iterator[Finding]:
    """The oldest snapshots and transactions of this database."""
    holders = [Holder._make(row) for row in look.ask("holders")]
    found = [finding for finding in map(of_holder, holders) if finding is not None]
    ((hidden, role),) = look.ask("hidden")
    if hidden:
        text = f"role {role} cannot look into {hidden} of the sessions: one may keep dead rows from being removed"
        found.append(note("snapshots", text, f"GRANT pg_read_all_stats TO {role}"))
    oldest = max((holder.seconds for holder in holders if holder.seconds is not None), default=0.0)
    yield from bounded("snapshots", found) or [
        fine("snapshots", f"the oldest open transaction began {span(timedelta(seconds=oldest))} ago")
    ]


def of_holder(holder: Holder) -> Finding | None:
    """Whether it is there for too long, and how it is ended."""
    if (
        holder.seconds is None or holder.kind == "standby"
    ):  # of a standby's feedback, the connection's own time says nothing
        long, too_long = holder.transactions >= HELD_MANY, holder.transactions >= HELD_TOO_MANY
    else:
        long, too_long = holder.seconds >= HELD_LONG, holder.seconds >= HELD_TOO_LONG
    if not long:
        return None
    text = f"{_who(holder)}: no row that was deleted or changed since can be removed, and tables grow"
    return (trouble if too_long else note)("snapshots", text, _end(holder))


def _who(holder: Holder) -> str:
    since = f"{holder.transactions:,} transactions"
    if holder.kind == "prepared":
        when = span(timedelta(seconds=holder.seconds or 0))
        return f"the prepared transaction {holder.name} of role {holder.user} is open since {when}"
    if holder.kind == "slot":
        return f"the replication slot {holder.name} ({holder.state}) holds back what {since} have left behind"
    if holder.kind == "standby":
        who = f"the standby {holder.application!r} (pid {holder.name}, role {holder.user})"
        return f"{who} holds back, by hot_standby_feedback, what {since} have left behind"
    who = f"pid {holder.name} ({holder.application or 'no application_name'}, role {holder.user})"
    query = " ".join(holder.query.split())
    query = query if len(query) <= SHOWN else query[: SHOWN - 3] + "..."
    asked = f", its last query {span(timedelta(seconds=holder.query_seconds or 0))} ago" if holder.query else ""
    when = span(timedelta(seconds=holder.seconds or 0))
    return f"{who} is {holder.state}; its transaction is open for {when}{asked}{f' ({query})' if query else ''}"


def _end(holder: Holder) -> str:
    if holder.kind == "prepared":
        return f"ROLLBACK PREPARED {holder.name}; or COMMIT PREPARED, whichever its owner meant"
    if holder.kind == "slot":
        drop = f"SELECT pg_drop_replication_slot({holder.name})"
        return f"{drop}; that is, if its standby will not come back" if holder.state == "inactive" else _STANDBY
    if holder.kind == "standby":
        return _STANDBY
    end = f"SELECT pg_terminate_backend({holder.name})"
    if holder.state.startswith("idle in transaction"):
        later = f"ALTER ROLE {holder.user} SET idle_in_transaction_session_timeout = '5min'"
        return f"{end}; and for the next time {later}"
    return f"{end}; that is, unless it is meant"


_STANDBY: Final = (
    "end the long query on the standby, or there ALTER SYSTEM SET hot_standby_feedback = off; SELECT pg_reload_conf()"
)


def room(look: Look) -> Iterable[Finding]:
    """How many connections are left."""
    rooms = [Room._make(row) for row in look.ask("connections")]
    found = [finding for finding in map(of_room, rooms) if finding is not None]
    server = rooms[0]
    return found or [fine("connections", f"{server.used} of {server.limit} connections are taken")]


def of_room(place: Room) -> Finding | None:
    """Whether the next program will get its connections."""
    left = place.limit - place.used
    if left >= min(A_WORKER, place.limit / 2):
        return None
    what, fix = (text.format(place.name) for text in _LIMITS[place.what])
    text = f"{place.used} of {place.limit} connections of {what} are taken, {place.ours} of them Conveyor's"
    if left <= HARDLY_ANY:
        return trouble("connections", f"{text}: the next program that starts will be refused", fix)
    return note("connections", f"{text}: one more worker may want {A_WORKER}", fix)


_LIMITS: Final = {
    "server": (
        "the server (max_connections, less those reserved)",
        "end programs that nobody needs, put a pooler in front, or ALTER SYSTEM SET max_connections = ... and restart",
    ),
    "database": ("database {}", "ALTER DATABASE {} CONNECTION LIMIT ..., or end programs that are not needed"),
    "role": ("role {}", "ALTER ROLE {} CONNECTION LIMIT ..., or end programs that are not needed"),
}
