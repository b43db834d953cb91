"""A server that answers, and refuses to write: after a failover, or because somebody said so (D04)."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from conveyor.core.errors import ConveyorError
from conveyor.core.lifecycle import State
from tests.support.waiting import until
from tests.support.yard import Yard

pytestmark = pytest.mark.direct


@pytest.fixture
def yard(postgres_url: str, tmp_path: Path) -> Iterator[Yard]:
    made = Yard(postgres_url, tmp_path)
    yield made
    made.close()


def read_only(url: str, *, now: bool) -> None:
    """Let the database of *url* take no writes, or take them again; all its connections must be made anew."""
    database = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    with psycopg.connect(url, autocommit=True) as server:
        server.execute("SET default_transaction_read_only = off")
        server.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = {'on' if now else 'off'}")
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_a_session_that_may_only_read_is_left(yard: Yard) -> None:
    """A failover may leave one on a server that is a replica now, and well: nobody ends it."""
    read_only(yard.url, now=True)
    yard.store.close()  # its connections were ended
    with pytest.raises(ConveyorError, match="read-only"):
        yard.enqueue("nap", 0.0)
    with psycopg.connect(yard.url, autocommit=True) as server:
        server.execute("SET default_transaction_read_only = off")
        server.execute(f"ALTER DATABASE {server.info.dbname} SET default_transaction_read_only = off".encode())
    assert yard.enqueue("nap", 0.0)


def test_a_server_that_is_read_only_for_a_while_costs_no_outcome(yard: Yard) -> None:
    worker = yard.worker()
    (job,) = yard.enqueue("nap", 1.0)
    yard.started(job)
    read_only(yard.url, now=True)
    until(lambda: any(run.how == "ended" for run in yard.runs(job)))
    worker.says("read-only")
    read_only(yard.url, now=False)
    yard.store.close()  # its connections were ended too
    info = yard.is_(job, State.SUCCEEDED, patience=40)
    assert (info.attempt, info.result) == (1, b"1.0")
    assert worker.lives
