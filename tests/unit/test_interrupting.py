"""Attempts that are asked to end before their first step, while they wait for a slot, or for two reasons."""

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest

from conveyor.core.backoff import Backoff
from conveyor.core.errors import AttemptTimedOut
from conveyor.core.judge import Interrupted, Stopped
from conveyor.core.lifecycle import Event
from conveyor.core.model import Outcome
from conveyor.core.policy import checked_policy
from conveyor.task import define
from conveyor.worker.attempt import Interruption
from conveyor.worker.slots import Slots
from tests.unit.test_worker_parts import JOB, OTHER, RUNNER, Hall, executing, soon

SECOND = JOB._replace(id=b"k" * 16)


@pytest.mark.parametrize("why", Interruption)
@pytest.mark.parametrize("plain", [False, True])
async def test_a_job_that_is_interrupted_before_its_first_step_has_an_outcome_and_costs_no_slot(
    why: Interruption, plain: bool
) -> None:
    """asyncio ends a task that is cancelled before its first step without running any of it."""
    ran: list[int] = []

    def work() -> None:
        ran.append(1)

    async def awork() -> None:
        ran.append(1)

    hall = Hall(slots=1)
    known = {"wait": define(work if plain else awork, "wait", takes_context=False)}
    executor = executing(known, hall.slots, hall.outcomes)
    executor.accept(RUNNER, [JOB])
    executor.interrupt(why)
    await soon(lambda: bool(hall.outcomes))
    expected = Event.CANCEL if why is Interruption.CANCEL else Event.RELEASE
    assert [outcome.event for outcome in hall.outcomes] == [expected]
    assert (ran, executor.attempts, hall.running) == ([], {}, 0)
    executor.accept(RUNNER, [SECOND])
    await soon(lambda: ran == [1])
    executor.close()


async def test_a_job_that_is_cancelled_before_its_first_step_is_given_its_attempt_back() -> None:
    hall = Hall()
    hall.executor.accept(RUNNER, [JOB])
    hall.executor.cancel(JOB.id, JOB.token, "why")
    await soon(lambda: bool(hall.outcomes))
    (outcome,) = hall.outcomes
    assert (outcome.event, outcome.reason, outcome.back, outcome.record) == (Event.CANCEL, "why", True, None)
    assert hall.gates == []


async def test_a_job_that_waits_for_a_slot_is_cancelled_at_once() -> None:
    hall = Hall(slots=1)
    hall.executor.accept(RUNNER, [JOB, SECOND, JOB._replace(id=b"l" * 16)])
    await soon(lambda: len(hall.gates) == 1)
    hall.executor.cancel(SECOND.id, SECOND.token, "why")
    assert [(outcome.id, outcome.event, outcome.back) for outcome in hall.outcomes] == [(SECOND.id, Event.CANCEL, True)]
    hall.gates[0].set()
    await soon(lambda: len(hall.gates) == 2)
    hall.gates[1].set()
    await soon(lambda: not hall.executor.holds)
    assert [outcome.event for outcome in hall.outcomes] == [Event.CANCEL, Event.SUCCEED, Event.SUCCEED]


@pytest.mark.parametrize("waiting", [True, False])
async def test_a_wish_for_another_attempt_or_a_job_that_is_not_here_changes_nothing(waiting: bool) -> None:
    hall = Hall(slots=1)
    hall.executor.accept(RUNNER, [JOB, SECOND])
    await soon(lambda: len(hall.gates) == 1)
    hall.executor.cancel((SECOND if waiting else JOB).id, JOB.token + 1, "why")
    hall.executor.cancel(b"x" * 16, 1, "why")
    for place in range(2):
        await soon(lambda place=place: len(hall.gates) > place)  # type: ignore[misc]  # a lambda with a default
        hall.gates[place].set()
    await soon(lambda: not hall.executor.holds)
    assert [outcome.event for outcome in hall.outcomes] == [Event.SUCCEED] * 2


