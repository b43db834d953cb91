"""The demo's tasks: each reads one real file, and measures it."""

import ast
import asyncio
import hashlib
import threading
from pathlib import Path
from typing import Final

import msgspec

from conveyor.app import Conveyor
from conveyor.cli.demo.report import Measures
from conveyor.context import Context
from conveyor.core.backoff import Backoff
from conveyor.task import Call

SYNC: Final = "demo.measure"
ASYNC: Final = "demo.measure_async"
STUMBLE: Final = "demo.stumble_then_measure"
STUMBLES: Final = 2
"""Attempts of each ``stumble_then_measure`` that fail on purpose."""


_PARSING: Final = threading.Lock()
"""Python 3.11 counts how deep it parses once for all threads: ``SystemError`` when they take turns in the middle."""


class Stumbled(Exception):
    """What the task that fails on purpose raises."""


def measured(data: bytes) -> Measures:
    """Size, lines, functions, classes, nesting and digest of one Python file."""
    try:
        with _PARSING:
            tree: ast.AST = ast.parse(data)
    except (SyntaxError, ValueError, RecursionError):
        tree = ast.Module([], [])  # the library keeps some broken files, to test its own parser
    lines = data.splitlines()
    nodes = list(ast.walk(tree))
    return Measures(
        lines=len(lines),
        code_lines=sum(1 for line in lines if line.strip() and not line.lstrip().startswith(b"#")),
        functions=sum(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in nodes),
        classes=sum(isinstance(node, ast.ClassDef) for node in nodes),
        depth=_depth(tree),
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _depth(tree: ast.AST) -> int:
    """How deep statements are nested."""
    deepest = 0
    level = [(tree, 0)]
    while level:
        node, depth = level.pop()
        deepest = max(deepest, depth)
        inner = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt | ast.ExceptHandler)]
        level += [(child, depth + 1) for child in inner]
    return deepest


def measure(folder: str, path: str) -> Measures:
    """A plain function: it runs in a thread."""
    return measured((Path(folder) / path).read_bytes())


async def measure_async(folder: str, path: str) -> Measures:
    """An ``async`` function: it runs in the event loop, and must not hold it up for long."""
    data = await asyncio.to_thread((Path(folder) / path).read_bytes)
    return await asyncio.to_thread(measured, data)


def stumble_then_measure(ctx: Context, folder: str, path: str) -> Measures:
    """Fails on purpose, and recovers by retry."""
    if ctx.attempt <= STUMBLES:
        raise Stumbled(f"attempt {ctx.attempt} stumbles over {path}, on purpose")
    return measure(folder, path)


class DemoTasks:
    """The three tasks on one app."""

    def __init__(self, app: Conveyor) -> None:
        """Registers them."""
        self.measure = app.task(name=SYNC)(measure)
        self.measure_async = app.task(name=ASYNC)(measure_async)
        soon = Backoff.fixed(0.5)
        self.stumble = app.task(name=STUMBLE, takes_context=True, backoff=soon)(stumble_then_measure)

    def call(self, number: int, folder: str, path: str, queue: str) -> Call[Measures]:
        """The job for the file of that *number*: every eighth is async, every fortieth stumbles."""
        if number % 40 == 0:
            return self.stumble.using(queue=queue).bind(folder, path)
        if number % 8 == 1:
            return self.measure_async.using(queue=queue).bind(folder, path)
        return self.measure.using(queue=queue).bind(folder, path)


def read_measures(result: bytes | None) -> Measures | None:
    """The stored result of any of the three."""
    return None if result is None else msgspec.json.decode(result, type=Measures)
