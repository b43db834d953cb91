"""A plan is driven alike by blocking and by async code, and its generator is always left closed."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from conveyor.plan import Answer, Plan, Statement, Steps, arun, run

Carry = Callable[[Statement], Answer]
Drive = Callable[[Plan[object], Carry], object]


def blocking(plan: Plan[object], carry: Carry) -> object:
    return run(plan, carry)


def awaiting(plan: Plan[object], carry: Carry) -> object:
    async def acarry(statement: Statement) -> Answer:
        await asyncio.sleep(0)
        return carry(statement)

    def handed(statement: Statement) -> Awaitable[Answer]:
        return acarry(statement)

    return asyncio.run(arun(plan, handed))


@pytest.fixture(params=[blocking, awaiting], ids=["run", "arun"])
def drive(request: pytest.FixtureRequest) -> Drive:
    driver: Drive = request.param
    return driver


class Book:
    """A carry that writes down what it is given, and fails on wish."""

    def __init__(self, *answers: object) -> None:
        self.seen: list[str] = []
        self._answers = list(answers)

    def __call__(self, statement: Statement) -> Answer:
        self.seen.append(statement.text)
        answer = self._answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return Answer([(answer,)], 1)


def say(text: str) -> Statement:
    return Statement(text, {})


def test_statements_go_out_in_order_answers_come_in_and_the_last_word_is_the_value(drive: Drive) -> None:
    def steps() -> Steps[object]:
        one = yield say("one")
        two = yield say(f"two after {one.rows[0][0]}")
        return (one.rows[0][0], two.touched)

    book = Book("a", "b")
    assert drive(Plan(steps), book) == ("a", 1)
    assert book.seen == ["one", "two after a"]


def test_a_plan_may_need_no_statement_at_all(drive: Drive) -> None:
    def steps() -> Steps[object]:
        return 42
        yield say("never")

    assert drive(Plan(steps), Book()) == 42


def test_an_error_surfaces_where_the_plan_yielded_and_then_in_the_caller(drive: Drive) -> None:
    where: list[str] = []

    def steps() -> Steps[object]:
        yield say("one")
        try:
            yield say("two")
        except ValueError as error:
            where.append(f"two: {error}")
            raise
        return None

    with pytest.raises(ValueError, match="no"):
        drive(Plan(steps), Book("a", ValueError("no")))
    assert where == ["two: no"]


def test_a_plan_may_go_on_after_an_error(drive: Drive) -> None:
    def steps() -> Steps[object]:
        try:
            yield say("insert")
        except ValueError:
            answer = yield say("look")
        return answer.rows[0][0]

    book = Book(ValueError("there already"), "found")
    assert drive(Plan(steps), book) == "found"
    assert book.seen == ["insert", "look"]


def test_a_plan_may_end_with_an_error(drive: Drive) -> None:
    def steps() -> Steps[object]:
        try:
            yield say("insert")
        except ValueError:
            return "given up"
        return "done"

    assert drive(Plan(steps), Book(ValueError())) == "given up"


def test_a_plan_of_plans_is_one_plan(drive: Drive) -> None:
    def inner() -> Steps[str]:
        answer = yield say("inner")
        return str(answer.rows[0][0])

    def steps() -> Steps[object]:
        return [(yield from inner()), (yield from inner())]

    assert drive(Plan(steps), Book("a", "b")) == ["a", "b"]


def test_a_plan_can_be_driven_again(drive: Drive) -> None:
    def steps() -> Steps[object]:
        return (yield say("one")).rows[0][0]

    plan = Plan(steps)
    with pytest.raises(ConnectionError):
        drive(plan, Book(ConnectionError()))
    assert drive(plan, Book("again")) == "again"


def test_an_error_of_the_plans_own_is_the_callers(drive: Drive) -> None:
    def steps() -> Steps[object]:
        yield say("one")
        raise LookupError("from inside")

    with pytest.raises(LookupError, match="from inside"):
        drive(Plan(steps), Book("a"))


def test_a_carry_that_ends_its_own_iteration_does_not_end_the_plan_as_if_all_were_well(drive: Drive) -> None:
    def steps() -> Steps[object]:
        yield say("one")
        return "all is well"

    with pytest.raises(RuntimeError):
        drive(Plan(steps), Book(StopIteration("not a value")))


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SystemExit(1), asyncio.CancelledError()], ids=repr)
def test_the_generator_is_closed_even_when_the_program_is_told_to_stop(drive: Drive, stop: BaseException) -> None:
    ended: list[str] = []

    def steps() -> Steps[object]:
        try:
            yield say("one")
        finally:
            ended.append("closed")
        return None

    with pytest.raises(type(stop)) as caught:
        drive(Plan(steps), Book(stop))
    assert ended == ["closed"]
    assert caught.value.__traceback__ is not None  # which alone keeps the frames, and so the generator, alive


def test_flags_default_to_a_single_write() -> None:
    plan = Plan(lambda: iter(()))  # type: ignore[arg-type,return-value]  # never driven
    assert (plan.writes, plan.atomic, plan.rings) == (True, False, None)
