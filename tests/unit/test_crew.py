"""A crew whose cells come up and begin nothing: what follows is its own doing."""

import contextlib
import gc
import os
import signal
import sys
from asyncio import ensure_future
from collections.abc import AsyncIterator, Iterator

import pytest

from conveyor import Conveyor
from conveyor.core.judge import Ending, Interrupted, Raised
from conveyor.core.model import Claimed
from conveyor.worker.attempt import Attempt, Unsure
from conveyor.worker.board import Board, CellRow, Killed
from conveyor.worker.cell import stuck
from conveyor.worker.cell.crew import Crew
from conveyor.worker.cell.frames import Ready
from conveyor.worker.cell.handle import Handle
from conveyor.worker.cell.settings import CellSettings
from conveyor.worker.framing import framed
from conveyor.worker.supervisor.child import Child
from tests.support.descriptors import descriptors, left
from tests.support.waiting import auntil

JOB = Claimed(b"j" * 16, "noop", "default", 0, 0, 1, 5, 0, 7, 2_000_000, b"[[],{}]", None, 1_000)
STUB = """
import os, sys, time
file = int(sys.argv[sys.argv.index("--socket") + 1])
os.write(file, bytes.fromhex(sys.argv[1]))
time.sleep(60)
"""


@pytest.fixture
def board() -> Iterator[Board]:
    made = Board.create(20.0)
    yield made
    made.close()


@pytest.fixture
def attempt() -> Iterator[Attempt]:
    app = Conveyor("sqlite:///:memory:")
    task = app.task(name="noop")(lambda: None)
    with app.rigged(None) as surround:  # type: ignore[arg-type]  # nothing stands in for anything
        yield Attempt(JOB, b"r" * 16, task.definition, surround())
    app.close()


@pytest.fixture
async def crew(board: Board) -> AsyncIterator[Crew]:
    made = Crew(CellSettings((sys.executable, "-S", "-c", STUB, framed(Ready()).hex()), count=1), board, slots=1)
    yield made
    made.kill()
    await made.close(5.0)


async def handed(crew: Crew, *, after: int = 0) -> CellRow:
    """Wait until another process than *after* is there, and has been handed the job."""
    await auntil(lambda: any(cell.hand and cell.pid != after for cell in crew._cells), patience=20)
    return crew._cells[0].row


@pytest.mark.parametrize(("judged", "end"), [(1, Raised), (7, Interrupted)])
async def test_who_was_killed_for_the_job_before_has_not_failed(
    crew: Crew, attempt: Attempt, judged: int, end: type[Ending]
) -> None:
    running = ensure_future(crew.run(attempt))
    row = await handed(crew)
    row.seq, row.killed_seq, row.killed = 1, judged, Killed.MEMORY
    os.kill(row.pid, signal.SIGKILL)
    ended = await running
    assert isinstance(ended, Unsure)
    assert isinstance(ended.otherwise, end)


async def test_what_a_cell_does_not_begin_goes_to_another(
    crew: Crew, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = ensure_future(crew.run(attempt))
    row = await handed(crew)
    first = row.pid
    monkeypatch.setattr(stuck, "SILENT", -1.0)
    row.seq = 1
    crew.sweep()
    assert row.killed == Killed.NOT  # it has begun, and C code may keep it from answering
    row.seq = 0
    crew.sweep()
    assert row.killed == Killed.BYSTANDER
    monkeypatch.undo()
    row = await handed(crew, after=first)
    assert (row.killed, running.done()) == (Killed.NOT, False)
    running.cancel()


async def test_what_cannot_be_started_leaves_no_descriptor(crew: Crew, board: Board) -> None:
    def cell() -> None:
        Handle(CellSettings(("true",)), board, 1, crew)

    def runner() -> None:
        Child("a", 20.0).close()

    gc.collect()
    before = descriptors()
    for count in range(6):  # a cell takes more; what a runner takes before its process is there are five
        for start in (cell, runner):
            with left(count), contextlib.suppress(OSError):
                start()
        gc.collect()  # a mapped file goes with the traceback of what failed
        assert descriptors() == before
