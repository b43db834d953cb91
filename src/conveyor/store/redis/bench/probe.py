"""What any queue on this server must at least take: a push, and a pop on another connection that waits for it."""

import contextlib
import threading
import time
from collections.abc import Sequence
from typing import Final

from conveyor.core.errors import ConveyorError
from conveyor.drivers.redis import Connection, packed
from conveyor.drivers.redis_links import Links
from conveyor.drivers.redis_sources import Source

PATIENCE: Final = 5
"""Seconds that one of them gets to be popped."""


def measured(source: Source, line: str, count: int, rate: float) -> Sequence[float]:
    """Seconds from before the push until after the pop, for *count* of them at *rate* a second; *line* is a key."""
    times: list[float] = []
    with contextlib.closing(Links(source, [line])) as links, links.link() as one, links.link() as another:
        sender, claimer = one(0), another(0)
        claimed = threading.Semaphore(0)
        ends: list[float] = []
        thread = threading.Thread(target=_claim, args=(claimer, line, count, ends, claimed), daemon=True)
        thread.start()
        begun = time.perf_counter()
        for number in range(count):
            time.sleep(max(begun + number / rate - time.perf_counter(), 0))
            sent = time.perf_counter()
            sender.send_packed_command(packed("RPUSH", line, number))
            sender.read_response()
            if not claimed.acquire(timeout=PATIENCE):
                raise ConveyorError(f"a push was not popped within {PATIENCE:.0f} s; the probe says nothing")
            times.append(ends[number] - sent)
        thread.join(PATIENCE)
    return times


def _claim(connection: Connection, line: str, count: int, ends: list[float], claimed: threading.Semaphore) -> None:
    for _ in range(count):
        connection.send_packed_command(packed("BLPOP", line, PATIENCE))
        if connection.read_response() is None:
            return
        ends.append(time.perf_counter())
        claimed.release()
