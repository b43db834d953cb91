"""Log lines: nothing that is logged can break one, and each says to which attempt it belongs."""

import asyncio
import contextlib
import json
import logging
import os
import select
import socket
import sys
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from uuid import uuid4

import pytest

from conveyor import Context, Conveyor
from conveyor.cli.logs import JsonFormatter, TextFormatter, log_to_stderr
from conveyor.cli.outlet import Outlet
from conveyor.core.lifecycle import State


def record(message: object = "failed: %s", *args: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("conveyor.worker", logging.WARNING, "", 0, message, args or None, None)
    made.created = 1_700_000_000.25
    vars(made).update(extra)
    return made


def told(made: logging.LogRecord) -> dict[str, object]:
    """What a strict reader of JSON finds on the one line."""
    line = JsonFormatter().format(made)
    assert line.isascii()
    assert len(line.splitlines()) == 1
    found = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    json.dumps(found, ensure_ascii=False).encode()  # a lone surrogate could not be
    return cast(dict[str, object], found)


LABELS = {"job": "01a2", "task": "shop.mail", "attempt": 2}


class Hostile:
    """Whatever is asked of it, it raises."""

    def __str__(self) -> str:
        raise RuntimeError("no text of me")

    __repr__ = __str__


class Shade(StrEnum):
    """A text, as far as JSON is concerned."""

    RED = "red"


# ---------------------------------------------------------------- one line


def test_lines_for_people() -> None:
    line = TextFormatter().format(record("failed: %s", "why", **LABELS))
    assert line == "2023-11-14T22:13:20.250Z WARNING failed: why job=01a2 task=shop.mail attempt=2"
    assert TextFormatter().format(record("failed")) == "2023-11-14T22:13:20.250Z WARNING failed"


def test_lines_for_programs() -> None:
    assert list(told(record("failed: %s", "why", **LABELS)).items()) == [
        ("time", "2023-11-14T22:13:20.250+00:00"),
        ("level", "warning"),
        ("logger", "conveyor.worker"),
        ("message", "failed: why"),
        *LABELS.items(),
    ]


def raised(error: BaseException) -> logging.LogRecord:
    made = record("failed")
    with contextlib.suppress(type(error)):
        raise error
    made.exc_info = (type(error), error, error.__traceback__)
    return made


def test_an_error_is_a_field_for_programs_and_below_the_line_for_people() -> None:
    trace = str(told(raised(ValueError("one\ntwo")))["exception"])
    assert trace.startswith("Traceback (most recent call last):\n")
    assert trace.endswith("\nValueError: one\ntwo")
    assert TextFormatter().format(raised(ValueError("one"))).splitlines()[-1] == "ValueError: one"


def test_the_stack_is_kept_where_it_was_asked_for() -> None:
    assert told(record("here", stack_info="Stack:\n  File"))["stack"] == "Stack:\n  File"


MESSAGES: dict[str, tuple[logging.LogRecord, str]] = {
    "lines": (record("one\ntwo\r\u2028three"), "one\ntwo\r\u2028three"),
    "escapes": (record('\x00\x1b[31m"\\'), '\x00\x1b[31m"\\'),
    "beyond ASCII": (record("größe %s", "\N{GRINNING FACE}"), "größe \N{GRINNING FACE}"),
    "half a character": (record("a\ud800b \N{GRINNING FACE}"), "a\ufffdb \N{GRINNING FACE}"),
    "something else than text": (record(17), "17"),
    "an argument missing": (record("%s and %s", "one"), "%s and %s (its arguments do not fit: TypeError: "),
    "an argument too many": (record("none", "one"), "none (its arguments do not fit: TypeError: "),
    "another kind": (record("%d", "one"), "%d (its arguments do not fit: TypeError: "),
    "an argument that raises": (record("%s", Hostile()), "%s (its arguments do not fit: RuntimeError: no text"),
    "a message that raises": (record(Hostile()), "<Hostile whose __str__ raised RuntimeError> (its arg"),
}


@pytest.mark.parametrize(("made", "message"), MESSAGES.values(), ids=MESSAGES)
def test_no_message_breaks_a_line(made: logging.LogRecord, message: str) -> None:
    assert str(told(made)["message"]).startswith(message)
    assert message.replace("\ufffd", "\ud800") in TextFormatter().format(made)


class Broken(Exception):
    """An error that cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no text of me")


@pytest.mark.parametrize(
    "error", [Broken(), ExceptionGroup("both", [ValueError("\ud800"), Broken()]), SystemExit(3), KeyboardInterrupt()]
)
def test_no_error_breaks_a_line(error: BaseException) -> None:
    assert type(error).__name__ in str(told(raised(error))["exception"])
    assert type(error).__name__ in TextFormatter().format(raised(error))


# ---------------------------------------------------------------- extra

circle: list[object] = []
circle.append(circle)

KEPT: dict[str, tuple[object, object]] = {
    "text": ("größe", "größe"),
    "half a character": ({"a": ["\udc80"]}, {"a": ["\ufffd"]}),
    "number": (1.5, 1.5),
    "nothing": (None, None),
    "truth": (True, True),
    "nested": ({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}),
    "tuple": ((1, 2), [1, 2]),
    "enum of text": (Shade.RED, "red"),
    "state": (State.READY, "ready"),
}
DROPPED: dict[str, object] = {
    "object": object(),
    "hostile": Hostile(),
    "Decimal": Decimal(1),
    "bytes": b"x",
    "set": {1},
    "no number": float("nan"),
    "no number, nested": [float("inf")],
    "circle": circle,
    "key": {(1, 2): 3},
    "endless": 10**5000,
}


@pytest.mark.parametrize(("value", "kept"), KEPT.values(), ids=KEPT)
def test_extra_values_that_json_has_are_fields(value: object, kept: object) -> None:
    found = told(record("x", tenant=value))
    assert found["tenant"] == kept
    assert list(found)[-1] == "tenant"


@pytest.mark.parametrize("value", DROPPED.values(), ids=DROPPED)
def test_extra_values_that_json_has_not_are_left_out(value: object) -> None:
    assert "tenant" not in told(record("x", tenant=value))


def test_extra_values_take_no_place_of_ours() -> None:
    found = told(record("x", time="noon", level="high", logger="mine", exception="none", asctime="now"))
    assert found["time"] == "2023-11-14T22:13:20.250+00:00"
    assert (found["level"], found["logger"], found["exception"]) == ("warning", "conveyor.worker", "none")
    assert not found.keys() & {"asctime", "msg", "args", "process"}


@pytest.mark.parametrize("value", [Decimal(7), Hostile()])
def test_a_label_that_json_has_not_is_text(value: object) -> None:
    text = "7" if isinstance(value, Decimal) else "<Hostile whose __str__ raised RuntimeError>"
    assert told(record("x", job=value))["job"] == text
    assert TextFormatter().format(record("x", job=value)).endswith(f" job={text}")


# ---------------------------------------------------------------- during an attempt


@pytest.fixture
def root() -> Iterator[None]:
    """Logging as it was, after the test."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


@pytest.mark.usefixtures("root")
def test_whatever_logs_during_an_attempt_says_which(app: Conveyor, capsys: pytest.CaptureFixture[str]) -> None:
    library = logging.getLogger("some.library")

    @app.task(name="plain")
    def plain() -> None:
        library.warning("in a thread")
        logging.info("at the root")  # noqa: LOG015 - as users do

    @app.task(name="coroutine")
    async def coroutine() -> None:
        library.error("in the loop", extra={"tenant": "a"})
        await asyncio.gather(asyncio.create_task(below()), asyncio.to_thread(library.info, "in a thread below"))

    async def below() -> None:
        library.info("in a task below")

    log_to_stderr("info", "json")
    jobs = {"plain": plain.enqueue().id, "coroutine": coroutine.enqueue().id}
    assert app.run_worker({"default": 1}, burst=True) == 0
    library.info("outside")

    found = lines(capsys)
    serves, stopped, outside = (str(line["message"]) for line in found if "job" not in line)
    name = serves.removesuffix(" serves default=1")
    assert (stopped, outside) == (f"{name} stopped after 2 attempts", "outside")
    said: dict[object, set[str]] = {"plain": set(), "coroutine": set()}
    for line in found:
        if "job" in line:
            assert (line["job"], line["attempt"]) == (jobs[str(line["task"])], 1)
            said[line["task"]].add(str(line["message"]))
    assert said["plain"] > {"in a thread", "at the root"}
    assert said["coroutine"] > {"in the loop", "in a task below", "in a thread below"}
    assert [line["tenant"] for line in found if "tenant" in line] == ["a"]


@pytest.mark.usefixtures("root")
def test_a_line_that_says_itself_what_it_is_about_keeps_that(app: Conveyor, capsys: pytest.CaptureFixture[str]) -> None:
    @app.task(name="speak", takes_context=True)
    def speak(ctx: Context) -> None:
        logging.getLogger("library").warning("of another", extra={"job": "another", "attempt": 7})
        ctx.log.warning("of its own")

    log_to_stderr("warning", "json")
    job = speak.enqueue()
    app.run_worker(burst=True)
    another, own = lines(capsys)
    assert (another["job"], another["task"], another["attempt"]) == ("another", "speak", 7)
    assert (own["job"], own["task"], own["attempt"]) == (job.id, "speak", 1)


@pytest.mark.usefixtures("root")
def test_people_see_it_too(app: Conveyor, capsys: pytest.CaptureFixture[str]) -> None:
    @app.task(name="speak")
    async def speak() -> None:
        logging.getLogger("library").warning("hello")

    log_to_stderr("warning", "text")
    job = speak.enqueue()
    app.run_worker(burst=True)
    assert capsys.readouterr().err.endswith(f"WARNING hello job={job.id} task=speak attempt=1\n")


tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


@pytest.mark.parametrize("then", ["plain", "coroutine"])
def test_what_one_job_sets_is_not_seen_by_the_next(app: Conveyor, then: str) -> None:
    """The next one is started at the end of the one before, in the same breath."""
    seen: list[str] = []

    @app.task(name="first", priority=1)
    async def first() -> None:
        tenant.set("the first's")

    @app.task(name="plain")
    def plain() -> None:
        seen.append(tenant.get())

    @app.task(name="coroutine")
    async def coroutine() -> None:
        seen.append(tenant.get())

    following = {"plain": plain, "coroutine": coroutine}[then]
    app.enqueue_many([*(first.bind() for _ in range(20)), *(following.bind() for _ in range(20))])
    app.run_worker({"default": 1}, burst=True)
    assert seen == ["nobody"] * 20


# ---------------------------------------------------------------- nobody reads


@contextmanager
def outlet(monkeypatch: pytest.MonkeyPatch, file: int) -> Iterator[logging.Logger]:
    """A logger whose lines go where standard error is the open *file*."""
    logger = logging.getLogger(f"test.{uuid4()}")
    logger.propagate = False
    with os.fdopen(file, "w") as stream:
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stderr", stream)
            handler = Outlet()
        logger.addHandler(handler)
        yield logger
        handler.close()


def lost(logger: logging.Logger) -> int:
    """How many lines nobody has taken, as yet."""
    (handler,) = logger.handlers
    assert isinstance(handler, Outlet)
    return handler._lost


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """To read from, and to write to, which who does so closes."""
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)


