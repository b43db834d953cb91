"""The worker that ``conveyor dev`` keeps, in a process of its own."""

import argparse
import json
import os
import signal
import sys
import threading
from typing import Final

from conveyor.cli.dev.telling import tell
from conveyor.cli.logs import log_to_stderr
from conveyor.cli.lookup import BrokenApp, find_app, shown
from conveyor.cli.serving import name_store, served_queues, tell_unnamed
from conveyor.core.errors import ConveyorError, UsageError

BROKEN: Final = 78
"""The exit status when the user's code or options are at fault: no use in trying again before they change."""
LAST: Final = 15.0
"""Seconds beyond the grace until a worker that does not end is killed: its last outcomes are to be written."""


def work(options: argparse.Namespace) -> int:
    """Make the tables, and work until told to stop."""
    log_to_stderr(options.log_level, options.log_format)
    app = find_app(options)
    queues = served_queues(app, options)
    name_store(app)
    tell_unnamed(app, queues)
    for name in app.migrate():
        tell(f"applied {name}")
    return app.run_worker(queues, grace=options.grace)


def main() -> int:
    """The process of its own; gives the exit status."""
    options = argparse.Namespace(**json.loads(sys.argv[2]))
    threading.Thread(target=_guard, args=(int(sys.argv[1]), options.grace), daemon=True).start()
    try:
        return work(options)
    except (ConveyorError, OSError) as error:
        if isinstance(error, BrokenApp) and (raised := shown(error.__cause__)):
            sys.stderr.write(raised)
        else:
            tell(" ".join(str(error).split()))
        return BROKEN if isinstance(error, UsageError) else 1


def _guard(pipe: int, grace: float) -> None:
    """Stop once whoever started this process has gone: its end of *pipe* is closed then, however it died."""
    os.read(pipe, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(grace + LAST)
    os.killpg(os.getpgrp(), signal.SIGKILL)  # a task that blocks the event loop hears no signal
