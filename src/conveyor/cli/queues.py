"""``conveyor queues``."""

import argparse
from collections.abc import Callable, Sequence

from conveyor.app import Conveyor
from conveyor.cli.lookup import app_arguments, find_jobs
from conveyor.cli.output import clean, counted, say, say_json, stamp, table
from conveyor.cli.words import Nonsense, meant
from conveyor.core.health import span
from conveyor.core.model import QueueInfo
from conveyor.core.text import checked_name

ACTIONS = ("pause", "resume")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "action", nargs="?", choices=ACTIONS, metavar="pause|resume", help="let no more of a queue start; or again"
    )
    parser.add_argument("names", nargs="*", default=[], metavar="NAME", help="the queues to pause or resume")
    app_arguments(parser)
    parser.add_argument("--json", action="store_true", help="for programs")


def run(options: argparse.Namespace) -> int:
    """Show the queues, or pause or resume some."""
    app = find_jobs(options)
    if options.action:
        _change(app, options.action, options.names, say_line=_nothing if options.json else say)
    if options.json:
        say_json([_as_json(queue) for queue in app.queues.list()])
    elif not options.action:
        _show(app.queues.list())
    return 0


def _show(queues: Sequence[QueueInfo]) -> None:
    if queues:
        head = ("QUEUE", "READY", "SCHEDULED", "RETRYABLE", "RUNNING", "OLDEST", "WORKERS", "PAUSED SINCE")
        table(head, [_as_row(queue) for queue in queues])
    else:
        say("no queue has unfinished jobs, is paused, or has a running worker")


def _change(app: Conveyor, action: str, names: Sequence[str], say_line: Callable[[str], None]) -> None:
    if not names:
        raise Nonsense(f"which queue? conveyor queues {action} NAME")
    for name in names:
        checked_name("queue", name)  # all of them, before the first is changed
    known = {queue.name: queue for queue in app.queues.list()}
    for name in dict.fromkeys(names):
        queue = known.get(name)
        since = _since(queue) if queue else ""
        if action == "pause":
            app.queues.pause(name)
            done = f"was paused already, since {since}" if since else "is paused: what runs goes on"
        else:
            app.queues.resume(name)
            done = "is resumed" if since else "was not paused"
        alone = "" if queue else f"; there is nothing in it, and no running worker serves it{meant(name, known)}"
        say_line(clean(f"{name} {done}{alone}"))


def _nothing(_: str) -> None:
    """Programs are told by the list that follows."""


def _since(queue: QueueInfo) -> str:
    return f"{queue.paused_at:%Y-%m-%d %H:%M:%S} UTC" if queue.paused_at else ""


def _as_row(queue: QueueInfo) -> tuple[str, ...]:
    sizes = (queue.ready, queue.scheduled, queue.retryable, queue.running)
    oldest = span(queue.oldest) if queue.oldest is not None else ""
    return (queue.name, *map(counted, sizes), oldest, str(queue.workers), _since(queue))


def _as_json(queue: QueueInfo) -> dict[str, object]:
    return {
        "queue": queue.name,
        "ready": queue.ready,
        "scheduled": queue.scheduled,
        "retryable": queue.retryable,
        "running": queue.running,
        "oldest": queue.oldest.total_seconds() if queue.oldest is not None else None,
        "workers": queue.workers,
        "paused_at": stamp(queue.paused_at),
    }
