"""The supervisor's parts by themselves: what it makes of what it sees, and how it tells."""

import asyncio
import contextlib
import os
import socket
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from conveyor.core.lifecycle import Event
from conveyor.core.model import Held, Outcome, RunnerInfo
from conveyor.store.contract import Store
from conveyor.worker.board import CELLS, Board, Killed
from conveyor.worker.framing import framed
from conveyor.worker.letters import (
    Given,
    Hello,
    Hold,
    LetGo,
    Letter,
    Lost,
    Place,
    Refused,
    Rescued,
    Stop,
    inbox,
)
from conveyor.worker.supervisor import probes
from conveyor.worker.supervisor.child import Child
from conveyor.worker.supervisor.clocks import Clocks
from conveyor.worker.supervisor.look import BLOCKED_AFTER, EMPTY_AFTER, OVERDUE_AFTER, WEDGED_AFTER, Facts, Sign, judged
from conveyor.worker.supervisor.main import told
from conveyor.worker.supervisor.notify import Notifier
from conveyor.worker.supervisor.stacks import OURS, blocker, theirs
from conveyor.worker.supervisor.state import RunnerState, Status, WorkerState, seen, status_of
from conveyor.worker.supervisor.watch import Watchman

RUNNER = b"r" * 16
WELL = Facts(stopped=False, unsafe=False, loop_age=0.1, claim_age=0.1, running=1, overdue=-1.0)
BLOCKED = WELL._replace(loop_age=BLOCKED_AFTER + 1)


@pytest.mark.parametrize(
    ("facts", "sign"),
    [
        (WELL, Sign.WELL),
        (BLOCKED, Sign.BLOCKED),
        (BLOCKED._replace(overdue=1.0), Sign.BLOCKED),
        (BLOCKED._replace(overdue=OVERDUE_AFTER + 1), Sign.OVERDUE),
        (WELL._replace(overdue=OVERDUE_AFTER + 1), Sign.WELL),  # its loop turns: it ends its jobs itself
        (BLOCKED._replace(running=0), Sign.BLOCKED),
        (BLOCKED._replace(running=0, loop_age=EMPTY_AFTER + 1), Sign.OVERDUE),
        (BLOCKED._replace(loop_age=10 * EMPTY_AFTER), Sign.BLOCKED),  # a job without a timeout may block for ever
        (WELL._replace(claim_age=WEDGED_AFTER + 1), Sign.WEDGED),
        (BLOCKED._replace(claim_age=WEDGED_AFTER + 1), Sign.BLOCKED),  # of course it claims nothing
        (WELL._replace(stopped=True), Sign.STANDING),
        (WELL._replace(stopped=True, unsafe=True), Sign.DEAD),
        (WELL._replace(unsafe=True), Sign.WELL),  # it ends its jobs by itself, and begins anew
    ],
)
def test_what_is_seen_means(facts: Facts, sign: Sign) -> None:
    assert judged(facts) is sign


HELD = Held(b"j" * 16, 1, RUNNER, 1, 5, 0, None, 7, 8, "send", "mail", None, 2)
LETTERS: list[Letter] = [
    Hello("sqlite:///a.db", None, (Place("send", "shop.py", "send", 3),)),
    Hold(RUNNER, RunnerInfo("here", 1, {"mail": 2}, ("send",), "0")),
    LetGo(RUNNER, clean=True),
    Given(RUNNER),
    Refused(RUNNER, "away", again=True),
    Lost(RUNNER),
    Stop(),
    Rescued(HELD, Outcome(HELD.id, 1, RUNNER, Event.RESCUE, record=b"[]")),
]


