"""The command line, each command in a process of its own."""

import re
import signal
import subprocess
import sys
from typing import cast

import pytest

from conveyor import Conveyor
from conveyor.core import ids
from conveyor.core.lifecycle import Event
from conveyor.store.contract import Store
from tests.support.cli import Terminal
from tests.support.jobs import HOUR, Hire, enqueue, new_job, new_jobs, rescue, see
from tests.support.postgres import PostgresServer
from tests.support.waiting import until

SHOP = """
import os
from conveyor import Conveyor

app = Conveyor(os.environ.get("SHOP_URL"))

@app.task(queue="mail")
def greet(name: str, *, loud: bool = False) -> str:
    return f"HELLO, {name}" if loud else f"hello, {name}"

@app.task(max_attempts=1)
def fall() -> None:
    raise ValueError("over\\nthe edge")
"""
DOWN = "postgresql://127.0.0.1:1/shop?connect_timeout=1"
ID = "01a20275-4efd-7236-9828-a833eae408d6"
Lines = dict[tuple[str, ...], str]
"""What each command says, by its words."""


@pytest.fixture
def shop(terminal: Terminal) -> Terminal:
    """A folder with an app in ``shop.py``, on the store that CONVEYOR_URL or SHOP_URL names."""
    terminal.write("shop.py", SHOP)
    return terminal


def states(terminal: Terminal, *words: str) -> dict[str, int]:
    """The states in which ``status`` counts jobs."""
    told = cast(dict[str, dict[str, int]], terminal.tells("status", *words))
    return {state: count for state, count in told["jobs"].items() if count}


# ---------------------------------------------------------------- what the commands do


def test_jobs_go_through_a_worker(shop: Terminal, url: str) -> None:
    shop.write("send.py", "import shop\nfor name in 'abc': shop.greet.enqueue(name, loud=True)\nshop.fall.enqueue()\n")
    shop.environment |= {"CONVEYOR_APP": "shop:app", "CONVEYOR_URL": url}
    assert "up to date" in shop.says("migrate")
    shop.program("send.py")
    assert states(shop) == {"ready": 4}

    worked = shop.run("worker", "--burst", "--log-format", "json")

    assert worked.status == 0
    assert worked.out == ""
    assert states(shop) == {"succeeded": 3, "failed": 1}
    (failed,) = cast(list[dict[str, object]], shop.tells("jobs", "--state", "failed"))
    assert failed["task"] == "shop.fall"
    assert failed["error"] == "ValueError: over the edge"
    done = cast(list[dict[str, object]], shop.tells("jobs", "--queue", "mail"))
    told = {str(job["result"]): job["arguments"] for job in done}  # ids made within a millisecond have no order
    assert told.keys() == {"HELLO, a", "HELLO, b", "HELLO, c"}
    assert told["HELLO, c"] == [["c"], {"loud": True}]
    assert "shop.fall" in shop.says("jobs", "--task", "shop.fall")


def test_a_worker_stops_on_sigterm_and_shows_in_status_until_then(shop: Terminal, url: str) -> None:
    shop.says("migrate", "--store", url)
    with shop.started("worker", "--app", "shop", "--store", url, "-q", "mail=2,default", "-q", "slow=1") as worker:
        workers: list[dict[str, object]] = []

        def shown() -> bool:
            told = cast(dict[str, list[dict[str, object]]], shop.tells("status", "--store", url))
            workers[:] = told["workers"]
            return bool(workers)

        until(shown, patience=30)
        people = shop.says("status", "--store", url)
        worker.send_signal(signal.SIGTERM)
        out, err = worker.communicate(timeout=30)
    assert (worker.returncode, out) == (0, "")
    assert ("the store is sqlite:////" in err.splitlines()[0]) == url.startswith("sqlite")
    assert "SIGTERM: stopping" in err
    assert "stopped after 0 attempts" in err.splitlines()[-1]
    assert [(w["supervisor"], w["alive"], w["queues"], w["tasks"]) for w in workers] == [
        (worker.pid, True, {"mail": 2, "default": 10, "slow": 1}, ["shop.fall", "shop.greet"])
    ]
    assert "mail=2,default=10,slow=1" in people
    assert "no workers" in shop.says("status", "--store", url)


