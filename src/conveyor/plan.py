"""A plan is a storage operation that performs no I/O: it yields statements and receives what they gave.

``run`` and ``arun`` drive it over a *carry*, the few lines that know one library. They are the only two colours
in the code. (The idea is psycopg 3's generators and h11's "no I/O in the protocol".)
"""

import math
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

Row = tuple[object, ...]
Params = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: its text with ``:names``, and their values."""

    text: str
    params: Params
    many: Sequence[Params] | None = None
    """When given, the statement runs once for each, and gives no rows."""
    steady: bool = False
    """Carried out in the same way whatever is in the tables, so that a connection for such may have it planned once."""


class Answer(NamedTuple):
    """What a statement gave: its rows, and how many rows it touched."""

    rows: Sequence[Row]
    touched: int


@dataclass(frozen=True, slots=True)
class Column:
    """A whole column of values as one parameter of PostgreSQL's array type; *kind* names the element type."""

    kind: str
    values: Sequence[object]


class Ring(Enum):
    """Why workers are rung."""

    WORK = b"!"
    """Jobs may have come due."""
    SOON = b"s"
    """Jobs are in a transaction of somebody's, whose commit rings no bell."""
    CANCEL = b"c"
    """A running job is to be cancelled."""
    TICK = b"t"
    """A schedule was made, or changed."""
    OUTBOX = b"o"
    """Jobs are in an outbox, or in a transaction of somebody's that will leave them there."""
    HELD = b"h"
    """A runner may hold jobs of which it does not know: see ``Control.mend``."""


T = TypeVar("T")
Steps = Generator[Statement, Answer, T]
"""Quoted where it is what a function gives that is made anew for each plan: Python works it out each time, in 5 us."""


@dataclass(frozen=True, slots=True)
class Plan(Generic[T]):
    """Steps, and what they need around them.

    *steps* makes the generator, so that a plan can be driven again after a lost connection.
    """

    steps: Callable[[], Steps[T]]
    writes: bool = True
    atomic: bool = False
    """Needs one transaction around all its statements, where single statements would commit by themselves."""
    rings: Ring | None = None
    """What workers should look at once it is committed."""
    steady: bool = False
    """What it does most is a steady statement."""
    patience: float = 0.0
    """Seconds that each statement may take beyond the usual, for it is about many rows."""
    most: float = math.inf
    """Seconds that each may take, if that is less: whoever waits then has the time for another try."""


def run(plan: Plan[T], carry: Callable[[Statement], Answer]) -> T:
    """Drive *plan* to its end over a blocking *carry*; its errors surface where the plan yielded."""
    steps = plan.steps()
    try:
        statement = next(steps)
        while True:
            try:
                answer = carry(statement)
            except Exception as error:  # noqa: BLE001 - handed to the plan, which lets it pass
                statement = steps.throw(error)
            else:
                statement = steps.send(answer)
    except StopIteration as end:
        value: T = end.value
        return value
    finally:
        steps.close()


async def arun(plan: Plan[T], carry: Callable[[Statement], Awaitable[Answer]]) -> T:
    """Drive *plan* to its end over an awaitable *carry*."""
    steps = plan.steps()
    try:
        statement = next(steps)
        while True:
            try:
                answer = await carry(statement)
            except Exception as error:  # noqa: BLE001 - handed to the plan, which lets it pass
                statement = steps.throw(error)
            else:
                statement = steps.send(answer)
    except StopIteration as end:
        value: T = end.value
        return value
    finally:
        steps.close()
