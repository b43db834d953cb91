"""The command line as a person has it: a process of its own, in a folder, with a clean environment."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.forker import SOURCE, forker, plain_environment

PATIENCE = 40.0
"""Seconds that a command gets."""


def clean_environment() -> dict[str, str]:
    """Ours, without what would speak to Conveyor or change the output."""
    return plain_environment() | {"PYTHONPATH": str(SOURCE)}


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    status: int
    out: str
    err: str


@dataclass
class Terminal:
    """A folder to type ``conveyor ...`` in."""

    folder: Path
    environment: dict[str, str] = field(default_factory=clean_environment)
    anew: bool = False
    """Whether Python is started for each command; else each that is run to its end is a fork of one that has loaded
    what commands load, for that is most of what a command costs."""

    def write(self, name: str, text: str) -> Path:
        """Make a file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    @contextmanager
    def started(self, *words: str) -> "Iterator[subprocess.Popen[str]]":
        """The command, running; it does not outlive the block."""
        process = subprocess.Popen(
            [sys.executable, "-m", "conveyor", *words],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()

    def run(self, *words: str) -> Done:
        """The command, run to its end."""
        if self.anew:
            with self.started(*words) as process:
                out, err = process.communicate(timeout=PATIENCE)
            return Done(process.returncode, out, err)
        return self._fork("conveyor", *words)

    def program(self, name: str) -> None:
        """``python NAME``; it must succeed."""
        done = self._fork(str(self.folder / name))
        assert done.status == 0, done.err

    def _fork(self, what: str, *words: str) -> Done:
        with TemporaryDirectory(prefix="conveyor-") as name:
            out, err = Path(name, "out"), Path(name, "err")
            for file in (out, err):
                file.touch()
            process = forker().start(what, words, self.folder, self.environment, out, err)
            try:
                status = process.wait(PATIENCE)
            finally:
                process.kill()
            return Done(status, out.read_text("utf-8"), err.read_text("utf-8"))

    def does(self, *commands: Sequence[str]) -> list[Done]:
        """Commands one after the other."""
        return [self.run(*words) for words in commands]

    def says(self, *words: str) -> str:
        """What the command prints; it must succeed, and complain of nothing."""
        done = self.run(*words)
        assert (done.status, done.err) == (0, "")
        return done.out

    def tells(self, *words: str) -> object:
        """What the command prints with ``--json``, read."""
        return json.loads(self.says(*words, "--json"))

    def refuses(self, *words: str) -> str:
        """The one line by which the command refuses."""
        return _refusal(words, self.run(*words))

    def refuses_each(self, commands: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
        """The lines by which commands refuse."""
        return {words: self.refuses(*words) for words in commands}


def _refusal(words: Sequence[str], done: Done) -> str:
    """The one line by which the command of *words* has refused."""
    assert done.status in {1, 2}, done
    assert done.out == ""
    (line,) = done.err.splitlines()
    command = f"conveyor {words[0]}: " if words and not words[0].startswith("-") else "conveyor: "
    assert line.startswith((command, "conveyor: "))
    assert "Traceback" not in line
    return line
