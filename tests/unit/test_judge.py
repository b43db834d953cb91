"""What an ended attempt means for its job, as tables."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conveyor.core.clock import Start
from conveyor.core.errors import UnfitArguments
from conveyor.core.failure import MESSAGE_LENGTH, TRACEBACK_LENGTH, Failure, describe
from conveyor.core.judge import (
    CRASHES_ALLOWED,
    EXPIRED,
    LOSSES_ALLOWED,
    Ending,
    Interrupted,
    Raised,
    Returned,
    Snoozed,
    Stopped,
    Unfit,
    apart,
    judge,
    judge_loss,
    suspect,
    unfit,
    unfit_wait,
)
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
    task="shop.mail",
    queue="default",
    extras=None,
)


def judged(ending: Ending, *, attempt: int = 1, attempts: bytes | None = None) -> Outcome:
    job = CLAIMED._replace(attempt=attempt, attempts=attempts)
    return judge(job, RUNNER, ending, wait=10_000_000, run_time=9)


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
        (Interrupted(pause=5, failure=ERROR), 3, Event.RELEASE, 5),
        (Raised(ERROR, start=Start(delay=7)), 1, Event.RETRY, 7),
        (Raised(ERROR, start=Start()), 1, Event.RETRY, 0),
        (Raised(ERROR, start=Start(delay=7)), 3, Event.FAIL, 0),
        (Raised(ERROR, final=True, start=Start(delay=7)), 1, Event.FAIL, 0),
        (Snoozed(Start(delay=7)), 3, Event.SNOOZE, 7),
        (Stopped("enough"), 1, Event.CANCEL, 0),
        (Stopped("enough", started=False), 1, Event.CANCEL, 0),
        (Stopped(EXPIRED, expired=True, started=False), 3, Event.EXPIRE, 0),
    ],
)
def test_judge(ending: Ending, attempt: int, event: Event, delay: int) -> None:
    outcome = judged(ending, attempt=attempt)
    assert (outcome.event, outcome.due, outcome.delay, outcome.crash) == (event, 0, delay, False)
    assert (outcome.id, outcome.token, outcome.runner) == (CLAIMED.id, 7, RUNNER)
    assert targets(State.RUNNING, event)


def test_only_a_success_has_a_result_and_only_a_failure_a_record() -> None:
    assert (judged(Returned(b"42")).result, judged(Returned(b"42")).record) == (b"42", None)
    assert (judged(Interrupted()).result, judged(Interrupted()).record) == (None, None)
    assert judged(Raised(ERROR)).result is None
    for ending in (Snoozed(Start()), Stopped("enough"), Stopped(EXPIRED, expired=True)):
        assert (judged(ending).result, judged(ending).record) == (None, None)


@pytest.mark.parametrize("ending", [Raised(ERROR, start=Start(due=99)), Snoozed(Start(due=99))])
def test_a_moment_that_the_task_named_is_kept(ending: Ending) -> None:
    assert (judged(ending).due, judged(ending).delay) == (99, 0)


@pytest.mark.parametrize(
    ("ending", "back"),
    [
        (Returned(None), False),
        (Raised(ERROR), False),
        (Raised(ERROR, final=True), False),
        (Interrupted(), True),
        (Snoozed(Start()), True),
        (Stopped("enough"), False),
        (Stopped("enough", started=False), True),
        (Stopped(EXPIRED, expired=True, started=False), True),
    ],
)
def test_what_was_not_tried_costs_no_attempt_and_nothing_of_our_own_raises_the_token(
    ending: Ending, back: bool
) -> None:
    assert judged(ending).flags == (4 if back else 0)


def test_only_what_ends_a_job_by_its_error_is_found_by_the_errors_fingerprint() -> None:
    error = Failure(type="ValueError", message="no", fingerprint="f" * 16)
    assert judged(Raised(error)).fingerprint is None
    assert judged(Raised(error), attempt=3).fingerprint == "f" * 16
    assert judged(Raised(error, final=True)).fingerprint == "f" * 16
    assert judged(Stopped("enough", failure=error)).fingerprint is None


def test_what_was_stopped_says_why_and_keeps_what_it_raised_instead_of_ending_quietly() -> None:
    assert judged(Stopped("enough")).reason == "enough"
    outcome = judged(Stopped("enough", failure=ERROR))
    (record,) = read_attempts(outcome.record)
    assert (outcome.reason, record.event, record.error) == ("enough", "cancel", ERROR)


def test_commits_that_are_lost_again_and_again_come_to_cost_attempts() -> None:
    lost, record = Interrupted(pause=5, failure=ERROR), b"[]"
    for _ in range(LOSSES_ALLOWED):
        outcome = judged(lost, attempts=record)
        assert (outcome.event, outcome.flags) == (Event.RELEASE, 4)
        record = outcome.record or b""
    sixth = judged(lost, attempts=record)
    assert (sixth.event, sixth.delay, sixth.flags) == (Event.RETRY, 5, 0)
    assert judged(lost, attempt=3, attempts=record).event is Event.FAIL
    assert judged(Interrupted(), attempts=record).event is Event.RELEASE  # a deploy is no loss
    assert judged(lost, attempts=sixth.record).event is Event.RELEASE  # they are counted in a row


def test_what_does_not_fit_the_code_is_given_back_for_ever_and_seldomer_each_time_but_not_too_seldom() -> None:
    ending, record, waits = Unfit(describe(UnfitArguments("mail: missing 'plan'"))), b"[]", []
    for _ in range(3 * ATTEMPTS_KEPT):
        job = CLAIMED._replace(attempt=3, attempts=record)
        waits.append(unfit_wait(job, 0.0) // 1_000_000)
        outcome = judge(job, RUNNER, ending, wait=7, run_time=0)
        assert (outcome.event, outcome.delay, outcome.flags) == (Event.RELEASE, 7, 4)
        record = outcome.record or b""
    assert waits == [5, 10, 20, 40, 80, 160, 320, *[600] * (len(waits) - 7)]
    assert unfit_wait(job, 0.9) < unfit_wait(job, 0.1)
    last = unfit(read_attempts(record), CLAIMED.last_attempted_at)
    assert last is not None
    assert last.error == ending.failure
    assert unfit(read_attempts(record), CLAIMED.last_attempted_at + 1) is None  # it has been started since
    lost = judged(Interrupted(failure=ERROR), attempts=record)
    assert lost.event is Event.RELEASE  # no commit of it was lost before
    assert unfit(read_attempts(lost.record), CLAIMED.last_attempted_at) is None
    assert unfit((), 0) is None


@pytest.mark.parametrize(("attempt", "event"), [(1, "retry"), (3, "fail")])
def test_a_failure_is_recorded_with_its_time_and_runner(attempt: int, event: str) -> None:
    (record,) = read_attempts(judged(Raised(ERROR), attempt=attempt).record)
    assert record == Attempt(attempt, event, 1_000, 1_009, RUNNER.hex(), ERROR)


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
    outcome = judge_loss(HELD._replace(attempt=attempt, crashes=crashes, company=1 if alone else 2))
    assert (outcome.event, outcome.crash, outcome.delay) == (event, alone, 0)
    assert (outcome.id, outcome.token, outcome.runner) == (HELD.id, 7, RUNNER)
    assert outcome.flags == (3 if alone else 2)
    assert (outcome.fingerprint is None) is (event is Event.RESCUE)
    assert targets(State.RUNNING, event)


def test_at_most_once_is_at_most_once() -> None:
    assert judge_loss(HELD._replace(max_attempts=1, company=2)).event is Event.LOSE


def test_a_loss_is_recorded_and_names_the_dead_runner() -> None:
    outcome = judge_loss(HELD)
    (record,) = read_attempts(outcome.record)
    assert (record.number, record.event, record.started_at, record.finished_at) == (1, "rescue", 1_000, 5_000)
    assert record.error is not None
    assert str(record.error) == f"conveyor.core.errors.WorkerLost: runner {RUNNER.hex()} died while it held this job"
    assert outcome.run_time == 4_000


def test_a_loss_in_company_says_so_and_accuses_nobody() -> None:
    outcome = judge_loss(HELD._replace(company=6))
    (record,) = read_attempts(outcome.record)
    assert (record.company, outcome.crash) == (6, False)
    assert record.error is not None
    assert record.error.message.endswith("died while it held this job and 5 more")


@pytest.mark.parametrize(
    ("events", "is_suspect"),
    [
        ((), False),
        (("retry",), False),
        (("rescue",), True),
        (("lose",), True),  # a person has made it ready again
        (("quarantine",), True),
        (("retry", "rescue"), True),
        (("rescue", "release", "release"), True),  # it has not been run since
        (("rescue", "retry"), False),  # it has, and was seen to fail
    ],
)
@pytest.mark.parametrize("company", [1, 6])
def test_who_was_lost_with_a_worker_is_suspect_until_it_is_seen_to_end(
    events: tuple[str, ...], is_suspect: bool, company: int
) -> None:
    record = b"[]"
    for event in events:
        record = appended(record, Attempt(1, event, 0, 0, company=company))
    assert suspect(CLAIMED._replace(attempts=record if events else None)) is is_suspect
    assert apart(CLAIMED._replace(attempts=record if events else None)) is is_suspect


def test_what_has_killed_a_process_keeps_one_of_its_own_also_when_it_was_seen_to() -> None:
    seen = appended(appended(b"[]", Attempt(1, "rescue", 0, 0, company=6)), Attempt(2, "retry", 0, 0))
    assert not apart(CLAIMED._replace(attempts=seen))
    assert apart(CLAIMED._replace(attempts=seen, crashes=1))


def test_a_clock_set_back_gives_no_negative_run_time() -> None:
    assert judge_loss(HELD._replace(now=0)).run_time == 0


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
        outcome = judge(job._replace(attempt=attempt), RUNNER, Raised(worst), wait=0, run_time=1)
        job = job._replace(attempts=outcome.record)
    assert len(job.attempts or b"") < 1_000_000


def test_a_record_that_somebody_spoiled_does_not_keep_an_outcome_from_being_written() -> None:
    outcome = judged(Raised(ERROR), attempts=b"not json at all")
    assert [attempt.error for attempt in read_attempts(outcome.record)] == [ERROR]


def test_judging_changes_nothing_but_its_answer() -> None:
    before = Raised(ERROR)
    assert judged(before) == judged(before)
    assert before == Raised(ERROR)
