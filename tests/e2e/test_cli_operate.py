"""Looking after jobs from the command line, on either store: what is asked, and what is changed, by real processes."""

import contextlib
import fcntl
import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import psycopg
import pytest

from conveyor import Conveyor, State
from tests.support.cli import Done, Terminal
from tests.support.postgres import PostgresServer
from tests.support.waiting import until

SHOP = """
from conveyor import Conveyor, current

app = Conveyor()

@app.task(queue="mail", redact=["password"])
def greet(name: str, *, password: str = "") -> str:
    current().progress(1, "\\x1b[31msent")
    return f"hello {name}, {password}"

@app.task(max_attempts=1)
def fall(place: int) -> None:
    raise ValueError(f"over the \\x1b[31medge\\n at {place}")
"""
SEND = """
import shop

shop.greet.using(tags=["vip"], meta={"evil": "\\x9b31m"}, unique="ada").enqueue("ada", password="tops3cret")
shop.app.enqueue_many(shop.fall.bind(place) for place in range(3))
"""
Record = dict[str, object]


@pytest.fixture
def shop(terminal: Terminal, url: str) -> Terminal:
    """An app whose jobs have been run: one succeeded, three failed."""
    terminal.write("shop.py", SHOP)
    terminal.write("send.py", SEND)
    terminal.environment |= {"CONVEYOR_APP": "shop:app", "CONVEYOR_URL": url}
    terminal.write("work.py", "import send\n\nsend.shop.app.run_worker(burst=True)\n")
    terminal.program("work.py")
    return terminal


def said(*done: Done) -> list[str]:
    """What commands have printed that succeeded, and complained of nothing."""
    assert [(one.status, one.err) for one in done] == [(0, "")] * len(done)
    return [one.out for one in done]


def records(done: Done) -> list[Record]:
    """What a command has printed with ``--json``."""
    return cast(list[Record], json.loads(said(done)[0]))


def checks(done: Done) -> dict[str, Record]:
    """What the doctor has found, by what was looked at."""
    assert done.err == ""
    return {str(finding["check"]): finding for finding in json.loads(done.out)}


def harmless(text: str) -> bool:
    """Whether nothing in *text* moves a cursor."""
    return all(line.isprintable() for line in text.split("\n"))


def test_failed_jobs_are_found_looked_at_and_run_again(shop: Terminal) -> None:
    programs, people = shop.does(["failures", "--json"], ["failures"])
    (group,) = records(programs)
    assert (group["jobs"], group["task"]) == (3, "shop.fall")
    assert harmless(people.out)
    assert f"conveyor job {group['sample']}\n" in people.out
    error = ["--error", str(group["fingerprint"])]
    assert f"conveyor retry {' '.join(error)} --dry-run\n" in people.out

    page, would, refused, made, left, cancelled, listed, deleted, rest = shop.does(
        ["job", str(group["sample"])],
        ["retry", *error, "--dry-run"],
        ["retry", *error],
        ["retry", *error, "--yes"],
        ["failures", "--json"],
        ["cancel", "--task", "shop.fall", "--reason", "\x1b[31menough", "--yes"],
        ["jobs", "--task", "shop.fall", "--oldest-first"],
        ["delete", "--state", "cancelled", "--yes"],
        ["jobs", "--json"],
    )
    assert harmless(page.out)
    for part in (
        " failed after 0.",
        'raise ValueError(f"over the \\x1b[31medge\\n at {place}")',
        f"grep job={group['sample']} FILE",
    ):
        assert part in page.out
    assert (refused.status, refused.out) == (2, "")
    assert "this would make 3 jobs ready; say --yes if that is meant" in refused.err
    assert said(would, made, cancelled, deleted) == [
        "would make 3 jobs ready\n",
        "made 3 jobs ready\n",
        "cancelled 3 jobs\n",
        "deleted 3 jobs\n",
    ]
    assert records(left) == []
    rows = listed.out.splitlines()[1:]
    assert [" ".join(row.split()[3:5]) for row in rows] == ["cancelled 1/2"] * 3
    assert all(row.endswith("\\x1b[31menough") for row in rows)
    assert [job["task"] for job in records(rest)] == ["shop.greet"]


def test_one_job_is_shown_without_what_is_redacted(shop: Terminal) -> None:
    tagged, latest = shop.does(["jobs", "--tag", "vip", "--json"], ["jobs", "--limit", "1", "--json"])
    ((job,), (newest,)) = records(tagged), records(latest)
    beginning = str(job["id"])[:23]
    told, page, why, *unclear = shop.does(
        ["job", str(job["id"]), "--json"],
        ["job", beginning],
        ["why", beginning],
        ["job", str(newest["id"])[:8]],
        ["job", "0" * 12],
        ["job", f"{str(job['id'])[:-8]}00000000"],
    )
    whole: Record = json.loads(said(told)[0])
    assert {**whole, "why": None, "attempts": None} == {**job, "why": None, "attempts": None}
    assert (whole["arguments"], whole["result"]) == ([["ada"], {"password": "[redacted]"}], "hello ada, [redacted]")
    assert (whole["tags"], whole["meta"], whole["unique"]) == (["vip"], {"evil": "\x9b31m"}, "ada")
    assert str(whole["why"]).startswith("succeeded: at attempt 1, 20")
    assert said(page)[0].startswith(f"{job['id']}  shop.greet\nsucceeded: at attempt 1")
    assert "tops3cret" not in page.out + told.out + tagged.out
    assert harmless(page.out)
    assert harmless(told.out)
    assert said(why) == [f"{whole['why']}\n"]
    assert [one.status for one in unclear] == [1, 1, 1]
    assert "begins several ids" in unclear[0].err
    assert "there is no job" in unclear[1].err
    assert "there is no job" in unclear[2].err