@pytest.mark.parametrize(("wanted", "stopping", "killed"), [(True, False, 1), (False, False, 1), (False, True, 0)])
async def test_what_blocks_a_runner_beyond_its_deadline_ends_it_also_when_it_is_to_end(
    wanted: bool, stopping: bool, killed: int
) -> None:
    """Otherwise it would hold up its successors for ever; while all stop, the grace ends it."""
    kills: list[str] = []
    child = SimpleNamespace(
        name="1",
        wanted=wanted,
        retired=0.0,
        told=time.monotonic(),
        warden=SimpleNamespace(look=lambda: None),
        facts=lambda: BLOCKED._replace(overdue=OVERDUE_AFTER + 1),
        kill=lambda: kills.append("1"),
    )
    watched = SimpleNamespace(children=[child], stopping=stopping, looked=lambda: None)
    await Watchman(cast(Any, watched))._look(cast(Any, child))
    assert len(kills) == killed


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_letters_arrive_as_they_were_however_they_are_cut_up(size: int) -> None:
    data, arrived = b"".join(map(framed, LETTERS)), inbox()
    read = [letter for start in range(0, len(data), size) for letter in arrived.feed(data[start : start + size])]
    assert read == LETTERS


def test_a_board_is_shared_by_its_file_and_knows_until_when_the_lease_is_safe() -> None:
    board = Board.create(30.0)
    other = Board(os.dup(board.file))
    assert other.cells() == []
    row = board.cell(CELLS - 1)
    row.pid, row.killed, row.deadline = 7, Killed.MEMORY, 1.5
    ((seen),) = other.cells()
    assert (seen.pid, seen.killed, seen.deadline) == (7, Killed.MEMORY, 1.5)
    other.renewed = 100.0
    assert board.safe_until == 120.0
    other.close()
    board.close()


FRAMES = [
    '  File "/srv/shop/helpers.py", line 4 in slow',
    '  File "/srv/shop/tasks.py", line 9 in charge',
    f'  {OURS}worker/attempt.py", line 190 in _awaited',
    '  File "/usr/lib/python3/asyncio/events.py", line 80 in _run',
]


def test_the_task_that_blocks_is_found_in_the_stack() -> None:
    places = (Place("shop.charge", "/srv/shop/tasks.py", "charge", 7), Place("other", "/srv/shop/tasks.py", "x", 1))
    assert blocker(theirs(FRAMES), places) == "shop.charge"
    assert blocker(theirs(FRAMES), places[1:]) == ""
    assert theirs(FRAMES) == FRAMES[:2]


@pytest.mark.parametrize(
    ("status", "text"),
    [(1, "exit status 1"), (-9, "killed by SIGKILL (out of memory?)"), (-11, "killed by SIGSEGV")],
)
def test_the_end_of_a_runner_is_told(status: int, text: str) -> None:
    assert told(status) == text


def runner(*, ready: bool = True, claim_age: float = 0.0) -> RunnerState:
    return RunnerState("1", 7, ready, 0, 0, claim_age, 0.0, None)


@pytest.mark.parametrize(
    ("runners", "stopping", "stuck", "worked", "status"),
    [
        ([], False, False, False, Status.STARTING),
        ([runner(ready=False)], False, False, False, Status.STARTING),
        ([runner()], False, False, True, Status.READY),
        ([runner(), runner(ready=False, claim_age=16)], False, False, True, Status.FAILING),
        ([runner(), runner(ready=False)], False, False, True, Status.STARTING),
        ([runner()], True, False, True, Status.STOPPING),
        ([runner()], False, True, True, Status.STUCK),
        ([runner()], True, True, True, Status.STOPPING),
    ],
)
def test_the_status_of_a_worker(
    runners: list[RunnerState], stopping: bool, stuck: bool, worked: bool, status: Status
) -> None:
    assert status_of(runners, stopping=stopping, stuck=stuck, worked=worked) is status
    state = WorkerState(1, "0", status, 0.0, tuple(runners))
    assert (state.ready, state.live) == (status is Status.READY, status is not Status.STUCK)


def test_a_worker_whose_job_blocks_its_event_loop_need_not_be_restarted() -> None:
    now, child = time.monotonic(), Child("1", 20.0)
    child.board.loop_tick = child.board.claim_tick = now - 100
    child.board.running = 1
    assert seen([child], begun=now - 200, tick=now, stopping=False).live
    child.board.running = 0
    assert not seen([child], begun=now - 200, tick=now, stopping=False).live
    assert seen([child], begun=now - 200, tick=now, stopping=False).runners[0].claim_age is None
    child.close()


