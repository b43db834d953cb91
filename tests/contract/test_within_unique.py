"""Unique jobs inside a transaction of the user's: who holds the key, and who waits for whom."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager

import pytest

from conveyor import Conveyor, DuplicateJob, Job, StoreUnavailable, Unique, UsageError
from conveyor.store.postgres import plans
from tests.support.carriers import CARRIERS, Carrier, Isolation, outside
from tests.support.ground import PLAIN, Ground, Lender, Noted
from tests.support.jobs import Hand
from tests.support.postgres import waiting
from tests.support.waiting import until


def only(*ids: str) -> pytest.MarkDecorator:
    chosen = [carrier for carrier in CARRIERS if carrier.id in ids]
    return pytest.mark.parametrize("carrier", chosen, indirect=True, ids=lambda carrier: carrier.id)


EACH = pytest.mark.parametrize("carrier", PLAIN, indirect=True, ids=lambda carrier: carrier.id)
TWO = only("postgres-psycopg-block", "postgres-asyncpg")
"""The statements are the same for all; these are two libraries that have nothing in common."""


def keyed(ground: Ground, on_conflict: str = "existing") -> Noted:
    rule = Unique("k", on_conflict=on_conflict)  # type: ignore[arg-type]  # a word of the test's
    return ground.task.using(unique=rule)


@EACH
def test_the_second_of_a_key_is_the_first_also_before_the_commit(ground: Ground, lender: Lender) -> None:
    lender.held.begin()
    with lender.within():
        first, second = lender.enqueue(1, keyed(ground)), lender.enqueue(2, keyed(ground))
        many = lender.enqueue_many([3, 4], keyed(ground))
    assert [job.created for job in (first, second, *many)] == [True, False, False, False]
    assert {job.id for job in (first, second, *many)} == {first.id}
    assert ground.stored() == []
    lender.held.commit()
    assert ground.stored() == [1]


@EACH
def test_a_committed_holder_is_found(ground: Ground, lender: Lender) -> None:
    holder = keyed(ground).enqueue(1)
    lender.held.begin()
    with lender.within():
        job = lender.enqueue(2, keyed(ground))
    lender.held.commit()
    assert (job.id, job.created) == (holder.id, False)
    assert ground.stored() == [1]


@EACH
def test_a_holder_that_was_taken_back_holds_nothing(ground: Ground, lender: Lender) -> None:
    lender.held.begin()
    lender.held.write("INSERT INTO own VALUES (1)")
    lender.held.savepoint()
    with lender.within():
        lender.enqueue(1, keyed(ground))
        lender.held.rollback_to()
        again = lender.enqueue(2, keyed(ground))
    lender.held.commit()
    assert again.created
    assert ground.stored() == [2]


@EACH
@pytest.mark.parametrize("commits", [True, False], ids=["commit", "rollback"])
def test_a_replacement_shares_the_fate_of_the_transaction(ground: Ground, lender: Lender, commits: bool) -> None:
    holder = keyed(ground).enqueue(1)
    lender.held.begin()
    with lender.within():
        job = lender.enqueue(2, keyed(ground, "replace"))
    assert (job.id, job.created) == (holder.id, False)
    assert ground.stored() == [1]
    if commits:
        lender.held.commit()
    else:
        lender.held.rollback()
    assert ground.stored() == ([2] if commits else [1])


@EACH
def test_a_refused_duplicate_takes_its_whole_call_back_and_leaves_the_transaction_usable(
    ground: Ground, lender: Lender
) -> None:
    holder = keyed(ground).enqueue(1)
    calls = [ground.task.bind(2), keyed(ground, "raise").bind(3), ground.task.bind(4)]
    lender.held.begin()
    lender.held.write("INSERT INTO own VALUES (1)")
    with lender.within():
        lender.enqueue(5)
        with pytest.raises(DuplicateJob) as refused:
            lender.do(lambda: ground.app.enqueue_many(calls), lambda: ground.app.aenqueue_many(calls))
        lender.enqueue(6)
    assert refused.value.job_id == holder.id
    lender.held.commit()
    assert (ground.stored(), ground.own()) == ([1, 5, 6], [1])


# ---------------------------------------------------------------- two transactions on PostgreSQL


class Other:
    """A second user, in a thread: their enqueue waits for the first one's transaction."""

    def __init__(self, ground: Ground, lender: Lender, on_conflict: str = "existing") -> None:
        self.lender = lender
        self.job: Job[int] | None = None
        self.error: Exception | None = None
        self._task = keyed(ground, on_conflict)
        self._thread = threading.Thread(target=self._enqueue)
        self._thread.start()
        until(lambda: waiting(ground.url) > 0)

    def _enqueue(self) -> None:
        try:
            with self.lender.within():
                self.job = self.lender.enqueue(2, self._task)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.error = error

    def done(self) -> "Other":
        self._thread.join()
        return self