def test_jobs_pages_through_newest_first(terminal: Terminal, store: Store, url: str) -> None:
    made = new_jobs(5)
    jobs = sorted(ids.text(job.id) for job in made)  # those of one millisecond have no order of their own
    enqueue(store, *made)

    def page(*words: str) -> list[object]:
        return [job["id"] for job in cast(list[dict[str, object]], terminal.tells("jobs", "--store", url, *words))]

    assert page() == jobs[::-1]
    assert page("--limit", "2") == jobs[:2:-1]
    assert page("--limit", "2", "--after", jobs[3]) == jobs[2:0:-1]
    assert terminal.says("jobs", "--store", url, "--limit", "2").splitlines()[-1] == f"next page: --after {jobs[3]}"
    assert terminal.says("jobs", "--store", url, "--state", "failed") == "no such jobs\n"
    assert terminal.tells("jobs", "--store", url, "--queue", "other") == []


def test_migrate_makes_the_tables_once(terminal: Terminal, bare_url: str) -> None:
    assert "applied 0001_spine" in terminal.says("migrate", "--store", bare_url)
    assert "applied" not in terminal.says("migrate", "--store", bare_url)
    assert states(terminal, "--store", bare_url) == {}


def test_migrate_looks_and_writes_down_before_it_changes_anything(terminal: Terminal, bare_url: str) -> None:
    name, words = f"{bare_url.partition('@')[2]}", ["migrate", "--store", bare_url]
    before, script, done, after, nonsense, both = terminal.does(
        [*words, "--check"],
        [*words, "--sql", "0", "1", "--lock-timeout", "0.5s"],
        words,
        [*words, "--check"],
        [*words, "--sql", "1", "1"],
        [*words, "--check", "--sql", "0", "1"],
    )
    assert before.status == 1
    assert before.out.startswith("missing 0001_spine\n")
    assert before.out.endswith(f"{name} needs `conveyor migrate`\n")
    assert script.out.startswith("-- Conveyor ")
    assert "SET LOCAL lock_timeout = '500ms';\n" in script.out
    assert script.out.endswith("VALUES (1, '0001_spine');\nCOMMIT;\n")
    assert (done.status, "applied 0001_spine" in done.out) == (0, True)
    assert (after.status, after.out.endswith(f"{name} is up to date\n")) == (0, True)
    assert (nonsense.status, "FROM and TO are numbers" in nonsense.err) == (1, True)
    assert (both.status, "not allowed with argument --check" in both.err) == (2, True)


def test_no_password_is_shown(terminal: Terminal, postgres_url: str) -> None:
    url = postgres_url.replace("postgres@", "postgres:tops3cret@")
    assert "tops3cret" not in terminal.says("status", "--store", url) + terminal.says("migrate", "--store", url)


def test_output_that_the_terminal_cannot_show_is_escaped(terminal: Terminal, store: Store) -> None:
    enqueue(store, new_job(queue="größe"))
    terminal.environment["PYTHONIOENCODING"] = "ascii"
    terminal.anew = True  # it is read when Python starts
    assert "gr\\xf6\\xdfe" in terminal.says("jobs", "--store", store.url)


def test_version(terminal: Terminal) -> None:
    assert re.fullmatch(r"conveyor \d+\.\d+\.\d+\n", terminal.says("--version"))


@pytest.mark.parametrize(
    "words", [("jobs", "--limit", "1000"), ("jobs", "--limit", "1000", "--json"), ("status",)], ids=" ".join
)
def test_a_reader_that_goes_away_is_no_error(terminal: Terminal, store: Store, words: tuple[str, ...]) -> None:
    enqueue(store, *new_jobs(1000))
    with terminal.started(*words, "--store", store.url) as process:
        assert process.stdout is not None
        process.stdout.close()  # as `| true` does, before the first line
        process.wait(30)
        assert process.stderr is not None
        assert (process.returncode, process.stderr.read()) == (0, "")


# ---------------------------------------------------------------- why


def why(terminal: Terminal, store: Store, id_: bytes) -> str:
    """What ``why`` says, which is the same for programs."""
    job = ids.text(id_)
    line = terminal.says("why", "--store", store.url, job)
    assert terminal.tells("why", "--store", store.url, job) == {"id": job, "why": line.rstrip("\n")}
    assert line.count("\n") == 1
    return line


WAITING: dict[str, tuple[dict[str, object], str]] = {
    "scheduled": ({"delay": HOUR}, "scheduled: its time is 20"),
    "no worker for its queue": ({"queue": "mail"}, "ready: no running worker serves queue 'mail'"),
    "task not known": ({"task": "shop.new"}, "knows the task 'shop.new'"),
    "next": ({}, "ready: next in queue 'default', for which 1 running worker"),
}