async def test_no_letter_is_cut_or_lost_though_the_runner_is_slow_to_read() -> None:
    child = Child("1", 20.0)
    child._ours.setblocking(False)  # pyright: ignore[reportPrivateUsage]  # as ``start`` does
    theirs = child._theirs  # pyright: ignore[reportPrivateUsage]  # what the runner reads from
    theirs.setblocking(False)
    read, write = os.pipe()
    sent: list[Letter] = [Refused(RUNNER, str(number) * 10_000, again=True) for number in range(100)]
    for letter in sent[:50]:
        child.say(letter)  # type: ignore[arg-type]  # they are
    child.say(Given(RUNNER), read)
    for letter in sent[50:]:
        child.say(letter)  # type: ignore[arg-type]  # as above
    arrived, letters, files = inbox(), list[Letter](), list[int]()
    while len(letters) < 101:
        await asyncio.sleep(0)
        with contextlib.suppress(BlockingIOError):
            data, given, _, _ = socket.recv_fds(theirs, 65_536, 4)
            letters += arrived.feed(data)
            files += given
    assert letters == [*sent[:50], Given(RUNNER), *sent[50:]]
    assert [os.fstat(file).st_ino for file in files] == [os.fstat(read).st_ino]
    for file in (read, write, *files):
        os.close(file)
    child.close()


def test_probes_do_without_a_folder_to_write_to(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def nowhere() -> Path:
        raise FileNotFoundError("no usable temporary directory")

    monkeypatch.setattr(probes, "folder", nowhere)
    opened = probes.Probes(lambda: WorkerState(1, "0", Status.READY, 0.0, ()), None, None)
    opened.open()
    opened.close()
    assert "will not find this worker" in caplog.text


def test_systemd_hears_what_it_asked_for_and_nobody_else_anything(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        asks = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "3000000"}
        notifier = Notifier(asks)
        notifier.say("READY=1", "STATUS=1 runner")
        assert manager.recv(100) == b"READY=1\nSTATUS=1 runner"
        now = time.monotonic()
        for moment in (now, now + 0.5, now + 1.0):
            notifier.alive(moment)
        assert [manager.recv(100) for _ in range(2)] == [b"WATCHDOG=1"] * 2
        Notifier({**asks, "WATCHDOG_PID": "1"}).alive(now)
        Notifier({}).say("READY=1")
        with pytest.raises(BlockingIOError):
            manager.recv(100)


# ------------------------------------------------------------------- clocks


class Timed:
    """A store whose clock is *ahead* of this host's by so many seconds."""

    def __init__(self, kind: str, ahead: float) -> None:
        self.kind, self.ahead = kind, ahead
        self.operations = self

    def clock(self) -> int:
        return round((time.time() + self.ahead) * 1e6)

    async def arun(self, answer: int) -> int:
        await asyncio.sleep(0)
        return answer


@pytest.mark.parametrize(
    ("kind", "ahead", "said"),
    [
        ("postgres", 0.0, []),
        ("postgres", 4.0, []),
        ("postgres", 600.0, ["behind"]),
        ("postgres", -86_400.0, ["ahead"]),
        ("sqlite", 600.0, []),
    ],
)
async def test_a_clock_that_is_wrong_is_told_of_once(
    kind: str, ahead: float, said: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    clocks = Clocks(cast(Store, cast(Any, Timed(kind, ahead))))
    await clocks.compare()
    await clocks.compare()
    assert [record.getMessage().partition("this host is ")[2].partition(";")[0] for record in caplog.records] == said


async def test_a_host_that_slept_during_the_look_has_no_wrong_clock(caplog: pytest.LogCaptureFixture) -> None:
    """Its clock on the wall went on, and the one that the look was timed with did not."""
    walls = iter([time.time(), time.time() + 3_600])
    clocks = Clocks(cast(Store, cast(Any, Timed("postgres", 0.0))), lambda: next(walls))
    await clocks.compare()
    assert caplog.records == []
