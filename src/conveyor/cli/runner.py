"""``python -m conveyor.cli.runner OPTIONS SOCKET BOARD STACKS``: one runner of ``conveyor worker``, started by that."""

import argparse
import json
import os
import socket
import sys

from conveyor.cli import leave
from conveyor.cli.cells import cells
from conveyor.cli.logs import log_to_stderr
from conveyor.cli.lookup import find_app
from conveyor.cli.serving import name_store, served_queues, tell_unnamed
from conveyor.cli.words import complain
from conveyor.core.errors import ConveyorError
from conveyor.worker.board import Board
from conveyor.worker.leash import Leash
from conveyor.worker.runner import Settings
from conveyor.worker.supervisor.stacks import answer


def main() -> int:
    """Work until the supervisor says stop; gives the exit status."""
    options = argparse.Namespace(**json.loads(sys.argv[1]))
    channel, board, stacks = map(int, sys.argv[2:])
    for file in (channel, board, stacks):
        os.set_inheritable(file, False)  # noqa: FBT003 - as the library has it
    answer(stacks)
    try:
        return work(options, socket.socket(fileno=channel), Board(board))
    except (ConveyorError, OSError) as error:
        complain("worker", str(error))
        return 1


def work(options: argparse.Namespace, channel: socket.socket, board: Board) -> int:
    """Make the app ready, and serve it."""
    log_to_stderr(options.log_level, options.log_format)
    app = find_app(options)
    queues = served_queues(app, options)
    name_store(app)
    tell_unnamed(app, queues)
    settings = Settings(
        queues,
        burst=options.burst,
        grace=options.grace,
        lease=options.lease,
        beat=options.beat,
        cells=cells(app, options),
    )
    leash = Leash(channel, board, (app.url, app.listen_url), lambda: app.store.leases(options.lease))
    return app.serve(settings, leash)


if __name__ == "__main__":
    leave(main())