@pytest.fixture
def second(ground: Ground) -> Generator[Lender]:
    with ground.lent() as opened:
        yield opened


@TWO
@pytest.mark.parametrize("on_conflict", ["existing", "replace", "raise"])
def test_it_waits_for_the_one_that_came_first_and_finds_its_job(
    ground: Ground, lender: Lender, second: Lender, on_conflict: str
) -> None:
    lender.held.begin()
    second.held.begin()
    with lender.within():
        first = lender.enqueue(1, keyed(ground))
    other = Other(ground, second, on_conflict)
    lender.held.commit()
    other.done()
    if on_conflict == "raise":
        assert isinstance(other.error, DuplicateJob)
        second.held.write("INSERT INTO own VALUES (2)")
    else:
        assert other.job is not None
        assert (other.job.id, other.job.created) == (first.id, False)
    second.held.commit()
    assert ground.stored() == ([2] if on_conflict == "replace" else [1])
    assert ground.own() == ([2] if on_conflict == "raise" else [])


@TWO
def test_it_takes_the_key_when_the_first_one_is_rolled_back(ground: Ground, lender: Lender, second: Lender) -> None:
    lender.held.begin()
    second.held.begin()
    with lender.within():
        lender.enqueue(1, keyed(ground))
    other = Other(ground, second)
    lender.held.rollback()
    other.done()
    second.held.commit()
    assert other.job is not None
    assert other.job.created
    assert ground.stored() == [2]


# ------------------------------------------------------- waiting for oneself, or too long


@EACH
def test_who_stays_out_with_a_key_that_their_block_has_taken_is_told_so_at_once(ground: Ground, lender: Lender) -> None:
    out = keyed(ground).using(within=None)
    told = pytest.raises(
        UsageError, match=r"^a transaction of your own, on .*, has taken the unique key 'k' of task noted"
    )
    lender.held.begin()
    with lender.within():
        job = lender.enqueue(1, keyed(ground))
        for call in (lender.enqueue, lambda n, task: lender.enqueue_many([n], task)):
            with told:
                call(2, out)
        lender.held.commit()
        assert lender.enqueue(3, out).id == job.id
    assert ground.stored() == [1]


@TWO
def test_who_joins_another_transaction_with_that_key_is_told_so_at_once(
    ground: Ground, lender: Lender, second: Lender
) -> None:
    lender.held.begin()
    second.held.begin()
    with lender.within():
        job = lender.enqueue(1, keyed(ground))
        with second.within():
            with pytest.raises(UsageError, match="has taken the unique key 'k' of task noted"):
                second.enqueue(2, keyed(ground))
            assert second.enqueue(2, keyed(ground).using(unique="other")).created
        assert lender.enqueue(3, keyed(ground).using(within=lender.held.connection)).id == job.id
    lender.held.commit()
    second.held.commit()
    assert sorted(ground.stored()) == [1, 2]


