"""What ``conveyor doctor`` says of a pooler in front of the server, by how it behaves."""

import pytest

from conveyor.core.health import Finding, Severity
from conveyor.store.postgres import health
from conveyor.store.postgres.opened import PostgresStore
from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import PostgresServer


def looked(server: PostgresServer, mode: str) -> dict[str, Finding]:
    with PgBouncer(server.url(), pool_mode=mode) as pooler:
        store = PostgresStore(pooler.url(server.url("conveyor_template")))
        found = store.examine(deep=False)
        store.close()
    return {finding.check: finding for finding in found}


def test_in_transaction_mode_it_is_named_and_so_is_what_gets_lost(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PATIENCE", 0.2)
    found = looked(postgres_server, "transaction")
    assert (found["pooler"].severity, "in transaction mode" in found["pooler"].text) == (Severity.FINE, True)
    assert (found["listen"].severity, "no notification arrives" in found["listen"].text) == (Severity.NOTE, True)


def test_in_session_mode_it_is_no_matter(postgres_server: PostgresServer) -> None:
    found = looked(postgres_server, "session")
    assert (found["pooler"].severity, "in session mode" in found["pooler"].text) == (Severity.FINE, True)
    assert found["listen"].severity is Severity.FINE


def test_in_statement_mode_nothing_can_work_and_nothing_more_is_asked(postgres_server: PostgresServer) -> None:
    (finding,) = looked(postgres_server, "statement").values()
    assert (finding.check, finding.severity) == ("pooler", Severity.TROUBLE)
    assert finding.fix.startswith("set pool_mode = transaction")
