"""Which store a command is about, and names that nobody knows: what is said of them."""

import json
import logging
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conveyor import Conveyor
from conveyor.cli import main
from conveyor.cli.lookup import whole_url
from conveyor.cli.serving import name_store, served_queues, tell_unnamed
from conveyor.core.errors import UsageError

Run = Callable[..., tuple[int, str, str]]
MISSING = "yet; enqueue a job, which makes it, or name another with --store or --app\n"


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Conveyor]:
    """On a file of the current folder, which is not made yet."""
    monkeypatch.chdir(tmp_path)
    made = Conveyor("sqlite:///plain.db")
    made.task(name="shop.broken", queue="reports")(print)
    yield made
    made.close()


@pytest.fixture
def run(app: Conveyor, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command on that file."""

    def ran(*words: str) -> tuple[int, str, str]:
        status = main([*words, "--store", app.url])
        return (status, *capsys.readouterr())

    return ran


# ---------------------------------------------------------------- which store


def test_a_file_is_named_by_its_whole_path(app: Conveyor, run: Run, tmp_path: Path) -> None:
    app.migrate()
    file = f"sqlite:///{tmp_path}/plain.db"
    assert run("status")[1].startswith(f"{file}\n")
    assert json.loads(run("status", "--json")[1])["store"] == file
    assert run("doctor")[1].startswith(f"fine     store       {file} answers; it took ")
    assert run("migrate")[1] == f"{file} is up to date\n"


@pytest.mark.parametrize("name", ["a%3Fb.db", "a%23b.db", "50%25.db", "a b.db?synchronous=NORMAL", "größe.db"])
def test_the_whole_url_is_of_the_same_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert whole_url(Conveyor(f"sqlite:///{name}")) == f"sqlite:///{tmp_path}/{name}"
    assert whole_url(Conveyor(f"sqlite:///{tmp_path}/{name}")) == f"sqlite:///{tmp_path}/{name}"


def test_a_store_in_memory_has_no_path() -> None:
    assert whole_url(Conveyor("sqlite:///:memory:")) == "sqlite:///:memory:"


def test_a_worker_says_what_it_works_on_and_what_it_makes(
    app: Conveyor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "conveyor.worker")
    name_store(app)
    name_store(app)
    store = f"the store is sqlite:///{tmp_path}/plain.db"
    assert caplog.messages == [f"made {tmp_path}/plain.db", store, store]


def test_all_commands_say_the_same_of_a_file_that_is_not_there(run: Run, tmp_path: Path) -> None:
    missing = f"there is no database {tmp_path}/plain.db {MISSING}"
    for command in ("status", "jobs", "queues"):
        assert run(command) == (1, "", f"conveyor {command}: {missing}")
    status, out, _ = run("doctor")
    assert status == 1
    assert "; ".join(line.strip(" ->") for line in out.splitlines()[:2]) + "\n" == f"trouble  store       {missing}"


# ---------------------------------------------------------------- names that nobody knows


def test_what_nobody_knows_is_told_from_what_there_is_none_of(app: Conveyor, run: Run) -> None:
    app.tasks["shop.broken"].enqueue()
    none = "no such jobs"
    queue = "no job, worker or task names queue 'repotrs'; did you mean 'reports'?"
    assert run("jobs", "--queue", "repotrs") == (0, f"{none}: {queue}\n", "")
    assert run("jobs", "--queue", "bulk")[1] == f"{none}: no job, worker or task names queue 'bulk'\n"
    assert run("jobs", "--queue", "reports", "--state", "failed")[1] == f"{none}\n"
    assert run("jobs", "--queue", "default")[1] == f"{none}\n"
    for word in ("brokn", "broken", "shop.brokn"):
        assert run("jobs", "--task", word)[1] == (
            f"{none}: no job or worker knows a task {word!r}; did you mean 'shop.broken'?\n"
        )
    assert run("jobs", "--task", "shop.broken", "--tag", "new")[1] == f"{none}\n"
    assert json.loads(run("jobs", "--queue", "repotrs", "--json")[1]) == []
    assert f"\n{queue}\n\nno workers" in run("status", "--queue", "repotrs")[1]
    assert "no job, worker" not in run("status")[1] + run("status", "--queue", "reports")[1]


def test_the_app_knows_names_that_no_job_has_yet(
    app: Conveyor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app.migrate()
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "hinted_shop.py").write_text(
        "from conveyor import Conveyor\napp = Conveyor('sqlite:///plain.db')\n"
        "@app.task(queue='reports')\ndef weekly() -> None: ...\n"
    )
    assert main(["jobs", "--app", "hinted_shop", "--queue", "repotrs", "--task", "weekly"]) == 0
    assert "'repotrs'; did you mean 'reports'?" in capsys.readouterr().out
    assert main(["jobs", "--app", "hinted_shop", "--task", "weekly"]) == 0
    assert "did you mean 'hinted_shop.weekly'?" in capsys.readouterr().out


def test_a_worker_warns_of_a_queue_that_looks_mistyped_and_serves_it(
    app: Conveyor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "conveyor.worker")
    queues = served_queues(app, Namespace(queues=["repotrs=2,bulk", "reports=1,default=1"]))
    tell_unnamed(app, queues)
    assert queues == {"repotrs": 2, "bulk": 10, "reports": 1, "default": 1}
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.WARNING, "no task of the app names queue 'repotrs'; did you mean 'reports'?"),
        (logging.INFO, "no task of the app names queue 'bulk'"),
    ]


def test_an_app_without_tasks_makes_no_worker(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the app has no tasks"):
        served_queues(Conveyor(f"sqlite:///{tmp_path}/none.db"), Namespace(queues=None))


def test_a_module_is_named_and_not_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for named, module in {"nojobs.py": "nojobs", "nojobs.py:app": "nojobs", "./shop/jobs.py": "shop.jobs"}.items():
        assert main(["status", "--app", named]) == 1
        assert f"a module is named, not its file: did you mean {module!r}?\n" in capsys.readouterr().err


def test_prune_takes_0_as_the_call_does(app: Conveyor, run: Run) -> None:
    job = app.tasks["shop.broken"].enqueue()
    job.cancel()
    assert run("prune", "--older-than", "0") == (0, "deleted 1 job\n", "")
    assert app.jobs.prune(older_than=0).jobs == 0
