"""What ``app.doctor()`` looks at in a store on Redis besides its jobs: at each server that has a shard of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple, cast

from redis import exceptions

from conveyor.core.errors import ConveyorError
from conveyor.core.health import Finding, fine, note, trouble
from conveyor.drivers.redis import Connection, Moving, packed, translated
from conveyor.drivers.redis_links import Links

OLDEST: Final = (6, 2)
FULL: Final = 0.8
"""Of the memory that the server may use."""
SETTINGS: Final = ("appendfsync", "min-replicas-to-write")
"""What ``INFO`` does not tell."""


class Facts(NamedTuple):
    """What a server says of itself."""

    info: Mapping[str, str]
    settings: Mapping[str, str]
    """Empty where its user may not read them."""

    def get(self, name: str, usual: str = "") -> str:
        """A line of ``INFO``."""
        return self.info.get(name, usual)

    @property
    def replicas(self) -> int:
        """How many there are that hear of what is written."""
        lines = (value for name, value in self.info.items() if name.startswith("slave") and name[5:].isdecimal())
        return sum("state=online" in value for value in lines)


def examined(links: Links, shards: int, wait: int) -> Sequence[Finding]:
    """What is found; what cannot be looked at is a finding too. Of several servers each finding says which it is of.

    *wait*: for how many replicas the store's writes wait.
    """
    nodes: dict[str, Sequence[Finding]] = {}
    parts: dict[str, list[int]] = {}
    for shard in range(shards):
        place = ""
        try:
            place = links.place(shard)
            if place not in nodes:  # a server that does not answer is waited for once
                with translated(writes=False), links.link() as to:
                    nodes[place] = list(_found(_facts(to(shard)), wait))
        except ConveyorError as error:
            text = f"what it says of itself cannot be read: {error}"
            nodes[place] = [trouble("server", text, "start it, or let its user call INFO")]
            if not place and not isinstance(error, Moving):  # nobody says where any shard is: all were waited for
                parts[place] = [*parts.get(place, ()), *range(shard, shards)]
                break
        parts.setdefault(place, []).append(shard)
    if len(nodes) == 1:
        return next(iter(nodes.values()))
    return [replace(one, text=f"{_named(name, parts[name], one)}: {one.text}") for name in nodes for one in nodes[name]]


def _named(place: str, shards: Sequence[int], finding: Finding) -> str:
    """A server, and what is lost where it cannot be reached."""
    lost = (
        f" (shard{'s' if len(shards) > 1 else ''} {', '.join(map(str, shards))})" if finding.check == "server" else ""
    )
    return f"{place or 'a server'}{lost}"


def _facts(connection: Connection) -> Facts:
    connection.send_packed_command(packed("INFO"))
    text = cast(bytes, connection.read_response()).decode("utf-8", "replace")
    lines = (line.partition(":") for line in text.splitlines() if ":" in line)
    return Facts({name: value.strip() for name, _, value in lines}, dict(_settings(connection)))


def _settings(connection: Connection) -> Iterator[tuple[str, str]]:
    for name in SETTINGS:
        connection.send_packed_command(packed("CONFIG", "GET", name))
        try:
            pair = cast("list[bytes]", connection.read_response())
        except exceptions.ResponseError:  # its user may not, or a hosted server has no such command
            return
        if pair:
            yield name, pair[1].decode()


def _found(facts: Facts, wait: int) -> Iterator[Finding]:
    yield _version(facts)
    yield _durability(facts)
    yield _eviction(facts)
    yield _memory(facts)
    if wait or facts.get("cluster_enabled") == "1":
        yield _replicas(facts, wait)


def _version(facts: Facts) -> Finding:
    server = "Valkey" if facts.get("server_name") == "valkey" else "Redis"
    version = facts.get("valkey_version") or facts.get("redis_version", "?")
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers < OLDEST:
        return trouble("version", f"{server} {version} is older than 6.2", "bring the server to 6.2 or later")
    return fine("version", f"{server} {version}")


def _durability(facts: Facts) -> Finding:
    if facts.get("aof_enabled") != "1":
        fix = "CONFIG SET appendonly yes, and in its configuration file"
        return trouble("durability", "the append-only file is off: what was accepted is lost when the server ends", fix)
    match facts.settings.get("appendfsync"):
        case "no":
            text = "appendfsync is no: a power cut takes what was accepted in the last half a minute or so"
            fix = "CONFIG SET appendfsync everysec, or always, and in its configuration file"
            return trouble("durability", text, fix)
        case "always":
            return fine("durability", "the append-only file is on, and each write is on disk before it is answered")
        case "everysec":
            return fine("durability", "the append-only file is on; a power cut may cost the last second")
        case _:
            text = "the append-only file is on; what a power cut may cost is not known, for CONFIG GET is refused"
            return note("durability", text, "let its user call CONFIG GET")


def _eviction(facts: Facts) -> Finding:
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy == "noeviction" or facts.get("maxmemory") == "0":
        return fine("eviction", "the server throws nothing away")
    fix = "CONFIG SET maxmemory-policy noeviction, and in its configuration file"
    return trouble("eviction", f"maxmemory-policy is {policy}: a full server throws jobs away", fix)


def _memory(facts: Facts) -> Finding:
    used, most = int(facts.get("used_memory", "0")), int(facts.get("maxmemory", "0"))
    if not most:
        return fine("memory", f"{used / 1024 / 1024:,.0f} MiB in use, and no limit")
    text = f"{used / 1024 / 1024:,.0f} MiB in use of {most / 1024 / 1024:,.0f}"
    if used < FULL * most:
        return fine("memory", text)
    return note("memory", text, "raise maxmemory, keep ended jobs for a shorter time, or conveyor prune")


def _replicas(facts: Facts, wait: int) -> Finding:
    there, least = facts.replicas, facts.settings.get("min-replicas-to-write")
    text = f"{there} {'replica hears' if there == 1 else 'replicas hear'} of what is written"
    if there < wait:
        return trouble("replicas", f"{text}, and wait={wait}: nothing is accepted", "start replicas, or lower wait=")
    if not there:
        return note("replicas", f"{text}: when this server is lost, so is its part of the jobs", "give it a replica")
    if least is not None and int(least) < wait:
        said = (
            f"{text}, and min-replicas-to-write is {least}, less than wait={wait}: when it is cut off it still writes"
        )
        return trouble("replicas", said, f"CONFIG SET min-replicas-to-write {wait}, and in its configuration file")
    return fine("replicas", text)
