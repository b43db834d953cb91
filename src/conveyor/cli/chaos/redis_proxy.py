"""A proxy between a client and Redis that loses calls of scripts, and the answers to them."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha1

from conveyor.cli.chaos.between import Between
from conveyor.cli.chaos.losing import LosingLine
from conveyor.cli.chaos.proxy import Cut

CALLS = {b"EVALSHA", b"EVAL"}


class RedisProxy(Between["_Line"]):
    """See above; *choose* is asked at each call of one of *scripts*, and says ``BEFORE``, ``AFTER``, or nothing."""

    def __init__(self, url: str, scripts: Mapping[str, str], choose: Callable[[str], Cut | None]) -> None:
        """*scripts* are texts, by their names."""
        super().__init__(url)
        self._names = {text.encode(): name for name, text in scripts.items()}
        self._names |= {_sha(text): name for text, name in self._names.items()}
        self._choose = choose
        self.cuts: Counter[tuple[str, Cut]] = Counter()
        """What has been done, by the script."""

    def line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> "_Line":
        """See ``Between``."""
        return _Line(self, reader, writer)

    def cut(self, words: Sequence[bytes]) -> Cut | None:
        """What becomes of a command."""
        name = self._names.get(words[1]) if words[0].upper() in CALLS else None
        cut = self._choose(name) if name is not None else None
        if name is not None and cut is not None:
            self.cuts[name, cut] += 1
        return cut


class _Line(LosingLine):
    """One connection: a command goes up, and its answer comes down before the next one."""

    def __init__(self, proxy: RedisProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self._proxy = proxy

    async def up(self, to_server: asyncio.StreamWriter) -> None:
        """See ``LosingLine``."""
        while True:
            message, words = await command(self._from_client)
            cut = self._proxy.cut(words)
            if cut is Cut.BEFORE:
                return
            if cut is not None:
                await self.lose(to_server, message)
                return
            to_server.write(message)
            await to_server.drain()

    def answers(self, data: bytes) -> bool:  # noqa: ARG002 - there is no other command that it could answer
        """See ``LosingLine``."""
        return True


async def command(reader: asyncio.StreamReader) -> tuple[bytes, Sequence[bytes]]:
    """A command as it was sent, and its words."""
    raw = [await reader.readline()]
    words: list[bytes] = []
    for _ in range(_count(raw[0])):
        raw.append(await reader.readline())
        raw.append(await reader.readexactly(_count(raw[-1]) + 2))
        words.append(raw[-1][:-2])
    return b"".join(raw), words


def _count(line: bytes) -> int:
    if not line:
        raise asyncio.IncompleteReadError(line, None)
    return int(line[1:])


def _sha(text: bytes) -> bytes:
    return sha1(text, usedforsecurity=False).hexdigest().encode()
