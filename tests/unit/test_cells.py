"""The parts of a cell, without one."""

import asyncio
import contextlib
import io
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import ItemsView, Iterator
from pathlib import Path

import pytest

from conveyor import Conveyor, UsageError
from conveyor.core.failure import Failure
from conveyor.core.judge import CRASHES_ALLOWED, Crashed, Interrupted, Raised, Returned, Snoozed, Start, Stopped, judge
from conveyor.core.lifecycle import Event
from conveyor.core.model import Attempt as Record
from conveyor.core.model import Claimed, Outcome, Progress, appended, read_attempts
from conveyor.core.redact import MARGIN
from conveyor.core.size import size
from conveyor.core.usage import OUTPUTS_KEPT, Usage, noted
from conveyor.drivers.between import tidied
from conveyor.worker.attempt import Attempt, End, Fenced, Interruption, Unsure, Written
from conveyor.worker.board import Board, Killed
from conveyor.worker.cell.capture import PIECE, Tee
from conveyor.worker.cell.deaths import Death, ending_of
from conveyor.worker.cell.frames import Done, GiveBack, Given, Interrupt, ToRunner, cells_ear, runners_ear
from conveyor.worker.cell.fresh import Fresh
from conveyor.worker.cell.notes import HEAD, TAIL, Notes
from conveyor.worker.cell.orders import Orders
from conveyor.worker.cell.settings import CellSettings
from conveyor.worker.cell.speed import AHEAD, AT_A_TIME, Speed, to_start
from conveyor.worker.framing import framed
from conveyor.worker.warden import MEMORY_LOOK, Warden, resident
from tests.support.descriptors import left
from tests.support.waiting import until
from tests.support.yard import dead

FAILURE = Failure("WorkerLost", "gone", fingerprint="0123456789abcdef")
JOB = Claimed(b"j" * 16, "noop", "default", 0, 0, 1, 5, 0, 7, 2_000_000, b"[[],{}]", None, 1_000)
RUNNER = b"r" * 16

# ---------------------------------------------------------------- frames

ENDS: list[End] = [
    Returned(b"1"),
    Returned(None),
    Raised(FAILURE, final=True, start=Start(delay=5)),
    Interrupted(3, FAILURE),
    Snoozed(Start(due=9), "later"),
    Stopped("no", expired=True),
    Crashed(FAILURE),
    Written(b"2"),
    Unsure(Raised(FAILURE), b"3"),
    Fenced(),
]


@pytest.mark.parametrize("end", ENDS, ids=repr)
def test_every_end_travels(end: End) -> None:
    done = Done(7, end, 0.5, Usage(1.0, 2, "said"), Progress(0.5, "half"), spoilt=True)
    assert list(runners_ear().feed(framed(done))) == [done]


def test_frames_may_arrive_in_any_pieces() -> None:
    sent = [Given(1, RUNNER, JOB), GiveBack(), Interrupt(1, Interruption.CANCEL, "why")]
    data = b"".join(map(framed, sent))
    for step in (1, 3, len(data)):
        ear = cells_ear()
        pieces = [data[at : at + step] for at in range(0, len(data), step)]
        assert [message for piece in pieces for message in ear.feed(piece)] == sent


def test_what_is_heard_twice_in_a_turn_is_all_heard() -> None:
    ear, done = runners_ear(), Done(1, Returned(None), 0.0, Usage(), None, spoilt=False)
    heard: list[ToRunner] = list(ear.feed(framed(done) * 3))
    assert heard == [done] * 3


# ----------------------------------------------------------------- notes


@pytest.fixture
def notes() -> Iterator[Notes]:
    made = Notes.create()
    yield made
    made.close()


