"""The search for an order by itself: what it must find, and what it must not let pass."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from conveyor.core.lifecycle import Event, State
from conveyor.core.model import Claimed
from tests.support.acts import ACTS, Ask, CallOff, Cancel, Claim, EnqueueReplace, Rescue, Retry, Scene, Succeed
from tests.support.jobs import TASK
from tests.support.orders import Done, Row, World, explained

ID, RUNNER, CLAIMER = b"j" * 16, b"r" * 16, b"c" * 16
HELD = Row(ID, "running", token=5, attempt=1, runner=RUNNER, key="k")
WAITS = Row(ID, "waiting", token=5, attempt=1, key="k")
JOB = Claimed(ID, TASK, "default", 0, 0, 1, 5, 0, 5, None, b"[[],{}]", None, 0)


def scene(*, dead: bool = False, strict: bool = True) -> Scene:
    return Scene(ID, JOB, RUNNER, CLAIMER, dead, "k", strict)


def world(*rows: Row) -> World:
    return World(frozenset(rows))


def done(act: type[Cancel | Ask | CallOff | Claim | Succeed | Retry | Rescue], answer: object, **what: bool) -> Done:
    return Done(act.name, answer, act(scene(**what)).after)


CANCELLED = WAITS.end(Event.CANCEL, State.CANCELLED, "the test's wish")
SUCCEEDED = HELD.end(Event.SUCCEED, State.SUCCEEDED)


def test_an_order_is_found_whichever_it_is() -> None:
    for given in ([done(Cancel, 0), done(Retry, "written")], [done(Retry, "written"), done(Cancel, 0)]):
        order = explained(world(HELD), given, world(HELD.wait(Event.RETRY, later=False, failed=True)))
        assert order is not None
        assert [act.name for act in order] == ["cancel", "retry"]


Case = tuple[Row, Sequence[Done], Row | None]
WRONG: dict[str, Case] = {
    "two winners": (HELD, [done(Succeed, "written"), done(Rescue, ("rescue",), dead=True)], SUCCEEDED),
    "a winner who changed nothing": (WAITS, [done(Cancel, 1)], WAITS),
    "a loser who changed something": (WAITS, [done(Cancel, 0)], CANCELLED),
    "nobody told, nothing done": (HELD, [done(CallOff, (0, 0)), done(Retry, "written")], WAITS),
    "a job that is gone": (HELD, [done(Succeed, "written")], None),
    "a token used again": (WAITS, [done(Claim, ((ID, 5, 2),))], replace(HELD, attempt=2)),
    "an attempt that was not counted": (WAITS, [done(Claim, ((ID, 6, 1),))], replace(HELD, token=6)),
    "a claim that saw nothing, where nothing is passed over": (WAITS, [done(Claim, ())], WAITS),
    "a wish that was lost": (HELD, [done(Ask, 1), done(Retry, "written")], WAITS),
    "an end under another name": (HELD, [done(Succeed, "written")], replace(SUCCEEDED, stored="failed")),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_no_order_explains_is_found_out(name: str) -> None:
    begin, acts, end = WRONG[name]
    assert explained(world(begin), acts, world(*([end] if end else []))) is None


def test_a_claim_may_pass_over_what_somebody_holds() -> None:
    given = [done(Claim, (), strict=False)]
    assert explained(world(WAITS), given, world(WAITS)) is not None


def test_a_key_that_two_unfinished_jobs_hold_is_found_out() -> None:
    act = EnqueueReplace(scene())
    with pytest.raises(AssertionError, match="two unfinished jobs hold one key"):
        act.after(world(WAITS, replace(WAITS, id=b"k" * 16)), ("holder", ""))


@pytest.mark.parametrize(
    "move",
    [
        lambda: WAITS.end(Event.SUCCEED, State.SUCCEEDED),
        lambda: SUCCEEDED.wait(Event.RETRY, later=False),
        lambda: HELD.wait(Event.RESCUE, later=True, failed=True),
    ],
)
def test_a_move_that_is_in_no_table_is_found_out(move: Callable[[], Row]) -> None:
    with pytest.raises(AssertionError, match="is in no table"):
        move()


def test_a_token_that_falls_is_found_out() -> None:
    with pytest.raises(AssertionError, match="the token fell"):
        HELD.wait(Event.RESCUE, later=False, token=4)


def test_every_act_has_a_name_of_its_own() -> None:
    assert len({act.name for act in ACTS}) == len(ACTS)
