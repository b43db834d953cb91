"""What the command line prints, and how it reads its words. The commands themselves are run in ``tests/e2e``."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from conveyor import Conveyor, __version__
from conveyor.cli import COMMANDS, main, module
from conveyor.cli.output import age, counted, job_json
from conveyor.cli.serving import parse_queues
from conveyor.core.errors import ConveyorError
from tests.support.jobs import enqueue, new_job, see


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Conveyor]:
    opened = Conveyor(f"sqlite:///{tmp_path / 'jobs.db'}")
    yield opened
    opened.close()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: conveyor {command} ")
    assert callable(module(command).run)


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    for command, summary in COMMANDS.items():
        assert f"\n    {command}" in shown
        assert summary in " ".join(shown.split())


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"conveyor {__version__}\n"


@pytest.mark.parametrize("words", [[], ["launch"], ["status", "--colour"], ["why"], ["jobs", "--state", "done"]])
def test_words_that_make_no_sense_are_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert "--help" in shown.err


GUESSES = {
    "command": (["wroker"], "conveyor: argument COMMAND: there is no 'wroker'; did you mean 'worker'? ("),
    "capitals": (["Jobs"], "did you mean 'jobs'?"),
    "option": (["jobs", "--stte", "failed"], "conveyor jobs: there is no option --stte; did you mean '--state'? ("),
    "option with its value": (["worker", "--grce=3"], "there is no option --grce; did you mean '--grace'? ("),
    "choice": (["jobs", "--state", "faild"], "argument --state: there is no 'faild'; did you mean 'failed'? ("),
    "word": (["bench", "drian"], "argument WHAT: there is no 'drian'; did you mean 'drain'? ("),
    "nothing like it": (["launch"], "there is no 'launch'; choose from 'demo', "),
    "a word too many": (["jobs", "failed"], "conveyor jobs: unrecognized arguments: failed ("),
}


@pytest.mark.parametrize(("words", "line"), GUESSES.values(), ids=GUESSES)
def test_a_typo_is_answered_with_a_guess(words: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert line in capsys.readouterr().err


def test_ctrl_c_is_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(options: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("conveyor.cli.status.run", interrupted)
    assert main(["status"]) == 130
    assert capsys.readouterr() == ("", "")


def test_status_of_an_empty_store(app: Conveyor, capsys: pytest.CaptureFixture[str]) -> None:
    app.migrate()
    assert main(["status", "--store", app.url, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["workers"] == []
    assert not any(told["jobs"].values())


GOOD_QUEUES = {
    "mail=2,default=10": {"mail": 2, "default": 10},
    "mail": {"mail": 10},
    " mail=2, default": {"mail": 2, "default": 10},
    "größe=1": {"größe": 1},
    "a b=10000": {"a b": 10_000},
}


@pytest.mark.parametrize(("text", "queues"), GOOD_QUEUES.items())
def test_queues_are_read(text: str, queues: dict[str, int]) -> None:
    assert parse_queues([text]) == queues


def test_queues_may_be_given_one_by_one() -> None:
    assert parse_queues(["mail=2", "default=3,slow=1"]) == {"mail": 2, "default": 3, "slow": 1}


@pytest.mark.parametrize("text", ["", ",", "mail=", "=1", "mail=two", "mail=0", "mail=-1", "mail=1.5", "mail=1=2"])
def test_queues_that_make_no_sense(text: str) -> None:
    with pytest.raises(ConveyorError, match=r"queue|NAME=SLOTS"):
        parse_queues([text])


def test_a_queue_named_twice_is_refused() -> None:
    with pytest.raises(ConveyorError, match="mail"):
        parse_queues(["mail=2", "mail=3"])


def test_counts_end_at_ten_thousand() -> None:
    assert [counted(number) for number in (0, 9_999, 10_000, 10_001)] == ["0", "9,999", "10,000", "10,000+"]


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (timedelta(seconds=-5), "0 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(minutes=2), "2 min"),
        (timedelta(hours=3), "3 h"),
        (timedelta(days=4), "4 d"),
    ],
)
def test_ages_have_one_unit(ago: timedelta, text: str) -> None:
    assert age(datetime.now(UTC) - ago) == text


def test_a_jobs_record_for_programs(app: Conveyor) -> None:
    job = new_job(queue="mail", priority=3, delay=60_000_000, args='[["größe"],{"loud":true}]'.encode())
    enqueue(app.store, job)
    told = job_json(see(app.store, job.id))
    assert json.loads(json.dumps(told)) == told
    assert (told["queue"], told["priority"], told["state"]) == ("mail", 3, "scheduled")
    assert told["arguments"] == [["größe"], {"loud": True}]
    assert (told["result"], told["error"], told["finished_at"], told["run_time"]) == (None, None, None, None)
    due = datetime.fromisoformat(str(told["run_after"]))
    assert due - datetime.fromisoformat(str(told["enqueued_at"])) == timedelta(minutes=1)
