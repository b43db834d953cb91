"""``conveyor demo``: one job for each file of a folder, run to the end, counted, and drawn."""

import argparse
import asyncio
import contextlib
import signal
import sys
import time
from pathlib import Path

from conveyor.app import Conveyor
from conveyor.cli.demo.journey import Journey, account, as_run, begin, library, read_back
from conveyor.cli.demo.report import Totals, render
from conveyor.cli.demo.tasks import DemoTasks
from conveyor.cli.logs import log_to_stderr
from conveyor.cli.lookup import store_argument
from conveyor.cli.output import say
from conveyor.core.errors import UsageError
from conveyor.core.lifecycle import State
from conveyor.core.model import Counts
from conveyor.worker.runner import Runner, Settings

LOOK = 0.2
"""Seconds between looks at the store."""
BAR = 30
MOST_SLOTS = 1_000


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "folder", nargs="?", type=Path, metavar="FOLDER", help="the .py files to measure (Python's own library)"
    )
    store_argument(parser)
    parser.add_argument("--slots", type=int, default=8, help="how many jobs run at a time (8)")
    parser.add_argument("--limit", type=int, help="only the first so many files")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        default=Path("conveyor-demo"),
        help="folder for database and report (conveyor-demo)",
    )


def run(options: argparse.Namespace) -> int:
    """Run the demo, or resume the run that was interrupted."""
    log_to_stderr("error", "text")
    if not 0 < options.slots <= MOST_SLOTS:
        raise UsageError(f"--slots {options.slots} must lie between 1 and {MOST_SLOTS:,}")
    if options.limit is not None and options.limit < 1:
        raise UsageError(f"--limit {options.limit} must be at least 1")
    app = Conveyor(options.store or f"sqlite:///{options.out / 'jobs.db'}")
    note = options.out / "run.json"
    folder = (options.folder or library()).resolve()
    journey = begin(note, folder, app.store.url, options.limit)
    options.out.mkdir(parents=True, exist_ok=True)
    app.migrate()
    tasks = DemoTasks(app)
    _set_out(app, tasks, journey, note)
    done = asyncio.run(_drive(app, journey, options.slots))
    infos = read_back(app.jobs, journey.queue)
    totals = account(journey, infos)
    if not done:
        say(f"\nstopped with {totals.lost:,} of {len(journey.files):,} files to go; run it again to resume")
        return 130
    report = options.out / "report.html"
    report.write_text(render(as_run(journey, infos, totals)), "utf-8")
    journey.finished = True
    journey.save(note)
    _conclude(totals, report)
    return 0 if totals.lost == totals.failed == 0 else 1


def _set_out(app: Conveyor, tasks: DemoTasks, journey: Journey, note: Path) -> None:
    """Enqueue the run, unless it was enqueued before: the note comes first, and the jobs are one transaction."""
    journey.save(note)
    if journey.resumed and app.jobs.list(queue=journey.queue, limit=1):
        say(f"resumes {journey.queue}: {len(journey.files):,} files of {journey.folder}")
        return
    calls = [tasks.call(n, journey.folder, path, journey.queue) for n, path in enumerate(journey.files)]
    begun = time.perf_counter()
    app.enqueue_many(calls)
    seconds = time.perf_counter() - begun
    say(f"enqueued {len(calls):,} jobs in {seconds * 1000:.0f} ms: one for each file of {journey.folder}")


async def _drive(app: Conveyor, journey: Journey, slots: int) -> bool:
    """Work until all is done (``True``), or until somebody interrupts."""
    settings = Settings({journey.queue: slots}, grace=5.0, rescue=1.0)
    worker = app.worker(settings)
    interrupted = asyncio.Event()

    def interrupt() -> None:
        interrupted.set()
        worker.stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    working = asyncio.create_task(worker.run())
    watching = asyncio.create_task(_watch(app, journey, worker))
    try:
        await asyncio.wait([working, watching], return_when=asyncio.FIRST_COMPLETED)
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        worker.stop()
        await working
        await app.aclose()
    return not interrupted.is_set()


async def _watch(app: Conveyor, journey: Journey, worker: Runner) -> None:
    """Show progress until every job is final, then stop *worker*."""
    begun, before = time.monotonic(), None
    while True:
        counts = await app.jobs.acounts(queue=journey.queue)
        done = len(journey.files) - sum(number for state, number in counts.items() if not state.final)
        before = done if before is None else before
        _show(len(journey.files), counts, done, (done - before) / max(time.monotonic() - begun, LOOK))
        if done >= len(journey.files):
            worker.stop()
            return
        await asyncio.sleep(LOOK)


def _show(whole: int, counts: Counts, done: int, rate: float) -> None:
    filled = BAR * done // whole
    line = (
        f"{'█' * filled}{'░' * (BAR - filled)} {done:>6,}/{whole:,}  {rate:5.0f} jobs/s  "
        f"running {counts[State.RUNNING]}  retrying {counts[State.RETRYABLE]}  failed {counts[State.FAILED]}"
    )
    if sys.stdout.isatty():
        sys.stdout.write(f"\r{line}\x1b[K" + ("\n" if done >= whole else ""))
        sys.stdout.flush()
    elif done >= whole or time.monotonic() % 2 < LOOK:
        say(line)


def _conclude(totals: Totals, report: Path) -> None:
    say(
        f"enqueued {totals.enqueued:,}, succeeded {totals.succeeded:,}, retried {totals.retried:,}, "
        f"failed {totals.failed:,}, lost: {totals.lost:,}"
    )
    say(f"report: {report.resolve()}")
