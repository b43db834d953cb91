"""The tasks that are measured: they do nothing."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from conveyor.app import Conveyor
from conveyor.cli.bench.tape import Recorder
from conveyor.store.ground import QUEUE
from conveyor.task import CoroutineTask, FunctionTask

TAPE: Final = "CONVEYOR_BENCH_TAPE"
"""The environment's name for the folder where workers note when jobs start."""


class Measured(NamedTuple):
    """An app, and its tasks."""

    app: Conveyor
    nothing: CoroutineTask[[int], None]
    """As little as a task can do, with an argument."""
    plain: FunctionTask[[int], None]
    """The same as a plain function."""
    stamp: CoroutineTask[[int], None]
    """Notes when it starts; takes when it was sent, as ``tape.now`` says it."""


def measured(url: str) -> Measured:
    """The app on the store at *url*."""
    recorders: list[Recorder] = []

    @contextmanager
    def recording(_: Conveyor) -> Generator[None]:
        recorders.append(Recorder(Path(os.environ[TAPE])))
        yield
        recorders.pop().flush()

    app = Conveyor(url, lifespan=recording)

    @app.task(name="conveyor.bench.nothing", queue=QUEUE)
    async def nothing(number: int) -> None:
        """Nothing."""

    @app.task(name="conveyor.bench.plain", queue=QUEUE)
    def plain(number: int) -> None:
        """Nothing."""

    @app.task(name="conveyor.bench.stamp", queue=QUEUE)
    async def stamp(sent: int) -> None:
        recorders[-1].note(sent)

    return Measured(app, nothing, plain, stamp)
