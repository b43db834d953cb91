"""Tasks whose arguments have changed between two versions of the code."""

from collections.abc import Callable
from typing import Final, NamedTuple

from conveyor.app import Conveyor
from conveyor.cli.chaos.written import AT_ONCE, ATTEMPTS, Written
from conveyor.context import Context
from conveyor.job import Job

ADDED: Final = "conveyor.chaos.added"
REMOVED: Final = "conveyor.chaos.removed"
RENAMED: Final = "conveyor.chaos.renamed"


class Changed(NamedTuple):
    """What enqueues a job of each, with the arguments that its version of the code has."""

    added: Callable[[], Job[int]]
    removed: Callable[[], Job[int]]
    renamed: Callable[[], Job[int]]


def before(app: Conveyor, written: Written) -> Changed:
    """As the tasks were."""

    @app.task(name=ADDED, takes_context=True, max_attempts=ATTEMPTS, backoff=AT_ONCE)
    async def added(ctx: Context) -> int:
        with written(ctx):
            return ctx.token

    @app.task(name=REMOVED, takes_context=True, max_attempts=ATTEMPTS, backoff=AT_ONCE)
    def removed(ctx: Context, size: int) -> int:
        with written(ctx):
            return ctx.token if size else 0

    @app.task(name=RENAMED, takes_context=True, max_attempts=ATTEMPTS, backoff=AT_ONCE)
    async def renamed(ctx: Context, *, size: int) -> int:
        with written(ctx):
            return ctx.token if size else 0

    return Changed(added.enqueue, lambda: removed.enqueue(1), lambda: renamed.enqueue(size=1))


def after(app: Conveyor, written: Written) -> Changed:
    """As they are."""

    @app.task(name=ADDED, takes_context=True, max_attempts=ATTEMPTS, backoff=AT_ONCE)
    async def added(ctx: Context, size: int) -> int:
        with written(ctx):
            return ctx.token if size else 0

    @app.task(name=REMOVED, takes_context=True, max_attempts=ATTEMPTS, backoff=AT_ONCE)
    def removed(ctx: Context) -> int:
        with written(ctx):
            return ctx.token

    @app.task(name=RENAMED, takes_context=True, max_attempts=ATTEMPTS, backoff=AT_ONCE)
    async def renamed(ctx: Context, *, length: int) -> int:
        with written(ctx):
            return ctx.token if length else 0

    return Changed(lambda: added.enqueue(1), removed.enqueue, lambda: renamed.enqueue(length=1))