def test_whoever_does_not_read_holds_up_nobody_and_learns_what_is_missing(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conveyor.cli.outlet.PATIENCE", 0.01)
    reading, writing = pipe
    with outlet(monkeypatch, writing) as logger:
        for number in range(20_000):  # of eight bytes: 64 KiB have room for less than half of them
            logger.warning("%07d", number)
        came = os.read(reading, 100_000).split()
        assert came == [b"%07d" % number for number in range(len(came))]
        assert len(came) > 4_000
        logger.warning("again")
        missing = f"{20_000 - len(came):,}".encode()
        assert os.read(reading, 65_536) == b"\n(" + missing + b" lines are missing here: nobody took them)\nagain\n"
        logger.warning("and again")
        assert os.read(reading, 65_536) == b"and again\n"


def test_a_line_that_is_longer_than_the_pipe_arrives_whole_while_somebody_reads(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conveyor.cli.outlet.PATIENCE", 20.0)
    reading, writing = pipe
    read = bytearray()

    def reads() -> None:
        while not read.endswith(b"\n"):
            read.extend(os.read(reading, 10_000))

    reader = threading.Thread(target=reads)
    reader.start()
    with outlet(monkeypatch, writing) as logger:
        logger.warning("ä" * 100_000)
    reader.join(20)
    assert read.decode() == "ä" * 100_000 + "\n"


def test_a_disk_that_is_full_costs_lines_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    with outlet(monkeypatch, os.open("/dev/full", os.O_WRONLY)) as logger:
        logger.warning("one")
        logger.warning("two")
        assert lost(logger) == 2


class Sure:
    """A poll that sees room always: others are faster each time."""

    def register(self, file: int, events: int) -> None:
        """It need not look."""

    def poll(self, _: float) -> list[int]:
        return [1]


def connected(kind: str) -> tuple[int, int]:
    """To read from, and to write to."""
    if kind == "pipe":
        return os.pipe()
    if kind == "socket":
        reading, writing = socket.socketpair()
        return reading.detach(), writing.detach()
    master, slave = os.openpty()
    tty.setraw(slave)
    return master, slave


@pytest.mark.parametrize("kind", ["pipe", "socket", "terminal"])
def test_room_that_others_have_taken_meanwhile_is_not_waited_for(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = connected(kind)
    with outlet(monkeypatch, writing) as logger, os.fdopen(reading, "rb", buffering=0) as reader:
        assert os.get_blocking(writing)  # others have it open too
        with monkeypatch.context() as patched:
            patched.setattr("conveyor.cli.outlet.PATIENCE", 0.01)
            patched.setattr("conveyor.cli.outlet.select", SimpleNamespace(poll=Sure, POLLOUT=select.POLLOUT))
            for _ in range(1_000):  # more than it can hold
                logger.warning("x" * 1_000)
        told = 0
        assert lost(logger)
        os.set_blocking(reading, False)
        while lost(logger):  # a terminal passes on what it holds in its own time
            while reader.read(65_536):
                pass
            told = lost(logger)
            logger.warning("again")
        os.set_blocking(reading, True)
        read = b""
        while not read.endswith(b"again\n"):
            read += os.read(reading, 65_536)
        assert read.endswith(f"\n({told:,} lines are missing here: nobody took them)\nagain\n".encode())


def test_a_line_waits_no_longer_because_it_is_long(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its reader takes a piece each half second."""
    reading, writing = pipe
    now = 0.0

    class Slow:
        def __init__(self) -> None:
            self._room = select.poll()
            self.register = self._room.register

        def poll(self, milliseconds: float) -> list[tuple[int, int]]:
            nonlocal now
            if not self._room.poll(0) and milliseconds:
                now += min(milliseconds / 1_000, 0.5)
                os.read(reading, select.PIPE_BUF)
            return self._room.poll(0)

    def clock() -> float:
        return now

    with outlet(monkeypatch, writing) as logger, monkeypatch.context() as patched:
        patched.setattr("conveyor.cli.outlet.select", SimpleNamespace(poll=Slow, POLLOUT=select.POLLOUT))
        patched.setattr("conveyor.cli.outlet.time", SimpleNamespace(monotonic=clock))
        for _ in range(3):  # those behind it do not wait at all
            logger.warning("z" * 140_000)
        assert (now, lost(logger)) == (1.0, 3)


def test_what_others_write_to_the_same_file_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    with outlet(monkeypatch, file) as logger:
        os.write(file, b"zero\n")
        logger.warning("one")
        os.write(file, b"two\n")
        logger.warning("three")
    assert (tmp_path / "log").read_bytes() == b"zero\none\ntwo\nthree\n"


def test_what_may_not_be_opened_again_is_written_to_as_it_is(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError

    reading, writing = pipe
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        with outlet(monkeypatch, writing) as logger:
            logger.warning("one")
            logger.handlers[0].close()
            logger.warning("two, after the end of logging")
    assert os.read(reading, 100) == b"one\ntwo, after the end of logging\n"


def test_without_standard_error_there_are_no_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    handler = Outlet()
    monkeypatch.undo()

    def complain(_: logging.LogRecord) -> None:
        pytest.fail("there is no error")

    monkeypatch.setattr(handler, "handleError", complain)
    handler.handle(record())
    handler.close()
