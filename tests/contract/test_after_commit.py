"""Jobs for a store on Redis that are enqueued in a transaction of the user's, and sent once that has committed."""

import asyncio
import gc
import json
import weakref
from collections.abc import Iterator
from contextvars import copy_context
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy
from django.db import transaction
from sqlalchemy.orm import Session

from conveyor import Conveyor, NotInTransaction, UsageError, WrongStore
from conveyor.core.errors import NotSent
from conveyor.core.model import JobFilter
from conveyor.core.unique import Unique
from conveyor.task import Task
from tests.support.carriers import ALIAS, CARRIERS, Carrier, Django, Held, Opening
from tests.support.lending import make_tables
from tests.support.redis import RedisServer, versions
from tests.support.stores import sqlite_url

TELL = [carrier for carrier in CARRIERS if "session" in carrier.id or "django" in carrier.id]
EACH = pytest.mark.parametrize("carrier", TELL, indirect=True, ids=lambda carrier: carrier.id)
DJANGO = pytest.mark.parametrize(
    "carrier", [each for each in TELL if "django" in each.id], indirect=True, ids=lambda carrier: carrier.id
)
BOUND = pytest.mark.parametrize("own", ["sqlite", "postgresql"], indirect=True)
SELECT = sqlalchemy.text("SELECT 1")


class User:
    """An app on Redis, and a connection to a database of the user's own."""

    def __init__(self, app: Conveyor, task: Task[[int], int], held: Held, carrier: Carrier) -> None:
        self.app, self.task, self.held = app, task, held
        self._awaits = carrier.colour == "async"

    def enqueue(self, *numbers: int) -> None:
        """Within the transaction that is open; several with one call."""

        async def awaited() -> None:
            with self.app.within(self.held.connection):
                if len(numbers) == 1:
                    await self.task.aenqueue(*numbers)
                else:
                    await self.app.aenqueue_many([self.task.bind(n) for n in numbers])

        if self._awaits:
            assert self.held._runner is not None
            self.held._runner.run(awaited(), context=copy_context())
            return
        with self.app.within(self.held.connection):
            if len(numbers) == 1:
                self.task.enqueue(*numbers)
            else:
                self.app.enqueue_many([self.task.bind(n) for n in numbers])

    def sent(self) -> list[int]:
        """The arguments of the jobs in the store, in the order in which they would run."""
        return arguments(self.app)


def arguments(app: Conveyor) -> list[int]:
    found = app.store.run(app.store.operations.list(JobFilter(), limit=100, after=None, direction="oldest"))
    return [json.loads(job.payload)[0][0] for job in sorted(found, key=lambda job: job.run_after)]


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer(versions()[0]) as started:
        yield started


@pytest.fixture
def app(server: RedisServer) -> Iterator[Conveyor]:
    server.flush()
    made = Conveyor(server.url())
    yield made
    made.close()


@pytest.fixture
def task(app: Conveyor) -> Task[[int], int]:
    return app.task(name="sent")(_sent)


def _sent(n: int) -> int:
    return n


@pytest.fixture
def user(app: Conveyor, task: Task[[int], int], held: Held, carrier: Carrier) -> Iterator[User]:
    yield User(app, task, held, carrier)
    if held._runner is not None:
        held._runner.run(app.aclose())


@EACH
def test_a_commit_sends_the_jobs_in_their_order_and_nobody_sees_them_before(user: User) -> None:
    user.held.begin()
    user.enqueue(1)
    user.enqueue(2, 3)
    assert user.sent() == []
    user.held.commit()
    assert user.sent() == [1, 2, 3]
    user.held.begin()
    user.held.commit()
    assert user.sent() == [1, 2, 3], "another commit sends nothing again"


@EACH
def test_a_rollback_sends_nothing_and_neither_does_a_later_commit(user: User) -> None:
    user.held.begin()
    user.enqueue(1)
    user.held.rollback()
    user.held.begin()
    user.enqueue(2)
    user.held.commit()
    assert user.sent() == [2]


@EACH
def test_what_a_savepoint_takes_back_is_not_sent(user: User) -> None:
    user.held.begin()
    user.enqueue(1)
    user.held.savepoint()
    user.enqueue(2)
    user.held.rollback_to()
    user.held.savepoint()
    user.enqueue(3)
    user.held.release()
    assert user.sent() == []
    user.held.commit()
    assert user.sent() == [1, 3]


