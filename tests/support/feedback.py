"""A standby, as far as the primary can tell: it follows, and says which transactions its queries still look at."""

import contextlib
import struct
import time
from collections.abc import Callable, Generator

import psycopg
from psycopg import pq

EPOCH = 946_684_800
"""Seconds from Unix's beginning of time to PostgreSQL's."""
NOW = "SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint), CAST(pg_current_wal_lsn() AS text)"


@contextlib.contextmanager
def standby(url: str, slot: str | None) -> Generator[Callable[[], bool]]:
    """Follow the server at *url* with ``hot_standby_feedback``; gives what tells whether the server knows."""
    look = "SELECT bool_or(backend_xmin IS NOT NULL) FROM pg_stat_replication"
    if slot is not None:
        look = "SELECT bool_or(xmin IS NOT NULL) FROM pg_replication_slots"
    with psycopg.connect(url, autocommit=True) as primary:
        row = primary.execute(NOW).fetchone()
        assert row is not None
        connection = pq.PGconn.connect(f"{url}?replication=true&application_name=walreceiver".encode())
        try:
            assert connection.status == pq.ConnStatus.OK, connection.error_message
            _follow(connection, slot, position=row[1])
            _feed_back(connection, row[0])
            yield lambda: primary.execute(look.encode()).fetchone() == (True,)
        finally:
            connection.finish()


def _follow(connection: pq.abc.PGconn, slot: str | None, *, position: str) -> None:
    use = "" if slot is None else f"SLOT {slot} "
    result = connection.exec_(f"START_REPLICATION {use}PHYSICAL {position}".encode())
    assert result.status == pq.ExecStatus.COPY_BOTH, result.error_message


def _feed_back(connection: pq.abc.PGconn, oldest: int) -> None:
    """That some query still looks at the transaction *oldest*."""
    now = round((time.time() - EPOCH) * 1_000_000)
    connection.put_copy_data(struct.pack("!cqIIII", b"h", now, oldest & 0xFFFFFFFF, oldest >> 32, 0, 0))
    connection.flush()