@pytest.mark.parametrize(("options", "reason"), WAITING.values(), ids=WAITING)
def test_why_a_job_waits(terminal: Terminal, store: Store, hire: Hire, options: dict[str, object], reason: str) -> None:
    job = new_job(**options)  # type: ignore[arg-type]  # the table above holds what new_job takes
    enqueue(store, job)
    assert hire().lives
    assert reason in why(terminal, store, job.id)


def test_why_a_job_waits_with_no_worker_at_all(terminal: Terminal, store: Store) -> None:
    job = new_job()
    enqueue(store, job)
    assert "no worker is running; start one" in why(terminal, store, job.id)


def test_why_a_job_waits_behind_others(terminal: Terminal, store: Store, hire: Hire) -> None:
    jobs = new_jobs(4)
    enqueue(store, *jobs)
    assert hire().lives
    assert "3 due before it in queue 'default'" in why(terminal, store, jobs[-1].id)


def test_why_a_job_runs(terminal: Terminal, store: Store, hire: Hire) -> None:
    enqueue(store, new_job())
    job = (hand := hire()).take_one()
    assert re.match(r"running: attempt 1 since 20\S+ \d\d:\d\d:\d\d UTC by here pid 1\n", why(terminal, store, job.id))
    hand.die()
    assert "another worker will take it back" in why(terminal, store, job.id)


ENDS = {
    Event.SUCCEED: r"succeeded: at attempt 1, 20",
    Event.RETRY: r"retryable: attempt 1 of 5 failed \(ValueError: attempt 1\); again at 20",
    Event.FAIL: r"failed: at attempt 1 of 5 \(ValueError: attempt 1\)",
    Event.RELEASE: r"ready: ",
}


@pytest.mark.parametrize(("event", "reason"), ENDS.items(), ids=ENDS)
def test_why_after_an_attempt(terminal: Terminal, store: Store, hire: Hire, event: Event, reason: str) -> None:
    enqueue(store, new_job())
    hand = hire()
    job = hand.take_one()
    hand.end(job, event, delay=HOUR if event is Event.RETRY else 0)
    assert re.match(reason, why(terminal, store, job.id))


def test_why_a_job_was_lost(terminal: Terminal, store: Store, hire: Hire) -> None:
    enqueue(store, job := new_job(max_attempts=1))
    hand = hire()
    hand.take_one()
    hand.die()
    rescue(store)
    assert re.match(r"failed: at attempt 1 of 1 \(.*WorkerLost: runner", why(terminal, store, job.id))


def test_why_a_job_is_in_quarantine(terminal: Terminal, store: Store, hire: Hire) -> None:
    enqueue(store, job := new_job())
    while not see(store, job.id).state.final:
        hand = hire()
        hand.take_one()
        hand.die()
        rescue(store)
    assert re.match(r"quarantined: at attempt 3 of 5 \(.*WorkerLost: runner", why(terminal, store, job.id))


# ---------------------------------------------------------------- which app, which store


def file_url(name: str) -> str:
    return f"sqlite:///{name}.db"


def test_the_store_is_the_options_then_the_environments_then_the_files(terminal: Terminal) -> None:
    """Each store is told from the others by how many jobs it has."""
    for count, name in enumerate(("conveyor", "file", "environment", "option"), 1):
        opened = Conveyor(f"sqlite:///{terminal.folder / name}.db")
        enqueue(opened.store, *new_jobs(count))
        opened.close()
    assert states(terminal) == {"ready": 1}
    terminal.write("pyproject.toml", f"[tool.conveyor]\nurl = '{file_url('file')}'\n")
    assert states(terminal) == {"ready": 2}
    terminal.environment["CONVEYOR_URL"] = file_url("environment")
    assert states(terminal) == {"ready": 3}
    assert states(terminal, "--store", file_url("option")) == {"ready": 4}


def test_an_app_brings_its_own_store_unless_told_otherwise(shop: Terminal) -> None:
    shop.environment |= {"SHOP_URL": file_url("own"), "CONVEYOR_URL": file_url("environment")}
    assert "/own.db" in shop.says("migrate", "--app", "shop")
    assert "/option.db" in shop.says("migrate", "--app", "shop", "--store", file_url("option"))
    del shop.environment["SHOP_URL"]
    assert "/environment.db" in shop.says("migrate", "--app", "shop")