@pytest.mark.parametrize("length", [0, 1, HEAD, HEAD + 1, HEAD + TAIL, HEAD + TAIL + 1, 5 * (HEAD + TAIL)])
@pytest.mark.parametrize("piece", [7, 1_000, HEAD + TAIL + 1_000])
def test_notes_keep_the_first_and_the_last(notes: Notes, length: int, piece: int) -> None:
    text = "".join(f"{number:07}," for number in range(length // 8 + 1))[:length]
    for at in range(0, length, piece):
        notes.write(text[at : at + piece].encode())
    said = notes.read()
    if length <= HEAD + TAIL:
        assert said == text
    else:
        kept = [text[: HEAD - MARGIN], text[MARGIN - TAIL :]]
        assert said == f"\n... {length - sum(map(len, kept))} bytes are left out ...\n".join(kept)
    notes.clear()
    assert (notes.read(), notes.total) == ("", 0)


def test_notes_are_read_through_another_descriptor(notes: Notes) -> None:
    other = Notes(os.dup(notes.file))
    other.write("é".encode() + b"\xff")
    assert notes.read() == "é\ufffd"
    os.write(other.file, b"the stack")  # as faulthandler does, which has the descriptor alone
    assert notes.stack() == "the stack"
    other.close()


def test_what_is_printed_goes_to_both(notes: Notes, capsys: pytest.CaptureFixture[str]) -> None:
    tee = Tee(sys.stdout, notes)
    print("one", file=tee)
    tee.writelines(["two\n"])
    assert notes.read() == "one\ntwo\n"
    with pytest.raises(TypeError, match="takes text"):
        tee.write(b"bytes")  # type: ignore[arg-type]  # on purpose
    assert capsys.readouterr().out.endswith("two\n")


def test_a_stream_that_takes_nothing_is_no_fault_of_the_job(notes: Notes) -> None:
    with Path("/dev/full").open("w", buffering=1, encoding="utf-8") as full:
        tee = Tee(full, notes)
        assert tee.write("line\n") == 5
        tee.writelines(["a\n", "b\n"])
        tee.flush()
        with contextlib.suppress(OSError):
            full.close()
    assert notes.read() == "line\na\nb\n"


def test_one_long_write_lets_others_in_between(notes: Notes) -> None:
    pieces: list[int] = []
    stream = io.StringIO()
    stream.write = lambda text, /: pieces.append(len(text)) or len(text)  # type: ignore[method-assign]  # it is looked at
    assert Tee(stream, notes).write("x" * (3 * PIECE + 1)) == 3 * PIECE + 1
    assert pieces == [PIECE, PIECE, PIECE, 1]


def test_what_stands_for_a_stream_has_its_encoding(notes: Notes) -> None:
    tee = Tee(io.TextIOWrapper(io.BytesIO(), "latin-1", "replace"), notes)
    assert (tee.encoding, tee.errors, tee.newlines) == ("latin-1", "replace", None)


# ----------------------------------------------------------------- fresh


def test_what_a_job_has_changed_is_put_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONVEYOR_STAYS", "here")
    fresh, path, handler = Fresh([]), list(sys.path), signal.getsignal(signal.SIGUSR2)
    gone = tmp_path / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    os.umask(os.umask(0) ^ 0o777)
    os.environ["CONVEYOR_CAME"] = "x"
    del os.environ["CONVEYOR_STAYS"]
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    sys.path.append("/nowhere")
    assert fresh.restore()
    assert Path.cwd() == tmp_path
    assert ("CONVEYOR_CAME" in os.environ, os.environ["CONVEYOR_STAYS"]) == (False, "here")
    assert signal.getsignal(signal.SIGUSR2) is handler
    assert signal.SIGUSR1 not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert sys.path == path


def test_the_time_zone_and_the_limits_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh, zone, files = Fresh([]), time.tzname, resource.getrlimit(resource.RLIMIT_NOFILE)
    for forgets in (False, True):
        os.environ["TZ"] = "XST-5:30"
        time.tzset()
        if forgets:
            del os.environ["TZ"]
        resource.setrlimit(resource.RLIMIT_NOFILE, (12, files[1]))
        assert fresh.restore()
        assert (time.tzname, resource.getrlimit(resource.RLIMIT_NOFILE)) == (zone, files)
    monkeypatch.setattr(os, "getpriority", lambda *_: 19)
    monkeypatch.setattr(os, "setpriority", denied)
    assert not fresh.restore()  # the process has to end


def denied(*_: int) -> None:
    """As the kernel says to who is not root."""
    raise PermissionError


def test_a_descriptor_that_is_another_now_cannot_be_put_back() -> None:
    read, write = os.pipe()
    fresh = Fresh([read])
    assert fresh.restore()
    os.dup2(write, read)
    assert fresh.restore()  # the two ends of a pipe are one file
    with Path("/dev/null").open() as other:
        os.dup2(other.fileno(), read)
    assert not fresh.restore()
    os.close(read)
    os.close(write)
    assert not fresh.restore()


# ---------------------------------------------------------------- orders


def test_an_order_that_comes_just_when_its_job_begins_is_not_lost(attempt: Attempt) -> None:
    orders, order = Orders(), Interrupt(2, Interruption.CANCEL, "why")
    orders.end(1)
    found: list[Interrupt | None] = []
    begins = threading.Thread(target=lambda: found.append(orders.begin(2, attempt)))

    class Store(dict[int, Interrupt]):
        """The job begins before what is to wait for it is there, or it waits until it is."""

        def items(self) -> ItemsView[int, Interrupt]:
            begins.start()
            begins.join(0.05)
            return super().items()

    orders._waiting = Store()
    running = orders.heard(order)
    begins.join()
    assert (running, found) in [(attempt, [None]), (None, [order])]


def test_an_order_for_what_has_ended_goes_nowhere(attempt: Attempt) -> None:
    orders, order = Orders(), Interrupt(2, Interruption.CANCEL, "why")
    assert orders.begin(2, attempt) is None
    assert orders.heard(order) is attempt
    orders.end(2)
    assert orders.heard(order) is None
    assert orders.begin(3, attempt) is None


# ------------------------------------------------------------- decisions


def test_how_much_a_cell_is_given_ahead() -> None:
    speed = Speed()
    assert speed.ahead == 0
    speed.add(0.000_01)
    assert speed.ahead == AHEAD
    for _ in range(64):
        speed.add(0.01)
    assert speed.ahead == 5
    for _ in range(64):
        speed.add(1.0)
    assert speed.ahead == 0


@pytest.mark.parametrize(
    ("waiting", "cells", "starting", "p95", "age", "started"),
    [
        (10, 0, 0, 0.0, 0.0, 1),  # nothing is known: one will tell
        (10, 0, 0, 1.0, 0.0, AT_A_TIME),  # they are known to be long
        (10, 1, 1, 0.0, 0.0, 0),  # one is about to tell
        (10, 1, 0, 0.000_1, 0.0, 0),  # they are short: it will do them sooner than another could start
        (1, 1, 0, 0.0, 0.1, 0),
        (1, 1, 0, 0.0, 0.4, 1),  # what runs has run for long
        (9, 1, 0, 0.0, 0.05, AT_A_TIME),
        (9, 8, 0, 1.0, 1.0, 0),  # no room
        (2, 5, 1, 1.0, 1.0, 1),
        (2, 5, 2, 1.0, 1.0, 0),  # as many start as there are waiting
    ],
)
def test_when_another_cell_is_worth_its_start(
    waiting: int, cells: int, starting: int, p95: float, age: float, started: int
) -> None:
    assert to_start(waiting=waiting, cells=cells, starting=starting, most=8, p95=p95, age=age) == started


def test_settings_that_run_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="cells=0"):
        CellSettings((), count=0)
    with pytest.raises(UsageError, match="run nothing"):
        CellSettings((), jobs=0)


# ---------------------------------------------------------------- deaths


@pytest.fixture
def attempt() -> Iterator[Attempt]:
    app = Conveyor("sqlite:///:memory:")
    task = app.task(name="noop")(lambda: None)
    with app.rigged(None) as surround:  # type: ignore[arg-type]  # nothing stands in for anything
        yield Attempt(JOB, RUNNER, task.definition, surround())
    app.close()


def death(status: int = -9, killed: Killed = Killed.NOT, *, overdue: bool = False) -> Death:
    return Death(status, killed, overdue, "", asked=False)


@pytest.mark.parametrize(
    ("status", "text"),
    [(-9, "killed by SIGKILL (9): out of memory?"), (-11, "killed by SIGSEGV (11)"), (3, "exit status 3")],
)
def test_a_death_of_its_own_is_a_crash_that_may_have_been_committed(attempt: Attempt, status: int, text: str) -> None:
    end = ending_of(attempt, death(status))
    assert isinstance(end.otherwise, Crashed)
    assert text in end.otherwise.failure.message


def test_who_was_killed_for_a_limit_has_failed(attempt: Attempt) -> None:
    late = ending_of(attempt, death(killed=Killed.DEADLINE, overdue=True)).otherwise
    large = ending_of(attempt, death(killed=Killed.MEMORY)).otherwise
    assert isinstance(late, Raised)
    assert isinstance(large, Raised)
    assert late.failure.type.endswith("AttemptTimedOut")
    assert large.failure.type.endswith("MemoryLimitExceeded")


def test_who_was_killed_for_another_is_released(attempt: Attempt) -> None:
    assert ending_of(attempt, death(killed=Killed.DEADLINE)).otherwise == Interrupted()
    for another in (Killed.ORPHANED, Killed.BYSTANDER):
        assert ending_of(attempt, death(killed=another)).otherwise == Interrupted()
    attempt.interrupt(Interruption.SHUTDOWN)
    assert ending_of(attempt, death()).otherwise == Interrupted()


@pytest.mark.parametrize(
    ("attempt_number", "crashes", "event"),
    [(1, 0, Event.RETRY), (5, 0, Event.LOSE), (1, CRASHES_ALLOWED - 1, Event.QUARANTINE)],
)
def test_a_crash_is_counted_and_waits(attempt_number: int, crashes: int, event: Event) -> None:
    job = JOB._replace(attempt=attempt_number, crashes=crashes)
    outcome = judge(job, RUNNER, Crashed(FAILURE), wait=50, run_time=9)
    assert (outcome.event, outcome.crash, outcome.back) == (event, True, False)
    assert outcome.delay == (50 if event is Event.RETRY else 0)
    assert outcome.fingerprint == (None if event is Event.RETRY else FAILURE.fingerprint)


# ---------------------------------------------------------------- warden


@pytest.fixture
def board() -> Iterator[Board]:
    made = Board.create(20.0)
    yield made
    made.close()


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own group."""
    process = subprocess.Popen(["sleep", "60"], process_group=0)
    yield process
    process.kill()
    process.wait()


def test_the_warden_kills_what_is_over_its_deadline(board: Board, sleeper: subprocess.Popen[bytes]) -> None:
    row = board.cell(3)
    row.pid, row.seq, row.deadline = sleeper.pid, 7, time.monotonic() + 0.2
    again = Warden(board).look()
    assert again is not None
    assert 0 < again <= 0.2
    row.deadline = time.monotonic() - 1
    assert Warden(board).look() is None
    assert (sleeper.wait(), row.killed) == (-9, Killed.DEADLINE)


def test_the_warden_kills_what_holds_too_much(board: Board, sleeper: subprocess.Popen[bytes]) -> None:
    row = board.cell(0)
    row.pid, row.seq, row.memory_limit = sleeper.pid, 7, 1 << 40
    assert Warden(board).look() == MEMORY_LOOK
    assert 0 < resident(sleeper.pid) < resident(os.getpid())
    row.memory_limit = 1
    Warden(board).look()
    assert (sleeper.wait(), row.killed) == (-9, Killed.MEMORY)


def test_the_warden_kills_those_too_that_have_left_the_group(board: Board) -> None:
    child = "subprocess.Popen(['sleep', '60'], start_new_session=True)"
    start = f"t = threading.Thread(target=lambda: print({child}.pid, flush=True)); t.start(); time.sleep(60)"
    process = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess, threading, time; {start}"], process_group=0, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    child_pid = int(process.stdout.readline())
    row = board.cell(0)
    row.pid, row.seq, row.deadline = process.pid, 7, 1.0
    Warden(board).look()
    assert (process.wait(), row.killed_seq) == (-9, 7)
    process.stdout.close()
    until(lambda: dead(child_pid))


def test_the_warden_needs_no_descriptor_to_kill(board: Board, sleeper: subprocess.Popen[bytes]) -> None:
    row = board.cell(0)
    row.pid, row.seq, row.deadline = sleeper.pid, 7, 1.0
    with left(0):
        assert resident(sleeper.pid) == 0
        Warden(board).look()
    assert (sleeper.wait(), row.killed) == (-9, Killed.DEADLINE)


def test_the_warden_leaves_alone_who_runs_nothing(board: Board, sleeper: subprocess.Popen[bytes]) -> None:
    row = board.cell(0)
    row.pid, row.deadline = sleeper.pid, 1.0
    assert Warden(board).look() is None
    assert row.killed == Killed.NOT
    assert [row.pid for row in board.cells()] == [sleeper.pid]


# ----------------------------------------------------------------- usage


def test_a_success_is_kept_a_record_of_when_there_is_something_to_say() -> None:
    plain = Outcome(JOB.id, JOB.token, RUNNER, Event.SUCCEED, run_time=9)
    assert noted(JOB, plain, Usage(cpu=0.01)) is plain
    (record,) = read_attempts(noted(JOB, plain, Usage(1.5, 2_000, "said")).record)
    assert (record.event, record.cpu, record.memory, record.output) == ("succeed", 1.5, 2_000, "said")
    assert (record.started_at, record.finished_at) == (JOB.last_attempted_at, JOB.last_attempted_at + 9)


def test_only_the_latest_records_keep_what_was_said() -> None:
    record: bytes | None = None
    for number in range(1, 7):
        failed = Outcome(JOB.id, JOB.token, RUNNER, Event.RETRY, record=appended(record, Record(number, "retry", 0, 0)))
        record = noted(JOB, failed, Usage(output=f"said {number}")).record
    said = [attempt.output for attempt in read_attempts(record)]
    assert said == [""] * 3 + ["said 4", "said 5", "said 6"]
    assert len([text for text in said if text]) == OUTPUTS_KEPT


# --------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("given", "number"), [("16MB", 16 << 20), ("1.5 GB", 3 << 29), ("2tb", 2 << 40), (1 << 30, 1 << 30)]
)
def test_sizes(given: int | str, number: int) -> None:
    assert size("memory", given) == number


@pytest.mark.parametrize("wrong", ["", "MB", "-1MB", "1e3MB", "1MiB", 0, 1 << 20, "9999999TB"])
def test_what_is_no_size(wrong: int | str) -> None:
    with pytest.raises(ValueError, match="memory="):
        size("memory", wrong)


def test_what_is_not_even_text_or_a_number() -> None:
    for wrong in (1.5, True, None):
        with pytest.raises(TypeError, match="memory must be"):
            size("memory", wrong)  # type: ignore[arg-type]  # on purpose


def test_isolation_is_a_choice_among_what_can_be() -> None:
    app = Conveyor("sqlite:///:memory:")

    def plain() -> None: ...

    async def awaited() -> None:
        await asyncio.sleep(0)

    assert app.task(name="1")(plain).definition.isolation == "process"
    assert app.task(name="2")(awaited).definition.isolation == "loop"
    assert app.task(name="3", isolation="thread")(plain).definition.isolation == "thread"
    assert app.task(name="4", isolation="process")(awaited).definition.isolation == "process"
    for function, wrong in ((plain, "loop"), (awaited, "thread"), (plain, "cell")):
        with pytest.raises(UsageError, match="isolation"):
            app.task(name="5", isolation=wrong)(function)  # type: ignore[call-overload]  # on purpose


# ---------------------------------------------------------------- django


class Django:
    """Stands for ``django.db``."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.configured = True

    def reset_queries(self) -> None:
        self.said.append("reset")

    def close_old_connections(self) -> None:
        self.said.append("close")
        raise OSError("the server has gone")

    @property
    def settings(self) -> "Django":
        return self


def test_what_django_does_around_a_request_is_done_around_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    django = Django()
    monkeypatch.setitem(sys.modules, "django.db", django)  # type: ignore[arg-type]  # as good as a module
    monkeypatch.setitem(sys.modules, "django.conf", django)  # type: ignore[arg-type]  # as above
    assert tidied(lambda: [*django.said]) == ["reset", "close"]
    assert django.said == ["reset", "close"] * 2
    django.configured = False
    assert tidied(lambda: 1) == 1
    assert django.said == ["reset", "close"] * 2
