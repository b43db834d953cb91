"""``retry``, ``cancel``, ``delete``, ``prune``, ``queues``: what they ask, refuse, do and say."""

import contextlib
import io
import json
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Unpack

import pytest

from conveyor import Conveyor, State
from conveyor.cli import changing, main
from conveyor.cli.progress import Advance
from conveyor.client import changes
from conveyor.core.errors import ConveyorError
from conveyor.core.options import Changes
from conveyor.job import Job
from tests.support.jobs import INFO
from tests.support.stores import sqlite_url

UNKNOWN = "01a20275-4efd-7236-9828-a833eae408d6"
Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Conveyor]:
    opened = Conveyor(sqlite_url(tmp_path))
    opened.task(name="send", queue="mail")(print)
    yield opened
    opened.close()


@pytest.fixture
def say(app: Conveyor, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    """Runs a command on the app's store: its status, and what it prints on both outputs."""
    monkeypatch.setattr(sys, "stdin", io.StringIO())

    def said(*words: str) -> tuple[int, str, str]:
        try:
            status = main([*words, "--store", app.url])
        except SystemExit as ended:
            status = int(str(ended.code))
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return said


def enqueue(app: Conveyor, count: int = 1, **options: Unpack[Changes]) -> list[Job[object]]:
    """So many jobs of the app's one task; in the order of their ids, which those of one millisecond have not."""
    call = app.tasks["send"].using(**options).bind()
    return sorted(app.enqueue_many([call] * count), key=lambda job: job.id)


def states(app: Conveyor) -> dict[str, int]:
    return {str(state): count for state, count in app.jobs.counts().items() if count}


class Keyboard(io.StringIO):
    """Somebody at a terminal, who types this."""

    def isatty(self) -> bool:
        return True


# ---------------------------------------------------------------- which jobs

BAD = {
    "nothing": (["cancel"], "which jobs? Give ids, or options such as --state failed, or --all"),
    "ids and options": (["retry", UNKNOWN, "--queue", "mail"], "not both"),
    "ids and all": (["delete", UNKNOWN, "--all"], "not both"),
    "a reason that cannot be kept": (["cancel", "--all", "--reason", "x" * 501], "--reason: 501 characters"),
    "prune, a filter alone": (["prune", "--state", "failed"], "need --older-than"),
    "prune, what has not ended": (["prune", "--older-than", "1d", "--state", "ready"], "prune deletes ended jobs only"),
    "prune, no duration": (["prune", "--older-than", "yesterday"], "'yesterday' is no duration"),
    "queues, no name": (["queues", "pause"], "which queue? conveyor queues pause NAME"),
    "queues, no action": (["queues", "stop", "mail"], "there is no 'stop'"),
    "queues, no name of a queue": (["queues", "pause", "mail", "a\tb"], "holds characters that cannot be printed"),
    "jobs, a word": (["jobs", "mail"], "unrecognized arguments: mail"),
    "retry, an unknown option": (["retry", UNKNOWN, "--quiet"], "there is no option --quiet"),
}


@pytest.mark.parametrize(("words", "hint"), BAD.values(), ids=BAD)
def test_what_makes_no_sense_changes_nothing(app: Conveyor, say: Say, words: list[str], hint: str) -> None:
    enqueue(app, 2)
    status, out, err = say(*words)
    assert (status, out, err.count("\n")) == (1 if "reason" in hint or "holds" in hint else 2, "", 1)
    assert hint in err
    assert states(app) == {"ready": 2}
    assert [queue.paused_at for queue in app.queues.list()] == [None]


def test_ids_may_stand_before_and_behind_options(app: Conveyor, say: Say) -> None:
    first, second, third = enqueue(app, 3)
    assert say("cancel", first.id, "--reason", "enough", second.id, "--json", third.id)[0] == 0
    assert states(app) == {"cancelled": 3}


def test_names_may_stand_before_and_behind_options(app: Conveyor, say: Say) -> None:
    app.migrate()
    assert json.loads(say("queues", "pause", "a", "--json", "b")[1])[1]["queue"] == "b"
    assert [queue.name for queue in app.queues.list()] == ["a", "b"]


# ---------------------------------------------------------------- by options


@pytest.mark.parametrize(
    ("command", "question"),
    [("cancel", "cancel 2 jobs"), ("delete", "delete 2 jobs"), ("retry", "make 2 jobs ready")],
)
def test_several_jobs_are_not_changed_without_a_yes(app: Conveyor, say: Say, command: str, question: str) -> None:
    enqueue(app, 2, run_after=timedelta(hours=1))
    words = [command, "--state", "scheduled"]
    line = f"conveyor {command}: this would {question}; say --yes if that is meant, or --dry-run to look only\n"
    assert say(*words) == (2, "", line)
    assert say(*words, "--dry-run") == (0, f"would {question}\n", "")
    assert states(app) == {"scheduled": 2}


@pytest.mark.parametrize(
    ("typed", "agreed"), [("y\n", True), (" YES \n", True), ("n\n", False), ("\n", False), ("", False)]
)
def test_at_a_terminal_one_is_asked(
    app: Conveyor, say: Say, typed: str, agreed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue(app, 2)
    monkeypatch.setattr(sys, "stdin", Keyboard(typed))
    status, out, err = say("cancel", "--queue", "mail")
    assert err.startswith("Cancel 2 jobs? [y/N] ")
    assert (status, out) == ((0, "cancelled 2 jobs\n") if agreed else (1, ""))
    assert err.endswith("nothing was changed\n") != agreed
    assert states(app) == {"cancelled" if agreed else "ready": 2}


def test_one_job_is_changed_without_a_question(app: Conveyor, say: Say) -> None:
    enqueue(app)
    assert say("cancel", "--task", "send") == (0, "cancelled 1 job\n", "")


def test_what_was_done_is_said(app: Conveyor, say: Say) -> None:
    enqueue(app, 3)
    assert say("cancel", "--all", "--yes", "--reason", "enough")[1] == "cancelled 3 jobs\n"
    assert {info.cancelled for info in app.jobs.list()} == {"enough"}
    assert say("retry", "--state", "cancelled", "--yes")[1] == "made 3 jobs ready\n"
    assert say("retry", "--all")[:2] == (0, "no jobs to retry\n")
    assert json.loads(say("delete", "--all", "--yes", "--json")[1]) == {
        "dry_run": False,
        "changed": 3,
        "asked": 0,
        "left": 0,
    }
    assert say("delete", "--all")[:2] == (0, "no jobs to delete\n")


def test_jobs_whose_key_another_holds_are_left_and_counted(app: Conveyor, say: Say) -> None:
    for _ in range(2):
        enqueue(app, unique="k")
        app.jobs.cancel(everything=True)
    assert say("retry", "--state", "cancelled", "--yes")[1] == (
        "made 1 job ready; left 1 job whose unique key another holds by now\n"
    )


def test_conditions_are_those_of_jobs(app: Conveyor, say: Say) -> None:
    enqueue(app, 2)
    enqueue(app, tags=["old"])
    assert say("cancel", "--tag", "old") == (0, "cancelled 1 job\n", "")
    assert say("jobs", "--state", "cancelled", "--state", "failed", "--tag", "old", "--json")[1].count('"id"') == 1
    assert say("cancel", "--enqueued-before", "1h")[1] == "no jobs to cancel\n"
    assert say("cancel", "--enqueued-after", "1h", "--yes")[1] == "cancelled 2 jobs\n"
    assert say("jobs", "--finished-before", "1h")[1] == "no such jobs\n"
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert say("delete", "--finished-before", later, "--yes")[1] == "deleted 3 jobs\n"


# ---------------------------------------------------------------- by ids


def test_a_job_that_is_named_has_its_own_line(app: Conveyor, say: Say) -> None:
    (job,) = enqueue(app)
    assert say("cancel", job.id, "--dry-run")[1] == f"{job.id} was ready: would be cancelled\n"
    assert say("cancel", job.id) == (0, f"{job.id} was ready: cancelled\n", "")
    assert say("cancel", job.id) == (0, f"{job.id} was cancelled: left: it has ended already\n", "")
    assert say("retry", job.id) == (0, f"{job.id} was cancelled: ready\n", "")
    assert say("retry", job.id) == (0, f"{job.id} was ready: left: it is ready already\n", "")
    assert say("delete", job.id) == (0, f"{job.id} was ready: deleted\n", "")
    assert say("delete", job.id) == (1, "", f"conveyor delete: there is no job {job.id} in this store\n")


def test_several_are_a_table_and_what_is_missing_an_error(app: Conveyor, say: Say) -> None:
    first, second = enqueue(app, 2)
    status, out, err = say("retry", first.id, UNKNOWN, second.id, "12", first.id)
    assert status == 1
    assert [line.split() for line in out.splitlines()] == [
        ["ID", "WAS", "NOW"],
        *([job.id, "ready", "left:", "it", "is", "ready", "already"] for job in (first, second)),
    ]
    assert [line.split(": ")[1][:12] for line in err.splitlines()] == ["there is no ", "'12' is not "]
    told = json.loads(say("retry", first.id, UNKNOWN, "--json")[1])
    assert told == {
        "dry_run": False,
        "jobs": [{"id": first.id, "was": "ready", "done": None, "left": "it is ready already"}],
        "missing": [UNKNOWN],
    }


@pytest.fixture
def running(app: Conveyor) -> Iterator[Job[object]]:
    """A job that a runner holds."""
    (job,) = enqueue(app)
    runner = bytes(16)
    leases = app.store.leases(60)
    leases.register(runner, INFO)
    (claimed,) = app.store.run(app.store.operations.claim(runner, {"mail": 1}, ["send"]))
    assert claimed.task == "send"
    yield job
    leases.retire(runner, clean=False)
    leases.close()


def test_a_running_job_is_asked_to_stop_and_otherwise_left(app: Conveyor, say: Say, running: Job[object]) -> None:
    assert say("retry", running.id) == (1, f"{running.id} was running: left: it is running\n", "")
    assert say("delete", running.id)[:2] == (1, f"{running.id} was running: left: it is running; cancel it first\n")
    assert say("cancel", running.id, "--dry-run")[1] == f"{running.id} was running: would be asked to stop\n"
    assert say("cancel", "--all", "--dry-run")[1] == "would ask 1 running job to stop\n"
    assert say("cancel", running.id, "--reason", "e\x1bough")[:2] == (0, f"{running.id} was running: asked to stop\n")
    assert say("cancel", running.id)[:2] == (
        0,
        f"{running.id} was running: left: it was asked to stop already (e\\x1bough)\n",
    )
    assert running.refresh().state is State.RUNNING


def test_several_of_both_kinds(app: Conveyor, say: Say, running: Job[object]) -> None:
    enqueue(app, 2)
    assert say("cancel", "--all")[2].startswith("conveyor cancel: this would cancel 2 jobs, ask 1 running job to stop;")
    assert say("cancel", "--all", "--yes")[1] == "cancelled 2 jobs, asked 1 running job to stop\n"


def test_a_job_whose_key_another_holds_is_left(app: Conveyor, say: Say) -> None:
    (first,) = enqueue(app, unique="k")
    first.cancel()
    enqueue(app, unique="k")
    status, out, _ = say("retry", first.id)
    assert status == 1
    assert "another job holds its unique key by now" in out


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ConveyorError("it runs"), (1, "was ready: left: it has begun to run; cancel it first\n")),
        (None, (0, "was ready: deleted\n")),
    ],
)
def test_a_job_that_moves_meanwhile(
    app: Conveyor, say: Say, error: Exception | None, told: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = enqueue(app)

    def quicker(self: Job[object]) -> None:
        if error is not None:
            raise error
        app.jobs.delete(job.id)
        self.refresh()

    monkeypatch.setattr(Job, "delete", quicker)
    status, out, _ = say("delete", job.id)
    assert (status, out) == (told[0], f"{job.id} {told[1]}")


# ---------------------------------------------------------------- interrupted


@pytest.fixture
def ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal whose user presses Ctrl+C when the first jobs are done."""

    @contextlib.contextmanager
    def shown(what: str, total: int) -> Iterator[Advance]:
        assert what
        assert total == 5

        def advance(count: int) -> None:
            raise KeyboardInterrupt

        yield advance

    monkeypatch.setattr(changing, "progress", shown)
    monkeypatch.setattr(changes, "PASS", 2)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_says_how_far_it_came_and_the_rest_is_as_it_was(app: Conveyor, say: Say) -> None:
    enqueue(app, 5)
    line = "conveyor cancel: interrupted after 2 of 5 jobs; the same command does the rest\n"
    assert say("cancel", "--all", "--yes") == (130, "", line)
    assert states(app) == {"cancelled": 2, "ready": 3}


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_between_jobs_that_were_named(app: Conveyor, say: Say) -> None:
    jobs = enqueue(app, 5)
    status, out, err = say("delete", *(job.id for job in jobs))
    assert (status, err) == (130, "conveyor delete: interrupted after 1 of 5 jobs\n")
    assert out == f"{jobs[0].id} was ready: deleted\n"
    assert states(app) == {"ready": 4}


def test_progress_is_told_in_jobs(app: Conveyor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "PASS", 2)
    enqueue(app, 5)
    heard: list[int] = []
    assert app.jobs.cancel(everything=True, progress=heard.append).jobs == 5
    assert sum(heard) == 5
    assert max(heard) == 2
    heard.clear()
    app.jobs.retry(state="cancelled", dry_run=True, progress=heard.append)
    assert heard == []
    app.jobs.prune(0, progress=heard.append)
    assert sum(heard) == 5


# ---------------------------------------------------------------- prune


def test_prune_deletes_what_was_kept_long_enough_and_asks_nobody(app: Conveyor, say: Say) -> None:
    enqueue(app, 2, keep=0)
    enqueue(app, 1, keep=timedelta(days=1))
    enqueue(app, 1)
    app.jobs.cancel(queue="mail", enqueued_before=datetime.now(UTC) + timedelta(days=1))
    assert say("prune", "--dry-run")[1] == "would delete 2 jobs\n"
    assert say("prune") == (0, "deleted 2 jobs\n", "")
    assert say("prune") == (0, "no jobs to prune\n", "")
    assert states(app) == {"cancelled": 2}
    assert say("prune", "--older-than", "1h")[1] == "no jobs to prune\n"
    assert say("prune", "--older-than", "0s", "--state", "failed")[1] == "no jobs to prune\n"
    assert say("prune", "--older-than", "0s", "--queue", "mail")[0] == 2
    assert say("prune", "--older-than", "0s", "--state", "cancelled", "--yes")[1] == "deleted 2 jobs\n"


# ---------------------------------------------------------------- queues


def test_queues_are_shown_paused_and_resumed(app: Conveyor, say: Say) -> None:
    assert say("queues")[:2] == (1, "")  # there is no database yet
    app.migrate()
    assert say("queues")[1] == "no queue has unfinished jobs, is paused, or has a running worker\n"
    enqueue(app, 2)
    head, row = say("queues")[1].splitlines()
    assert head.split() == [
        "QUEUE",
        "READY",
        "SCHEDULED",
        "RETRYABLE",
        "RUNNING",
        "OLDEST",
        "WORKERS",
        "PAUSED",
        "SINCE",
    ]
    assert re.fullmatch(r"mail +2 +0 +0 +0 +\d+ (s|min) +0", row)
    assert say("queues", "pause", "mail") == (0, "mail is paused: what runs goes on\n", "")
    assert say("queues", "pause", "mail")[1].startswith("mail was paused already, since 20")
    (told,) = json.loads(say("queues", "--json")[1])
    assert (told["queue"], told["ready"], told["workers"]) == ("mail", 2, 0)
    assert datetime.fromisoformat(told["paused_at"]).utcoffset() == timedelta(0)
    assert say("queues")[1].splitlines()[1].endswith(" UTC")
    assert say("queues", "resume", "mail", "mail")[1] == "mail is resumed\n"
    assert say("queues", "resume", "mail")[1] == "mail was not paused\n"


def test_a_queue_that_nobody_knows_is_paused_and_that_is_said(app: Conveyor, say: Say) -> None:
    enqueue(app)
    _, out, _ = say("queues", "pause", "mial", "other")
    assert out == (
        "mial is paused: what runs goes on; there is nothing in it, and no running worker serves it; "
        "did you mean 'mail'?\n"
        "other is paused: what runs goes on; there is nothing in it, and no running worker serves it\n"
    )
    assert [queue.name for queue in app.queues.list() if queue.paused_at] == ["mial", "other"]
