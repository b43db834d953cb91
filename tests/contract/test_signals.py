"""A signal handler runs between two lines of whatever its thread is doing, and may want to enqueue something."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from conveyor import Conveyor
from conveyor.store.contract import Store
from conveyor.store.sqlite import opened as sqlite_opened
from conveyor.store.sqlite.lane import Lane
from tests.support.cli import clean_environment
from tests.support.jobs import enqueue, new_job
from tests.support.stores import tables

ON_SQLITE = pytest.mark.parametrize("url", ["sqlite-file", "sqlite-memory"], indirect=True)
PATIENCE = 120
"""Seconds after which a script is held to wait for itself."""
SCRIPT = """
import signal, sys
from conveyor import Conveyor
app = Conveyor(sys.argv[1])
task = app.task(name="noted")(lambda n: n)
app.migrate()  # what is just being imported, a handler cannot import
handled, done = [], 0

def handle(*_):
    handled.append(task.enqueue(-1))
    if len(handled) < 50:
        arm()

def arm():
    signal.setitimer(signal.ITIMER_REAL, 0.001 + len(handled) % 7 * 0.0003)

signal.signal(signal.SIGALRM, handle)
arm()
while len(handled) < 50:
    task.enqueue(done)
    done += 1
print(sum(app.jobs.counts().values()) - done)
"""


def test_a_handler_enqueues_while_its_thread_does(store: Store, url: str) -> None:
    store.migrate()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, url],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert done.stdout == "50\n"


@contextmanager
def interrupted(handle: Callable[[], object]) -> Iterator[Callable[[], None]]:
    """Have *handle* run, once, as the handler of a signal, when the block calls what this gives."""
    left = [handle]
    before = signal.signal(signal.SIGUSR1, lambda *_: left.pop()() if left else None)
    try:
        yield lambda: signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert not left


@ON_SQLITE
def test_a_handler_may_open_the_store_that_is_just_being_opened(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one of it in memory, say, and what the handler has stored is in that one."""
    lanes: list[Lane] = []
    with interrupted(lambda: enqueue(store, new_job())) as interrupt:

        class Interrupted(Lane):
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                lanes.append(self)
                interrupt()

        monkeypatch.setattr(sqlite_opened, "Lane", Interrupted)
        enqueue(store, new_job())
    assert tables(store) == (2, 0)
    store.close()
    assert not {lane.thread for lane in lanes} & {thread.ident for thread in threading.enumerate()}


def test_an_app_has_one_store_although_a_handler_has_opened_it_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Conveyor("sqlite:///:memory:")
    task = app.task(name="noted")(lambda n: n)
    with interrupted(lambda: task.enqueue(1)) as interrupt:
        clock = sys.modules["conveyor.app"].SystemClock

        def interrupting() -> object:
            interrupt()
            return clock()

        monkeypatch.setattr("conveyor.app.SystemClock", interrupting)
        task.enqueue(2)
    assert sum(app.jobs.counts().values()) == 2
    app.close()
