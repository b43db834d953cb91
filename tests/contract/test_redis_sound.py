"""What looks whether the indexes of a store on Redis are sound must see what there is to see; a scratch store goes."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import cast

import pytest

from conveyor.cli.chaos.keys import Keys, Scratch, keys
from conveyor.cli.chaos.sound import unsound
from conveyor.core.lifecycle import Event
from conveyor.store.contract import Store
from tests.support.jobs import HOUR, QUEUE, TASK, Hand, enqueue, key, new_job, outcome
from tests.support.redis import RedisServer
from tests.support.stores import open_store

LANE = f"lane:{len(QUEUE)}:{QUEUE}:0:{TASK}"
Spoil = Callable[[Keys, Hand], object]


@pytest.fixture
def hand(redis_url: str) -> Iterator[Hand]:
    """A runner that holds a job, in a store with jobs that stand in every place."""
    with closing(open_store(redis_url)) as store:
        made = Hand(store)
        for event in (Event.SUCCEED, Event.FAIL, Event.CANCEL):
            made_one(store, made, event)
        made_one(store, made, Event.RETRY, delay=HOUR)
        enqueue(store, new_job(unique=key())._replace(expires=HOUR))
        made.take_one()
        enqueue(store, new_job()._replace(expires=HOUR), new_job(delay=HOUR))
        yield made
        made.die()


def made_one(store: Store, hand: Hand, event: Event, delay: int = 0) -> None:
    enqueue(store, new_job())
    hand.answer(outcome(hand.take_one(), hand.id, event, delay=delay))


SPOILS: dict[str, tuple[Spoil, str]] = {
    "a job in no lane": (lambda here, _: here.call("DEL", LANE), f"missing: {LANE} "),
    "a lane that nobody looks into": (lambda here, _: here.call("DEL", f"lanes:{QUEUE}"), f"missing: lanes:{QUEUE} "),
    "an unknown queue": (lambda here, _: here.call("DEL", "queues"), f"missing: queues {QUEUE} "),
    "a job of another time": (
        lambda here, _: here.call("ZADD", LANE, "XX", 1, first(here, LANE)),
        f"too much: {LANE} ",
    ),
    "a job that nobody made": (lambda here, _: here.call("ZADD", "live", 0, "ab"), "too much: live ab 0"),
    "an ended job in no state": (lambda here, _: here.call("DEL", "past:failed"), "missing: past:failed "),
    "one that stays for ever": (lambda here, _: here.call("DEL", "gone"), "missing: gone "),
    "a retry that is not counted": (lambda here, _: here.call("DEL", f"retry:{QUEUE}"), f"missing: retry:{QUEUE} "),
    "a key that is free": (lambda here, _: here.call("DEL", "unique"), "missing: unique k "),
    "a job that does not expire": (lambda here, _: here.call("DEL", "expiring"), "missing: expiring "),
    "a job that nobody holds": (lambda here, hand: here.call("DEL", f"held:{hand.id.hex()}"), "missing: held:"),
    "a holder that is forgotten": (
        lambda here, hand: here.call("ZREM", "runners", hand.id.hex()),
        "held by a runner that nobody knows: ",
    ),
    "a wish that nobody has": (
        lambda here, hand: here.call("SADD", f"asked:{hand.id.hex()}", "ab"),
        "too much: asked:",
    ),
}


def first(here: Keys, index: str) -> bytes:
    ((member,),) = cast("list[list[bytes]]", here.call("ZRANGE", index, 0, 0))
    return member


@pytest.mark.parametrize("name", SPOILS)
def test_an_index_that_says_something_else_than_the_jobs_is_found(name: str, hand: Hand, redis_url: str) -> None:
    spoil, told = SPOILS[name]
    with keys(redis_url) as here:
        assert unsound(here) == []
        spoil(here, hand)
        assert any(line.startswith(told) for line in unsound(here)), unsound(here)


def test_a_scratch_store_goes_with_all_its_keys_and_no_others(redis_server: RedisServer, redis_url: str) -> None:
    with closing(open_store(redis_url)) as other, keys(redis_url) as mine:
        enqueue(other, new_job())
        before = mine.names(*mine.parts)
        scratch = Scratch(redis_url)
        with closing(open_store(scratch.url)) as store:
            enqueue(store, *(new_job() for _ in range(1_100)))
        with keys(scratch.url) as here:
            assert len(here.names(*here.parts)) > 1_100
            scratch.close()
            assert here.names(*here.parts) == []
        assert (mine.names(*mine.parts), len(before) > 1) == (before, True)
