"""``conveyor move``, killed in the middle as often as can be, and what it says."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from conveyor import Conveyor
from conveyor.cli import main
from conveyor.core.clock import SystemClock
from conveyor.core.model import JobFilter
from conveyor.store.contract import Store
from conveyor.store.openers import open_store
from conveyor.testing.contract.hands import new_job
from conveyor.testing.contract.moving import everything, of_all_states
from conveyor.testing.hand import HOUR, Hand, enqueue
from tests.support.cli import Terminal
from tests.support.redis import RedisServer, versions
from tests.support.stores import sqlite_url
from tests.support.waiting import until

JOBS: Final = 2_000
SHOP: Final = """
from conveyor import Conveyor

app = Conveyor({url!r})

@app.task
def greet() -> None:
    pass
"""


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with RedisServer(versions()[0]) as started:
        yield started


@pytest.fixture
def urls(postgres_url: str, redis_server: RedisServer, tmp_path: Path) -> dict[str, str]:
    """An empty store of each kind."""
    redis_server.flush()
    return {"sqlite": sqlite_url(tmp_path), "postgres": postgres_url, "redis": redis_server.url()}


@pytest.fixture
def opened() -> Iterator[dict[str, Store]]:
    """Stores by their URLs, closed at the end."""
    stores: dict[str, Store] = {}
    yield stores
    for store in stores.values():
        store.close()


def open_one(url: str, opened: dict[str, Store]) -> Store:
    store = opened[url] = open_store(url, SystemClock())
    store.migrate()
    return store


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("postgres", "redis"),
        pytest.param("sqlite", "postgres", marks=pytest.mark.soak),
        pytest.param("redis", "sqlite", marks=pytest.mark.soak),
    ],
)
def test_a_move_that_is_killed_again_and_again_loses_and_doubles_nothing(
    terminal: Terminal, urls: dict[str, str], opened: dict[str, Store], first: str, second: str
) -> None:
    source, target = open_one(urls[first], opened), open_one(urls[second], opened)
    hand = Hand(source)
    of_all_states(source, hand)
    hand.die()
    enqueue(source, *(new_job(number, delay=HOUR) for number in range(JOBS)))
    before = everything(source, 500)
    killed = 0
    for enough in (1, JOBS // 2):  # each lets the one before have come as far as it liked
        with terminal.started("move", urls[first], urls[second]) as process:
            until(lambda: process.poll() is not None or _number(target) >= enough)  # noqa: B023 - of this round
            process.kill()
            killed += process.wait() != 0
        assert everything(source, 500) == before
    assert killed >= 1
    told = terminal.tells("move", urls[first], urls[second])
    assert isinstance(told, dict)
    assert (told["left"], target.run(target.moving.mark())) == ([], None)
    assert everything(target, 500) == everything(source, 500) == before


def _number(store: Store) -> int:
    return store.run(store.operations.number(JobFilter()))


def test_a_closed_stores_programs_are_told_where_its_jobs_are(terminal: Terminal, tmp_path: Path) -> None:
    """Who enqueues, and who would run them."""
    there = f"sqlite:///{tmp_path / 'there.db'}"
    terminal.write("shop.py", SHOP.format(url=sqlite_url(tmp_path)))
    Conveyor(sqlite_url(tmp_path)).migrate()
    said = terminal.says("move", sqlite_url(tmp_path), there)
    assert said.startswith("moved 0 jobs, 0 schedules and 0 paused queues to sqlite:///")
    assert said.endswith("is closed: give your programs the other URL\n")
    assert f"conveyor move has taken its jobs to {there}; use that one" in terminal.refuses(
        "queues", "pause", "a", "--app", "shop"
    )
    done = subprocess.run(
        [sys.executable, "-c", "import shop; shop.app.run_worker(burst=True)"],
        cwd=terminal.folder,
        env=terminal.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert (
        f"StoreClosed: this store is closed: conveyor move has taken its jobs to {there}; use that one" in done.stderr
    )


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """What the command has said, on both ways."""
    status = main(words)
    out, err = capsys.readouterr()
    return status, out + err


def test_what_it_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here, there = sqlite_url(tmp_path), f"sqlite:///{tmp_path / 'there.db'}"
    status, said = told(capsys, "move", here, there)
    assert (status, said.partition(";")[0]) == (1, f"conveyor move: there is no database {tmp_path}/jobs.db yet")
    store = open_store(here, SystemClock())
    enqueue(store, new_job(1), new_job(2, unique="k"))
    status, said = told(capsys, "move", here, there, "--dry-run")
    assert (status, said) == (
        0,
        f"would move 2 jobs, 0 schedules and 0 paused queues; {tmp_path}/there.db would be made\n",
    )
    other = open_store(there, SystemClock())
    enqueue(other, new_job(3, unique="k"))
    status, said = told(capsys, "move", here, there, "--json")
    text, complaint = said.rsplit("}\n", 1)
    answer = json.loads(text + "}")
    assert (status, answer["jobs"], len(answer["left"]), answer["dry_run"]) == (1, 1, 1, False)
    assert complaint.startswith(f"conveyor move: job {answer['left'][0]['id']} stays in {here}: job ")
    assert told(capsys, "move", "--reopen", here)[0] == 1
    assert told(capsys, "move", "--reopen", here, "--yes") == (0, f"{here} is open\n")
    store.close()
    other.close()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("sqlite:///jobs.db",), "to which store? conveyor move SOURCE TARGET"),
        (("sqlite:///jobs.db", "sqlite:///b.db", "--yes"), "--yes goes with --reopen only"),
        (("sqlite:///jobs.db", "--reopen", "--dry-run"), "--reopen goes with TARGET and --yes only"),
        (
            ("sqlite:///:memory:", "sqlite:///b.db"),
            "sqlite:///:memory: is gone with its process; name a file or a server",
        ),
    ],
)
def test_words_that_make_no_sense(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    why: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs.db").touch()
    assert told(capsys, "move", *words) == (2, f"conveyor move: {why}\n")