# ---------------------------------------------------------------- SQLAlchemy's own ways


@pytest.fixture
def engine(folder: Path) -> Iterator[sqlalchemy.Engine]:
    url = sqlite_url(folder)
    make_tables(url)
    made = sqlalchemy.create_engine(url)
    yield made
    made.dispose()


@pytest.fixture
def own(request: pytest.FixtureRequest) -> Iterator[sqlalchemy.Engine]:
    """On either database."""
    if request.param == "sqlite":
        yield request.getfixturevalue("engine")
        return
    made = sqlalchemy.create_engine(
        request.getfixturevalue("postgres_url").replace("postgresql:", "postgresql+psycopg:")
    )
    yield made
    made.dispose()


def test_a_session_that_is_closed_without_a_commit_sends_nothing(
    engine: sqlalchemy.Engine, app: Conveyor, task: Task[[int], int]
) -> None:
    with Session(engine) as session:
        task.using(within=session).enqueue(1)
    with Session(engine) as session, pytest.raises(ZeroDivisionError), session.begin():
        task.using(within=session).enqueue(1 // 0)
    assert arguments(app) == []


def test_savepoints_of_savepoints(engine: sqlalchemy.Engine, app: Conveyor, task: Task[[int], int]) -> None:
    with Session(engine) as session, session.begin(), app.within(session):
        outer = session.begin_nested()
        task.enqueue(1)
        inner = session.begin_nested()
        task.enqueue(2)
        inner.commit()
        outer.rollback()
        with session.begin_nested(), session.begin_nested():
            task.enqueue(3)
    assert arguments(app) == [3]


def test_two_apps_share_a_session(engine: sqlalchemy.Engine, server: RedisServer, app: Conveyor) -> None:
    other = Conveyor(server.url(1))
    first, second = app.task(name="first")(_sent), other.task(name="second")(_sent)
    with Session(engine) as session, session.begin(), app.within(session), other.within(session):
        first.enqueue(1)
        second.enqueue(2)
    assert [[job.task for job in each.jobs.list()] for each in (app, other)] == [["first"], ["second"]]
    other.close()


def test_a_store_that_is_down_is_told_of_by_the_commit_and_the_session_can_be_used(
    engine: sqlalchemy.Engine, folder: Path
) -> None:
    with RedisServer(versions()[0]) as server, Session(engine) as session:
        app = Conveyor(server.url())
        job = app.task(name="sent")(_sent).using(within=session).enqueue(1)
        session.execute(sqlalchemy.text("INSERT INTO own VALUES (7)"))
        server.kill()
        with pytest.raises(NotSent, match=f"has committed, and job {job.id} enqueued in it may not be stored") as told:
            session.commit()
        assert told.value.job_ids == [job.id]
        assert session.scalars(sqlalchemy.text("SELECT n FROM own")).all() == [7]
        session.commit()
        app.close()


def test_one_app_that_is_down_keeps_no_other_from_its_jobs(
    engine: sqlalchemy.Engine, app: Conveyor, task: Task[[int], int]
) -> None:
    with RedisServer(versions()[0]) as server, Session(engine) as session:
        other = Conveyor(server.url())
        lost = other.task(name="lost")(_sent).using(within=session).enqueue(1)
        task.using(within=session).enqueue(2)
        server.kill()
        with pytest.raises(NotSent) as told:
            session.commit()
        other.close()
    assert told.value.job_ids == [lost.id]
    assert arguments(app) == [2]


def test_a_session_that_nobody_ended_goes_as_any_other(engine: sqlalchemy.Engine, task: Task[[int], int]) -> None:
    session = Session(engine)
    session.execute(sqlalchemy.text("SELECT 1"))
    task.using(within=session).enqueue(1)
    gone = weakref.ref(session)
    del session
    gc.collect()
    assert gone() is None


MODES = ("conditional_savepoint", "rollback_only", "control_fully", "create_savepoint")


@pytest.mark.parametrize("used", [False, True], ids=["fresh", "used"])
@pytest.mark.parametrize("mode", MODES)
def test_a_session_within_a_transaction_of_its_connection_is_refused(
    engine: sqlalchemy.Engine, task: Task[[int], int], mode: Any, used: bool
) -> None:
    with engine.begin() as connection, Session(connection, join_transaction_mode=mode) as session:
        if used:
            session.execute(SELECT)
        with pytest.raises(NotInTransaction, match="bound to a connection that is in one already"):
            task.using(within=session).enqueue(1)


@BOUND
def test_a_session_that_has_begun_its_connections_transaction_tells_of_its_end(
    own: sqlalchemy.Engine, app: Conveyor, task: Task[[int], int]
) -> None:
    with own.connect() as connection, Session(connection) as session, app.within(session):
        session.execute(SELECT)
        task.enqueue(1)
        session.rollback()
        session.execute(SELECT)
        task.enqueue(2)
        with session.begin_nested():
            task.enqueue(3)
        savepoint = session.begin_nested()
        task.enqueue(4)
        savepoint.rollback()
        assert arguments(app) == []
        session.commit()
        assert arguments(app) == [2, 3]
        task.enqueue(5)
        session.commit()
    assert arguments(app) == [2, 3, 5]


@BOUND
def test_a_session_whose_connections_transaction_begins_later_and_elsewhere_does_not_commit(
    own: sqlalchemy.Engine, app: Conveyor, task: Task[[int], int]
) -> None:
    with own.connect() as connection, Session(connection) as session, app.within(session):
        task.enqueue(1)
        connection.begin()
        session.execute(SELECT)
        with pytest.raises(NotInTransaction, match="that something else has begun since; roll back"):
            session.commit()
        session.rollback()
        task.enqueue(2)
        session.commit()
    assert arguments(app) == [2]


def test_an_async_session_that_has_begun_its_connections_transaction_tells_of_its_end(
    folder: Path, app: Conveyor, task: Task[[int], int]
) -> None:
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

    async def main() -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{folder / 'own.db'}")
        async with engine.connect() as connection, AsyncSession(connection) as session:
            await session.execute(SELECT)
            await task.using(within=session).aenqueue(1)
            await session.commit()
            await connection.begin()
            with pytest.raises(NotInTransaction, match="bound to a connection that is in one already"):
                await task.using(within=session).aenqueue(2)
        await engine.dispose()
        await app.aclose()

    asyncio.run(main())
    assert arguments(app) == [1]


@DJANGO
def test_what_django_sends_is_sent_at_once_and_told_of_whole(held: Held) -> None:
    with RedisServer(versions()[0]) as server:
        app = Conveyor(server.url())
        task = app.task(name="sent")(_sent).using(within=held.connection)
        held.begin()
        jobs = [task.enqueue(1).id, task.enqueue(2).id, task.enqueue(3).id]
        server.kill()
        with pytest.raises(NotSent) as told:
            held.commit()
        app.close()
    assert told.value.job_ids == jobs


@DJANGO
def test_django_names_the_jobs_of_all_savepoints_that_have_not_been_taken_back(held: Held, app: Conveyor) -> None:
    there = app.task(name="there")(_sent).using(within=held.connection)
    with RedisServer(versions()[0]) as server:
        other = Conveyor(server.url())
        task = other.task(name="sent")(_sent).using(within=held.connection)
        held.begin()
        there.enqueue(1)
        held.savepoint()
        jobs = [task.enqueue(2).id]
        held.release()
        held.savepoint()
        task.enqueue(3)
        there.enqueue(4)
        held.rollback_to()
        held.savepoint()
        jobs += [task.enqueue(5).id, there.enqueue(6).id, task.enqueue(7).id]
        held.savepoint()
        task.enqueue(8)
        held.rollback_to()
        held.release()
        server.kill()
        with pytest.raises(
            NotSent, match=r"job \S+ enqueued in it .* Django calls nobody .* so 3 more are not"
        ) as told:
            held.commit()
        other.close()
    jobs[-2:] = reversed(jobs[-2:])
    assert told.value.job_ids == jobs
    assert arguments(app) == [1]


@DJANGO
def test_django_names_nothing_of_the_transaction_before(held: Held) -> None:
    with RedisServer(versions()[0]) as server:
        app = Conveyor(server.url())
        task = app.task(name="sent")(_sent).using(within=held.connection)
        server.kill()
        for n in range(2):
            held.begin()
            job = task.enqueue(n)
            held.savepoint()
            second = task.enqueue(n)
            held.release()
            with pytest.raises(NotSent) as told:
                held.commit()
            assert told.value.job_ids == [job.id, second.id]
        app.close()


def test_an_async_session_is_told_the_same(folder: Path) -> None:
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

    async def main(server: RedisServer) -> list[str]:
        engine = create_async_engine(f"sqlite+aiosqlite:///{folder / 'own.db'}")
        app = Conveyor(server.url())
        async with AsyncSession(engine) as session:
            job = await app.task(name="sent")(_sent).using(within=session).aenqueue(1)
            server.kill()
            with pytest.raises(NotSent) as told:
                await session.commit()
            assert (await session.execute(sqlalchemy.text("SELECT 1"))).scalar() == 1
        await engine.dispose()
        await app.aclose()
        return [job.id, *told.value.job_ids]

    with RedisServer(versions()[0]) as server:
        first, second = asyncio.run(main(server))
    assert first == second


def test_who_is_cancelled_in_the_middle_of_a_commit_has_sent_the_jobs(
    folder: Path, app: Conveyor, task: Task[[int], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a request whose client has gone: the order is there, and so must be its job."""
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

    async def main() -> None:
        engine, begun = create_async_engine(f"sqlite+aiosqlite:///{folder / 'own.db'}"), asyncio.Event()
        arun = app.store.arun

        async def slow(plan: Any) -> Any:
            begun.set()
            await asyncio.sleep(0)
            return await arun(plan)

        async def request() -> None:
            async with AsyncSession(engine) as session:
                await task.using(within=session).aenqueue(1)
                monkeypatch.setattr(app.store, "arun", slow)
                await session.commit()

        running = asyncio.create_task(request())
        await begun.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        monkeypatch.undo()
        await engine.dispose()
        await app.aclose()

    asyncio.run(main())
    assert arguments(app) == [1]


# ---------------------------------------------------------------- what is refused


@pytest.fixture
def django(folder: Path) -> Iterator[Django]:
    url = sqlite_url(folder)
    make_tables(url)
    opened = Django(Opening(url))
    yield opened
    opened.end()


def test_django_without_an_atomic_block_is_refused(django: Django, task: Task[[int], int]) -> None:
    with pytest.raises(NotInTransaction, match=f"has none; wrap the call in transaction.atomic\\(using='{ALIAS}'\\)"):
        task.using(within=django.connection).enqueue(1)


def test_django_in_a_failed_block_is_refused(django: Django, task: Task[[int], int], app: Conveyor) -> None:
    with transaction.atomic(using=ALIAS):
        transaction.set_rollback(True, using=ALIAS)
        with pytest.raises(NotInTransaction, match="is in one that has failed"):
            task.using(within=django.connection).enqueue(1)
    assert arguments(app) == []


def test_a_session_without_a_transaction_is_refused(engine: sqlalchemy.Engine, task: Task[[int], int]) -> None:
    with Session(engine, autobegin=False) as session, pytest.raises(NotInTransaction, match="call its begin"):
        task.using(within=session).enqueue(1)


def test_a_connection_whose_library_tells_nobody_is_refused(postgres_url: str, app: Conveyor) -> None:
    with (
        psycopg.connect(postgres_url) as connection,
        pytest.raises(WrongStore, match=r"does not tell when it commits: lend a Session .* or enqueue after"),
        app.within(connection),
    ):
        pass


@pytest.mark.parametrize("given", [None, "session", object()], ids=["None", "a text", "an object"])
def test_what_is_no_connection_is_refused(app: Conveyor, given: Any) -> None:
    with pytest.raises(WrongStore, match="does not tell when it commits"), app.within(given):
        pass


def test_a_duplicate_cannot_be_told_of_in_time(engine: sqlalchemy.Engine, task: Task[[int], int]) -> None:
    unique = task.using(unique=Unique("k", on_conflict="raise"))
    with Session(engine) as session, pytest.raises(UsageError, match="on_conflict='raise' cannot raise here"):
        unique.using(within=session).enqueue(1)


def test_of_two_jobs_of_one_key_the_first_is_stored(
    engine: sqlalchemy.Engine, task: Task[[int], int], app: Conveyor
) -> None:
    with Session(engine) as session, session.begin(), app.within(session):
        task.using(unique="k").enqueue(1)
        task.using(unique="k").enqueue(2)
    assert arguments(app) == [1]
