"""PostgreSQL: a right that is missing is no value's fault; what was done is kept until somebody grants it."""

import asyncio
import logging
from collections.abc import Iterator
from typing import LiteralString

import psycopg
import pytest
from psycopg import conninfo, sql

from conveyor import Conveyor, ConveyorError, State, every
from conveyor.core.health import Severity
from conveyor.worker.runner import Settings
from tests.support.waiting import auntil

pytestmark = pytest.mark.direct
WAIT = 20
ROLE = sql.Identifier("conveyor_clerk")


def allow(url: str, statement: LiteralString) -> None:
    """Carry *statement* out as the owner; ``{}`` stands for the role."""
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(sql.SQL(statement).format(ROLE))


@pytest.fixture
def clerk_url(postgres_url: str) -> Iterator[str]:
    """The same database for a role that may do what a worker does, and is no superuser."""
    allow(postgres_url, "CREATE ROLE {} LOGIN")
    allow(postgres_url, "GRANT ALL ON ALL TABLES IN SCHEMA public TO {}")
    allow(postgres_url, "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {}")
    yield postgres_url.replace("//postgres@", "//conveyor_clerk@")
    allow(postgres_url, "DROP OWNED BY {}")
    allow(postgres_url, "DROP ROLE {}")


async def test_an_outcome_that_is_refused_for_want_of_a_right_waits_for_it(
    clerk_url: str, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert conninfo.conninfo_to_dict(clerk_url)["user"] == "conveyor_clerk"
    caplog.set_level(logging.WARNING)
    app = Conveyor(clerk_url)
    job = await app.task(name="double", max_attempts=1)(lambda n: n * 2).aenqueue(21)
    allow(postgres_url, "REVOKE INSERT ON conveyor_history FROM {}")
    worker = asyncio.create_task(app.worker(Settings({"default": 1}, burst=True)).run())
    try:
        await auntil(lambda: caplog.text.count("permission denied") >= 2, patience=WAIT)
        assert (await app.jobs.aget(job.id)).state is State.RUNNING
        assert not worker.done()
        allow(postgres_url, "GRANT INSERT ON conveyor_history TO {}")
        async with asyncio.timeout(WAIT):
            assert await worker == 0
    finally:
        worker.cancel()
        await asyncio.wait([worker])
    again = await app.jobs.aget(job.id)
    assert (again.state, again.attempt, await again.aresult(timeout=WAIT)) == (State.SUCCEEDED, 1, 42)
    await app.store.aclose()
    app.close()


def test_who_only_enqueues_needs_no_right_on_the_schedules(clerk_url: str, postgres_url: str) -> None:
    app = Conveyor(clerk_url)
    double = app.task(name="double")(lambda n: n * 2)
    allow(postgres_url, "REVOKE ALL ON conveyor_schedule FROM {}")

    assert double.enqueue(21).refresh().state is State.READY
    for refused in (app.schedules.list, lambda: app.schedules.add("doubles", double.bind(21), every(hours=1))):
        with pytest.raises(ConveyorError, match="permission denied for table conveyor_schedule"):
            refused()
    app.close()


def test_who_may_read_schedules_makes_and_removes_none(clerk_url: str, postgres_url: str) -> None:
    app = Conveyor(clerk_url)
    double = app.task(name="double")(lambda n: n * 2)
    app.schedules.add("doubles", double.bind(21), every(hours=1))
    allow(postgres_url, "REVOKE INSERT, UPDATE, DELETE ON conveyor_schedule FROM {}")

    assert [info.name for info in app.schedules.list()] == ["doubles"]
    assert len(app.schedules.preview("doubles", 3).ticks) == 3
    assert app.schedules.run_now("doubles").refresh().state is State.READY
    for refused in (lambda: app.schedules.pause("doubles"), lambda: app.schedules.remove("doubles")):
        with pytest.raises(ConveyorError, match="permission denied for table conveyor_schedule"):
            refused()

    allow(postgres_url, "GRANT INSERT, UPDATE, DELETE ON conveyor_schedule TO {}")
    assert app.schedules.pause("doubles").paused_at is not None
    assert app.schedules.remove("doubles")
    app.close()


@pytest.mark.parametrize("right", ["SELECT", "INSERT", "UPDATE", "DELETE"])
def test_the_doctor_names_what_a_worker_lacks_of_the_schedules(clerk_url: str, postgres_url: str, right: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as owner:
        owner.execute(sql.SQL("REVOKE {} ON conveyor_schedule FROM {}").format(sql.SQL(right), ROLE))
    app = Conveyor(clerk_url)
    found = [finding for finding in app.doctor() if finding.check == "rights"]
    assert [finding.severity for finding in found] == [Severity.TROUBLE]
    assert f"GRANT {right} ON" in found[0].fix
    assert "conveyor_schedule" in found[0].fix
    app.close()
