"""``conveyor dev``: real processes, files that change on disk, and signals."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from conveyor import State
from conveyor.store.contract import Store
from tests.support.cli import Terminal
from tests.support.dev import Dev
from tests.support.jobs import enqueue, new_job, see
from tests.support.stores import open_store

SHOP = """
import asyncio
import subprocess
from conveyor import Context, Conveyor

app = Conveyor()

@app.task
def hi() -> None:
    print("says {word}")

@app.task(takes_context=True)
async def wait(ctx: Context) -> None:
    print("waits, attempt", ctx.attempt)
    await asyncio.Event().wait()

@app.task
def sleep() -> None:
    print("sleeps")
    subprocess.run(["sleep", "1000"])
"""

Develop = Callable[..., Dev]


@pytest.fixture
def shop(terminal: Terminal) -> Terminal:
    """A project, with its app in ``shop.py``; there is no database yet."""
    terminal.write("pyproject.toml", "[tool.conveyor]\napp = 'shop:app'\n")
    write(terminal, "one")
    return terminal


@pytest.fixture
def develop(terminal: Terminal) -> Iterator[Develop]:
    """Starts the command; it and its worker do not outlive the test."""
    with ExitStack() as started:

        def start(*words: str) -> Dev:
            made = Dev(terminal, *words)
            started.callback(made.close)
            return made

        yield start


@pytest.fixture
def jobs(terminal: Terminal) -> Iterator[Store]:
    """The store that the app uses unless told otherwise."""
    opened = open_store(f"sqlite:///{terminal.folder / 'conveyor.db'}")
    yield opened
    opened.close()


def send(store: Store, task: str) -> bytes:
    """Enqueue a job of the shop's; its id."""
    enqueue(store, job := new_job(task=f"shop.{task}"))
    return job.id


def write(terminal: Terminal, word: str) -> None:
    terminal.write("shop.py", SHOP.replace("{word}", word))


def worker_of(store: Store) -> int:
    """The process of the one worker that lives."""
    (pid,) = (runner.info.pid for runner in store.run(store.operations.runners()) if runner.alive)
    return pid


def stopped_well(dev: Dev) -> bool:
    """Whether it said that it stopped, and nothing of its own insides."""
    return dev.lines[-1] == "conveyor dev: stopped" and "Traceback" not in dev.text


def test_the_code_that_runs_is_the_code_that_is_there(shop: Terminal, jobs: Store, develop: Develop) -> None:
    """Also when both versions are of one length and one second, which Python's own cache would not tell apart."""
    dev = develop()
    dev.says("watches 2 files below")
    dev.says("serves default=10")
    send(jobs, "hi")
    dev.says("says one")
    write(shop, "two")
    assert dev.says("changed") == "conveyor dev: shop.py changed; restarts"
    dev.says("serves default=10")
    send(jobs, "hi")
    dev.says("says two")
    shop.write("shop_more/__init__.py", "")
    dev.says("__init__.py changed; restarts")
    dev.says("serves")
    dev.interrupt()
    assert dev.ends() == 0
    assert stopped_well(dev)
    assert dev.text.count("restarts") == 2


def test_broken_code_is_shown_and_waited_for(shop: Terminal, develop: Develop) -> None:
    shop.write("shop.py", "x = 1\ndef (\n")
    dev = develop("--queues", "mail=3")
    dev.says(f'File "{shop.folder}/shop.py", line 2')
    dev.says("    def (")
    dev.says("SyntaxError: invalid syntax")
    dev.says("waits for a change")
    shop.write("shop.py", "import helper\n" + SHOP)
    shop.write("helper.py", "raise RuntimeError('one\\ntwo')")
    dev.says("restarts")
    dev.says("Traceback (most recent call last):")
    dev.says(f'File "{shop.folder}/shop.py", line 1, in <module>')
    dev.says(f'File "{shop.folder}/helper.py", line 1, in <module>')
    dev.says("RuntimeError: one")
    dev.says("waits for a change")
    shop.write("helper.py", "")
    dev.says("helper.py changed; restarts")
    dev.says("serves mail=3")
    shop.write("pyproject.toml", "[tool.conveyor]\napp = 'nonesuch'\n")
    dev.says("pyproject.toml changed; restarts")
    dev.says("there is no module 'nonesuch'")
    dev.says("waits for a change")
    dev.interrupt()
    assert dev.ends() == 0
    assert "importlib" not in dev.text


def test_what_is_wrong_but_not_with_the_code_is_one_line(shop: Terminal, develop: Develop) -> None:
    shop.write("psycopg.py", "raise ImportError('there is no psycopg')")
    dev = develop("--store", "postgresql://127.0.0.1:1/shop")
    dev.says("conveyor dev: PostgreSQL needs psycopg (there is no psycopg); install")
    dev.says("waits for a change")
    dev.signal(signal.SIGTERM)
    assert dev.ends() == 0
    assert stopped_well(dev)


