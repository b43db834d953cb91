"""Where a store on Redis is: a server, or the primary that Sentinels name; and the prefix that its keys bear."""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

from conveyor.core.errors import UsageError
from conveyor.drivers.redis_sources import Sentinels, Server, Source

PREFIX: Final = "conveyor"
PORT: Final = 6379
SENTINEL: Final = 26379
"""Where they listen, unless the URL says otherwise."""
KNOWN: Final = frozenset(
    {"db", "username", "password", "socket_connect_timeout", "client_name"}
    | {"ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname"}
)
"""Options of the library's that a URL may name. It would not say that it does not know one."""
MOST_REPLICAS: Final = 16
MOST_SHARDS: Final = 64
_ALLOWED: Final = re.compile(r"[\w.:-]{1,64}\Z", re.ASCII)
_HOST: Final = re.compile(r"([\w.-]+|\[[0-9a-fA-F:]+\])(?::(\d{1,5}))?\Z", re.ASCII)


class Place(NamedTuple):
    """A store's place."""

    source: Source
    shown: str
    """The URL without user and password."""
    prefix: str
    """Of all keys."""
    shards: int
    """Parts that the store has, each on one node."""
    wait: int
    """Replicas that a write waits for."""

    @classmethod
    def of(cls, url: str) -> "Place":
        """Read ``redis://host:6379/0?prefix=shop``, or ``redis+sentinel://one,two,three/service/0``.

        Raises ``UsageError``.
        """
        parts = urlsplit(url)
        given = dict(parse_qsl(parts.query, keep_blank_values=True))
        prefix = given.pop("prefix", PREFIX)
        wait, shards = _number(given, "wait", 0, MOST_REPLICAS), _number(given, "shards", 1, MOST_SHARDS)
        if not _ALLOWED.match(prefix):
            raise UsageError("the prefix of a Redis store has up to 64 letters, digits, and . : - _")
        if unknown := sorted(given.keys() - KNOWN):
            raise _unread(f"there is no option {unknown[0]!r}")
        source, where = _sentinels(parts, given) if "+sentinel" in parts.scheme else _server(parts, given)
        shown = f"{parts.scheme}://{where}" + ("" if prefix == PREFIX else f"?prefix={prefix}")
        return cls(source, shown, prefix, max(shards, 1), wait)


def _number(given: dict[str, str], name: str, usual: int, most: int) -> int:
    text = given.pop(name, str(usual))
    if not text.isdecimal() or int(text) > most:
        raise _unread(f"{name}= is a number, up to {most}")
    return int(text)


def _server(parts: SplitResult, given: Mapping[str, str]) -> tuple[Source, str]:
    try:
        where = f"{parts.hostname or 'localhost'}:{parts.port or PORT}{parts.path or '/0'}"
    except ValueError as error:
        raise _unread(str(error)) from None
    return Server(parts._replace(query=urlencode(given)).geturl()), where


def _sentinels(parts: SplitResult, given: Mapping[str, str]) -> tuple[Source, str]:
    user, _, named = parts.netloc.rpartition("@")
    found = [_HOST.match(host) for host in named.split(",")]
    service, _, number = parts.path.strip("/").partition("/")
    if not all(found) or not service or not (number or "0").isdecimal():
        raise _unread("write redis+sentinel://host:26379,host:26379/service/0")
    hosts = [(match[1].strip("[]"), int(match[2] or SENTINEL)) for match in found if match]
    options: dict[str, Any] = dict(given) | {"db": int(number or 0)}
    name, _, password = user.partition(":")
    options |= {key: unquote(value) for key, value in (("username", name), ("password", password)) if value}
    if parts.scheme.startswith("rediss"):
        options["ssl"] = True
    return Sentinels(hosts, service, options), f"{named}/{service}/{number or 0}"


def _unread(why: str) -> UsageError:
    return UsageError(f"the Redis URL cannot be read: {why}")