async def test_what_was_given_back_before_the_wish_was_heard_is_released_for_the_store_to_end() -> None:
    hall = Hall(slots=1)
    hall.executor.accept(RUNNER, [JOB, SECOND])
    await soon(lambda: len(hall.gates) == 1)
    hall.executor.give_back()
    hall.executor.cancel(SECOND.id, SECOND.token, "why")
    assert [(outcome.id, outcome.event) for outcome in hall.outcomes] == [(SECOND.id, Event.RELEASE)]
    hall.gates[0].set()
    await soon(lambda: not hall.executor.holds)


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [
        ((Interruption.CANCEL, Interruption.TIMEOUT), Event.CANCEL),
        ((Interruption.CANCEL, Interruption.SHUTDOWN), Event.CANCEL),
        ((Interruption.TIMEOUT, Interruption.CANCEL), Event.RETRY),  # which the store makes an end
        ((Interruption.SHUTDOWN, Interruption.CANCEL), Event.RELEASE),
        ((Interruption.LEASE_LOST, Interruption.CANCEL), Event.RELEASE),
    ],
)
async def test_the_first_reason_to_end_counts(reasons: tuple[Interruption, ...], expected: Event) -> None:
    hall = Hall()
    hall.executor.accept(RUNNER, [JOB])
    await soon(lambda: len(hall.gates) == 1)
    for why in reasons:
        hall.executor.attempts[JOB.id].interrupt(why, "why")
    hall.gates[0].set()
    await soon(lambda: bool(hall.outcomes))
    assert [outcome.event for outcome in hall.outcomes] == [expected]


async def test_a_claim_of_a_job_that_is_to_be_cancelled_or_is_over_starts_nothing() -> None:
    hall = Hall()
    hall.executor.accept(RUNNER, [JOB._replace(cancelled="why"), SECOND._replace(expires_at=5, last_attempted_at=5)])
    assert [(outcome.event, outcome.reason, outcome.back) for outcome in hall.outcomes] == [
        (Event.CANCEL, "why", True),
        (Event.EXPIRE, "expired", True),
    ]
    hall.executor.accept(OTHER, [SECOND._replace(expires_at=6, last_attempted_at=5)])
    await soon(lambda: len(hall.gates) == 1)
    hall.gates[0].set()
    await soon(lambda: not hall.executor.holds)


async def test_an_attempt_says_itself_how_it_ends_unstarted() -> None:
    executor = executing({"wait": define(asyncio.sleep, "wait", takes_context=False)}, Slots({"default": 1}), [])
    executor.accept(RUNNER, [JOB])
    attempt = executor.attempts[JOB.id]
    assert attempt.unstarted() == Interrupted()
    attempt.interrupt(Interruption.CANCEL, "why")
    assert attempt.unstarted() == Stopped("why", started=False)
    await soon(lambda: not executor.holds)


# --------------------------------------------------------------- timeouts


@pytest.mark.parametrize(
    ("retry_on", "event"),
    [
        (None, Event.RETRY),
        (TimeoutError, Event.RETRY),
        ((ValueError, AttemptTimedOut), Event.RETRY),
        (lambda error: "timeout of 0.001 s" in str(error), Event.RETRY),
        ((ConnectionError, ValueError), Event.FAIL),
        (lambda _: False, Event.FAIL),
    ],
)
@pytest.mark.parametrize("plain", [False, True])
async def test_a_timeout_is_tried_again_as_the_task_says_of_any_error(retry_on: Any, event: Event, plain: bool) -> None:
    started, over = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def work() -> None:
        loop.call_soon_threadsafe(started.set)
        over.wait()

    async def awork() -> None:
        started.set()
        await asyncio.Event().wait()

    outcomes: list[Outcome] = []
    definition = define(work if plain else awork, "wait", takes_context=False)
    known = {"wait": replace(definition, policy=checked_policy(Backoff.fixed(0), retry_on))}
    executor = executing(known, Slots({"default": 1}), outcomes)
    executor.accept(RUNNER, [JOB._replace(timeout=1_000)])
    await started.wait()
    await soon(lambda: bool(executor.sweep() or outcomes or executor.attempts[JOB.id].interruption))
    if plain:
        executor.abandon(0)  # nobody can stop a thread: its worker ends without it
    await soon(lambda: bool(outcomes))
    assert [outcome.event for outcome in outcomes] == [event]
    over.set()
    executor.close()
