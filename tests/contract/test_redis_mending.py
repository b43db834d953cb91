"""Jobs that are not found where their own fields say, as after a crash that tore a script, are mended."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Final, NamedTuple

import pytest

from conveyor.cli.chaos.keys import Keys, keys
from conveyor.core import ids
from conveyor.core.lifecycle import Event, State
from conveyor.core.model import Claimed, JobFilter, NewJob
from conveyor.store.answers import Cure
from conveyor.store.redis.opened import RedisStore
from tests.support.jobs import HOUR, QUEUE, TASK, Hand, enqueue, key, new_job, outcome, rescue, see
from tests.support.redis import RedisServer, versions
from tests.support.stores import mended, sound

LANE: Final = f"lane:{len(QUEUE)}:{QUEUE}:0:{TASK}"
RUNNING: Final = f"running:{QUEUE}"


@pytest.fixture(scope="module", params=versions())
def server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    with RedisServer(request.param) as started:
        yield started


@pytest.fixture(params=["", "?shards=3"], ids=["one", "shards"])
def store(server: RedisServer, request: pytest.FixtureRequest) -> Iterator[RedisStore]:
    server.flush()
    with closing(RedisStore(server.url() + request.param)) as opened:
        yield opened


@pytest.fixture
def here(store: RedisStore) -> Iterator[Keys]:
    with keys(store.url) as found:
        yield found


@pytest.fixture
def hand(store: RedisStore) -> Iterator[Hand]:
    made = Hand(store)
    yield made
    made.die()


class Site(NamedTuple):
    """Where one job is to be lost."""

    store: RedisStore
    here: Keys
    hand: Hand
    job: NewJob

    @property
    def id(self) -> str:
        return self.job.id.hex()

    @property
    def held(self) -> str:
        return f"held:{self.hand.id.hex()}"

    def call(self, *words: str | int) -> None:
        """In each shard; only one has the job."""
        self.here.call(str(words[0]), *words[1:])  # type: ignore[arg-type]  # the second is the key


Spoil = Callable[[Site], object]


def in_its_shard(site: Site, *words: str | int) -> None:
    """A command that would make something of nothing elsewhere."""
    name, key_, *rest = words
    for part in site.here.parts:
        if site.here.each([("EXISTS", f"{part}:job:{site.id}")]) == [1]:
            site.here.each([(name, f"{part}:{key_}", *rest)])


def torn(site: Site) -> None:
    """What a claim leaves of which only the first half is carried out."""
    site.call("ZREM", RUNNING, site.id)
    site.call("HDEL", site.held, site.id)


def told(store: RedisStore, job: NewJob) -> set[Cure]:
    """What was done, all to this job."""
    found = mended(store)
    assert {id_ for id_, _ in found} <= {ids.text(job.id)}
    return {cure for _, cure in found}


def well(store: RedisStore) -> None:
    assert (sound(store), mended(store)) == ([], [])


# ------------------------------------------------------------------- running


@pytest.mark.parametrize("lined", [False, True], ids=["left the line", "in line still"])
def test_a_claim_that_was_torn_is_undone_and_spends_no_attempt(
    store: RedisStore, here: Keys, hand: Hand, lined: bool
) -> None:
    site = Site(store, here, hand, new_job(max_attempts=1, unique=key())._replace(expires=HOUR))
    enqueue(store, site.job)
    claimed = hand.take_one()
    torn(site)
    if lined:
        in_its_shard(site, "ZADD", LANE, claimed.run_after, site.id)
    assert not rescue(store)
    assert told(store, site.job) == {Cure.RELEASED}
    well(store)
    assert (see(store, site.job.id).state, see(store, site.job.id).attempt) == (State.READY, 0)
    assert hand.settle(outcome(claimed, hand.id, Event.SUCCEED)) == {site.job.id}
    assert hand.settle(outcome(claimed, hand.id, Event.RELEASE)) == {site.job.id}
    again = hand.run_one()
    assert (again.attempt, again.token > claimed.token) == (1, True)
    assert see(store, site.job.id).state is State.SUCCEEDED
    well(store)


def test_a_torn_claim_of_a_job_that_has_failed_before_is_undone(store: RedisStore, here: Keys, hand: Hand) -> None:
    site = Site(store, here, hand, new_job())
    enqueue(store, site.job)
    hand.run_one(Event.RETRY)
    hand.take_one()
    torn(site)
    assert told(store, site.job) == {Cure.RELEASED}
    well(store)
    assert hand.run_one().attempt == 2
    well(store)


def test_one_that_somebody_wants_cancelled_ends_so(store: RedisStore, here: Keys, hand: Hand) -> None:
    site = Site(store, here, hand, new_job(unique=key()))
    enqueue(store, site.job)
    hand.take_one()
    store.run(store.control.ask(JobFilter(), "enough", 10, None))
    torn(site)
    assert told(store, site.job) == {Cure.RELEASED}
    assert see(store, site.job.id).state is State.CANCELLED
    assert store.run(store.operations.holder("k")) is None
    well(store)


def running(store: RedisStore, here: Keys, hand: Hand, spoil: Spoil) -> tuple[Site, Claimed]:
    site = Site(store, here, hand, new_job(max_attempts=1))
    enqueue(store, site.job)
    claimed = hand.take_one()
    spoil(site)
    assert told(store, site.job) == {Cure.HELD}
    return site, claimed


LOSSES: Final[dict[str, Spoil]] = {
    "who holds it": lambda site: site.call("DEL", site.held),
    "its token": lambda site: in_its_shard(site, "HSET", site.held, site.id, "1"),
    "that it runs": lambda site: site.call("DEL", RUNNING),
    "its runner": lambda site: in_its_shard(site, "DEL", "runners"),
    "that it has not ended": lambda site: site.call("DEL", "live"),
    "its queue": lambda site: site.call("DEL", "queues"),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_job_that_may_be_running_is_not_started_twice(store: RedisStore, here: Keys, hand: Hand, loss: str) -> None:
    site, claimed = running(store, here, hand, LOSSES[loss])
    well(store)
    assert hand.renews()
    assert not hand.claim()
    assert not rescue(store)
    assert not hand.settle(outcome(claimed, hand.id, Event.SUCCEED))
    assert see(store, site.job.id).state is State.SUCCEEDED
    well(store)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_same_job_of_a_dead_runner_is_taken_back_as_any_other(
    store: RedisStore, here: Keys, hand: Hand, loss: str
) -> None:
    site, _ = running(store, here, hand, LOSSES[loss])
    well(store)
    assert len(store.run(store.operations.runners())) == 1
    here.call("ZADD", "runners", "XX", 0, hand.id.hex())
    assert rescue(store) == 1
    assert see(store, site.job.id).state is State.FAILED
    well(store)


def test_a_runner_that_nobody_knows_has_time_to_notice(store: RedisStore, here: Keys, hand: Hand) -> None:
    def forget(site: Site) -> None:
        site.call("DEL", "runners")
        site.call("DEL", f"runner:{hand.id.hex()}")

    running(store, here, hand, forget)
    (known,) = store.run(store.operations.runners()) or [None]
    assert known is None or known.alive
    assert store.run(store.operations.dead_runners()) == 0


# ------------------------------------------------------------------- waiting

WAITS: Final[dict[str, Spoil]] = {
    "its place in line": lambda site: site.call("ZREM", LANE, site.id),
    "the whole line": lambda site: site.call("DEL", LANE),
    "where the line is": lambda site: site.call("DEL", f"lanes:{QUEUE}"),
    "the queue": lambda site: site.call("DEL", "queues"),
    "its time": lambda site: site.call("ZADD", LANE, "XX", 1, site.id),
    "that it has not ended": lambda site: site.call("DEL", "live"),
    "its key": lambda site: site.call("DEL", "unique"),
    "when it expires": lambda site: site.call("DEL", "expiring"),
    "that it expires later": lambda site: site.call("ZADD", "expiring", "XX", 1, site.id),
    "that it has failed": lambda site: site.call("DEL", f"retry:{QUEUE}"),
}


@pytest.mark.parametrize("paused", [False, True], ids=["open", "paused"])
@pytest.mark.parametrize("loss", WAITS)
def test_a_job_that_waits_in_no_line_is_lined_up(
    store: RedisStore, here: Keys, hand: Hand, loss: str, paused: bool
) -> None:
    site = Site(store, here, hand, new_job(max_attempts=2, unique=key())._replace(expires=HOUR))
    enqueue(store, site.job)
    hand.run_one(Event.RETRY, delay=HOUR // 2)
    if paused:
        store.run(store.control.pause(QUEUE))
    WAITS[loss](site)
    assert sound(store)
    assert told(store, site.job) == {Cure.LINED_UP}
    well(store)
    store.run(store.control.resume(QUEUE))
    store.run(store.control.hasten(JobFilter(), 1, None))
    assert hand.run_one().attempt == 2
    assert see(store, site.job.id).state is State.SUCCEEDED
    well(store)


def test_who_rests_is_rung_for_a_job_that_is_lined_up(store: RedisStore, here: Keys, hand: Hand) -> None:
    site = Site(store, here, hand, new_job())
    enqueue(store, site.job)
    site.call("DEL", LANE)
    listener = store.listener(hand.id)
    listener.sight.rest.ear = "an ear"
    assert not store.run(store.operations.claim(hand.id, {QUEUE: 1}, [TASK], listener.sight))
    resting = here.call("ZCARD", f"resting:{QUEUE}")
    assert resting == [1] * len(here.parts)
    assert told(store, site.job) == {Cure.LINED_UP}
    assert here.call("ZCARD", f"resting:{QUEUE}").count(0) == 1


# -------------------------------------------------------------- ended, and gone

ENDS: Final[dict[str, Spoil]] = {
    "it counts as unfinished": lambda site: in_its_shard(site, "ZADD", "live", 0, site.id),
    "it is in no state": lambda site: (
        in_its_shard(site, "ZADD", "live", 0, site.id),
        site.call("DEL", "past:failed"),
    ),
    "it would stay for ever": lambda site: (in_its_shard(site, "ZADD", "live", 0, site.id), site.call("DEL", "gone")),
    "its error is not told": lambda site: (
        in_its_shard(site, "ZADD", "live", 0, site.id),
        site.call("DEL", "errors"),
    ),
    "its key is taken": lambda site: in_its_shard(site, "HSET", "unique", "k", site.id),
}


@pytest.mark.parametrize("loss", ENDS)
def test_a_job_that_has_ended_is_put_away(store: RedisStore, here: Keys, hand: Hand, loss: str) -> None:
    site = Site(store, here, hand, new_job(unique=key()))
    enqueue(store, site.job)
    hand.run_one(Event.FAIL)
    ENDS[loss](site)
    assert sound(store)
    assert told(store, site.job) == {Cure.PUT_AWAY}
    well(store)
    assert see(store, site.job.id).state is State.FAILED
    assert not enqueue(store, new_job(unique=key()))


def delete(site: Site) -> None:
    site.call("DEL", f"job:{site.id}")


def test_of_a_job_that_waited_and_is_gone_nothing_stays(store: RedisStore, here: Keys, hand: Hand) -> None:
    site = Site(store, here, hand, new_job(unique=key())._replace(expires=2 * HOUR))
    enqueue(store, site.job)
    hand.run_one(Event.RETRY, delay=HOUR)
    delete(site)
    assert told(store, site.job) == {Cure.STALE}
    well(store)
    assert store.run(store.operations.queues()) == []
    assert not enqueue(store, new_job(unique=key()))


def test_of_a_job_that_ran_and_is_gone_nothing_stays(store: RedisStore, here: Keys, hand: Hand) -> None:
    site = Site(store, here, hand, new_job())
    enqueue(store, site.job)
    claimed = hand.take_one()
    store.run(store.control.ask(JobFilter(), "enough", 10, None))
    delete(site)
    assert told(store, site.job) == {Cure.STALE}
    well(store)
    assert store.run(store.operations.held(hand.id)) == []
    assert hand.settle(outcome(claimed, hand.id, Event.SUCCEED)) == {site.job.id}


STRAY: Final[dict[str, Spoil]] = {
    "in line": lambda site: in_its_shard(site, "ZADD", LANE, 1, site.id),
    "in another line": lambda site: (
        in_its_shard(site, "ZADD", f"lane:{len(QUEUE)}:{QUEUE}:7:b:c", 1, site.id),
        in_its_shard(site, "ZADD", f"lanes:{QUEUE}", -7, "7:b:c"),
    ),
    "about to expire": lambda site: in_its_shard(site, "ZADD", "expiring", 1, site.id),
    "to be tried again": lambda site: in_its_shard(site, "ZADD", f"retry:{QUEUE}", 1, site.id),
    "held by another": lambda site: (
        in_its_shard(site, "ZADD", "runners", 0, "ab" * 16),
        in_its_shard(site, "HSET", f"held:{'ab' * 16}", site.id, "1"),
    ),
    "the holder of a key": lambda site: in_its_shard(site, "HSET", "unique", "other", site.id),
}


@pytest.mark.parametrize("stray", STRAY)
def test_a_running_job_leaves_where_it_does_not_belong_and_is_not_started_twice(
    store: RedisStore, here: Keys, hand: Hand, stray: str
) -> None:
    site = Site(store, here, hand, new_job())
    enqueue(store, site.job)
    claimed = hand.take_one()
    STRAY[stray](site)
    assert told(store, site.job) == {Cure.STALE}
    assert not hand.claim()
    assert not rescue(store)
    well(store)
    hand.end(claimed, Event.SUCCEED)
    well(store)


@pytest.mark.parametrize("index", [RUNNING, "held", "other line"])
def test_so_does_a_job_that_waits(store: RedisStore, here: Keys, hand: Hand, index: str) -> None:
    site = Site(store, here, hand, new_job())
    enqueue(store, site.job)
    if index == "held":
        in_its_shard(site, "HSET", site.held, site.id, "1")
    elif index == RUNNING:
        in_its_shard(site, "ZADD", RUNNING, 1, site.id)
    else:
        in_its_shard(site, "ZADD", f"lane:{len(QUEUE)}:{QUEUE}:1:{TASK}", 1, site.id)
        in_its_shard(site, "ZADD", f"lanes:{QUEUE}", -1, f"1:{TASK}")
    assert told(store, site.job) == {Cure.STALE}
    well(store)
    assert hand.run_one().attempt == 1


def test_of_two_jobs_that_claim_a_key_the_holder_keeps_it(store: RedisStore, here: Keys, hand: Hand) -> None:
    site = Site(store, here, hand, new_job(unique=key()))
    enqueue(store, site.job)
    in_its_shard(site, "HSET", "unique", "k", "ab" * 16)
    assert mended(store) == [("ab" * 16, Cure.STALE)] or {cure for _, cure in mended(store)} <= {Cure.LINED_UP}
    mended(store)
    assert store.run(store.operations.holder("k")) == site.job.id
    well(store)
