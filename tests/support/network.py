"""A network between clients and a PostgreSQL server, as bad as a test wants it.

It reads the messages of both sides, and so can lose the answer to a statement after the server has given it, or end a
connection in the middle of a message. What it does, it does to connections that send what the test names; whoever
works through it besides works on.
"""

import asyncio
import contextlib
import random
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from conveyor.cli.chaos.between import Between, Line, first, rest

_ENDS: Final = (b"COMMIT", b"ROLLBACK")


class Fault(Enum):
    """What becomes of a statement, and of its connection."""

    CUT = auto()
    """The server does it for good, and the client's connection ends before it hears of that."""
    RESET = auto()
    """Both ends are reset in the middle of the message."""
    SILENCE = auto()
    """Neither side hears anything of the other any more, and both find their peer's kernel alive."""
    DEAF = auto()
    """The server does it; from then on silence."""


@dataclass
class Rule:
    """*times* faults, to statements that *match*: one in so many, or by *chance*."""

    fault: Fault
    match: bytes
    times: int
    chance: float = 1.0
    done: int = 0
    at: float = 0.0
    """When the last one was done, on the monotonic clock."""
    dice: random.Random = field(default_factory=lambda: random.Random(1))

    def hits(self, statement: bytes) -> bool:
        """Whether it is this statement's turn."""
        return self.done < self.times and self.match in statement and self.dice.random() < self.chance


class Network(Between["_Line"]):
    """See above."""

    def __init__(self, url: str, *, seed: int = 1) -> None:
        super().__init__(url)
        self._rules: list[Rule] = []
        self.random = random.Random(seed)
        self.latency = self.jitter = 0.0
        """Seconds that each message is on its way, in each direction; give or take."""
        self.rate = 0.0
        """Bytes per second of each direction of each connection; 0 for no limit."""
        self.silent = False
        self.faults: Counter[bytes] = Counter()
        """How many were done, by what they matched."""

    # -- for the test

    def disturb(self, fault: Fault, match: str, times: int = 1, *, chance: float = 1.0) -> Rule:
        """Do *fault* to the next *times* statements that contain *match*."""
        rule = Rule(fault, match.encode(), times, chance)
        self.do(self._add(rule))
        return rule

    def silence(self) -> None:
        """Forward nothing any more; whoever connects is accepted, and hears nothing."""
        self.silent = True

    def silence_those(self, match: str) -> None:
        """Let connections fall silent that have sent *match* at any time, and wait for nothing."""
        self.do(self._silence(match.encode()))

    def heal(self) -> None:
        """Begin to work again. Connections that had fallen silent are reset; no rule is left."""
        self.do(self._heal())

    @property
    def open(self) -> int:
        """How many connections there are."""
        return len(self.lines)

    # -- how it is done, in the loop

    def line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> "_Line":
        """See ``Between``."""
        return _Line(self, reader, writer)

    async def _add(self, rule: Rule) -> None:
        self._rules.append(rule)

    async def _silence(self, match: bytes) -> None:
        for line in self.lines:
            line.silent = line.silent or any(match in text for text in line.said)

    async def _heal(self) -> None:
        self._rules.clear()
        for line in self.lines:
            if self.silent or line.silent:
                line.reset()
        self.silent = False

    def fault_of(self, statement: bytes) -> Rule | None:
        """What becomes of *statement*."""
        return next((rule for rule in self._rules if rule.hits(statement)), None)

    def count(self, rule: Rule) -> None:
        """*rule* has been carried out once more."""
        rule.done, rule.at = rule.done + 1, time.monotonic()
        self.faults[rule.match] += 1