def test_a_command_and_a_program_agree_on_the_apps_store(shop: Terminal) -> None:
    """A program does not read ``pyproject.toml``; if its worker did, the two would not meet."""
    shop.write("pyproject.toml", f"[tool.conveyor]\napp = 'shop:app'\nurl = '{file_url('file')}'\n")
    enqueue = [sys.executable, "-c", "import shop; shop.greet.enqueue('ada')"]
    subprocess.run(enqueue, cwd=shop.folder, env=shop.environment, check=True)
    assert states(shop) == {"ready": 1}
    assert shop.run("worker", "--burst").status == 0
    assert states(shop) == {"succeeded": 1}
    assert not (shop.folder / "file.db").exists()


def own_store(name: str) -> str:
    return f"from conveyor import Conveyor\napp = Conveyor('{file_url(name)}')\n"


def test_the_app_is_the_options_then_the_environments_then_the_files(terminal: Terminal) -> None:
    for name in ("file", "environment", "option"):
        terminal.write(f"{name}_app.py", own_store(name))
    terminal.write("pyproject.toml", "[tool.conveyor]\napp = 'file_app'\n")
    assert "file.db" in terminal.says("migrate")
    terminal.environment["CONVEYOR_APP"] = "environment_app:app"
    assert "environment.db" in terminal.says("migrate")
    assert "option.db" in terminal.says("migrate", "--app", "option_app:app")


def test_the_file_is_found_from_a_folder_below(terminal: Terminal) -> None:
    terminal.write("pyproject.toml", "[tool.conveyor]\napp = 'shop:app'\n")
    terminal.write("shop.py", own_store("below"))
    below = Terminal(terminal.folder / "below", terminal.environment)
    below.folder.mkdir()
    assert "below.db" in below.says("migrate")


def test_an_app_may_be_an_attribute_of_something(terminal: Terminal) -> None:
    terminal.write("site/__init__.py", "")
    terminal.write("shop/jobs.py", own_store("deep") + "class Box:\n    app = app\n")
    assert "deep.db" in terminal.says("migrate", "--app", "shop.jobs:Box.app")
    assert "deep.db" in terminal.says("migrate", "--app", "shop.jobs")


# ---------------------------------------------------------------- refusals

TWO = "from conveyor import Conveyor\nfirst = Conveyor()\nsecond = Conveyor()\n"

BAD_APPS: dict[str, tuple[str, str, str]] = {
    "none": ("", "", "Give --app module:attr, set CONVEYOR_APP, or write app ="),
    "no module": ("", "nonesuch:app", "there is no module 'nonesuch'"),
    "no module in a package": ("", "conveyor.nonesuch:app", "there is no module 'conveyor.nonesuch'"),
    "it raises": ("\nraise RuntimeError('one\\ntwo')", "shop:app", "RuntimeError: one two ("),
    "it lacks a module": ("import nonesuch", "shop:app", "No module named 'nonesuch' ("),
    "it does not parse": ("\n\ndef (", "shop:app", "shop.py"),
    "it runs a worker": (
        "from conveyor import Conveyor\napp = Conveyor('sqlite:///:memory:')\napp.run_worker(burst=True)",
        "shop:app",
        "shop runs a worker when it is imported; put that under `if __name__ == '__main__':`",
    ),
    "it exits": ("import sys; sys.exit(3)", "shop:app", "shop:app: importing it"),
    "its store is of no kind": ("from conveyor import Conveyor\nConveyor('x://')", "shop:app", "begins with x://"),
    "no attribute": (SHOP, "shop:nonesuch", "nonesuch"),
    "no attribute of the app": (SHOP, "shop:app.nonesuch", "app.nonesuch"),
    "not an app": (SHOP, "shop:os", "os is module, not a Conveyor app"),
    "two apps": (TWO, "shop", "2 of them (first, second); say module:attr"),
    "no app": ("x = 1", "shop", "holds none"),
    "a file": (SHOP, "shop.py", "; a module is named, not its file: did you mean 'shop'?"),
    "a file in a folder": (SHOP, "./site/shop.py:app", "not its file: did you mean 'site.shop'?"),
    "a relative module": (SHOP, ".shop:app", ".shop"),
    "no tasks": ("from conveyor import Conveyor\napp = Conveyor()", "shop:app", "the app has no tasks"),
}


