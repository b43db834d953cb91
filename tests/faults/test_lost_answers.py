"""D05: the answers to enqueues, claims and settles are lost, on jobs that do nothing and so end before the repeat."""

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import pytest

from conveyor import Context, Conveyor, OutcomeUnknown, StoreUnavailable
from conveyor.cli.chaos.proxy import Cut
from conveyor.cli.chaos.redis_proxy import RedisProxy
from conveyor.cli.chaos.tables import read_tables, unfinished
from conveyor.store.redis.scripts import script
from conveyor.worker import claim, duty
from conveyor.worker.runner import Settings
from tests.support.network import Fault, Network
from tests.support.say import Say
from tests.support.waiting import until

ENQUEUE, CLAIM, SETTLE = "INSERT INTO conveyor_job", "SET state = 'running'", "INSERT INTO conveyor_history"
FEW = {ENQUEUE: 20, CLAIM: 10, SETTLE: 10}
CALLS, MANY_CALLS = {"enqueue": 20, "claim": 10, "settle": 10}, {"enqueue": 4_000, "claim": 3_000, "settle": 3_000}
MANY = {ENQUEUE: 4_000, CLAIM: 3_000, SETTLE: 3_000}
CHANCE = 0.5
CALLERS = 6
LEASE = 120.0
"""Seconds: a busy machine is no fault here."""


class Doubt:
    """An app whose answers are lost, a worker of it in a thread, and threads that enqueue until it is *over*."""

    def __init__(self, url: str, over: Callable[[], bool]) -> None:
        self.app = Conveyor(url)
        self.over = over
        self.starts: Counter[str] = Counter()
        self.accepted: list[str] = []
        self.answers: Counter[str] = Counter()
        self.noop = self.app.task(name="noop", takes_context=True)(self._noop)

    async def _noop(self, ctx: Context) -> None:
        self.starts[ctx.job.id] += 1

    def call(self) -> None:
        """Enqueue until enough answers are lost."""
        while not self.over():
            try:
                job = self.noop.enqueue()
            except (StoreUnavailable, OutcomeUnknown) as error:
                self.answers[type(error).__name__] += 1
            else:
                self.accepted.append(job.id)

    @contextmanager
    def worker(self) -> Iterator[None]:
        """A worker at work."""
        ready, asked = threading.Event(), list[Callable[[], object]]()
        status: list[int] = []

        async def work() -> int:
            worker = self.app.worker(Settings({"default": 10}, lease=LEASE))
            asked.append(partial(asyncio.get_running_loop().call_soon_threadsafe, worker.stop))
            ready.set()
            try:
                return await worker.run()
            finally:
                await self.app.aclose()

        thread = threading.Thread(target=lambda: status.append(asyncio.run(work())))
        thread.start()
        assert ready.wait(10)
        yield
        asked[0]()
        thread.join(60)
        assert status == [0]


def survives(url: str, cuts: Mapping[str, int], patience: float) -> str:
    """All of *cuts* are made, and every job is there, has ended, and was started once; gives the figures."""
    with Network(url) as network:
        rules = [network.disturb(Fault.CUT, match, times, chance=CHANCE) for match, times in cuts.items()]
        doubt = Doubt(network.url, lambda: all(rule.done >= rule.times for rule in rules))
        doubted(doubt, url, patience)
    return judged(doubt, url, network.faults)


def survives_on_redis(url: str, cuts: Mapping[str, int], patience: float) -> str:
    """The same of calls of scripts: each second one that is lost never arrives."""
    left, dice = dict(cuts), random.Random(1)

    def choose(name: str) -> Cut | None:
        if not left[name] or dice.random() > CHANCE:
            return None
        left[name] -= 1
        return dice.choice([Cut.BEFORE, Cut.AFTER])

    with RedisProxy(url, {name: script(name) for name in cuts}, choose) as proxy:
        doubt = Doubt(proxy.url, lambda: not any(left.values()))
        doubted(doubt, url, patience)
    return judged(doubt, url, {f"{name} {cut.name.lower()}": times for (name, cut), times in proxy.cuts.items()})


def doubted(doubt: Doubt, url: str, patience: float) -> None:
    """Enqueue, and work, until enough is lost; then all is worked off."""
    with doubt.worker():
        callers = [threading.Thread(target=doubt.call) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        pause = threading.Event()
        until(lambda: pause.wait(0.05) or doubt.over(), patience=patience)
        for caller in callers:
            caller.join(30)
        until(lambda: pause.wait(0.05) or unfinished(url) == 0, patience=90)
    doubt.app.close()


def judged(doubt: Doubt, url: str, faults: Mapping[object, int]) -> str:
    """Every job is there once, and was started once; gives the figures."""
    past = read_tables(url).past
    there, accepted = Counter(row.job for row in past), set(doubt.accepted)
    lost, doubled = accepted - set(there), [id_ for id_, times in there.items() if times > 1]
    again = [id_ for id_, times in doubt.starts.items() if times > 1]
    assert (lost, doubled, again) == (set(), [], [])
    assert {(row.state, row.attempt) for row in past} == {("succeeded", 1)}
    assert set(doubt.starts) == set(there)
    assert len(there) - len(accepted) <= doubt.answers.total()
    made = ", ".join(f"{times:,} of {match!r}" for match, times in faults.items())
    return (
        f"{sum(faults.values()):,} answers lost ({made}): {len(accepted):,} jobs accepted, "
        f"{doubt.answers['OutcomeUnknown']} unknown, {doubt.answers['StoreUnavailable']} refused, {len(there):,} "
        f"ended, lost {len(lost)}, doubled {len(doubled)}, started twice {len(again)}"
    )


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker waits longer after each failure, and looks each five seconds for what a claim may have taken."""
    monkeypatch.setattr(duty, "FIRST_PAUSE", 0.005)
    monkeypatch.setattr(duty, "LONGEST_PAUSE", 0.02)
    monkeypatch.setattr(claim, "DOUBT_ROUND", 0.05)


def test_answers_are_lost_and_no_job_is(postgres_url: str, say: Say) -> None:
    say(survives(postgres_url, FEW, 60))


def test_calls_of_redis_and_their_answers_are_lost_and_no_job_is(redis_url: str, say: Say) -> None:
    say(survives_on_redis(redis_url, CALLS, 60))


@pytest.mark.soak
def test_ten_thousand_calls_of_redis_are_lost_and_no_job_is(redis_url: str, say: Say) -> None:
    say(survives_on_redis(redis_url, MANY_CALLS, 3_000))


@pytest.mark.soak
def test_ten_thousand_answers_are_lost_and_no_job_is(postgres_url: str, say: Say) -> None:
    say(survives(postgres_url, MANY, 3_000))
