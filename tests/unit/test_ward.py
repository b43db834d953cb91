"""Who runs alone and when: nobody is held for long, and nobody has to wait for ever."""

from typing import Final

from conveyor.core.model import Claimed
from conveyor.worker.slots import HORIZON, Taken
from conveyor.worker.ward import LATE, LONGEST_PATIENCE, LONGEST_PAUSE, PATIENCE, Ward

SECOND: Final = 1_000_000


class Now:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def taken(number: int) -> Taken:
    return Claimed(bytes([number]) * 16, "t", "q", 0, 0, 1, 5, 0, 7, None, b"", None, 0), b"r" * 16


def made() -> tuple[Ward, Now]:
    now = Now()
    return Ward(now), now


def test_one_waits_to_be_alone_and_the_others_come_again_one_by_one() -> None:
    ward, _ = made()
    first, second, third = taken(1), taken(2), taken(3)
    returned = ward.admit([first, second, third], others=True)
    assert returned == [(second, round(HORIZON * SECOND)), (third, round(2 * HORIZON * SECOND))]
    assert (ward.closed, ward.waiting) == (True, True)
    assert ward.start() == [first]
    assert (ward.closed, ward.waiting, ward.start()) == (True, False, [])
    ward.ended(second[0].id)
    assert ward.closed
    ward.ended(first[0].id)
    assert not ward.closed


def test_after_a_suspect_the_others_have_as_long_a_turn_and_nobody_rests_where_there_are_none() -> None:
    ward, now = made()
    ward.admit([taken(1)], others=True)
    now.seconds += 3
    ward.start()
    now.seconds += 1
    ward.ended(taken(1)[0].id)
    now.seconds += 1
    assert ward.admit([taken(2), taken(3)], others=True) == [(taken(2), 7 * SECOND), (taken(3), 11 * SECOND)]
    assert not ward.closed
    assert ward.admit([taken(2)], others=False) == []
    assert ward.closed


def test_a_suspect_is_given_back_when_the_others_take_too_long_and_waits_twice_as_long_the_next_time() -> None:
    ward, now = made()
    patience = PATIENCE
    while patience < LONGEST_PATIENCE:
        ward.admit([taken(1)], others=True)
        now.seconds += patience - 0.1
        assert ward.lapse() == []
        now.seconds += 0.1
        assert ward.lapse() == [(taken(1), min(patience, LONGEST_PAUSE) * SECOND)]
        assert (ward.closed, ward.lapse()) == (False, [])
        now.seconds += patience
        patience *= 2
    ward.admit([taken(1)], others=True)
    now.seconds += LONGEST_PATIENCE
    assert ward.lapse()


def test_one_that_has_run_alone_makes_the_next_wait_no_longer_than_usual() -> None:
    ward, now = made()
    ward.admit([taken(1)], others=True)
    now.seconds += PATIENCE
    ward.lapse()
    ward.admit([taken(1)], others=False)
    ward.start()
    ward.ended(taken(1)[0].id)
    ward.admit([taken(2)], others=False)
    now.seconds += PATIENCE
    assert ward.lapse()


def test_who_is_not_to_start_any_more_leaves() -> None:
    ward, _ = made()
    one = taken(1)
    ward.admit([one], others=True)
    assert ward.leave(one[0].id, 8) == []  # another attempt of it is meant
    assert ward.leave(one[0].id, 7) == [one]
    ward.admit([one], others=True)
    assert ward.leave() == [one]
    assert (ward.closed, ward.start(), ward.lapse()) == (False, [], [])


def test_those_that_were_put_off_are_expected_until_they_may_have_come_again() -> None:
    ward, now = made()
    ward.admit([taken(1)], others=True)
    assert not ward.expecting
    ward.admit([taken(2)], others=True)
    assert ward.expecting
    now.seconds += HORIZON + LATE
    assert not ward.expecting
