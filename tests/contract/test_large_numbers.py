"""Numbers beyond what smaller types hold: 2^31 of an int, 2^53 of a double, and the end of all at 2^63."""

import pytest

from conveyor.core import ids
from conveyor.core.errors import StoreRefused
from conveyor.core.lifecycle import Event, State
from conveyor.store.contract import Store
from conveyor.store.postgres.opened import PostgresStore
from conveyor.store.postgres.plans import PostgresOperations
from tests.support.jobs import Hand, Hire, enqueue, new_job, outcome, see
from tests.support.stores import number, open_store, rows

EDGES = [2**31 - 1, 2**31, 2**32, 2**53 - 1, 2**53, 2**53 + 1, 2**62]
END = 2**63 - 1


def test_a_token_goes_on_by_one_wherever_it_is(store: Store, hire: Hire) -> None:
    """It is never less than the clock, which is between 2^50 and 2^53 for centuries."""
    hand = hire()
    for token in EDGES:
        job = new_job()
        enqueue(store, job)
        rows(store, f"UPDATE conveyor_job SET token = {token}")
        taken = hand.take_one()
        assert taken.token == token + 1 if token > 2**52 else 2**50 < taken.token < 2**52
        stale = outcome(taken, hand.id, Event.SUCCEED)._replace(token=taken.token - 1)
        assert hand.settle(stale) == {job.id}
        hand.end(taken, Event.RETRY)
        again = hand.take_one()
        assert again.token == token + 2 if token > 2**52 else again.token > taken.token
        hand.end(again, Event.SUCCEED)
        assert see(store, job.id).state is State.SUCCEEDED


def test_at_the_end_of_tokens_a_claim_is_refused_and_the_doctor_says_why(postgres_url: str) -> None:
    """It cannot come to that but by hand. No job of the queue can be claimed then, for the claim is one statement."""
    store = open_store(postgres_url)
    job, hand = new_job(), Hand(store)
    enqueue(store, job)
    rows(store, f"UPDATE conveyor_job SET token = {END}")
    with pytest.raises(StoreRefused, match="bigint out of range"):
        hand.claim(1)
    assert number(store, "SELECT count(*) FROM conveyor_job WHERE state = 'waiting' AND attempt = 0") == 1
    (finding,) = [finding for finding in store.examine(deep=True) if finding.check == "numbers"]
    assert ids.text(job.id) in finding.text
    assert not [finding for finding in store.examine(deep=False) if finding.check == "numbers"]
    rows(store, finding.fix)
    assert hand.take_one().token < END
    hand.die()
    store.close()


def test_the_bell_rings_whatever_number_it_has_come_to(postgres_url: str) -> None:
    store = PostgresStore(postgres_url)
    asked = 0
    for until in (*EDGES, END):
        rows(store, f"SELECT setval('conveyor_bell', {until})")
        store.run(PostgresOperations().idle(1_000_000))
        enqueue(store, new_job())
        asked, before = number(store, "SELECT last_value FROM conveyor_bell"), asked
        assert asked >= max(until, 2**50, before)
    store.close()
