"""The command line as a person has it: a process of its own, in a folder, with a clean environment."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import conveyor

SOURCE = Path(conveyor.__file__).parents[1]
PATIENCE = 40.0
"""Seconds that a command gets."""


ONE_BY_ONE = """
import contextlib, io, json, sys
from conveyor.cli import main

told = []
for words in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(words)
        except SystemExit as end:
            status = end.code
    told.append([status, out.getvalue(), err.getvalue()])
json.dump(told, sys.stdout)
"""


def clean_environment() -> dict[str, str]:
    """Ours, without what would speak to Conveyor or change the output."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CONVEYOR_", "PYTHON"))}
    return kept | {"PYTHONPATH": str(SOURCE)}


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
        with self.started(*words) as process:
            out, err = process.communicate(timeout=PATIENCE)
        return Done(process.returncode, out, err)

    def does(self, *commands: Sequence[str]) -> list[Done]:
        """Commands one after the other, in one process: most of what a command costs is to start Python."""
        done = subprocess.run(
            [sys.executable, "-c", ONE_BY_ONE],
            cwd=self.folder,
            env=self.environment,
            input=json.dumps(commands),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return [Done(*told) for told in json.loads(done.stdout)]

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
        """The lines by which commands refuse, one after the other in one process."""
        each = list(commands)
        return {words: _refusal(words, done) for words, done in zip(each, self.does(*each), strict=True)}


def _refusal(words: Sequence[str], done: Done) -> str:
    """The one line by which the command of *words* has refused."""
    assert done.status in {1, 2}, done
    assert done.out == ""
    (line,) = done.err.splitlines()
    command = f"conveyor {words[0]}: " if words and not words[0].startswith("-") else "conveyor: "
    assert line.startswith((command, "conveyor: "))
    assert "Traceback" not in line
    return line
