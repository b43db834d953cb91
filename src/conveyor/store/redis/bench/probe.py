"""What any queue on this server must at least take: push and publish, hear of it on another connection, pop."""

import contextlib
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

import redis

from conveyor.core.errors import ConveyorError

PATIENCE: Final = 10.0
"""Seconds that one of them gets to be popped."""
_BLOCKING: Final[Any] = redis
"""Much of it has no types."""


def measured(server: str, prefix: str, count: int, rate: float) -> Sequence[float]:
    """Seconds from before the push until after the pop, for *count* of them at *rate* a second."""
    times: list[float] = []
    line, bell = f"{prefix}:probe", f"{prefix}:probe-bell"
    with contextlib.closing(_BLOCKING.Redis.from_url(server)) as sender:
        with contextlib.closing(_BLOCKING.Redis.from_url(server)) as claimer, claimer.pubsub() as heard:
            heard.subscribe(bell)
            heard.get_message(timeout=PATIENCE)
            claimed = threading.Semaphore(0)
            ends: list[float] = []
            thread = threading.Thread(target=_claim, args=(claimer, heard, line, count, ends, claimed), daemon=True)
            thread.start()
            begun = time.perf_counter()
            for number in range(count):
                time.sleep(max(begun + number / rate - time.perf_counter(), 0))
                sent = time.perf_counter()
                with sender.pipeline() as both:
                    both.rpush(line, number).publish(bell, "").execute()
                if not claimed.acquire(timeout=PATIENCE):
                    raise ConveyorError(f"a message did not arrive within {PATIENCE:.0f} s; the probe says nothing")
                times.append(ends[number] - sent)
            thread.join(PATIENCE)
    return times


def _claim(
    claimer: Any, heard: Any, line: str, count: int, ends: list[float], claimed: threading.Semaphore
) -> None:
    for _ in range(count):
        if heard.get_message(timeout=PATIENCE) is None:
            return
        claimer.lpop(line)
        ends.append(time.perf_counter())
        claimed.release()
