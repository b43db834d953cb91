"""The Python in which the blocks of one page run, one after the other, as in one program; ``pages.py`` starts it.

It is a process of its own, so that a page can neither see nor spoil what the tests have loaded, and one for all
blocks, because most of what a short program costs is its start. Started as ``session.py NAME``: it connects to the
socket of that abstract name; each line that arrives there is a request in JSON, and is answered by one line.
"""

import ast
import asyncio
import importlib
import inspect
import json
import os
import socket
import sys
import traceback
from types import CodeType, ModuleType, TracebackType
from typing import TypedDict


class Request(TypedDict):
    """What is to be done."""

    do: str
    """``run`` code, ``load`` a module, or ``forget`` one, whose file has changed."""
    what: str
    """The code, or the module's name."""
    file: str
    """Where the code stands, and in which line it begins; for tracebacks."""
    line: int
    environment: dict[str, str]


class Answer(TypedDict):
    """What came of it."""

    trouble: str
    """The traceback, if there is one."""
    loaded: list[str]
    """The files of modules that are loaded by now."""


def run(request: Request, module: ModuleType, loop: asyncio.Runner) -> None:
    """Run a block as the next piece of the program *module*; it may ``await``, as in an async prompt."""
    text = "\n" * (request["line"] - 1) + request["what"]
    code = compile(text, request["file"], "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    if code.co_flags & inspect.CO_COROUTINE:
        loop.run(_awaited(code, module))
    else:
        exec(code, vars(module))  # noqa: S102 - to run what the pages show is what this is for


async def _awaited(code: CodeType, module: ModuleType) -> None:
    await eval(code, vars(module))  # noqa: S307 - a block with `await` in it is evaluated to a coroutine


def load(name: str) -> None:
    """Import the module from its file as it is now."""
    importlib.invalidate_caches()
    importlib.import_module(name)


def forget(name: str) -> None:
    """The next import reads the file anew."""
    sys.modules.pop(name, None)


def act(request: Request, module: ModuleType, loop: asyncio.Runner) -> Answer:
    """Do what is asked, and tell what came of it."""
    os.environ.update(request["environment"])
    trouble = ""
    try:
        if request["do"] == "run":
            run(request, module, loop)
        else:
            {"load": load, "forget": forget}[request["do"]](request["what"])
    except BaseException as error:  # noqa: BLE001 - SystemExit too ends no more than its block
        trouble = "".join(traceback.format_exception(error.with_traceback(_of_page(error, request["file"]))))
    sys.stdout.flush()
    sys.stderr.flush()
    files = (getattr(loaded, "__file__", None) for loaded in tuple(sys.modules.values()))
    return {"trouble": trouble, "loaded": [file for file in files if file]}


def _of_page(error: BaseException, file: str) -> TracebackType | None:
    """The error's traceback from the page's own code on, without what leads there; whole, when it is not from there."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != file:
        trace = trace.tb_next
    return trace or error.__traceback__


def main() -> None:
    """Answer requests until there are no more."""
    sys.modules["__main__"] = module = ModuleType("__main__")
    with socket.socket(socket.AF_UNIX) as ours, ours.makefile("rw") as wire, asyncio.Runner() as loop:
        ours.connect(f"\0{sys.argv[1]}")
        for line in wire:
            wire.write(json.dumps(act(json.loads(line), module, loop)) + "\n")
            wire.flush()


if __name__ == "__main__":
    main()
