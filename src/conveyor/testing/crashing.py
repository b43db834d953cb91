"""Crashes at chosen points of an attempt, as if its process were killed there.

A crash is an exception that no ``except Exception`` catches. Unlike in a killed process ``finally`` and ``with`` blocks
run, so that connections are given back; but the store takes no call of theirs.
"""

import ast
import gc
import inspect
import linecache
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Final, Generic, TypeVar, cast

from conveyor.context import Context
from conveyor.testing.store import calling

if TYPE_CHECKING:
    from _typeshed import TraceFunction

T = TypeVar("T")

PASSAGES: Final = 2
"""So often one place in the code is a point: a loop of a thousand rounds is crashed in its first two."""


class Crash(BaseException):
    """The process is dead."""


class Points:
    """The points of one attempt at which it can crash; it does at number *target*, from 1."""

    def __init__(self, target: int, function: Callable[..., object]) -> None:
        """The lines of the file in which *function* is defined are points."""
        self._target = target
        self._file = _file(function)
        self._count = 0
        self._passages: Counter[tuple[str, int]] = Counter()
        self._begun = False
        self._layout = Layout(self._file)
        self.crashed = ""
        """Where it has crashed, once it has."""

    def plain(self, context: Context, call: Callable[[], object]) -> object:  # noqa: ARG002 - as a middleware
        """Around a plain task."""
        with self._watched(), self.lines():
            value = call()
        self._end()
        return value

    async def awaited(self, context: Context, call: Callable[[], Awaitable[object]]) -> object:  # noqa: ARG002 - as above
        """Around an async task."""
        with self._watched():
            value = await _Stepped(call(), self)
        self._end()
        return value

    def before_call(self) -> None:
        """A call of the store: a dead process makes none."""
        if self.crashed:
            raise Crash(self.crashed)

    def after_call(self) -> None:
        """A blocking call of the store has returned."""
        line = next(self._lines_in(_callers(inspect.currentframe())), 0)
        self._pass("call", line, f"after the call of the store in {self._place(line)}")

    def resumed(self, waiting: object) -> None:
        """What the coroutine *waiting* awaited has come. Once it has crashed it may clean up."""
        if not self.crashed:
            line = next(self._lines_in(reversed([*_awaiting(waiting)])), 0)
            self._pass("await", line, f"after the await in {self._place(line)}")

    @contextmanager
    def lines(self) -> Generator[None]:
        """Inside, each line of the file is a point."""
        before = sys.gettrace()
        sys.settrace(self._entered)
        try:
            yield
        finally:
            sys.settrace(before)

    def _entered(self, frame: FrameType, event: str, _: object) -> "TraceFunction | None":
        return self._reached if event == "call" and frame.f_code.co_filename == self._file else None

    def _reached(self, frame: FrameType, event: str, _: object) -> "TraceFunction | None":
        if event == "line":
            line = frame.f_lineno
            if self._layout.may_crash(line) and self._begun:
                self._pass("line", line, f"before {self._place(line)}")
            self._begun = True  # before its first line nothing has been done
        return self._reached

    def _end(self) -> None:
        """The function has returned; if it had crashed before, it has caught that, and is not to be let off."""
        if not self.crashed:
            self._pass("end", 0, "after its end, before a worker could write that")

    def _pass(self, kind: str, line: int, where: str) -> None:
        self.before_call()
        self._passages[kind, line] += 1
        if self._passages[kind, line] > PASSAGES:
            return
        self._count += 1
        if self._count == self._target:
            self.crashed = where
            raise Crash(where)

    @contextmanager
    def _watched(self) -> Generator[None]:
        token = calling.set(self)
        try:
            yield
        finally:
            calling.reset(token)

    def _lines_in(self, frames: Iterator[FrameType]) -> Iterator[int]:
        return (frame.f_lineno for frame in frames if frame.f_code.co_filename == self._file)

    def _place(self, line: int) -> str:
        if not line:
            return "what it calls"
        return f"line {line} of {Path(self._file).name}: {linecache.getline(self._file, line).strip()}"


class Layout:
    """Lines of a file where a crash would leave behind what no process leaves: an open transaction, say.

    A ``finally`` block gives back what its ``try`` block has taken. And at the end of a ``with`` block Python comes
    once more to its first line: what is raised there keeps ``__exit__`` from being called at all.
    """

    def __init__(self, file: str) -> None:
        """Empty for what is no file of Python."""
        self._heads, self._finals = _lines(file)
        self._seen: set[int] = set()

    def may_crash(self, line: int) -> bool:
        """Whether this passage of *line* may be the last; of a ``with`` statement's, it is the first."""
        head = self._heads.get(line)
        if head is None:
            return line not in self._finals
        first = head not in self._seen
        self._seen.add(head)
        return first


@cache
def _lines(file: str) -> tuple[Mapping[int, int], frozenset[int]]:
    """The lines of ``with`` statements up to their blocks, with the first of each; and the lines in ``finally``."""
    heads: dict[int, int] = {}
    finals: set[int] = set()
    for node in ast.walk(ast.parse("".join(linecache.getlines(file)))):
        if isinstance(node, ast.With | ast.AsyncWith):
            heads |= dict.fromkeys(range(node.lineno, max(node.body[0].lineno, node.lineno + 1)), node.lineno)
        elif isinstance(node, ast.Try | ast.TryStar):
            for statement in node.finalbody:
                finals |= {*range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)}
    return heads, frozenset(finals)


class _Stepped(Awaitable[T], Generic[T]):
    """Awaits a coroutine step by step: each time that it goes on is a point."""

    def __init__(self, inner: Awaitable[T], points: Points) -> None:
        self._inner = inner
        self._points = points

    def __await__(self) -> Generator[object, object, T]:
        steps = cast(Generator[object, object, T], self._inner.__await__())
        step = partial(steps.send, None)
        while True:
            try:
                with self._points.lines():
                    awaited = step()
            except StopIteration as end:
                return cast(T, end.value)
            step = partial(steps.send, None)
            try:
                yield awaited
                self._points.resumed(self._inner)
            except BaseException as error:  # noqa: BLE001 - a crash, or a cancellation: the coroutine's in any case
                step = partial(steps.throw, error)


def _callers(frame: FrameType | None) -> Iterator[FrameType]:
    """From the innermost outwards."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def _awaiting(waiting: object) -> Iterator[FrameType]:
    """The frames of a coroutine that waits for another, and so on, inwards."""
    while waiting is not None:
        for prefix in ("cr", "gi", "ag"):
            frame = getattr(waiting, f"{prefix}_frame", None)
            if isinstance(frame, FrameType):
                yield frame
        waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "gi_yieldfrom", None)


def _file(function: Callable[..., object]) -> str:
    inner = inspect.unwrap(function)
    code = getattr(inner, "__code__", None) or getattr(type(inner).__call__, "__code__", None)
    return code.co_filename if isinstance(code, CodeType) else ""


def let_go(error: BaseException | None, still_held: Callable[[], bool]) -> None:
    """Drop what the frames of a crashed attempt hold, as the end of a process would: connections, above all.

    A connection of sqlite3's is a cycle of references, so the garbage is to be collected: what is young, and all only
    if something is *still_held*, for that takes long.
    """
    seen: set[int] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            traceback.clear_frames(error.__traceback__)
            error.__traceback__ = None
            error = error.__cause__ or error.__context__
        gc.collect(1)
        if still_held():
            gc.collect()
