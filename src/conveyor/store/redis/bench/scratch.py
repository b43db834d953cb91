"""A prefix of keys for one measure, which nobody else has, and which is gone with all its keys in the end.

Why not a database of the server's by number: clusters and many services have only one.
"""

import logging
import secrets
from collections.abc import Iterator
from typing import Final, cast
from urllib.parse import parse_qsl, urlencode, urlsplit

from conveyor.core.errors import ConveyorError
from conveyor.drivers.redis import Argument, Carried, carry, packed, translated
from conveyor.drivers.redis_links import Links
from conveyor.plan import Statement
from conveyor.store.redis.place import Place

logger = logging.getLogger("conveyor.bench")

SCANNED: Final = 1_000
"""Keys that the server looks at in one go."""
_told: Final[set[str]] = set()


class Scratch:
    """The prefix, and a connection to where its keys are. A set of the server's knows the prefixes in use."""

    def __init__(self, url: str, who: str = "bench") -> None:
        """Takes a new one on the server of *url*. ``UsageError`` and ``StoreUnavailable`` as a store."""
        self._known = f"conveyor-{who}"
        self.name = f"{self._known}-{secrets.token_hex(6)}"
        self.url = beside(url, self.name)
        place = Place.of(self.url)
        self._links = Links(place.source, place.tags)
        self._prefix, self._tags = place.prefix, place.tags
        self.spoken = 0
        """Scripts that this object has called."""
        self._tell_left()
        self.said("SADD", self._known, self.name)

    def said(self, *words: Argument) -> object:
        """What the server answers to a command."""
        with translated(writes=False), self._links.link() as to:
            connection = to(0)
            connection.send_packed_command(packed(*words))
            return connection.read_response()

    def carried(self, statement: Statement) -> object:
        """What a script answers."""
        self.spoken += 1
        with self._links.link() as to:
            carried = Carried(self._links.forget, writes=False)
            return carry(to, self._tags, carried)(statement).rows[0][0]

    def facts(self) -> dict[str, str]:
        """What the server says of itself."""
        text = cast(bytes, self.said("INFO", "everything")).decode("utf-8", "replace")
        return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines()) if value}

    def drop(self) -> None:
        """Remove the keys; a failure is told, with what to do."""
        try:
            for keys in self._keys():
                if keys:
                    self.said("UNLINK", *keys)
            self.said("SREM", self._known, self.name)
        except ConveyorError as error:
            logger.warning("keys are left over, remove them: %s: %s", removal(self.name), error)
        finally:
            self._links.close()

    def _keys(self) -> Iterator[list[bytes]]:
        cursor = b"0"
        while True:
            answer = self.said("SCAN", cursor, "MATCH", f"{{{self._prefix}:*", "COUNT", SCANNED)
            cursor, keys = cast(tuple[bytes, list[bytes]], answer)
            yield keys
            if cursor == b"0":
                return

    def _tell_left(self) -> None:
        """Say what a run that was killed has left behind; to remove it is the user's decision."""
        for name in cast("list[bytes]", self.said("SMEMBERS", self._known)):
            left = name.decode("utf-8", "replace")
            if left not in _told:
                _told.add(left)
                logger.warning("keys of another run are there; if it has ended, remove them: %s", removal(left))


def beside(url: str, prefix: str) -> str:
    """*url* with another prefix; all else as it was."""
    parts = urlsplit(url)
    rest = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name != "prefix"]
    return parts._replace(query=urlencode([*rest, ("prefix", prefix)])).geturl()


def removal(name: str) -> str:
    """The command that removes what is left of a run."""
    known = name.rpartition("-")[0]
    return f"redis-cli --scan --pattern '{{{name}:*' | xargs redis-cli unlink; redis-cli srem {known} {name}"
