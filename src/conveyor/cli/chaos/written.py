"""How the tasks of a run write down what they do."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from conveyor.cli.chaos.history import History
from conveyor.context import Context
from conveyor.core.backoff import Backoff

AT_ONCE: Final = Backoff.fixed(0)
ATTEMPTS: Final = 20
"""As many as a job's record keeps: so that its attempts can be counted."""


class Written:
    """Writes an execution and its end down."""

    def __init__(self, history: History) -> None:
        """*history* is where."""
        self._history = history

    @contextmanager
    def __call__(self, ctx: Context) -> Generator[None]:
        """The block is the execution."""
        mark = (ctx.job.id, ctx.attempt, ctx.token)
        self._history.write("started", *mark)
        try:
            yield
        except BaseException:
            self._history.write("raised", *mark)
            raise
        self._history.write("ended", *mark)
