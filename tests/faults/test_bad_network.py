"""N01-N03: connections that fall silent, are reset, late or slow, under workers at work."""

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conveyor.core.lifecycle import State
from tests.faults.test_server_restart import once
from tests.support.network import Fault, Network
from tests.support.say import Say
from tests.support.stores import number
from tests.support.waiting import until
from tests.support.yard import Yard

BEAT, SETTLE, CLAIM = "UPDATE conveyor_runner SET expires_at", "INSERT INTO conveyor_history", "SET state = 'running'"
GRACE = 15.0
LEASE = ("--lease", "4", "--beat", "0.8")
LATENCY, JITTER, SLOW = 0.4, 0.2, 8_000
clock = threading.Event()


@pytest.fixture
def network(postgres_url: str) -> Iterator[Network]:
    with Network(postgres_url) as made:
        yield made


@pytest.fixture
def yard(network: Network, postgres_url: str, tmp_path: Path) -> Iterator[Yard]:
    """Its processes work through the network; the test itself does not."""
    made = Yard(postgres_url, tmp_path, through=network.url)
    yield made
    made.close()


def test_a_worker_ends_in_time_though_nobody_answers_any_more(yard: Yard, network: Network) -> None:
    """Within its grace: the lease is over before that, with it the job, and nothing is left to be said."""
    worker = yard.worker("--grace", str(GRACE), *LEASE)
    (job,) = yard.enqueue("nap", 60)
    yard.started(job)
    network.silence()
    worker.signal(signal.SIGTERM)
    assert worker.ends(GRACE) == 0
    assert len(yard.runs(job)) == 1


def test_a_connection_for_work_that_falls_silent_costs_no_lease_and_no_attempt(yard: Yard, network: Network) -> None:
    """Those of the lease, of claims and of outcomes, side by side; what is overdue is given up within ten seconds."""
    worker = yard.worker()
    begun = time.monotonic()
    rules = [network.disturb(Fault.SILENCE, match) for match in (BEAT, CLAIM)]
    until(lambda: clock.wait(0.05) or all(rule.done for rule in rules), patience=20)
    rules.append(network.disturb(Fault.DEAF, SETTLE))
    jobs = yard.enqueue("nap", 0.0, count=3)
    for job in jobs:
        yard.is_(job, State.SUCCEEDED, patience=40)
    worker.says("the lease cannot be renewed")
    worker.says("claim: PostgreSQL: no answer within")
    worker.says("outcomes cannot be written: PostgreSQL: no answer within")
    assert time.monotonic() - begun < 60
    assert "is lost" not in worker.said
    assert {len(yard.starts(job)) for job in jobs} == {1}
    assert {yard.see(job).attempt for job in jobs} == {1}


DETECTED = {
    "claim": (CLAIM, "claim: PostgreSQL: no answer within"),
    "settle": (SETTLE, "outcomes cannot be written: PostgreSQL: no answer within"),
    "heartbeat": (BEAT, "the lease cannot be renewed: PostgreSQL: no answer within"),
    "listen": ("LISTEN", "the listening connection is lost"),
}


@pytest.mark.soak
@pytest.mark.parametrize("what", DETECTED)
def test_a_silent_connection_is_noticed_within_ten_seconds(yard: Yard, network: Network, say: Say, what: str) -> None:
    match, said = DETECTED[what]
    worker = yard.worker()
    worker.says("listens directly")
    if what == "listen":
        at = time.monotonic()
        network.silence_those(match)
    else:
        rule = network.disturb(Fault.SILENCE, match)
        yard.enqueue("nap", 0.0)
        until(lambda: rule.done == 1, patience=20)
        at = rule.at
    until(lambda: clock.wait(0.01) or said in worker.said, patience=20)
    detected = time.monotonic() - at
    (job,) = yard.enqueue("nap", 0.0)
    yard.is_(job, State.SUCCEEDED, patience=30)
    recovered = time.monotonic() - at
    assert "is lost; its jobs" not in worker.said
    say(f"{what}: noticed after {detected:.1f} s, a job done after {recovered:.1f} s")
    assert detected < 11  # ten, and what a busy machine takes besides


def survives(yard: Yard, seconds: float) -> str:
    """Jobs flow for *seconds* through the network as it is; each runs once; gives the figures."""
    worker = yard.start("tests.support.worker", "--lease", "20", "--beat", "2", "--slots", "20").working(patience=60)
    producer = yard.start("tests.support.producer", "--rate", "5", "--max-attempts", "2", "--slow", "1.0")
    begun = time.monotonic()
    clock.wait(seconds)
    producer.signal(signal.SIGTERM)
    assert producer.ends(60) == 0
    until(lambda: clock.wait(0.05) or number(yard.store, "SELECT count(*) FROM conveyor_job") == 0, patience=120)
    took = time.monotonic() - begun
    assert worker.lives
    assert "is lost" not in worker.said
    once(yard, [])
    report = yard.report()
    assert report.accepted > 0
    return f"{report.accepted} jobs in {took:.0f} s, {report.executions} executions"


@pytest.mark.soak
def test_a_late_network_costs_no_lease(yard: Yard, network: Network, say: Say) -> None:
    network.latency, network.jitter = LATENCY, JITTER
    say(f"{LATENCY * 1000:.0f} ms late, give or take {JITTER * 1000:.0f}: {survives(yard, 5)}")


def test_a_slow_network_with_resets_costs_no_job(yard: Yard, network: Network, say: Say) -> None:
    network.rate = SLOW
    for match in ("INSERT INTO conveyor_job", CLAIM, SETTLE, BEAT):
        network.disturb(Fault.RESET, match, 5, chance=0.3)
    say(f"64 kbit/s, {survives(yard, 5)}; {network.faults.total()} reset in mid-statement")
