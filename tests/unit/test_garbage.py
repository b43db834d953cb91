"""An attempt leaves nothing to the garbage collector: a collection that runs in the middle of a task costs it time."""

import gc
from collections.abc import Callable
from typing import Any

import pytest

from conveyor import Context, Conveyor, NotInTransaction

MANY = 200


async def in_loop(number: int) -> int:
    return number


def in_thread(number: int) -> int:
    return number


async def fails_in_loop(number: int) -> int:
    raise ValueError(number)


def fails_in_thread(number: int) -> int:
    raise ValueError(number)


@pytest.mark.parametrize("function", [in_loop, in_thread, fails_in_loop, fails_in_thread])
def test_no_attempt_leaves_a_circle_of_references(function: Callable[..., Any]) -> None:
    app = Conveyor("sqlite:///:memory:")
    task = app.task(max_attempts=1)(function)

    def left(jobs: int) -> int:
        app.enqueue_many(task.bind(number) for number in range(jobs))
        gc.collect()
        app.run_worker(burst=True)
        return gc.collect()

    gc.disable()
    try:
        left(1)
        assert left(MANY) - left(1) < MANY
    finally:
        gc.enable()
        app.close()


def test_a_context_that_was_kept_completes_nothing_after_the_end() -> None:
    app = Conveyor("sqlite:///:memory:")
    kept: list[Context] = []

    @app.task(name="keep", takes_context=True)
    async def keep(ctx: Context) -> None:
        kept.append(ctx)

    keep.enqueue()
    app.run_worker(burst=True)
    with pytest.raises(NotInTransaction, match=r"attempt 1 of job [0-9a-z-]+ has ended"):
        kept[0].transaction()