@pytest.mark.parametrize(("text", "target", "hint"), BAD_APPS.values(), ids=BAD_APPS)
def test_an_app_that_cannot_be_had(terminal: Terminal, text: str, target: str, hint: str) -> None:
    terminal.write("shop.py", text)
    line = terminal.refuses("worker", "--burst", *(["--app", target] if target else []))
    assert hint in line
    assert "importlib" not in line
    assert "conveyor/app.py" not in line


BAD_STORES = {
    "no kind": ("shop.db", "must begin with sqlite:///, postgresql:// or redis://"),
    "another kind": ("mysql://localhost/shop", "must begin with sqlite:///, postgresql:// or redis://"),
    "no file": ("sqlite://", "write sqlite:///jobs.db"),
    "two slashes": ("sqlite://shop.db", "write sqlite:///jobs.db"),
    "no folder": ("sqlite:///nowhere/shop.db", "nowhere"),
    "not a database": ("sqlite:///shop.py", "not a database"),
    "unknown option": ("sqlite:///shop.db?timeout=3", "unknown option timeout"),
    "unsafe option": ("sqlite:///shop.db?synchronous=OFF", "must be FULL or NORMAL"),
    "unreadable": ("postgresql://[x", "postgresql"),
    "unknown setting": ("postgresql://localhost/shop?no=1", 'invalid URI query parameter: "no"'),
    "nobody there": (DOWN, "PostgreSQL cannot be reached"),
}


STORED = (("migrate",), ("status",))


@pytest.fixture(scope="module")
def said_of_stores(tmp_path_factory: pytest.TempPathFactory) -> Lines:
    """What each of these commands says of each store that cannot be used."""
    terminal = Terminal(tmp_path_factory.mktemp("stores"))
    terminal.write("shop.py", SHOP)
    urls = [url for url, _ in BAD_STORES.values()]
    return terminal.refuses_each((*command, "--store", url) for command in STORED for url in urls)


@pytest.mark.parametrize("command", STORED, ids=" ".join)
@pytest.mark.parametrize(("url", "hint"), BAD_STORES.values(), ids=BAD_STORES)
def test_a_store_that_cannot_be_used(said_of_stores: Lines, url: str, hint: str, command: tuple[str, ...]) -> None:
    assert hint in said_of_stores[*command, "--store", url]


@pytest.mark.parametrize(("url", "hint"), BAD_STORES.values(), ids=BAD_STORES)
def test_nor_can_a_worker_use_it(shop: Terminal, url: str, hint: str) -> None:
    assert hint in shop.refuses("worker", "--app", "shop", "--store", url)


@pytest.mark.parametrize("command", [("status",), ("jobs",), ("why", ID)], ids=" ".join)
def test_reading_makes_no_database(terminal: Terminal, command: tuple[str, ...]) -> None:
    assert "conveyor.db yet; enqueue a job, which makes it, or name another with --store" in terminal.refuses(*command)
    assert list(terminal.folder.iterdir()) == []


@pytest.mark.parametrize("command", [("status",), ("jobs",), ("why", ID), ("worker", "--app", "shop")], ids=" ".join)
def test_postgresql_without_tables(shop: Terminal, bare_url: str, command: tuple[str, ...]) -> None:
    assert "run `conveyor migrate`" in shop.refuses(*command, "--store", bare_url)


@pytest.mark.parametrize("command", [("migrate",), ("status",), ("worker", "--app", "shop")], ids=" ".join)
def test_postgresql_without_the_database(
    shop: Terminal, postgres_server: PostgresServer, command: tuple[str, ...]
) -> None:
    line = shop.refuses(*command, "--store", postgres_server.url("nonesuch"))
    assert 'database "nonesuch" does not exist' in line


def test_postgresql_without_its_library(terminal: Terminal) -> None:
    terminal.write("psycopg.py", "raise ImportError('there is no psycopg')")
    terminal.anew = True  # with nothing loaded
    assert "'conveyor[postgres]'" in terminal.refuses("status", "--store", DOWN)