def test_queues_are_paused_and_the_doctor_says_what_is_wrong(shop: Terminal, url: str) -> None:
    app = Conveyor(url)
    job = app.task(name="shop.greet", queue="mail")(print).enqueue("bob")
    other = app.task(name="shop.gone", queue="mail")(print).enqueue()
    paused, queues, why, doctor, resumed, again = shop.does(
        ["queues", "pause", "mail", "nothing"],
        ["queues", "--json"],
        ["why", job.id],
        ["doctor", "--json"],
        ["queues", "resume", "mail", "nothing"],
        ["doctor", "--json"],
    )
    durable = url.startswith("sqlite")  # the tests' server runs without fsync
    assert said(paused)[0].splitlines() == [
        "mail is paused: what runs goes on",
        "nothing is paused: what runs goes on; there is nothing in it, and no running worker serves it",
    ]
    assert [(one["queue"], one["ready"], bool(one["paused_at"])) for one in records(queues)] == [
        ("mail", 2, True),
        ("nothing", 0, True),
    ]
    assert "queue 'mail' is paused since 20" in said(why)[0]
    found = checks(doctor)
    assert (doctor.status, found["durability"]["severity"]) == ((0, "fine") if durable else (1, "trouble"))
    assert (found["queues"]["severity"], found["queues"]["fix"]) == ("note", "conveyor queues resume mail")
    assert said(resumed) == ["mail is resumed\nnothing is resumed\n"]
    assert again.status == 1
    assert "no running worker serves queue 'mail', with 2 jobs due" in str(checks(again)["queues"]["text"])

    with shop.started("worker", "-q", "mail=1", "--log-level", "error"):
        until(lambda: job.refresh().state is State.SUCCEEDED, patience=30)
        (deep,) = shop.does(["doctor", "--deep"])
    assert deep.status == 1
    assert "no running worker of queue 'mail' knows the task 'shop.gone'" in deep.out
    assert "this app does not know it either: bring it back" in deep.out
    assert deep.out.splitlines()[-1].startswith("1 trouble, " if durable else "2 troubles, ")
    deleted, pruned = shop.does(["delete", other.id], ["prune", "--older-than", "0s", "--task", "shop.greet", "--yes"])
    assert said(deleted, pruned) == [f"{other.id} was ready: deleted\n", "deleted 2 jobs\n"]
    app.close()


def test_the_doctor_of_a_store_that_is_not_there(terminal: Terminal, postgres_server: PostgresServer) -> None:
    for url, text in {
        "sqlite:///nothing.db": "there is no database",
        postgres_server.url("nonesuch"): 'database "nonesuch" does not exist',
    }.items():
        done = terminal.run("doctor", "--store", url, "--json")
        (finding,) = json.loads(done.out)
        assert (done.status, done.err, finding["severity"]) == (1, "", "trouble")
        assert text in finding["text"]
    assert not (terminal.folder / "nothing.db").exists()


def test_a_reader_that_goes_away_is_no_error(terminal: Terminal, tmp_path: Path) -> None:
    app = Conveyor(f"sqlite:///{tmp_path / 'jobs.db'}")
    job = app.task(name="send")(print).enqueue()
    app.close()
    with terminal.started("job", job.id, "--store", app.url) as process:
        assert process.stdout is not None
        process.stdout.close()
        process.wait(30)
        assert process.stderr is not None
        assert (process.returncode, process.stderr.read()) == (0, "")


# ---------------------------------------------------------------- a person


@contextlib.contextmanager
def held(url: str) -> Iterator[None]:
    """Somebody keeps all jobs from being changed."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        with contextlib.closing(connection):
            connection.execute("BEGIN IMMEDIATE")
            yield
    else:
        with psycopg.connect(url) as owner:
            owner.execute("LOCK TABLE conveyor_job IN SHARE MODE")
            yield


def waited_for(url: str) -> bool:
    """Whether somebody waits to change them."""
    if not url.startswith("sqlite"):
        with psycopg.connect(url) as look:
            return look.execute("SELECT FROM pg_locks WHERE NOT granted").fetchone() is not None
    ticket = Path(f"{url.removeprefix('sqlite:///')}-conveyor") / "ticket"
    with ticket.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_a_person_is_asked_and_ctrl_c_leaves_all_as_it_was(terminal: Terminal, url: str) -> None:
    app = Conveyor(url)
    send = app.task(name="send")(print)
    app.enqueue_many(send.bind() for _ in range(3))
    screen, keyboard = pty.openpty()
    command = [sys.executable, "-m", "conveyor", "cancel", "--all", "--store", url]
    process = subprocess.Popen(
        command,
        cwd=terminal.folder,
        env=terminal.environment,
        stdin=keyboard,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process, held(url):
        os.write(screen, b"y\n")
        until(lambda: process.poll() is not None or waited_for(url), patience=30)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    os.close(screen)
    os.close(keyboard)
    assert (process.returncode, out) == (130, "")
    assert err == (
        "Cancel 3 jobs? [y/N] conveyor cancel: interrupted after 0 of 3 jobs; the same command does the rest\n"
    )
    assert app.jobs.counts()["ready"] == 3
    app.close()
