"""D05: the answers to enqueues, claims and settles are lost, on jobs that do nothing and so end before the repeat."""

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import pytest

from conveyor import Context, Conveyor, OutcomeUnknown, StoreUnavailable
from conveyor.store.postgres.opened import PostgresStore
from conveyor.worker import claim, duty
from conveyor.worker.runner import Settings
from tests.support.network import Fault, Network, Rule
from tests.support.stores import rows
from tests.support.waiting import until

ENQUEUE, CLAIM, SETTLE = "INSERT INTO conveyor_job", "SET state = 'running'", "INSERT INTO conveyor_history"
FEW = {ENQUEUE: 20, CLAIM: 10, SETTLE: 10}
MANY = {ENQUEUE: 4_000, CLAIM: 3_000, SETTLE: 3_000}
CHANCE = 0.5
CALLERS = 6
LEASE = 120.0
"""Seconds: a busy machine is no fault here."""
Say = Callable[[str], None]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Print a figure, also when the test passes."""

    def said(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{text} ")

    return said


class Doubt:
    """An app whose answers are lost, a worker of it in a thread, and threads that enqueue."""

    def __init__(self, network: Network, cuts: Mapping[str, int]) -> None:
        self.app = Conveyor(network.url)
        self.rules: list[Rule] = [
            network.disturb(Fault.CUT, match, times, chance=CHANCE) for match, times in cuts.items()
        ]
        self.starts: Counter[str] = Counter()
        self.accepted: list[str] = []
        self.answers: Counter[str] = Counter()
        self.noop = self.app.task(name="noop", takes_context=True)(self._noop)

    async def _noop(self, ctx: Context) -> None:
        self.starts[ctx.job.id] += 1

    @property
    def over(self) -> bool:
        return all(rule.done >= rule.times for rule in self.rules)

    def call(self) -> None:
        """Enqueue until enough answers are lost."""
        while not self.over:
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
        doubt = Doubt(network, cuts)
        with doubt.worker():
            callers = [threading.Thread(target=doubt.call) for _ in range(CALLERS)]
            for caller in callers:
                caller.start()
            pause = threading.Event()
            until(lambda: pause.wait(0.05) or doubt.over, patience=patience)
            for caller in callers:
                caller.join(30)
            direct = PostgresStore(url)
            until(lambda: pause.wait(0.05) or rows(direct, "SELECT count(*) FROM conveyor_job") == [(0,)], patience=90)
        doubt.app.close()
        history = rows(direct, "SELECT id::text, state, attempt FROM conveyor_history")
        direct.close()
    there, accepted = Counter(str(id_) for id_, _, _ in history), set(doubt.accepted)
    lost, doubled = accepted - set(there), [id_ for id_, times in there.items() if times > 1]
    again = [id_ for id_, times in doubt.starts.items() if times > 1]
    assert (lost, doubled, again) == (set(), [], [])
    assert {(state, attempt) for _, state, attempt in history} == {("succeeded", 1)}
    assert set(doubt.starts) == set(there)
    assert len(there) - len(accepted) <= doubt.answers.total()
    made = ", ".join(f"{times:,} of {match!r}" for match, times in network.faults.items())
    return (
        f"{network.faults.total():,} answers lost ({made}): {len(accepted):,} jobs accepted, "
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


@pytest.mark.soak
def test_ten_thousand_answers_are_lost_and_no_job_is(postgres_url: str, say: Say) -> None:
    say(survives(postgres_url, MANY, 3_000))