class _Line(Line):
    """One connection."""

    def __init__(self, network: Network, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self._network = network
        self.silent = False
        self.said: deque[bytes] = deque(maxlen=20)
        """Its last statements."""
        self._prepared: dict[bytes, bytes] = {}
        """Statements by the names that the client has given them."""
        self._sent: list[bytes] = []
        """Statements since the last message that asks for an answer."""
        self._asked: deque[list[bytes]] = deque()
        """Statements by the answers that are still to come."""
        self._doomed: Rule | None = None
        """What becomes of the answer to the COMMIT of the transaction that is open."""

    async def carry(self, host: str | None, port: int | None) -> None:
        """See ``Line``."""
        ways: list[asyncio.Task[None]] = []
        try:
            from_server, self._to_server = await asyncio.open_connection(host, port)
            up, down = _Way(self._network, self._to_server), _Way(self._network, self._to_client)
            ways = [asyncio.create_task(way.carry()) for way in (up, down)]
            ways += [asyncio.create_task(self._up(up)), asyncio.create_task(self._down(from_server, down))]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        except OSError:
            return
        finally:
            for way in ways:
                way.cancel()
            if ways:
                await asyncio.gather(*ways, return_exceptions=True)
            self.reset()

    @property
    def _still(self) -> bool:
        return self.silent or self._network.silent

    async def _up(self, way: "_Way") -> None:
        await self._begin(way)
        while True:
            kind = await self._from_client.readexactly(1)
            message = kind + await rest(self._from_client)
            if self._still:
                continue
            rule = self._heed(kind, message)
            if rule is not None and rule.fault is Fault.RESET:
                self._network.count(rule)
                await way.put(message[: len(message) // 2])
                await way.sent()
                return
            if rule is not None and rule.fault is not Fault.CUT:
                self._network.count(rule)
                self.silent = True
                if rule.fault is Fault.SILENCE:
                    continue
            await way.put(message)
            if rule is not None and rule.fault is Fault.DEAF and kind != b"Q":
                await self._let_through(way)

    async def _let_through(self, way: "_Way") -> None:
        """The rest of a statement that is to be carried out, though nobody will hear of it."""
        kind = b""
        while kind != b"S":
            kind = await self._from_client.readexactly(1)
            await way.put(kind + await rest(self._from_client))

    async def _begin(self, way: "_Way") -> None:
        """Those who come while nothing is forwarded are accepted, and hear nothing."""
        message = await first(self._from_client, self._to_client)
        while self._still:
            message = await rest(self._from_client)
        self._asked.append([])
        await way.put(message)

    def _heed(self, kind: bytes, message: bytes) -> Rule | None:
        """Note what the answer will be to; whether something happens to it on its way."""
        rule = None
        text = self._text(kind, message[5:])
        if text:
            rule = self._network.fault_of(text)
            self._sent.append(text)
            self.said.append(text)
            if rule is not None and rule.fault is Fault.CUT:
                self._doomed = rule
        if kind in {b"Q", b"S"}:
            self._asked.append(self._sent)
            self._sent = []
        return rule

    def _text(self, kind: bytes, body: bytes) -> bytes:
        """The statement that a message begins to carry out, if any. A named one is prepared first, and then bound."""
        if kind == b"Q":
            return body
        if kind == b"P":
            name, _, text = body.partition(b"\0")
            self._prepared[name] = text
            return b"" if name else text
        if kind == b"B":
            name = body.split(b"\0", 2)[1]
            return self._prepared[name] if name else b""
        return b""

    async def _down(self, reader: asyncio.StreamReader, way: "_Way") -> None:
        """An answer is held back until it is known whether it tells of a commit that the client is not to hear of."""
        held: list[bytes] = []
        refused = False
        while True:
            kind = await reader.readexactly(1)
            message = kind + await rest(reader)
            if self._still:
                continue
            refused = refused or kind == b"E"
            held.append(message)
            if self._doomed is None or kind == b"Z":
                if kind == b"Z" and self._lost(message[5:6], refused=refused):
                    return
                await way.put(b"".join(held))
                held.clear()
                refused = refused and kind != b"Z"

    def _lost(self, status: bytes, *, refused: bool) -> bool:
        """Whether this answer, after which the connection is in *status*, is the one to be lost."""
        asked = self._asked.popleft() if self._asked else []
        rule = self._doomed
        if rule is None or not asked:
            return False
        about = any(rule.match in text for text in asked) or any(text.startswith(_ENDS) for text in asked)
        if not about or (status == b"T" and not refused):
            return False
        self._doomed = None
        if refused or any(text.startswith(b"ROLLBACK") for text in asked) or rule.done >= rule.times:
            return False
        self._network.count(rule)
        return True


class _Way:
    """One direction of a line: what is put in comes out in order, late and slowly."""

    def __init__(self, network: Network, writer: asyncio.StreamWriter) -> None:
        self._network = network
        self._writer = writer
        self._waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def put(self, data: bytes) -> None:
        """Send *data*."""
        network = self._network
        if not network.latency and not network.rate and self._waiting.empty():
            self._writer.write(data)
            await self._writer.drain()
            return
        late = network.latency + network.jitter * network.random.uniform(-1, 1)
        self._waiting.put_nowait((asyncio.get_running_loop().time() + late, data))

    async def sent(self) -> None:
        """Wait until all has been sent."""
        await self._waiting.join()

    async def carry(self) -> None:
        """For ever."""
        loop = asyncio.get_running_loop()
        while True:
            due, data = await self._waiting.get()
            await asyncio.sleep(max(due - loop.time(), 0))
            if self._network.rate:
                await asyncio.sleep(len(data) / self._network.rate)
            with contextlib.suppress(ConnectionError):
                self._writer.write(data)
                await self._writer.drain()
            self._waiting.task_done()
