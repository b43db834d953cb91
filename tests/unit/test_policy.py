"""Whether a failed attempt is worth another, and after how long; and what a task raises to say so itself."""

from datetime import UTC, datetime, timedelta

import pytest

import conveyor
from conveyor import Backoff, Cancel, Fail, Retry, Snooze
from conveyor.core.clock import Start, stored
from conveyor.core.errors import PayloadError
from conveyor.core.policy import DEFAULT_POLICY, checked_policy
from conveyor.core.verdicts import Verdict

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def only_odd(error: BaseException) -> bool:
    return len(error.args) % 2 == 1


@pytest.mark.parametrize(
    ("retry_on", "error", "again"),
    [
        (None, ValueError(), True),
        (None, KeyboardInterrupt(), True),
        (OSError, TimeoutError(), True),
        (OSError, ValueError(), False),
        ((OSError, ValueError), ValueError(), True),
        ([OSError, ValueError], LookupError(), False),
        ([], ValueError(), False),
        (only_odd, ValueError(1), True),
        (only_odd, ValueError(1, 2), False),
    ],
)
def test_which_errors_are_worth_another_attempt(retry_on: object, error: BaseException, again: bool) -> None:
    assert checked_policy(Backoff.fixed(0), retry_on).retries(error) is again


@pytest.mark.parametrize("retry_on", ["ValueError", 5, [ValueError, "x"], [only_odd], object, int])
def test_what_says_nothing_about_errors_is_refused(retry_on: object) -> None:
    with pytest.raises(TypeError, match=r"^retry_on must be exception types, or a function that takes the exception"):
        checked_policy(Backoff.fixed(0), retry_on)


def test_the_wait_is_that_of_the_attempt_that_failed() -> None:
    policy = checked_policy(Backoff.of([1, 2], jitter=0.5), None)
    assert [policy.wait(attempt, 0.0, None) for attempt in (1, 2, 3)] == [1_000_000, 2_000_000, 2_000_000]
    assert policy.wait(2, 0.5, None) == 1_500_000
    assert policy.wait(2, 0.5, Backoff.fixed(9, jitter=0)) == 9_000_000  # what one job says goes before
    assert DEFAULT_POLICY.wait(1, 0.0, None) == 5_000_000


@pytest.mark.parametrize(("value", "wait"), [(3, 3_000_000), (0.5, 500_000), (timedelta(minutes=1), 60_000_000)])
def test_a_function_of_the_attempt_says_how_long(value: float, wait: int) -> None:
    policy = checked_policy(lambda attempt: value * attempt, None)
    assert [policy.wait(attempt, 0.9, None) for attempt in (1, 2)] == [wait, 2 * wait]


@pytest.mark.parametrize("value", [-1, float("nan"), 1e300, "soon", None, True])
def test_a_function_that_gives_no_time_is_an_error_of_its_own(value: object) -> None:
    policy = checked_policy(lambda _: value, None)
    with pytest.raises((PayloadError, TypeError), match=r"^backoff"):
        policy.wait(1, 0.0, None)


@pytest.mark.parametrize("backoff", [5, "fast", None, [1, 2]])
def test_a_backoff_is_a_rule_or_a_function(backoff: object) -> None:
    with pytest.raises(TypeError, match=r"^backoff must be a Backoff, such as Backoff\.fixed\(10\), or a function"):
        checked_policy(backoff, None)


# ----------------------------------------------------------------- verdicts


@pytest.mark.parametrize("kind", [Retry, Snooze, Cancel, Fail])
def test_a_verdict_is_no_error_of_ours_and_is_known_by_its_public_name(kind: type[Verdict]) -> None:
    assert not issubclass(kind, conveyor.ConveyorError)
    assert (kind.__module__, getattr(conveyor, kind.__name__)) == ("conveyor", kind)


def test_a_verdict_has_a_reason() -> None:
    verdicts = [Retry(reason="why"), Snooze(1, "why"), Cancel("why"), Fail("why")]
    assert [(verdict.reason, str(verdict)) for verdict in verdicts] == [("why", "why")] * 4
    assert [verdict.reason for verdict in (Retry(), Snooze(1), Cancel(), Fail())] == [""] * 4


def test_a_time_is_a_wait_or_a_moment() -> None:
    assert Retry().start is None
    assert Retry(0).start == Snooze(0).start == Start()
    assert Retry(1.5).start == Snooze(timedelta(seconds=1.5)).start == Start(delay=1_500_000)
    assert Retry(NOON).start == Snooze(NOON).start == Start(due=stored(NOON))


@pytest.mark.parametrize("when", [-1, float("inf"), NOON.replace(tzinfo=None), timedelta(days=4_000)])
def test_a_time_that_cannot_be_waited_for_is_refused(when: float) -> None:
    with pytest.raises(PayloadError, match=r"^after"):
        Retry(when)
    with pytest.raises(PayloadError, match=r"^until"):
        Snooze(when)
