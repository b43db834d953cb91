"""The Python whose forks are the processes that tests start; ``forker.py`` starts it.

Most of what a short process costs is to start Python and to load what it needs, so that is done once. Each fork is a
process all the same: it has a folder, an environment, files, signals and an end of its own, and finds nothing that
another one did. Started as ``forked.py FD``: each line that arrives at that socket is a request, and is answered by a
line: what is to be run, by the process that runs it; the number of a process that has ended, by its status.
"""

import gc
import importlib
import io
import json
import os
import runpy
import signal
import socket
import sys
from typing import Final, TypedDict

LOADED: Final = (
    *("conveyor.cli.doctor", "conveyor.cli.failures", "conveyor.cli.job", "conveyor.cli.jobs", "conveyor.cli.migrate"),
    *(
        "conveyor.cli.queues",
        "conveyor.cli.schedules",
        "conveyor.cli.status",
        "conveyor.cli.why",
        "conveyor.cli.worker",
    ),
    *("conveyor.store.postgres.opened", "conveyor.store.redis.opened", "conveyor.store.sqlite.opened"),
)
OURS: Final = os.environ.get("PYTHONPATH", "")
"""Where Conveyor is. A fork has another PYTHONPATH."""


class Request(TypedDict):
    """What is to be run, with which words, where, and where what it says goes."""

    what: str
    """A module, or a file."""
    words: list[str]
    folder: str
    environment: dict[str, str]
    out: str
    err: str


def become(request: Request) -> None:
    """Make this fork what ``python -m`` is from its start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for number, name in enumerate((os.devnull, request["out"], request["err"])):
        file = os.open(name, os.O_RDWR | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    places = [place for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place]
    sys.path[:] = [request["folder"], *places, *(place for place in sys.path if place != OURS)]
    sys.argv[1:] = request["words"]
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    if os.environ.get("PYTHONUNBUFFERED"):
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(line_buffering=True)


def main() -> None:
    """Fork and reap, until nobody asks any more."""
    with socket.socket(fileno=int(sys.argv[1])) as ours, ours.makefile("rw") as wire:
        for line in wire:
            request = json.loads(line)
            if isinstance(request, int):
                answer = os.waitstatus_to_exitcode(os.waitpid(request, 0)[1])
            elif not (answer := os.fork()):
                break
            wire.write(f"{answer}\n")
            wire.flush()
        else:
            return
    become(request)
    if request["what"].endswith(".py"):
        runpy.run_path(request["what"], run_name="__main__")
    else:
        runpy.run_module(request["what"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # from the terminal, it is for pytest
    for name in LOADED:
        importlib.import_module(name)
    gc.freeze()  # a collection in a fork would copy all that it looks at
    main()
