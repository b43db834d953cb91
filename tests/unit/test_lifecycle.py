"""The lifecycle is a table; these are the promises that the table makes."""

import pytest

from conveyor.core.lifecycle import (
    FINAL,
    GIVEN_BACK,
    MOVES,
    STORED_RUNNING,
    STORED_WAITING,
    TAKEN_BACK,
    WAITING,
    Event,
    Move,
    State,
    diagram,
    ending,
    shown,
    targets,
)

OUTCOMES = [event for event in Event if event not in {Event.ENQUEUE, Event.COME_DUE, Event.CLAIM, Event.REVIVE}]


@pytest.mark.parametrize("move", MOVES, ids=lambda move: f"{move.source or 'new'} {move.event} {move.target}")
def test_every_move_is_allowed_and_says_what_it_means(move: Move) -> None:
    assert move.target in targets(move.source, move.event)
    assert move.meaning


def test_no_move_stands_twice() -> None:
    assert len({move[:3] for move in MOVES}) == len(MOVES)


def test_what_is_not_in_the_table_is_not_allowed() -> None:
    allowed = {(move.source, move.event) for move in MOVES}
    for source in (None, *State):
        for event in Event:
            assert bool(targets(source, event)) is ((source, event) in allowed)


@pytest.mark.parametrize("state", sorted(FINAL))
def test_nothing_but_a_person_leaves_a_final_state(state: State) -> None:
    assert state.final
    assert [event for event in Event if targets(state, event)] == [Event.REVIVE]
    assert targets(state, Event.REVIVE) == {State.READY}


def test_a_job_is_never_in_two_minds_about_being_final() -> None:
    assert {state for state in State if state.final} == FINAL
    assert not FINAL & WAITING
    assert State.RUNNING not in FINAL | WAITING


def test_only_a_claim_makes_a_job_running_and_only_from_ready() -> None:
    assert [move[:2] for move in MOVES if move.target is State.RUNNING] == [(State.READY, Event.CLAIM)]


def test_what_waits_can_be_cancelled_in_any_state_and_what_has_ended_in_none() -> None:
    cancelled = {state: targets(state, Event.CANCEL) for state in State}
    assert {state for state, ends in cancelled.items() if ends} == WAITING | {State.RUNNING}
    assert all(ends == {State.CANCELLED} for ends in cancelled.values() if ends)


def test_whatever_waits_may_expire_also_what_was_snoozed_and_what_was_just_claimed() -> None:
    expired = [move for move in MOVES if move.event is Event.EXPIRE]
    assert {move.source for move in expired} == WAITING | {State.RUNNING}
    assert {move.target for move in expired} == {State.CANCELLED}


def test_what_a_person_wants_now_is_ready_and_neither_running_nor_ready_jobs_can_be_hurried() -> None:
    assert {state for state in State if not targets(state, Event.REVIVE)} == {
        State.READY,
        State.RUNNING,
        State.BLOCKED,
    }


def test_what_gives_an_attempt_back_leaves_the_job_alive_and_takes_no_job_from_its_runner() -> None:
    assert {ending(event) for event in GIVEN_BACK} == {None}
    assert not GIVEN_BACK & TAKEN_BACK


def test_every_event_happens_somewhere() -> None:
    assert {move.event for move in MOVES} == set(Event)


def test_every_state_that_can_be_reached_leads_to_an_end() -> None:
    reached = {move.target for move in MOVES}
    good = set(FINAL)
    while more := {m.source for m in MOVES if m.target in good and m.source} - good:
        good |= more
    assert reached <= good


@pytest.mark.parametrize("event", OUTCOMES)
def test_an_outcome_either_ends_a_running_job_or_leaves_it_waiting(event: Event) -> None:
    ends = targets(State.RUNNING, event)
    assert ends
    if ending(event) is None:
        assert ends <= WAITING
    else:
        assert ends == {ending(event)} <= FINAL


def test_each_ending_is_the_one_that_its_name_says() -> None:
    assert {event: ending(event) for event in OUTCOMES} == {
        Event.SUCCEED: State.SUCCEEDED,
        Event.RETRY: None,
        Event.FAIL: State.FAILED,
        Event.RELEASE: None,
        Event.RESCUE: None,
        Event.LOSE: State.FAILED,
        Event.QUARANTINE: State.QUARANTINED,
        Event.SNOOZE: None,
        Event.CANCEL: State.CANCELLED,
        Event.EXPIRE: State.CANCELLED,
    }


@pytest.mark.parametrize(
    ("due", "failed_before", "state"),
    [
        (True, False, State.READY),
        (True, True, State.READY),
        (False, False, State.SCHEDULED),
        (False, True, State.RETRYABLE),
    ],
)
def test_a_waiting_job_is_shown_by_its_time_and_its_errors(due: bool, failed_before: bool, state: State) -> None:
    assert shown(STORED_WAITING, due=due, failed_before=failed_before) is state
    assert state in WAITING


@pytest.mark.parametrize("due", [True, False])
@pytest.mark.parametrize("failed_before", [True, False])
@pytest.mark.parametrize("state", [State.RUNNING, *sorted(FINAL)])
def test_any_other_job_is_shown_as_it_is_stored(state: State, due: bool, failed_before: bool) -> None:
    assert shown(state.value, due=due, failed_before=failed_before) is state
    assert State.RUNNING.value == STORED_RUNNING


def test_a_stored_state_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(ValueError, match="asleep"):
        shown("asleep", due=True, failed_before=False)


def test_a_release_may_leave_the_job_waiting_for_its_pause() -> None:
    """``judge`` gives ``Interrupted(pause)`` a delay, so a released job may be shown as waiting for its time."""
    assert targets(State.RUNNING, Event.RELEASE) == {State.READY, State.SCHEDULED, State.RETRYABLE}


def test_the_diagram_draws_every_move_and_every_end() -> None:
    title, *lines = (line.strip() for line in diagram().splitlines())
    assert title == "stateDiagram-v2"
    moves = [f"{move.source or '[*]'} --> {move.target}: {move.event}" for move in MOVES]
    ends = [f"{state} --> [*]" for state in State if state in FINAL & {move.target for move in MOVES}]
    assert lines == moves + ends
