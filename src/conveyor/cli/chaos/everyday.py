"""Tasks as there are everywhere: that fail first, or for good, and that have something to say."""

import logging
from typing import Final, NamedTuple

from conveyor.app import Conveyor
from conveyor.cli.chaos.written import ATTEMPTS, Written
from conveyor.context import Context
from conveyor.core.backoff import Backoff
from conveyor.task import CoroutineTask, FunctionTask

AGAIN: Final = Backoff.fixed(1)
LINES: Final = 10


class Everyday(NamedTuple):
    """The tasks."""

    stumble: CoroutineTask[[], int]
    """Fails first, and succeeds then."""
    trip: FunctionTask[[], None]
    """Fails for good."""
    talk: FunctionTask[[], int]
    """Prints, logs, and says how far it is."""
    tell: CoroutineTask[[], int]
    """The same in the loop."""


def everyday(app: Conveyor, written: Written) -> Everyday:
    """Give *app* these tasks."""
    stumble, trip = _failing(app, written)
    talk, tell = _speaking(app, written)
    return Everyday(stumble, trip, talk, tell)


def _failing(app: Conveyor, written: Written) -> tuple[CoroutineTask[[], int], FunctionTask[[], None]]:
    @app.task(name="conveyor.chaos.stumble", takes_context=True, max_attempts=ATTEMPTS, backoff=AGAIN)
    async def stumble(ctx: Context) -> int:
        with written(ctx):
            if ctx.attempt == 1:
                raise ValueError(f"the first attempt of {ctx.job.id} fails")
        return ctx.token

    @app.task(name="conveyor.chaos.trip", takes_context=True, max_attempts=1)
    def trip(ctx: Context) -> None:
        with written(ctx):
            raise LookupError(f"{ctx.job.id} fails, and that is that")

    return stumble, trip


def _speaking(app: Conveyor, written: Written) -> tuple[FunctionTask[[], int], CoroutineTask[[], int]]:
    def speak(ctx: Context) -> None:
        for line in range(LINES):
            ctx.progress(line / LINES, f"line {line}")
            print(f"line {line} of {ctx.job.id}")
        logging.getLogger("conveyor.chaos").info("said what there is to say of %s", ctx.job.id)

    @app.task(name="conveyor.chaos.talk", takes_context=True, max_attempts=ATTEMPTS, backoff=AGAIN)
    def talk(ctx: Context) -> int:
        with written(ctx):
            speak(ctx)
        return ctx.token

    @app.task(name="conveyor.chaos.tell", takes_context=True, max_attempts=ATTEMPTS, backoff=AGAIN)
    async def tell(ctx: Context) -> int:
        with written(ctx):
            for line in range(LINES):
                ctx.progress(line / LINES, f"line {line}")
            ctx.log.debug("said what there is to say")
        return ctx.token

    return talk, tell
