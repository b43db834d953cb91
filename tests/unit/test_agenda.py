"""What a claimer on PostgreSQL knows of the time at which the next job comes due."""

from dataclasses import dataclass

import pytest

from conveyor.store.postgres.agenda import FRESH, Agenda
from conveyor.store.postgres.sight import LaneSight

NOW = 10**15
SECOND = 1_000_000


@dataclass
class Ticking:
    """A clock that is moved by hand."""

    at: float = 1_000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Ticking:
    return Ticking()


@pytest.fixture
def agenda(clock: Ticking) -> Agenda:
    agenda = Agenda(clock, hears=True)
    agenda.ask(["mail"])
    agenda.learn(NOW, NOW + 10 * SECOND)
    return agenda


def test_an_answer_stands_for_a_second_and_counts_down(agenda: Agenda, clock: Ticking) -> None:
    clock.at += FRESH / 2
    assert agenda.knows(NOW)
    assert agenda.wait(NOW) == 9.5 * SECOND
    clock.at += FRESH / 2
    assert not agenda.knows(NOW)


def test_nothing_is_known_before_the_first_answer_nor_by_who_hears_nothing(agenda: Agenda) -> None:
    assert not Agenda(hears=True).knows(NOW)
    agenda.hears = False
    assert not agenda.knows(NOW)


def test_what_is_heard_meanwhile_counts_if_it_is_earlier_and_not_due_yet(agenda: Agenda, clock: Ticking) -> None:
    clock.at += 0.25
    for due in (NOW + 20 * SECOND, NOW + SECOND // 4, NOW - SECOND):
        agenda.hear("mail", due)
        assert agenda.wait(NOW) == 9.75 * SECOND
    agenda.hear("mail", NOW + SECOND)
    assert agenda.wait(NOW) == 0.75 * SECOND


def test_the_first_job_that_is_heard_of_is_the_next_one(clock: Ticking) -> None:
    agenda = Agenda(clock, hears=True)
    agenda.ask(["mail"])
    agenda.learn(NOW, None)
    assert agenda.wait(NOW) is None
    agenda.hear("mail", NOW + SECOND)
    assert agenda.wait(NOW) == SECOND


def test_once_a_claim_has_looked_at_the_next_one_nobody_knows_the_one_after(agenda: Agenda) -> None:
    assert agenda.knows(NOW + 10 * SECOND - 1)
    assert not agenda.knows(NOW + 10 * SECOND)


def test_a_heard_time_that_a_claim_has_looked_at_leaves_the_rest_known(agenda: Agenda) -> None:
    agenda.hear("mail", NOW + SECOND)
    agenda.hear("mail", NOW + 2 * SECOND)
    assert agenda.wait(NOW) == SECOND
    assert agenda.knows(NOW + SECOND)
    assert agenda.wait(NOW + SECOND) == 2 * SECOND
    assert agenda.wait(NOW + 2 * SECOND) == 10 * SECOND


def test_nothing_is_kept_of_what_is_heard_while_nobody_asks(agenda: Agenda, clock: Ticking) -> None:
    clock.at += FRESH
    for due in range(1000):
        agenda.hear("mail", NOW + 2 * SECOND + due)
    assert agenda._heard == []


def test_what_is_heard_while_the_answer_is_on_its_way_may_be_none_of_it(agenda: Agenda, clock: Ticking) -> None:
    clock.at += 2 * FRESH
    agenda.ask(["mail"])
    agenda.hear("mail", NOW + 4 * SECOND)
    agenda.hear("other", NOW + 3 * SECOND)
    clock.at += 0.5
    agenda.learn(NOW + 2 * SECOND, None)
    assert agenda.knows(NOW + 2 * SECOND)
    assert agenda.wait(NOW + 2 * SECOND) == 2 * SECOND


def test_an_answer_that_something_went_unheard_of_meanwhile_counts_once(agenda: Agenda) -> None:
    agenda.ask(["mail"])
    agenda.forget()
    agenda.learn(NOW, NOW + SECOND)
    assert agenda.wait(NOW) == SECOND
    assert not agenda.knows(NOW)


def test_a_sight_that_forgets_asks_anew_and_hears_of_its_own_queues_only() -> None:
    sight = LaneSight()
    sight.agenda.hears = True
    sight.look({"mail": 1})
    sight.agenda.ask(["mail"])
    sight.agenda.learn(NOW, None)
    sight.hear("other", 0, NOW + SECOND)
    assert sight.agenda.wait(NOW) is None
    sight.hear("mail", 0, NOW + SECOND)
    assert sight.agenda.wait(NOW) is not None
    sight.forget()
    assert not sight.agenda.knows(None)
