"""What ``app.doctor()`` looks at in a store on Redis besides its jobs."""

from collections.abc import Mapping, Sequence
from typing import Final, cast

from conveyor.core.errors import ConveyorError
from conveyor.core.health import Finding, fine, note, trouble
from conveyor.drivers.redis import packed, translated
from conveyor.drivers.redis_links import Links

OLDEST: Final = (6, 2)
FULL: Final = 0.8
"""Of the memory that the server may use."""
Facts = Mapping[str, str]


def examined(links: Links) -> Sequence[Finding]:
    """What is found; what cannot be looked at is a finding too."""
    try:
        with translated(writes=False), links.link() as to:
            connection = to(0)
            connection.send_packed_command(packed("INFO"))
            text = cast(bytes, connection.read_response()).decode("utf-8", "replace")
    except ConveyorError as error:
        return [trouble("server", f"what it says of itself cannot be read: {error}", "let its user call INFO")]
    lines = (line.partition(":") for line in text.splitlines() if ":" in line)
    facts = {name: value.strip() for name, _, value in lines}
    return [_version(facts), _durability(facts), _eviction(facts), _memory(facts)]


def _version(facts: Facts) -> Finding:
    server = "Valkey" if facts.get("server_name") == "valkey" else "Redis"
    version = facts.get("valkey_version") or facts.get("redis_version", "?")
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers < OLDEST:
        return trouble("version", f"{server} {version} is older than 6.2", "bring the server to 6.2 or later")
    return fine("version", f"{server} {version}")


def _durability(facts: Facts) -> Finding:
    if facts.get("aof_enabled") == "1":
        return fine("durability", "the append-only file is on; appendfsync says what a power cut may cost")
    fix = "CONFIG SET appendonly yes, and in its configuration file"
    return trouble("durability", "the append-only file is off: what was accepted is lost when the server ends", fix)


def _eviction(facts: Facts) -> Finding:
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy == "noeviction" or facts.get("maxmemory") == "0":
        return fine("eviction", "the server throws nothing away")
    fix = "CONFIG SET maxmemory-policy noeviction, and in its configuration file"
    return trouble("eviction", f"maxmemory-policy is {policy}: a full server throws jobs away", fix)


def _memory(facts: Facts) -> Finding:
    used, most = int(facts.get("used_memory", 0)), int(facts.get("maxmemory", 0))
    if not most:
        return fine("memory", f"{used / 1024 / 1024:,.0f} MiB in use, and no limit")
    text = f"{used / 1024 / 1024:,.0f} MiB in use of {most / 1024 / 1024:,.0f}"
    if used < FULL * most:
        return fine("memory", text)
    return note("memory", text, "raise maxmemory, keep ended jobs for a shorter time, or conveyor prune")