@TWO
def test_a_key_that_their_block_did_not_get_is_nobodys_to_wait_for(ground: Ground, lender: Lender) -> None:
    holder = keyed(ground).enqueue(1)
    lender.held.begin()
    with lender.within():
        assert lender.enqueue(2, keyed(ground)).id == holder.id
        assert lender.enqueue(3, keyed(ground).using(within=None)).id == holder.id
    lender.held.commit()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for long."""
    monkeypatch.setattr(plans, "LOCK_WAIT", 100)


@TWO
@pytest.mark.usefixtures("hurried")
def test_a_key_that_another_transaction_keeps_is_not_waited_for_for_ever(ground: Ground, lender: Lender) -> None:
    lender.held.begin()
    with lender.within():
        holder = lender.enqueue(1, keyed(ground))
    assert lender.held.read("SHOW lock_timeout") == [("0",)]
    told = r"^another transaction holds {} and does not end; nothing was stored"
    one, several = told.format("the unique key 'k' of task noted"), told.format("one of 2 unique keys")
    task, app = keyed(ground), ground.app
    calls = [task.bind(2), ground.task.bind(3), ground.task.using(unique="other").bind(4)]
    with pytest.raises(StoreUnavailable, match=one):
        task.enqueue(2)
    with pytest.raises(StoreUnavailable, match=one):
        asyncio.run(closing(app, lambda: task.aenqueue(2)))
    with pytest.raises(StoreUnavailable, match=several):
        app.enqueue_many(calls)
    with pytest.raises(StoreUnavailable, match=several):
        asyncio.run(closing(app, lambda: app.aenqueue_many(calls)))
    lender.held.commit()
    assert ground.stored() == [1]
    assert task.enqueue(2).id == holder.id


async def closing(app: Conveyor, call: Callable[[], Awaitable[object]]) -> None:
    try:
        await call()
    finally:
        await app.aclose()


@TWO
@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("change", ["cancel", "delete", "retry"])
def test_a_job_that_another_transaction_has_written_over_is_not_waited_for_for_ever(
    ground: Ground, lender: Lender, change: str
) -> None:
    holder = ground.task.using(unique="k", run_after=3600).enqueue(1)
    lender.held.begin()
    with lender.within():
        assert lender.enqueue(2, keyed(ground, "replace")).id == holder.id
    with pytest.raises(StoreUnavailable, match=r"^another transaction has held for too long.*nothing was done"):
        getattr(holder, change)()
    lender.held.commit()
    assert ground.stored() == [2]


@contextmanager
def snapshot(ground: Ground, isolation: Isolation) -> Generator[Lender]:
    """A user whose transaction looks at the database as it is now."""
    with ground.lent(isolation=isolation) as lender:
        lender.held.begin()
        assert lender.held.read("SELECT count(*) FROM conveyor_job") == [(0,)]
        yield lender


@TWO
@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_holder_that_a_stricter_transaction_cannot_see_is_the_librarys_serialization_error(
    ground: Ground, isolation: Isolation
) -> None:
    """As for any write of the user's own: who asks for such a level repeats the transaction."""
    with snapshot(ground, isolation) as lender:
        keyed(ground).enqueue(1)
        with lender.within(), pytest.raises(Exception, match="could not serialize access") as raised:
            lender.enqueue(2, keyed(ground))
        assert getattr(raised.value, "sqlstate", None) == "40001"
        lender.held.rollback()
        lender.held.begin()
        with lender.within():
            assert not lender.enqueue(3, keyed(ground)).created
        lender.held.commit()
    assert ground.stored() == [1]


@TWO
def test_a_holder_that_ended_since_the_snapshot_does_not_hold_the_key(ground: Ground) -> None:
    with ground.lent(isolation="REPEATABLE READ") as lender:
        keyed(ground).enqueue(1)
        lender.held.begin()
        lender.held.read("SELECT count(*) FROM conveyor_job")
        with outside(ground.url) as connection:
            connection.execute("DELETE FROM conveyor_job")
        with lender.within():
            assert lender.enqueue(2, keyed(ground)).created
        lender.held.commit()
    assert ground.stored() == [2]


@TWO
@pytest.mark.parametrize("policy", ["existing", "replace"])
def test_what_a_block_has_enqueued_holds_the_key_and_not_what_has_ended_since_its_snapshot(
    ground: Ground, policy: str
) -> None:
    """Such a transaction sees both."""
    with ground.lent(isolation="REPEATABLE READ") as lender:
        ended = keyed(ground).enqueue(1)
        lender.held.begin()
        lender.held.read("SELECT count(*) FROM conveyor_job")
        ended.cancel()
        with lender.within():
            first, second = lender.enqueue(2, keyed(ground)), lender.enqueue(3, keyed(ground, policy))
        assert lender.held.read("SELECT count(*) FROM conveyor_job") == [(2,)]
        lender.held.commit()
    assert (first.created, second.created) == (True, False)
    assert second.id == first.id != ended.id
    assert ground.stored() == ([2] if policy == "existing" else [3])


@TWO
def test_a_replacement_of_a_job_that_starts_meanwhile_changes_nothing(
    ground: Ground, carrier: Carrier, lender: Lender
) -> None:
    holder = keyed(ground).enqueue(1)
    hand = Hand(ground.app.store)
    lender.held.begin()
    lender.held.read("SELECT count(*) FROM conveyor_job")
    assert len(hand.claim(tasks=["noted"])) == 1
    with lender.within():
        job = lender.enqueue(2, keyed(ground, "replace"))
    lender.held.commit()
    assert (job.id, job.created) == (holder.id, False)
    assert ground.stored() == [1]
    hand.die()
