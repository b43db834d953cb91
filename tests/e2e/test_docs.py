"""Every program and command of the documents is run, and what it prints is what the document says.

A block of Python that begins with a comment of a file's name, ``# shop.py``, is written to that file; a console block
has ``$`` before what is typed and below it what appears, with ``...`` for what differs from run to run. A worker that
is started without ``--burst`` works until the document ends. Each document has a folder of its own.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.cli import clean_environment
from tests.support.docs import DOCUMENTS, ROOT, Block, blocks
from tests.support.postgres import PostgresServer
from tests.support.waiting import until

POSTGRES = "postgresql://localhost/shop"
"""The address that documents write; a database of the tests stands in for it."""
NAMED = re.compile(r"# ([\w./-]+\.\w+)\n")
RUN = {"python", "console", "bash", "toml"}
SHOWN = {"", "mermaid", "ini"}
"""Blocks for the eye only. Those without a language are what cannot be run here: installing, make, a service."""
PATIENCE = 40.0

EXECUTED = [path for path in DOCUMENTS if any(block.language in RUN for block in blocks(path.read_text("utf-8")))]


class Typed(NamedTuple):
    """One command of a console block, and what the document says that it prints."""

    command: str
    output: str


def typed(block: Block) -> list[Typed]:
    """The commands of a console block."""
    parts = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
    assert not parts[0], f"line {block.line}: a console block begins with a command"
    return [Typed(*part.split("\n", 1)) for part in parts[1:]]


def like(expected: str, found: str) -> bool:
    """Whether *found* is what the document says; spaces before and after ``...`` are columns, and differ."""
    pieces = [re.escape(piece.strip(" ")) for piece in expected.strip().split("...")]
    return re.fullmatch(r"(?s:.*?)".join(pieces), found.strip()) is not None


def tidy(text: str) -> str:
    """*text* without spaces at the ends of lines, and columns one space apart."""
    return "\n".join(re.sub(r" {2,}", " ", line).rstrip() for line in text.splitlines())


class Reader:
    """Follows a document to the letter."""

    def __init__(self, folder: Path, database: str) -> None:
        self.folder = folder
        self.database = database
        self.workers: list[subprocess.Popen[str]] = []
        binaries = folder / "bin"
        binaries.mkdir()
        self.home = folder / "home"
        self.home.mkdir()
        _script(binaries / "python", f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
        _script(
            binaries / "conveyor",
            f"#!{sys.executable}\nimport sys\nfrom conveyor.cli import main\nsys.exit(main())\n",
        )
        path = f"{binaries}{os.pathsep}{os.environ['PATH']}"
        self.environment = clean_environment() | {"PATH": path, "PYTHONUNBUFFERED": "1"}

    def follow(self, block: Block) -> None:
        """Write, run or type what *block* shows."""
        text = block.text.replace(POSTGRES, self.database)
        if block.language == "console":
            for command, output in typed(block._replace(text=text)):
                self.type(command, output)
        elif block.language == "bash":
            self.type(text, "...")
        else:
            named = NAMED.match(text)
            if named:
                (self.home / named[1]).write_text(text, "utf-8")
            else:
                assert block.language == "python"
                self.type(f"python -c {shlex.quote(text)}", "")

    def type(self, command: str, expected: str) -> None:
        """Run *command*, and compare."""
        exported = re.fullmatch(r"export (\w+)=(.*)", command.strip())
        if exported:
            self.environment[exported[1]] = shlex.split(exported[2])[0]
        elif command.startswith("conveyor worker") and "--burst" not in command:
            self.start(command, expected)
        else:
            shell = self.shell(command)
            out, _ = shell.communicate(timeout=PATIENCE)
            assert like(tidy(expected), tidy(out)), f"$ {command}\n{out}\n--- the document says:\n{expected}"

    def start(self, command: str, expected: str) -> None:
        """A worker that goes on; returns when it has said what the document says."""
        log = self.folder / f"worker{len(self.workers)}.log"
        self.workers.append(self.shell(f"exec {command} >{shlex.quote(str(log))} 2>&1"))
        until(lambda: log.exists() and like(tidy(expected), tidy(log.read_text("utf-8"))), patience=PATIENCE)

    def shell(self, command: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            ["bash", "-c", command],
            cwd=self.home,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def leave(self) -> None:
        """Stop the workers, which must stop well."""
        for worker in self.workers:
            worker.send_signal(signal.SIGINT)
        for worker in self.workers:
            worker.communicate(timeout=PATIENCE)
            assert worker.returncode == 0


def _script(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
    path.chmod(0o755)


@contextmanager
def reader(folder: Path, database: str) -> Iterator[Reader]:
    """A reader, whose workers do not outlive a failure."""
    made = Reader(folder, database)
    try:
        yield made
        made.leave()
    finally:
        for worker in made.workers:
            worker.kill()
            worker.communicate()


@pytest.fixture
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database, for the documents that speak of one; the tables are for the document to make."""
    if POSTGRES not in request.getfixturevalue("document").read_text("utf-8"):
        yield "unused"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    yield server.create_database("docs")
    server.drop_database("docs")


@pytest.mark.parametrize("document", EXECUTED, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_does_what_it_says(document: Path, database: str, tmp_path: Path) -> None:
    with reader(tmp_path, database) as follower:
        for block in blocks(document.read_text("utf-8")):
            assert block.language in RUN | SHOWN, f"line {block.line}: what is {block.language}?"
            if block.language in RUN:
                follower.follow(block)


def test_a_wrong_output_would_be_noticed() -> None:
    assert like("a ... b\n...", "a 1 b\nand more\n")
    assert not like("ready 1", "ready 2")
    assert not like("", "something")
    assert not like("a\n...\nb", "a\nc")
