"""Where a store is: the URL that somebody gave, the environment's, or a file here."""

import os
from typing import Final
from urllib.parse import urlsplit

from conveyor.core.errors import UsageError

DEFAULT_URL: Final = "sqlite:///conveyor.db"
KINDS: Final = frozenset({"sqlite", "postgresql", "postgres"}) | {
    f"redis{tls}{kind}" for tls in ("", "s") for kind in ("", "+sentinel", "+cluster")
}
"""What a store's URL may begin with."""
IN_MEMORY: Final = "sqlite:///:memory:"


def addresses(url: str | None, listen_url: str | None) -> tuple[str, str | None]:
    """Where the store is, and where a worker listens, if not there; checked."""
    store = url or os.environ.get("CONVEYOR_URL") or DEFAULT_URL
    listen = listen_url or os.environ.get("CONVEYOR_LISTEN_URL") or None
    check_kind(store)
    if listen and not listen.startswith(("postgresql://", "postgres://")):
        raise UsageError("listen_url must begin with postgresql://: it is a PostgreSQL server's own address")
    return store, listen


def outbox_address(url: str, outbox: str | None) -> str | None:
    """Where the outbox of the store at *url* is, if it has one; checked."""
    given = outbox or os.environ.get("CONVEYOR_OUTBOX_URL") or None
    if given is None or (outbox is None and not on_redis(url)):
        return None
    if not on_redis(url):
        raise UsageError("outbox= is for a store on Redis: SQLite and PostgreSQL join a transaction by themselves")
    if not given.startswith(("postgresql://", "postgres://", "sqlite:///")) or given.startswith(IN_MEMORY):
        raise UsageError("outbox must begin with postgresql:// or sqlite:///: it is beside the tables of your own")
    return given


def on_redis(url: str) -> bool:
    """Whether the store at *url* is on Redis."""
    return urlsplit(url).scheme.startswith("redis")


def check_kind(url: str) -> None:
    """Raises ``UsageError`` for a URL of no known kind."""
    try:
        scheme = urlsplit(url).scheme
    except ValueError as error:
        raise UsageError(f"the store's URL cannot be read ({error}); write postgresql://user@host/database") from None
    if scheme not in KINDS:
        raise UsageError(
            f"the store's URL begins with {scheme or 'nothing'}://, and must begin with sqlite:///, postgresql:// or redis://"
            + _meant(url, scheme)
        )


def _meant(url: str, scheme: str) -> str:
    """What to write instead, where it can be guessed. What may hold a password is not repeated."""
    kind, plus, driver = scheme.partition("+")
    if plus and kind in KINDS:
        return f"; leave +{driver} out"
    return "" if scheme or not url.isprintable() or "@" in url else f"; for a file write sqlite:///{url}"
