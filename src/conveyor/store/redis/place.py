"""Where a store on Redis is: a server, or the primary that Sentinels name; and the prefix that its keys bear."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from conveyor.core.errors import UsageError
from conveyor.drivers.redis_cluster import Cluster, tag_of
from conveyor.drivers.redis_sources import Node, Sentinels, Server, Source

PREFIX: Final = "conveyor"
PORT: Final = 6379
SENTINEL: Final = 26379
"""Where they listen, unless the URL says otherwise."""
KNOWN: Final = frozenset(
    {"db", "username", "password", "socket_connect_timeout", "client_name"}
    | {"ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname"}
)
"""Options of the library's that a URL may name. It would not say that it does not know one."""
ASKED: Final = frozenset({"sentinel_username", "sentinel_password", "sentinel_ssl"})
"""Options for connections to Sentinels."""
SWITCHES: Final = frozenset({"ssl_check_hostname", "sentinel_ssl"})
LAST_PORT: Final = 65_535
MOST_REPLICAS: Final = 16
MOST_SHARDS: Final = 64
ENCODE: Final = "what is no letter or digit in a user's name or password is to be percent-encoded"
_ALLOWED: Final = re.compile(r"[\w.:-]{1,64}\Z", re.ASCII)
_HOST: Final = re.compile(r"([\w.-]+|\[[0-9a-fA-F:]+\])(?::(\d{1,5}))?\Z", re.ASCII)


class Place(NamedTuple):
    """A store's place."""

    source: Source
    shown: str
    """The URL without user, password and options of connections: whoever has these finds the store by it."""
    prefix: str
    """Of all keys, and of the channel."""
    tags: Sequence[str]
    """Of the shards, one for each: the keys of a tag are on one node."""
    wait: int
    """Replicas that a write waits for."""

    @classmethod
    def of(cls, url: str) -> "Place":
        """Read ``redis://host:6379/0?prefix=shop``, or ``redis+sentinel://one,two,three/service/0``.

        Raises ``UsageError``.
        """
        try:
            parts = urlsplit(url)
        except ValueError:  # whose message may repeat a part of a password
            raise _unread(ENCODE) from None
        if "@" in parts.path + parts.query + parts.fragment or parts.fragment:
            raise _unread(ENCODE)
        given = dict(parse_qsl(parts.query, keep_blank_values=True))
        prefix = given.pop("prefix", PREFIX)
        wait, shards = _number(given, "wait", 0, MOST_REPLICAS), _number(given, "shards", 1, MOST_SHARDS)
        if not _ALLOWED.match(prefix):
            raise UsageError("the prefix of a Redis store has up to 64 letters, digits, and . : - _")
        kind = parts.scheme.partition("+")[2]
        if unknown := sorted(given.keys() - KNOWN - (ASKED if kind == "sentinel" else frozenset())):
            raise _unread(f"there is no option {unknown[0]!r}")
        if not (timeout := given.get("socket_connect_timeout", "1")).isdecimal() or timeout == "0":
            raise _unread("socket_connect_timeout= is a number of seconds")
        source, where = {"sentinel": _sentinels, "cluster": _cluster}.get(kind, _server)(parts, given)
        told = {**({} if prefix == PREFIX else {"prefix": prefix}), **({"shards": shards} if shards > 1 else {})}
        shown = f"{parts.scheme}://{where}" + (f"?{urlencode(told)}" if told else "")
        return cls(source, shown, prefix, [tag_of(prefix, shard, shards or 1) for shard in range(shards or 1)], wait)


def _number(given: dict[str, str], name: str, usual: int, most: int) -> int:
    text = given.pop(name, str(usual))
    if not text.isdecimal() or int(text) > most:
        raise _unread(f"{name}= is a number, up to {most}")
    return int(text)


def _server(parts: SplitResult, given: Mapping[str, str]) -> tuple[Source, str]:
    try:
        port = parts.port or PORT
    except ValueError:  # whose message may repeat a part of a password
        raise _unread(ENCODE) from None
    number = parts.path.strip("/") or "0"
    if not number.isdecimal():
        raise _unread("behind the host stands the number of a database")
    where = f"{parts.hostname or 'localhost'}:{port}/{number}"
    return Server(parts._replace(query=urlencode(given)).geturl()), where


def _sentinels(parts: SplitResult, given: Mapping[str, str]) -> tuple[Source, str]:
    service, _, number = parts.path.strip("/").partition("/")
    asking: dict[str, object] = {
        name: given[f"sentinel_{name}"] for name in ("username", "password") if given.get(f"sentinel_{name}")
    }
    others = {name: value for name, value in given.items() if not name.startswith("sentinel_")}
    hosts, options, named = _several(parts, others, SENTINEL)
    if _read("sentinel_ssl", given.get("sentinel_ssl", "yes")):
        asking |= {name: value for name, value in options.items() if name.startswith("ssl")}
    if not hosts or not service or not (number or "0").isdecimal():
        raise _unread("write redis+sentinel://host:26379,host:26379/service/0")
    source = Sentinels(hosts, service, options | {"db": int(number or 0)}, asking)
    return source, f"{named}/{service}/{number or 0}"


def _cluster(parts: SplitResult, given: Mapping[str, str]) -> tuple[Source, str]:
    hosts, options, named = _several(parts, given, PORT)
    if not hosts or parts.path.strip("/") not in {"", "0"}:
        raise _unread("write redis+cluster://host:6379,host:6379/0; a Cluster has one database")
    return Cluster(hosts, options), f"{named}/0"


def _several(parts: SplitResult, given: Mapping[str, str], port: int) -> tuple[list[Node], dict[str, object], str]:
    """Several hosts, the options for connections, and the hosts as they were named; no hosts where one is none."""
    user, _, named = parts.netloc.rpartition("@")
    found = [_HOST.match(host) for host in named.split(",")]
    hosts = [(match[1].strip("[]"), int(match[2] or port)) for match in found if match]
    if any(number > LAST_PORT for _, number in hosts):
        hosts = []
    name, _, password = user.partition(":")
    options: dict[str, object] = {key: _read(key, value) for key, value in given.items()}
    options |= {key: unquote(value) for key, value in (("username", name), ("password", password)) if value}
    options |= {"ssl": True} if parts.scheme.startswith("rediss") else {}
    return (hosts if all(found) else []), options, named


def _read(option: str, value: str) -> object:
    """The value of an option of the library's, as its own URLs read it."""
    if option == "socket_connect_timeout":
        return float(value)
    return value.lower() not in {"0", "f", "false", "n", "no"} if option in SWITCHES else value


def _unread(why: str) -> UsageError:
    return UsageError(f"the Redis URL cannot be read: {why}")