BAD_WORDS: dict[str, tuple[tuple[str, ...], str]] = {
    "nothing": ((), "conveyor --help"),
    "unknown command": (("launch",), "'worker'"),
    "unknown option": (("status", "--colour"), "--help"),
    "state": (("jobs", "--state", "done"), "'succeeded'"),
    "limit, zero": (("jobs", "--limit", "0"), "between 1 and 1,000"),
    "limit, many": (("jobs", "--limit", "1001"), "between 1 and 1,000"),
    "limit, word": (("jobs", "--limit", "all"), "--help"),
    "after": (("jobs", "--after", "12"), "is not a job id; one looks like"),
    "job id": (("why", "12"), "is not a job id; one looks like"),
    "job id, missing": (("why",), "ID"),
    "job unknown": (("why", ID), f"there is no job {ID}"),
    "slots, word": (("worker", "-q", "mail=two"), "write NAME=SLOTS"),
    "slots, zero": (("worker", "-q", "mail=0"), "write NAME=SLOTS"),
    "slots, negative": (("worker", "-q", "mail=-1"), "write NAME=SLOTS"),
    "slots, many": (("worker", "-q", "mail=10001"), "write NAME=SLOTS"),
    "slots, superscript": (("worker", "-q", "mail=²"), "write NAME=SLOTS"),
    "queue, nameless": (("worker", "-q", "=2"), "queue"),
    "queue, none": (("worker", "-q", ""), "queue"),
    "queue, trailing comma": (("worker", "-q", "mail=2,"), "queue"),
    "queue, tab": (("worker", "-q", "a\tb=2"), "queue"),
    "queue, long": (("worker", "-q", "a" * 201), "queue"),
    "grace, word": (("worker", "--grace", "long"), "--grace"),
    "grace, negative": (("worker", "--grace", "-1"), "--grace"),
    "grace, nan": (("worker", "--grace", "nan"), "--grace"),
    "processes": (("worker", "--processes", "0"), "from 1 to 64"),
    "range, one": (("worker", "--autoscale", "4"), "write MIN,MAX"),
    "range, none": (("worker", "--autoscale", "0,2"), "write MIN,MAX"),
    "range, turned": (("worker", "--autoscale", "4,2"), "write MIN,MAX"),
    "range, and number": (("worker", "--autoscale", "1,2", "--processes", "2"), "leave out --processes"),
    "range, burst": (("worker", "--autoscale", "1,2", "--burst"), "for workers that stay"),
    "wait, none": (("worker", "--autoscale", "1,2", "--target-wait", "0"), "must be above 0"),
    "address": (("worker", "--http", "here"), "write HOST:PORT"),
    "beat": (("worker", "--beat", "15"), "at most half of --lease 20"),
    "cells": (("worker", "--cells", "none"), "a whole number from 1 on"),
    "log level": (("worker", "--log-level", "loud"), "'debug'"),
    "log format": (("worker", "--log-format", "xml"), "'json'"),
}


@pytest.fixture(scope="module")
def said_of_words(tmp_path_factory: pytest.TempPathFactory) -> Lines:
    """What is said of all that makes no sense."""
    terminal = Terminal(tmp_path_factory.mktemp("words"))
    terminal.write("shop.py", SHOP)
    terminal.environment["CONVEYOR_APP"] = "shop:app"
    terminal.says("migrate")
    return terminal.refuses_each(words for words, _ in BAD_WORDS.values())


@pytest.mark.parametrize(("words", "hint"), BAD_WORDS.values(), ids=BAD_WORDS)
def test_words_that_make_no_sense(said_of_words: Lines, words: tuple[str, ...], hint: str) -> None:
    line = said_of_words[words]
    assert hint in line
    assert "_seconds" not in line


BAD_FILES = {
    "not TOML": ("x = [", "pyproject.toml"),
    "not a table": ("[tool]\nconveyor = 3", "pyproject.toml"),
    "app not a string": ("[tool.conveyor]\napp = 3", "pyproject.toml"),
    "url not a string": ("[tool.conveyor]\nurl = ['sqlite:///a.db']", "pyproject.toml"),
    "unknown key": ("[tool.conveyor]\nuri = 'sqlite:///a.db'", "pyproject.toml"),
}


@pytest.mark.parametrize(("text", "hint"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_pyproject_that_makes_no_sense(shop: Terminal, text: str, hint: str) -> None:
    shop.write("pyproject.toml", text)
    assert hint in shop.refuses("status")


@pytest.mark.parametrize("text", ["", "[project]\nname = 'shop'\n", "[tool.conveyor]\n"])
def test_a_pyproject_that_says_nothing(shop: Terminal, text: str) -> None:
    shop.write("pyproject.toml", text)
    assert "which app? Give --app" in shop.refuses("worker")
