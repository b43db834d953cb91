"""What an ended attempt means for its job, as tables."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conveyor.core.backoff import Backoff
from conveyor.core.failure import MESSAGE_LENGTH, TRACEBACK_LENGTH, Failure
from conveyor.core.judge import CRASHES_ALLOWED, Ending, Interrupted, Raised, Returned, judge, judge_loss
from conveyor.core.lifecycle import Event, State, targets
from conveyor.core.model import ATTEMPTS_KEPT, Attempt, Claimed, Held, Outcome, appended, read_attempts

RUNNER = b"\x0a" * 16
ERROR = Failure(type="ValueError", message="no")
CLAIMED = Claimed(
    id=b"j" * 16,
    task="shop.mail",
    queue="default",
    priority=0,
    run_after=0,
    attempt=1,
    max_attempts=3,
    crashes=0,
    token=7,
    timeout=None,
    args=b"[[],{}]",
    attempts=None,
    last_attempted_at=1_000,
)
HELD = Held(
    id=b"j" * 16,
    token=7,
    runner=RUNNER,
    attempt=1,
    max_attempts=3,
    crashes=0,
    attempts=None,
    last_attempted_at=1_000,
    now=5_000,
)


def judged(ending: Ending, *, attempt: int = 1, chance: float = 0.0, backoff: Backoff | None = None) -> Outcome:
    job = CLAIMED._replace(attempt=attempt)
    return judge(job, RUNNER, ending, backoff=backoff or Backoff.fixed(10), run_time=9, chance=chance)


@pytest.mark.parametrize(
    ("ending", "attempt", "event", "delay"),
    [
        (Returned(b"42"), 1, Event.SUCCEED, 0),
        (Returned(None), 3, Event.SUCCEED, 0),
        (Raised(ERROR), 1, Event.RETRY, 10_000_000),
        (Raised(ERROR), 2, Event.RETRY, 10_000_000),
        (Raised(ERROR), 3, Event.FAIL, 0),
        (Raised(ERROR), 4, Event.FAIL, 0),
        (Raised(ERROR, final=True), 1, Event.FAIL, 0),
        (Interrupted(), 1, Event.RELEASE, 0),
        (Interrupted(), 3, Event.RELEASE, 0),
        (Interrupted(pause=5), 1, Event.RELEASE, 5),
    ],
)
def test_judge(ending: Ending, attempt: int, event: Event, delay: int) -> None:
    outcome = judged(ending, attempt=attempt)
    assert (outcome.event, outcome.delay, outcome.crash) == (event, delay, False)
    assert (outcome.id, outcome.token, outcome.runner) == (CLAIMED.id, 7, RUNNER)
    assert targets(State.RUNNING, event)


def test_only_a_success_has_a_result_and_only_a_failure_a_record() -> None:
    assert (judged(Returned(b"42")).result, judged(Returned(b"42")).record) == (b"42", None)
    assert (judged(Interrupted()).result, judged(Interrupted()).record) == (None, None)
    assert judged(Raised(ERROR)).result is None


@pytest.mark.parametrize(("attempt", "event"), [(1, "retry"), (3, "fail")])
def test_a_failure_is_recorded_with_its_time_and_runner(attempt: int, event: str) -> None:
    (record,) = read_attempts(judged(Raised(ERROR), attempt=attempt).record)
    assert record == Attempt(attempt, event, 1_000, 1_009, RUNNER.hex(), ERROR)


def test_the_wait_is_that_of_the_attempt_that_failed() -> None:
    backoff = Backoff.of([1, 2], jitter=0.5)
    assert judged(Raised(ERROR), attempt=2, backoff=backoff).delay == 2_000_000
    assert judged(Raised(ERROR), attempt=2, backoff=backoff, chance=0.5).delay == 1_500_000


@pytest.mark.parametrize(
    ("attempt", "crashes", "alone", "event"),
    [
        (1, 0, False, Event.RESCUE),
        (1, 0, True, Event.RESCUE),
        (3, 0, False, Event.LOSE),
        (3, 0, True, Event.LOSE),
        (1, CRASHES_ALLOWED - 1, True, Event.QUARANTINE),
        (3, CRASHES_ALLOWED - 1, True, Event.QUARANTINE),
        (1, CRASHES_ALLOWED - 1, False, Event.RESCUE),
        (3, CRASHES_ALLOWED - 1, False, Event.LOSE),
    ],
)
def test_judge_loss(attempt: int, crashes: int, alone: bool, event: Event) -> None:
    outcome = judge_loss(HELD._replace(attempt=attempt, crashes=crashes), alone=alone)
    assert (outcome.event, outcome.crash, outcome.delay) == (event, alone, 0)
    assert (outcome.id, outcome.token, outcome.runner) == (HELD.id, 7, RUNNER)
    assert targets(State.RUNNING, event)


def test_at_most_once_is_at_most_once() -> None:
    assert judge_loss(HELD._replace(max_attempts=1), alone=False).event is Event.LOSE


def test_a_loss_is_recorded_and_names_the_dead_runner() -> None:
    outcome = judge_loss(HELD, alone=True)
    (record,) = read_attempts(outcome.record)
    assert (record.number, record.event, record.started_at, record.finished_at) == (1, "rescue", 1_000, 5_000)
    assert record.error is not None
    assert str(record.error) == f"conveyor.core.errors.WorkerLost: runner {RUNNER.hex()} died while it held this job"
    assert outcome.run_time == 4_000


def test_a_clock_set_back_gives_no_negative_run_time() -> None:
    assert judge_loss(HELD._replace(now=0), alone=True).run_time == 0


@settings(max_examples=30)
@given(st.integers(1, 60))
def test_the_record_keeps_the_first_attempt_and_the_latest_in_order(count: int) -> None:
    record: bytes | None = None
    for number in range(1, count + 1):
        record = appended(record, Attempt(number, "retry", 0, 1))
    numbers = [attempt.number for attempt in read_attempts(record)]
    assert len(numbers) == min(count, ATTEMPTS_KEPT)
    assert numbers[0] == 1
    assert numbers[1:] == [*range(2, count + 1)][-(ATTEMPTS_KEPT - 1) :]


def test_a_record_of_the_largest_errors_stays_below_a_megabyte() -> None:
    worst = Failure(
        type="é" * MESSAGE_LENGTH, message="é" * MESSAGE_LENGTH, traceback="é" * TRACEBACK_LENGTH, fingerprint="0" * 16
    )
    job = CLAIMED._replace(max_attempts=1_000)
    for attempt in range(1, 40):
        outcome = judge(
            job._replace(attempt=attempt), RUNNER, Raised(worst), backoff=Backoff.fixed(0), run_time=1, chance=0
        )
        job = job._replace(attempts=outcome.record)
    assert len(job.attempts or b"") < 1_000_000


def test_a_record_that_somebody_spoiled_does_not_keep_an_outcome_from_being_written() -> None:
    job = CLAIMED._replace(attempts=b"not json at all")
    outcome = judge(job, RUNNER, Raised(ERROR), backoff=Backoff.fixed(0), run_time=1, chance=0)
    assert [attempt.error for attempt in read_attempts(outcome.record)] == [ERROR]


def test_judging_changes_nothing_but_its_answer() -> None:
    before = replace(Raised(ERROR))
    assert judged(before) == judged(before)
    assert before == Raised(ERROR)
