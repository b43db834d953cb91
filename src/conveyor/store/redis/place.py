"""Where a store on Redis is: a server, and the prefix that its keys bear."""

import re
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from conveyor.core.errors import UsageError

PREFIX: Final = "conveyor"
KNOWN: Final = frozenset(
    {"db", "username", "password", "socket_connect_timeout", "client_name"}
    | {"ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname"}
)
"""Options of the library's that a URL may name. It would not say that it does not know one."""
_ALLOWED: Final = re.compile(r"[\w.:-]{1,64}\Z", re.ASCII)


class Place(NamedTuple):
    """A store's place."""

    server: str
    """The URL that the library takes."""
    shown: str
    """The URL without user and password."""
    prefix: str
    """Of all keys; its {tag} keeps them on one node."""

    @classmethod
    def of(cls, url: str) -> "Place":
        """Read ``redis://host:6379/0?prefix=shop``. Raises ``UsageError``."""
        parts = urlsplit(url)
        given = dict(parse_qsl(parts.query, keep_blank_values=True))
        prefix = given.pop("prefix", PREFIX)
        if unknown := sorted(given.keys() - KNOWN):
            raise UsageError(f"the Redis URL cannot be read: there is no option {unknown[0]!r}")
        if not _ALLOWED.match(prefix):
            raise UsageError("the prefix of a Redis store has up to 64 letters, digits, and . : - _")
        try:
            where = f"{parts.hostname or 'localhost'}:{parts.port or 6379}{parts.path or '/0'}"
        except ValueError as error:
            raise UsageError(f"the Redis URL cannot be read: {error}") from None
        shown = f"{parts.scheme}://{where}" + ("" if prefix == PREFIX else f"?prefix={prefix}")
        return cls(parts._replace(query=urlencode(given)).geturl(), shown, f"{{{prefix}:0}}")
