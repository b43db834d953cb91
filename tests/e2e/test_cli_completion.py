"""The completion script in a real bash: what Tab makes of a line, and what it offers."""

import contextlib
import os
import pty
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from conveyor.cli import COMMANDS
from conveyor.cli.bench.options import MEASURES
from conveyor.core.lifecycle import State
from tests.support.cli import Terminal
from tests.support.waiting import until

PROMPT = "what now> "
RC = f"""
PS1='{PROMPT}'
bind 'set bell-style none'
conveyor() {{ printf '<%s>' "$@"; printf '%s\\n' END; }}
set -u
source completion
"""


class Bash:
    """A shell with somebody at the keyboard."""

    def __init__(self, folder: Path, script: str) -> None:
        (folder / "completion").write_text(script, "utf-8")
        (folder / "rc").write_text(RC, "utf-8")
        surroundings = {"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "dumb", "LC_ALL": "C.UTF-8"}
        self._screen, keyboard = pty.openpty()
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--rcfile", "rc", "-i"],
            cwd=folder,
            env=surroundings | {"INPUTRC": "/dev/null"},
            stdin=keyboard,
            stdout=keyboard,
            stderr=keyboard,
            start_new_session=True,
        )
        os.close(keyboard)
        os.set_blocking(self._screen, False)
        self._shown = ""

    def __enter__(self) -> Self:
        self._until(PROMPT)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._screen)

    def completes(self, line: str) -> list[str]:
        """The words that ``conveyor`` is called with once Tab and Return have been pressed after *line*."""
        self._shown = ""
        os.write(self._screen, f"{line}\t\r".encode())
        self._until(f"END\r\n{PROMPT}")
        return re.findall(r"<([^>]*)>", self._shown.splitlines()[-2])

    def _until(self, text: str) -> None:
        until(lambda: text in self._read(), patience=20)

    def _read(self) -> str:
        with contextlib.suppress(BlockingIOError):
            self._shown += os.read(self._screen, 65_536).decode()
        return self._shown


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> str:
    return Terminal(tmp_path_factory.mktemp("script")).says("completion", "bash")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Some files and a folder, whose names no option takes unless it says so."""
    made = tmp_path / "files"
    made.mkdir()
    for name in ("jobs.db", "my jobs.db", "shop.py", "workers.txt"):
        (made / name).touch()
    (made / "reports").mkdir()
    return made


@pytest.fixture
def bash(folder: Path, script: str) -> Iterator[Bash]:
    with Bash(folder, script) as started:
        yield started


TYPED = {
    "conveyor wor": ["worker"],
    "conveyor --vers": ["--version"],
    "conveyor jobs --sta": ["jobs", "--state"],
    "conveyor jobs --state fai": ["jobs", "--state", "failed"],
    "conveyor jobs --state=fai": ["jobs", "--state=failed"],
    "conveyor jobs --state failed --li": ["jobs", "--state", "failed", "--limit"],
    "conveyor worker -q mail=2,default --log-f": ["worker", "-q", "mail=2,default", "--log-format"],
    "conveyor worker --log-level w": ["worker", "--log-level", "warning"],
    "conveyor bench drain enq": ["bench", "drain", "enqueue"],
    "conveyor completion z": ["completion", "zsh"],
    "conveyor jobs --store sq": ["jobs", "--store", "sqlite:///"],
    "conveyor jobs --store=po": ["jobs", "--store=postgresql://"],
    "conveyor jobs --store sqlite:///jo": ["jobs", "--store", "sqlite:///jobs.db"],
    "conveyor jobs --store=sqlite:///jo": ["jobs", "--store=sqlite:///jobs.db"],
    "conveyor jobs --store sqlite:///my": ["jobs", "--store", "sqlite:///my jobs.db"],
    "conveyor jobs --store sqlite:///rep": ["jobs", "--store", "sqlite:///reports/"],
    "conveyor demo rep": ["demo", "reports/"],
    "conveyor demo --out rep": ["demo", "--out", "reports/"],
    "conveyor demo --out=rep": ["demo", "--out=reports/"],
    "conveyor demo --out jo": ["demo", "--out", "jo"],
    "conveyor worker --app sh": ["worker", "--app", "sh"],
    "conveyor why jo": ["why", "jo"],
    "conveyor nonesuch --st": ["nonesuch", "--st"],
}


def test_tab_completes_what_there_is_and_nothing_else(bash: Bash) -> None:
    assert {line: bash.completes(line) for line in TYPED} == TYPED


def offered(folder: Path, script: str, words: list[str], breaks: str = "\"'><=;|&(:") -> list[str]:
    """What the function offers when bash has cut the line into *words*."""
    ask = f"""
        COMP_WORDBREAKS={shlex.quote(breaks)}
        COMP_WORDS=({" ".join(map(shlex.quote, words))})
        COMP_CWORD={len(words) - 1}
        _conveyor
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    shell = ["bash", "--noprofile", "--norc", "-uc", script + ask]
    done = subprocess.run(shell, cwd=folder, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_what_is_offered(folder: Path, script: str) -> None:
    assert offered(folder, script, ["conveyor", ""]) == list(COMMANDS)
    assert offered(folder, script, ["conveyor", "jobs", "--state", ""]) == list(State)
    assert offered(folder, script, ["conveyor", "jobs", "--state", "=", "s"]) == ["scheduled", "succeeded"]
    assert offered(folder, script, ["conveyor", "migrate", "--l"]) == ["--lock-timeout"]
    assert offered(folder, script, ["conveyor", "bench", ""]) == [*MEASURES]
    assert offered(folder, script, ["conveyor", "status", "--store", ""]) == ["sqlite:///", "postgresql://"]
    stores = offered(folder, script, ["conveyor", "status", "--store", "sqlite", ":", "///"])
    assert sorted(stores) == [
        *(f"///{name}" for name in ("jobs.db", "my\\ jobs.db", "reports/", "shop.py")),
        "///workers.txt",
    ]


@pytest.mark.parametrize(
    ("breaks", "words", "answer"),
    [
        (" ", ["--store=sqlite:///jo"], "--store=sqlite:///jobs.db"),
        ("=", ["--store", "=", "sqlite:///jo"], "sqlite:///jobs.db"),
        (":", ["--store=sqlite", ":", "///jo"], "///jobs.db"),
        (" ", ["--store", "sqlite:///jo"], "sqlite:///jobs.db"),
        (" ", ["--state=fai"], "--state=failed"),
    ],
)
def test_who_has_words_cut_elsewhere_is_answered_alike(
    folder: Path, script: str, breaks: str, words: list[str], answer: str
) -> None:
    assert offered(folder, script, ["conveyor", "jobs", *words], breaks) == [answer]
