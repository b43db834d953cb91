"""Whether the server takes writes and keeps them, and whether its rows are looked after."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from conveyor.core.health import Finding, Severity, fine, note, trouble
from conveyor.store.postgres.checks.look import Look

COMMIT_SLOW: Final = 0.1
"""Seconds."""
XIDS_LEFT: Final = 2**31
"""The server stops taking writes some millions before the oldest row is this many transactions old."""
XIDS_NOTE: Final = 1_000_000_000
XIDS_TROUBLE: Final = 1_600_000_000
"""Its own emergency measures (``vacuum_failsafe_age``) begin there."""


class Setting(NamedTuple):
    """One setting as this session has it, and where from: see ``pg_settings.source``."""

    value: str
    source: str = "configuration file"


def looked(look: Look) -> Iterable[Finding]:
    """Reading the settings."""
    found = of_server(asked(look))
    yield from found
    if found[0].severity is Severity.FINE:  # else nobody can write, or it proves nothing
        yield of_commit(look.commit_seconds())
    for role, database, name, value in look.ask("others"):
        yield of_other(str(role), str(database), f"{name} = {value}")


def asked(look: Look) -> dict[str, Setting]:
    """The settings by their names; besides, ``role`` and ``database`` are who asks, and where."""
    return {str(name): Setting(str(value), str(source)) for name, value, source in look.ask("server")}


def of_server(settings: Mapping[str, Setting]) -> list[Finding]:
    """Whether it takes writes, and keeps them."""
    standby = settings["in_hot_standby"].value == "on"
    if standby or settings["transaction_read_only"].value == "on":
        what = "is a standby" if standby else "lets nothing be written (transaction_read_only)"
        return [trouble("server", f"the server {what}: no job can be enqueued or run", "connect to the primary")]
    if risky := [name for name in ("fsync", "full_page_writes") if settings[name].value == "off"]:
        are = "are" if len(risky) > 1 else "is"
        text = f"{' and '.join(risky)} {are} off: a crash of the server's host may destroy the whole database"
        return [trouble("durability", text, "; ".join(turned_on(name, settings) for name in risky))]
    commit = settings["synchronous_commit"]
    if commit.value == "off":
        text = "synchronous_commit is off: a crash of the server may lose jobs it has accepted, and start others twice"
        return [trouble("durability", text, turned_on("synchronous_commit", settings))]
    return [fine("durability", f"fsync is on, synchronous_commit is {commit.value}")]


def of_commit(seconds: float) -> Finding:
    """Whether the disk is quick enough; what was gathered into one commit shares its time."""
    text = f"a commit takes {seconds * 1_000:.1f} ms"
    if seconds < COMMIT_SLOW:
        return fine("commits", text)
    fix = "enqueue several at a time (enqueue_many), or give the server's pg_wal a quicker disk"
    return note("commits", f"{text}: so long waits whoever enqueues one job", fix)


def of_other(role: str, database: str, setting: str) -> Finding:
    """A session that another role would get, or any new one, loses what it commits."""
    where = f" IN DATABASE {database}" if role and database else ""
    whose = f"ROLE {role}{where}" if role else f"DATABASE {database}" if database else "ROLE ALL"
    text = f"{setting} is set for {whose}: a crash of the server may lose jobs that such a session was told are stored"
    return note("durability", text, f"ALTER {whose} RESET {setting.partition(' ')[0]}")


def turned_on(name: str, settings: Mapping[str, Setting]) -> str:
    """What turns the setting *name* on, wherever it was turned off."""
    role, database = settings["role"].value, settings["database"].value
    by_hand = {
        "command line": f"start the server without {name} on its command line",
        "client": f"take {name} out of the URL's options= or PGOPTIONS",
        "database": f"ALTER DATABASE {database} RESET {name}",
        "user": f"ALTER ROLE {role} RESET {name}",
        "database user": f"ALTER ROLE {role} IN DATABASE {database} RESET {name}",
    }
    return by_hand.get(settings[name].source, f"ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf()")


def aged(look: Look) -> Iterator[Finding]:
    """How far the server is from having no transaction numbers left, as it would when vacuum cannot do its work."""
    for age, members, _, _ in look.ask("wraparound"):
        worst = max(int(str(age)), int(str(members)))
        if worst < XIDS_NOTE:
            continue
        text = (
            f"the oldest row of this database is {worst:,} transactions old: near {XIDS_LEFT:,} the server "
            "takes no more writes"
        )
        fix = "find what keeps vacuum from it (snapshots, above), then VACUUM (FREEZE) as the owner of all tables"
        yield (trouble if worst >= XIDS_TROUBLE else note)("vacuum", text, fix)
