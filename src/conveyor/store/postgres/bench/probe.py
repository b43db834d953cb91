"""What any queue on this server must at least take: insert a row and notify, hear of it in another session, claim it.

Both commit as durably as jobs do, with a table of two columns, and nothing else around it.
"""

import contextlib
import threading
import time
from collections.abc import Sequence
from typing import Final

from psycopg import Connection
from psycopg.rows import TupleRow

from conveyor.core.errors import ConveyorError
from conveyor.store.postgres.links import connect

CHANNEL: Final = "conveyor_bench_probe"
PATIENCE: Final = 10.0
"""Seconds that one row gets to be claimed."""
_TABLE: Final = "CREATE TABLE IF NOT EXISTS conveyor_bench_probe (id bigint PRIMARY KEY, taken boolean NOT NULL)"
_INSERT: Final = "WITH added AS (INSERT INTO conveyor_bench_probe VALUES (%s, false)) SELECT pg_notify(%s, '')"
_CLAIM: Final = """
UPDATE conveyor_bench_probe SET taken = true
WHERE id = (SELECT id FROM conveyor_bench_probe WHERE NOT taken ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
"""


def measured(text: str, count: int, rate: float) -> Sequence[float]:
    """Seconds from before the insert until after the claim, for *count* rows at *rate* a second."""
    times: list[float] = []
    with contextlib.closing(connect(text)) as sender, contextlib.closing(connect(text)) as claimer:
        sender.execute(_TABLE)
        claimer.execute(f"LISTEN {CHANNEL}")
        claimed = threading.Semaphore(0)
        ends: list[float] = []
        thread = threading.Thread(target=_claim, args=(claimer, count, ends, claimed), daemon=True)
        thread.start()
        begun = time.perf_counter()
        for number in range(count):
            time.sleep(max(begun + number / rate - time.perf_counter(), 0))
            sent = time.perf_counter()
            sender.execute(_INSERT, (number, CHANNEL))
            if not claimed.acquire(timeout=PATIENCE):
                raise ConveyorError(f"a notification did not arrive within {PATIENCE:.0f} s; the probe says nothing")
            times.append(ends[number] - sent)
        thread.join(PATIENCE)
    return times


def _claim(connection: Connection[TupleRow], count: int, ends: list[float], claimed: threading.Semaphore) -> None:
    for _ in range(count):
        for _heard in connection.notifies(timeout=PATIENCE, stop_after=1):
            pass  # the generator keeps the connection to itself until it ends
        connection.execute(_CLAIM)
        ends.append(time.perf_counter())
        claimed.release()
