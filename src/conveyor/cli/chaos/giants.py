"""Tasks that give, raise, print and log what is far too big."""

import logging
from typing import Final, NamedTuple

from conveyor.app import Conveyor
from conveyor.cli.chaos.written import Written
from conveyor.context import Context
from conveyor.task import CoroutineTask, FunctionTask

KINDS: Final = {
    "result": "failed",
    "error": "failed",
    "print": "succeeded",
    "log": "succeeded",
    "progress": "failed",
}
"""What is too big, and how such a job ends."""


class Giants(NamedTuple):
    """The tasks: what is too big, and of how many bytes it is."""

    giant: FunctionTask[[str, int], str]
    agiant: CoroutineTask[[str, int], str]


def giants(app: Conveyor, written: Written) -> Giants:
    """Give *app* these tasks."""

    @app.task(name="conveyor.chaos.giant", takes_context=True, max_attempts=1)
    def giant(ctx: Context, kind: str, size: int) -> str:
        with written(ctx):
            return _given(ctx, kind, size)

    @app.task(name="conveyor.chaos.agiant", takes_context=True, max_attempts=1)
    async def agiant(ctx: Context, kind: str, size: int) -> str:
        with written(ctx):
            return _given(ctx, kind, size)

    return Giants(giant, agiant)


def _given(ctx: Context, kind: str, size: int) -> str:
    text = "x" * size
    match kind:
        case "error":
            raise ValueError(text)
        case "print":
            print(text)
        case "log":
            logging.getLogger("conveyor.chaos").warning("%s", text)
        case "progress":
            ctx.progress(0.5, text)
        case _:
            return text
    return ""
