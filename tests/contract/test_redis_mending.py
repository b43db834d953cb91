"""Jobs that are not found where their own fields say, as after a crash that tore a script, are mended."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from typing import Final, NamedTuple, cast
from uuid import UUID

import pytest

from conveyor import Conveyor
from conveyor.cli.chaos.keys import Keys, keys
from conveyor.core import ids
from conveyor.core.health import Finding, Severity
from conveyor.core.lifecycle import Event, State
from conveyor.core.model import Claimed, JobFilter, NewJob
from conveyor.plan import Ring
from conveyor.store.answers import Cure
from conveyor.store.redis import mending
from conveyor.store.redis.opened import RedisStore
from conveyor.testing.hand import until
from conveyor.worker.runner import Settings
from tests.contract.test_redis_bounds import asked, most_between_calls
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
        if site.here.each(part, [("EXISTS", f"{part}:job:{site.id}")]) == [1]:
            site.here.each(part, [(name, f"{part}:{key_}", *rest)])


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


# ------------------------------------------------------------------- all is well


def test_where_all_is_well_nothing_is_changed(store: RedisStore, here: Keys, hand: Hand) -> None:
    """Jobs that stand in every place: jobs in all states, of living runners and of dead ones, in a paused queue too."""
    dead = Hand(store)
    for event in (Event.SUCCEED, Event.FAIL, Event.CANCEL, Event.RELEASE, Event.SNOOZE):
        enqueue(store, new_job(unique=key(f"k{event}"))._replace(expires=HOUR, keep=HOUR))
        hand.run_one(event, delay=HOUR if event in {Event.RELEASE, Event.SNOOZE} else 0)
    enqueue(store, new_job(unique=key("started", until_start=True)), new_job()._replace(keep=-1))
    dead.take(2)
    dead.die()
    enqueue(store, *(new_job(unique=key("asked"))._replace(expires=HOUR) for _ in range(2)), new_job())
    hand.take(2)
    store.run(store.control.ask(JobFilter(states=(State.RUNNING,)), "enough", 1, None))
    enqueue(store, new_job())
    hand.run_one(Event.RETRY, delay=HOUR)
    enqueue(store, *(new_job(queue=name, priority=5, delay=HOUR)._replace(expires=HOUR) for name in ("a", "b:c")))
    enqueue(store, *(new_job(unique=key(f"w{number}")) for number in range(50)), new_job(unique=key("w7")))
    store.run(store.control.pause(QUEUE))
    before = dumped(here)
    assert (mended(store), sound(store)) == ([], [])
    assert dumped(here) == before
    assert len(before) > 80
    assert indexes(store) == []


def dumped(here: Keys) -> dict[str, object]:
    """All keys of the store, but for those of which the mending itself makes use."""
    found: dict[str, object] = {}
    for part in here.parts:
        names = [name for name in here.names(part) if not name.startswith("mend")]
        said = here.each(part, (("DUMP", f"{part}:{name}") for name in names))
        found |= zip([f"{part}:{name}" for name in names], said, strict=True)
    return found


# ------------------------------------------------------------------- running


@pytest.mark.parametrize("lined", [False, True], ids=["left the line", "in line still"])
def test_a_claim_that_was_torn_is_undone_and_spends_no_attempt(
    store: RedisStore, here: Keys, hand: Hand, lined: bool
) -> None:
    dead = Hand(store)
    site = Site(store, here, dead, new_job(max_attempts=1, unique=key())._replace(expires=HOUR))
    enqueue(store, site.job)
    claimed = dead.take_one()
    torn(site)
    dead.die()
    if lined:
        in_its_shard(site, "ZADD", LANE, claimed.run_after, site.id)
    assert not rescue(store)
    assert told(store, site.job) == {Cure.RELEASED}
    well(store)
    assert (see(store, site.job.id).state, see(store, site.job.id).attempt) == (State.READY, 0)
    assert dead.settle(outcome(claimed, dead.id, Event.SUCCEED)) == {site.job.id}
    assert dead.settle(outcome(claimed, dead.id, Event.RELEASE)) == {site.job.id}
    again = hand.run_one()
    assert (again.attempt, again.token > claimed.token) == (1, True)
    assert see(store, site.job.id).state is State.SUCCEEDED
    well(store)


def test_a_torn_claim_of_a_job_that_has_failed_before_is_undone(store: RedisStore, here: Keys, hand: Hand) -> None:
    dead = Hand(store)
    site = Site(store, here, dead, new_job())
    enqueue(store, site.job)
    hand.run_one(Event.RETRY)
    dead.take_one()
    torn(site)
    dead.die()
    assert told(store, site.job) == {Cure.RELEASED}
    well(store)
    assert hand.run_one().attempt == 2
    well(store)


def test_one_that_somebody_wants_cancelled_ends_so(store: RedisStore, here: Keys, hand: Hand) -> None:
    dead = Hand(store)
    site = Site(store, here, dead, new_job(unique=key()))
    enqueue(store, site.job)
    dead.take_one()
    store.run(store.control.ask(JobFilter(), "enough", 10, None))
    torn(site)
    dead.die()
    assert told(store, site.job) == {Cure.RELEASED}
    assert see(store, site.job.id).state is State.CANCELLED
    assert store.run(store.operations.holder("k")) is None
    well(store)


def test_a_runner_that_lives_may_be_at_work_on_what_looks_like_a_torn_claim(
    store: RedisStore, here: Keys, hand: Hand
) -> None:
    """So nobody else is to start it: the server may have thrown away both of what it writes last."""
    site, claimed = running(store, here, hand, torn)
    assert not hand.claim()
    assert hand.settle(outcome(claimed, hand.id, Event.SUCCEED)) == frozenset()
    assert see(store, site.job.id).state is State.SUCCEEDED
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


def test_a_queue_whose_last_line_is_empty_is_forgotten(store: RedisStore, here: Keys, hand: Hand) -> None:
    """As after a claim that was torn behind all that it writes of the job: claims would read the line for ever."""
    site = Site(store, here, hand, new_job())
    enqueue(store, site.job)
    hand.run_one()
    in_its_shard(site, "ZADD", f"lanes:{QUEUE}", 0, f"0:{TASK}")
    in_its_shard(site, "SADD", "queues", QUEUE)
    assert mended(store) == []
    well(store)


def test_a_key_of_nobody_is_given_to_the_job_that_claims_it(store: RedisStore, here: Keys, hand: Hand) -> None:
    site = Site(store, here, hand, new_job(unique=key()))
    enqueue(store, site.job)
    in_its_shard(site, "HSET", "unique", "k", "ab" * 16)
    assert (f"{'ab' * 16}", Cure.STALE) in [(UUID(id_).hex, cure) for id_, cure in mended(store)]
    assert mended(store) == [] or sound(store) == []
    assert store.run(store.operations.holder("k")) == site.job.id
    well(store)


# ------------------------------------------------------------ in no index at all


def unlisted(site: Site) -> None:
    for index in ("live", LANE, f"lanes:{QUEUE}", "queues", "unique", "expiring", "past:failed", "gone", "errors"):
        site.call("DEL", index)


def test_a_job_that_is_in_no_index_is_lined_up(store: RedisStore, here: Keys, hand: Hand) -> None:
    site = Site(store, here, hand, new_job(unique=key())._replace(expires=HOUR))
    enqueue(store, site.job)
    unlisted(site)
    assert told(store, site.job) == {Cure.LINED_UP}
    well(store)
    assert hand.run_one().attempt == 1


def test_an_ended_job_that_is_in_no_index_is_put_away(store: RedisStore, here: Keys, hand: Hand) -> None:
    site = Site(store, here, hand, new_job())
    enqueue(store, site.job)
    hand.run_one(Event.FAIL)
    unlisted(site)
    assert told(store, site.job) == {Cure.PUT_AWAY}
    well(store)
    assert len(store.run(store.operations.failures(JobFilter(), 10))) == 1


def test_one_that_came_in_half_and_whose_key_another_holds_is_not_run(
    store: RedisStore, here: Keys, hand: Hand
) -> None:
    site = Site(store, here, hand, new_job(unique=key()))
    enqueue(store, site.job)
    unlisted(site)
    other = new_job(unique=key())
    assert not enqueue(store, other)
    assert mended(store) == []
    assert hand.run_one().id == other.id
    assert not hand.claim()


# ------------------------------------------------------------------- in rounds


def test_there_is_one_round_a_minute_whoever_begins_it(store: RedisStore, here: Keys, hand: Hand) -> None:
    site = Site(store, here, hand, new_job())
    enqueue(store, site.job)
    with closing(RedisStore(store.url)) as other:
        well(other)
        WAITS["its place in line"](site)
        assert store.run(other.control.mend()).jobs == store.run(store.control.mend()).jobs == []
        for begun in (1, 1 << 60):  # long ago; or by a clock that was set back since
            here.call("HSET", "mend", "begun", begun)
            assert len(store.run(other.control.mend()).jobs) == (begun == 1)


def test_a_store_that_is_being_moved_is_left_alone(store: RedisStore, here: Keys, hand: Hand) -> None:
    site = Site(store, here, hand, new_job())
    enqueue(store, site.job)
    WAITS["its place in line"](site)
    for closed in ("closed", "filling"):
        here.call("HSET", "meta", closed, "why")
        assert mended(store) == []
        here.call("HDEL", "meta", closed)
    assert told(store, site.job) == {Cure.LINED_UP}


def test_all_are_looked_at_a_part_in_each_call_and_in_each_round(
    store: RedisStore, here: Keys, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mending, "CALLS", 2)
    monkeypatch.setattr(mending, "CALLS_ALL", 1)
    monkeypatch.setattr(mending, "AT_ONCE", 50)
    jobs = [new_job(task=f"task{number % 40}", queue=f"queue{number % 3}") for number in range(500)]
    enqueue(store, *jobs)
    for queue in range(3):
        for task in range(40):
            here.call("DEL", f"lane:6:queue{queue}:0:task{task}")
    found: set[str] = set()
    rounds = 0

    def turn() -> None:
        found.update(id_ for id_, _ in store.run(store.control.mend()).jobs)

    while len(found) < len(jobs) and rounds < 100:
        here.call("HDEL", "mend", "begun")
        commands = asked(server, turn)
        assert most_between_calls(commands) < 50 * 12
        rounds += 1
    assert (len(found), 1 < rounds < 100) == (len(jobs), True)
    assert sound(store) == []


def test_nobody_waits_long_for_a_call(store: RedisStore, server: RedisServer, hand: Hand) -> None:
    """2,000 commands take a script some 10 ms, in which the server does nothing else."""
    enqueue(store, *(new_job(unique=key(str(number)))._replace(expires=HOUR) for number in range(1_000)))
    hand.take(600)
    assert most_between_calls(asked(server, lambda: store.run(store.control.mend()))) < 1_500


@pytest.mark.parametrize("strays", [0, 400])
def test_of_a_small_index_that_is_given_whole_each_call_looks_at_a_part(
    store: RedisStore, here: Keys, strays: int
) -> None:
    for number in range(strays):
        here.call("HSET", "unique", f"stray{number}", f"{number:032x}")
    enqueue(store, *(new_job(unique=key(str(number))) for number in range(100)))
    found = [id_ for id_, _ in mended(store)]
    assert len(found) == strays * len(here.parts)
    assert (sound(store), mended(store)) == ([], [])


def test_at_rest_it_costs_next_to_nothing(store: RedisStore, server: RedisServer, hand: Hand) -> None:
    enqueue(store, *(new_job() for _ in range(50)))
    for job in hand.take(50):
        hand.end(job, Event.SUCCEED)
    well(store)
    commands = asked(server, lambda: store.run(store.control.mend()))
    shards = 3 if "shards" in store.url else 1
    assert len(commands) <= 10 * shards


# -------------------------------------------------------------- who works, and looks


def test_the_doctor_tells_how_many_and_that_workers_mend_them(store: RedisStore, here: Keys, hand: Hand) -> None:
    site = Site(store, here, hand, new_job())
    enqueue(store, *(new_job() for _ in range(400)), site.job)
    hand.take(100)
    assert indexes(store) == []
    WAITS["its place in line"](site)
    here.call("DEL", f"held:{hand.id.hex()}")
    here.call("ZADD", "live", 0, "ab" * 16)
    (finding,) = indexes(store)
    assert finding.severity is Severity.NOTE
    amiss = 101 + len(here.parts)
    assert finding.text.startswith(f"{amiss} of {400 + 1 + len(here.parts)} unfinished jobs are not found where they")
    assert "a worker" in finding.fix
    mended(store)
    assert indexes(store) == []


def test_the_doctor_looks_at_a_part_and_the_deep_one_at_all(
    store: RedisStore, here: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue(store, *(new_job() for _ in range(1_000)))
    here.call("DEL", LANE)
    monkeypatch.setattr(mending, "SAMPLE", 100)
    (some,), (all_,) = indexes(store), indexes(store, deep=True)
    assert "unfinished jobs that were looked at are" in some.text
    assert all_.text.startswith("1,000 of 1,000 unfinished jobs are")


def indexes(store: RedisStore, *, deep: bool = False) -> list[Finding]:
    return [finding for finding in store.examine(deep=deep) if finding.check == "indexes"]


async def test_a_worker_gives_back_what_it_does_not_run(
    store: RedisStore, here: Keys, server: RedisServer, hand: Hand, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a claim that was torn late all is there but for what the runner holds: it might as well have been lost."""
    app = Conveyor(store.url)
    ran = asyncio.Event()

    @app.task(name=TASK, max_attempts=1)
    async def mail() -> None:
        ran.set()

    worker = app.worker(Settings({QUEUE: 1}))
    work = asyncio.create_task(worker.run())
    try:
        job = await mail.using(run_after=timedelta(hours=1)).aenqueue()
        site = Site(store, here, hand, new_job()._replace(id=ids.parse(job.id)))
        runner = await asyncio.to_thread(until, lambda: listening(store, server, here, hand))
        in_its_shard(site, "ZREM", LANE, site.id)
        in_its_shard(site, "HSET", f"job:{site.id}", "started_at", 7, "attempt", 1, "token", 7, "runner", runner)
        in_its_shard(site, "ZADD", RUNNING, 7, site.id)
        in_its_shard(site, "HSET", f"job:{site.id}", "state", "running")
        await asyncio.to_thread(mended, store)  # unless the worker itself has done so by now
        async with asyncio.timeout(20):
            await ran.wait()
        assert (await job.arefresh()).attempt == 1
    finally:
        worker.stop()
        await work
        await app.aclose()
    assert "gives back a job whose claim was not answered" in caplog.messages
    well(store)


def listening(store: RedisStore, server: RedisServer, here: Keys, hand: Hand) -> str:
    """The id of a worker that is none of the test's; nothing until it can be rung, and has done its first round."""
    _, ears = cast("list[int]", server.said("PUBSUB", "NUMSUB", "conveyor:bell"))
    ready = ears and all(here.call("HEXISTS", "mend", "all_begun"))
    found = [UUID(runner.id).hex for runner in store.run(store.operations.runners())]
    return next((id_ for id_ in found if ready and id_ != hand.id.hex()), "")


async def test_a_worker_that_was_not_there_when_it_was_rung_looks_as_it_comes_back(store: RedisStore) -> None:
    heard: asyncio.Queue[Ring] = asyncio.Queue()
    listens = asyncio.create_task(store.listener(bytes(16)).listen(heard.put_nowait))
    try:
        async with asyncio.timeout(20):
            assert {await heard.get(), await heard.get()} == {Ring.WORK, Ring.HELD}
    finally:
        listens.cancel()
        await asyncio.gather(listens, return_exceptions=True)
        await store.aclose()