def test_a_store_that_is_down_is_tried_again(shop: Terminal, develop: Develop) -> None:
    dev = develop("--store", "postgresql://127.0.0.1:1/shop?connect_timeout=1")
    dev.says("conveyor dev: PostgreSQL cannot be reached")
    dev.says("the worker ended with status 1; again in 1 s, or after a change")
    dev.says("PostgreSQL cannot be reached")
    dev.says("again in 2 s")
    dev.interrupt()
    assert dev.ends() == 0


def test_a_restart_costs_a_running_job_no_attempt(shop: Terminal, jobs: Store, develop: Develop) -> None:
    dev = develop("--grace", "0")
    dev.says("serves")
    job = send(jobs, "wait")
    dev.says("waits, attempt 1")
    write(shop, "two")
    dev.says("restarts")
    dev.says("released, no attempt spent")
    dev.says("waits, attempt 1")
    dev.signal(signal.SIGTERM)
    dev.says("released, no attempt spent")
    assert dev.ends() == 0
    assert stopped_well(dev)
    info = see(jobs, job)
    assert (info.state, info.attempt, info.crashes) == (State.READY, 0, 0)


def test_a_second_ctrl_c_ends_it_at_once_with_all_that_its_jobs_have_started(
    shop: Terminal, jobs: Store, develop: Develop
) -> None:
    dev = develop("--grace", "3600")
    dev.says("serves")
    send(jobs, "sleep")
    dev.says("sleeps")
    dev.interrupt()
    dev.says("1 job is running; it has 3600 s")
    dev.interrupt()
    assert dev.ends() == 130
    assert stopped_well(dev)


def test_a_worker_that_dies_is_reported_and_started_again(shop: Terminal, jobs: Store, develop: Develop) -> None:
    dev = develop()
    dev.says("serves")
    os.kill(worker_of(jobs), signal.SIGKILL)
    dev.says("the worker was killed by SIGKILL; again in 1 s, or after a change")
    dev.says("serves")
    os.kill(worker_of(jobs), signal.SIGTERM)
    dev.says("the worker ended with status 0; again in 2 s, or after a change")
    write(shop, "two")
    dev.says("shop.py changed; restarts")
    dev.says("serves")
    dev.interrupt()
    assert dev.ends() == 0


def test_a_worker_does_not_outlive_its_keeper(shop: Terminal, jobs: Store, develop: Develop) -> None:
    dev = develop("--grace", "0")
    dev.says("serves")
    job = send(jobs, "wait")
    dev.says("waits, attempt 1")
    dev.signal(signal.SIGKILL)
    dev.says("SIGTERM: stopping")
    assert dev.ends() == -signal.SIGKILL
    assert see(jobs, job).state is State.READY


def test_postgresql_gets_its_tables(shop: Terminal, bare_url: str, develop: Develop) -> None:
    dev = develop("--store", bare_url)
    dev.says("applied 0001_spine")
    dev.says("serves")
    write(shop, "two")
    dev.says("restarts")
    dev.says("serves")
    dev.interrupt()
    assert dev.ends() == 0
    assert dev.text.count("applied 0001_spine") == 1


def test_without_reload_the_worker_is_the_command_itself(shop: Terminal, jobs: Store, develop: Develop) -> None:
    dev = develop("--no-reload", "--log-format", "json")
    dev.says('"message": "worker ')
    assert worker_of(jobs) == dev.pid
    dev.interrupt()
    dev.says("SIGINT: stopping")
    assert dev.ends() == 0


def test_words_that_would_never_make_sense_are_refused(terminal: Terminal) -> None:
    assert "which app? Give --app" in terminal.refuses("dev")
    assert "write NAME=SLOTS" in terminal.refuses("dev", "--app", "shop", "-q", "mail=0")
    terminal.write("shop.py", "def (")
    assert "SyntaxError" in terminal.refuses("dev", "--app", "shop", "--no-reload")


DEAF = """
import signal, sys, threading
from conveyor.cli.dev import child

signal.signal(signal.SIGTERM, signal.SIG_IGN)
child.LAST = 0.0
threading.Thread(target=child._guard, args=(int(sys.argv[1]), 0.0), daemon=True).start()
threading.Event().wait()
"""


def test_a_worker_that_hears_no_signal_does_not_outlive_its_keeper_either(terminal: Terminal) -> None:
    read, hold = os.pipe()
    words = [sys.executable, "-c", DEAF, str(read)]
    process = subprocess.Popen(words, env=terminal.environment, pass_fds=[read], process_group=0)
    os.close(read)
    os.close(hold)  # the keeper has died
    assert process.wait(30) == -signal.SIGKILL
