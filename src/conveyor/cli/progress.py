"""How far a long command is: a bar, or a line now and then; nothing where nobody looks."""

import contextlib
import sys
import time
from collections.abc import Callable, Generator
from typing import Final

from conveyor.cli.output import colourless, is_terminal

DRAW: Final = 0.5
"""Seconds between two pictures of a bar. It is drawn by whoever does the work: a thread would disturb measures."""
TELL: Final = 3.0
"""Seconds between two lines where there is no bar."""

Advance = Callable[[int], None]
"""Takes how many more are done."""


@contextlib.contextmanager
def progress(what: str, total: int) -> Generator[Advance]:
    """Show on standard error how many of *total* are done, as *what*, while the block runs."""
    with contextlib.ExitStack() as stack:
        show: Advance = _nothing
        pause = TELL
        if is_terminal(sys.stderr):
            bar = _bar(what, total)
            show, pause = (stack.enter_context(bar), DRAW) if bar else (_lines(what, total), TELL)
        done, shown = 0, time.monotonic()

        def advance(count: int) -> None:
            nonlocal done, shown
            done += count
            now = time.monotonic()
            if now - shown >= pause:
                shown = now
                show(done)

        yield advance


def _nothing(_done: int) -> None:
    """Nobody looks."""


def _lines(what: str, total: int) -> Advance:
    def show(done: int) -> None:
        sys.stderr.write(f"{what}: {done:,} of {total:,}\n")

    return show


def _bar(what: str, total: int) -> contextlib.AbstractContextManager[Advance] | None:
    """A bar of rich's; ``None`` where that is not installed."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        return None
    console = Console(file=sys.stderr, force_terminal=True, color_system=None if colourless() else "auto")
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    bar = Progress(
        *columns, console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
    )
    task = bar.add_task(what, total=total)

    @contextlib.contextmanager
    def drawn() -> Generator[Advance]:
        with bar:

            def show(done: int) -> None:
                bar.update(task, completed=done, refresh=True)

            yield show

    return drawn()
