"""Follows a page of the documentation to the letter. CONTRIBUTING.md has the conventions, under "Documentation"."""

import configparser
import contextlib
import json
import os
import re
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, NoReturn, cast

import psycopg
import pytest
import yaml

from tests.support import session
from tests.support.cli import clean_environment
from tests.support.docs import ROOT, Block
from tests.support.forker import forker
from tests.support.waiting import until

NAMED = re.compile(r"(?:#|--|;) ([\w./-]+\.\w+)\n")
SHOWN = {"", "text", "mermaid", "{eval-rst}"}
"""Blocks for the eye only, which hold no code: what cannot be typed here (installing, make), and drawings."""
PARSED: Final[Mapping[str, Callable[[str], object]]] = {
    "toml": tomllib.loads,
    "ini": lambda text: configparser.ConfigParser(strict=False, interpolation=None).read_string(text),
    "json": json.loads,
    "yaml": lambda text: list(yaml.safe_load_all(text)),
}
RUN = {"python", "output", "console", "sql", *PARSED}
STAYING = re.compile(r"conveyor worker\b(?!.*--burst)")
"""Commands that go on until the page ends."""
PLAIN = re.compile(r"conveyor [^|&;<>()$`\\*?\[#~{}=%\n]+")
"""Commands that mean the same without a shell."""
PATIENCE = 40.0


class Typed(NamedTuple):
    """One command of a console block, and what the page says that it prints."""

    command: str
    output: str
    line: int


def typed(block: Block) -> list[Typed]:
    """The commands of a console block; one that ends with a backslash goes on in the next line."""
    parts = re.finditer(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", block.text, re.MULTILINE)
    return [Typed(part[1], part[2], block.line + block.text.count("\n", 0, part.start())) for part in parts]


def like(expected: str, found: str) -> bool:
    """Whether *found* is what the page says; spaces before and after ``...`` are columns, and differ."""
    pieces = [re.escape(piece.strip(" ")) for piece in expected.strip().split("...")]
    return re.fullmatch(r"(?s:.*?)".join(pieces), found.strip()) is not None


def tidy(text: str) -> str:
    """*text* without spaces at the ends of lines, and columns one space apart."""
    return "\n".join(re.sub(r" {2,}", " ", line).rstrip() for line in text.splitlines())


def needs_database(blocks: Sequence[Block]) -> bool:
    """Whether the page is about PostgreSQL, by what its blocks say."""
    return any(
        "postgresql" in block.text or (block.language == "sql" and not NAMED.match(block.text))
        for block in blocks
        if block.language in RUN
    )


class Session:
    """The Python of a page's own blocks."""

    def __init__(self, folder: Path, home: Path, environment: Mapping[str, str]) -> None:
        """Starts it; what it prints goes to a file in *folder*, and it works in *home*."""
        self._printed = folder / "printed"
        self._logged = folder / "logged"
        for file in (self._printed, self._logged):
            file.touch()
        name = f"conveyor-{os.getpid()}-{id(self)}"
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(f"\0{name}")
            door.listen()
            door.settimeout(PATIENCE)
            words = (session.__file__, [name], home, environment, self._printed, self._logged)
            self._process = forker().start(*words)
            self._socket, _ = door.accept()
        self._socket.settimeout(PATIENCE)
        self._wire = self._socket.makefile("rw")
        self._seen = 0

    def ask(self, request: session.Request) -> session.Answer:
        """Have something done; it is no good when it takes too long, or ends the whole program."""
        try:
            self._wire.write(json.dumps(request) + "\n")
            self._wire.flush()
            answer = self._wire.readline()
        except TimeoutError:
            return session.Answer(trouble=f"it has not ended after {PATIENCE:.0f} s", loaded=[])
        if not answer:
            return session.Answer(trouble=f"it ends the program, with status {self._process.wait(PATIENCE)}", loaded=[])
        return cast(session.Answer, json.loads(answer))

    def printed(self) -> str:
        """What was printed since the last look."""
        text = self._printed.read_text("utf-8")
        new, self._seen = text[self._seen :], len(text)
        return new

    def logged(self) -> str:
        """All that went to standard error."""
        return self._logged.read_text("utf-8")

    def leave(self) -> None:
        """No more requests: it must end by itself."""
        self._wire.close()
        self._socket.close()
        assert self._process.wait(PATIENCE) == 0

    def kill(self) -> None:
        """Whatever it is doing."""
        self._process.kill()
        self._process.wait(PATIENCE)
        self._wire.close()
        self._socket.close()


class Reader:
    """Does what a page says, block by block."""

    def __init__(self, page: Path, folder: Path, port: int | None = None) -> None:
        """*page* as it is to be named; *port* of the PostgreSQL server, for a page that needs its database ``shop``."""
        self.page = page
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        self.session: Session | None = None
        self.workers: list[subprocess.Popen[str]] = []
        self.unseen: dict[str, Block] = {}
        """Files of Python that nothing has run yet, as the page names them."""
        ours = clean_environment()
        self.environment = {name: ours[name] for name in ours if not name.startswith(("PG", "PYTEST"))}
        self.environment |= {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        self.environment["PATH"] = f"{_commands(folder)}{os.pathsep}{os.environ['PATH']}"
        self.port = port
        if port is not None:  # what a URL leaves open, every driver takes from here: postgresql://localhost/shop
            self.environment |= {"PGHOST": "localhost", "PGPORT": str(port), "PGUSER": "postgres"}

    # -- the page

    def follow(self, blocks: Sequence[Block]) -> None:
        """Do what all blocks say, and run what is left to run at the end."""
        for number, block in enumerate(blocks):
            if block.language not in RUN | SHOWN:
                self.fail(block.line, f"what is {block.language}? There are {', '.join(sorted(RUN | SHOWN))}")
            after = blocks[number + 1] if number + 1 < len(blocks) else None
            if block.language == "console":
                self.console(block)
            elif block.language == "sql":
                self.sql(block)
            elif block.language == "python" and not NAMED.match(block.text):
                self.run(block, after.text if after and after.language == "output" else "")
            elif block.language in RUN - {"output"}:
                self.file(block)
        self.load_unseen()
        self.test()

    def fail(self, line: int, message: str) -> NoReturn:
        """The test fails, and says where in the page."""
        pytest.fail(f"{self.page}:{line}: {message}", pytrace=False)

    # -- blocks of code

    def run(self, block: Block, expected: str) -> None:
        """Run a piece of the page's program; it prints what is *expected*."""
        self.ask("run", block.text, block.line)
        assert self.session is not None
        printed = self.session.printed()
        if not like(tidy(expected), tidy(printed)):
            self.fail(block.line, f"the block prints\n{printed}\n--- the page says:\n{expected}")

    def ask(self, do: str, what: str, line: int) -> None:
        """Have the session do something; the page is wrong when it cannot."""
        if self.session is None:
            self.session = Session(self.folder, self.home, self.environment)
        request = session.Request(do=do, what=what, file=str(ROOT / self.page), line=line, environment=self.environment)
        answer = self.session.ask(request)
        if answer["trouble"]:
            self.fail(line, f"{answer['trouble']}\n{self.session.logged()}")
        for file in answer["loaded"]:
            if Path(file).is_relative_to(self.home):
                self.unseen.pop(str(Path(file).relative_to(self.home)), None)

    def file(self, block: Block) -> None:
        """Check what a file holds, and write it if it has a name."""
        if block.language != "python":
            try:
                PARSED[block.language](block.text)
            except (ValueError, configparser.Error, yaml.YAMLError) as error:
                self.fail(block.line, f"this is no {block.language}: {error}")
        named = NAMED.match(block.text)
        if not named:
            return
        if named[1] in self.unseen:  # an earlier version, which is about to go
            self.load(named[1], self.unseen[named[1]].line)
        path = self.home / named[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, "utf-8")
        if block.language == "python":
            self.unseen[named[1]] = block
            if self.session is not None:
                self.ask("forget", _module(named[1]), block.line)

    def load_unseen(self) -> None:
        """Import every module that no command has run and no block has imported; so its code is right at least."""
        for name, block in tuple(self.unseen.items()):
            if name in self.unseen and not _is_test(name):
                self.load(name, block.line)

    def load(self, name: str, line: int) -> None:
        """Import one file of the page."""
        self.ask("load", _module(name), line)

    def test(self) -> None:
        """Run the files of tests that no command of the page has run."""
        tests = {name: block for name, block in self.unseen.items() if _is_test(name)}
        if not tests:
            return
        shell = self.shell(shlex.join(["pytest", "-q", *tests]))
        out, _ = shell.communicate(timeout=PATIENCE)
        if shell.returncode:
            self.fail(next(iter(tests.values())).line, f"the tests fail:\n{out}")

    def sql(self, block: Block) -> None:
        """Run statements: in the SQLite file that a comment above them names, else in the page's PostgreSQL."""
        named = NAMED.match(block.text)
        try:
            if named:
                with contextlib.closing(sqlite3.connect(self.home / named[1])) as file:
                    file.executescript(block.text)
                return
            with psycopg.connect(f"postgresql://postgres@localhost:{self.port}/shop", autocommit=True) as connection:
                connection.execute(block.text.encode())
        except (sqlite3.Error, psycopg.Error) as error:
            self.fail(block.line, str(error))

    # -- commands

    def console(self, block: Block) -> None:
        """Type the commands, and compare what they print."""
        if not block.text.startswith("$ "):
            self.fail(block.line, "a console block begins with a command: $ ...")
        for command in typed(block):
            exported = re.fullmatch(r"export (\w+)=(.*)", command.command)
            if exported:
                self.environment[exported[1]] = shlex.split(exported[2])[0]
            elif STAYING.match(command.command):
                self.start(command)
            else:
                self.type(command)
            self.see(command.command)

    def see(self, command: str) -> None:
        """Note the files that *command* names, as ``python shop.py`` or ``--app shop``; pytest runs all tests."""
        words = set(re.findall(r"[\w.]+", command))
        for name in tuple(self.unseen):
            if words & {name, Path(name).name, _module(name)} or ("pytest" in words and _is_test(name)):
                del self.unseen[name]

    def type(self, typed: Typed) -> None:
        """Run a command to its end, and compare."""
        out, status = self.plain(typed) if PLAIN.fullmatch(typed.command) else self.whole(typed)
        shown = typed.output.strip()
        if not like(tidy(typed.output), tidy(out)):
            self.fail(typed.line, f"$ {typed.command}\n{out}\n--- the page says:\n{typed.output}")
        if status and shown in {"", "..."}:
            self.fail(typed.line, f"$ {typed.command}\n{out}\n--- ends with status {status}")

    def plain(self, typed: Typed) -> tuple[str, int]:
        """What a command prints that needs no shell, and its status: a fork, as the page's own blocks are."""
        said = self.folder / "said"
        said.write_text("")
        words = shlex.split(typed.command)[1:]
        process = forker().start("conveyor", words, self.home, self.environment, said, said)
        try:
            status = process.wait(PATIENCE)
            return said.read_text("utf-8"), status
        except subprocess.TimeoutExpired:
            self.late(typed, said.read_text("utf-8"))
        finally:
            process.kill()

    def whole(self, typed: Typed) -> tuple[str, int]:
        """The same of any other command."""
        shell = self.shell(typed.command)
        try:
            out, _ = shell.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            shell.kill()
            out, _ = shell.communicate()
            self.late(typed, out)
        return out, shell.returncode

    def late(self, typed: Typed, out: str) -> NoReturn:
        """The command has not ended."""
        self.fail(typed.line, f"$ {typed.command}\n{out}\n--- has not ended after {PATIENCE:.0f} s")

    def start(self, typed: Typed) -> None:
        """A worker that goes on; returns when it has said what the page says."""
        log = self.folder / f"worker{len(self.workers)}.log"
        log.touch()
        worker = self.shell(f"exec {typed.command} >{shlex.quote(str(log))} 2>&1")
        self.workers.append(worker)

        def said() -> bool:
            return like(tidy(typed.output), tidy(log.read_text("utf-8")))

        with contextlib.suppress(AssertionError):
            until(lambda: said() or worker.poll() is not None, patience=PATIENCE)
        if not said():
            self.fail(typed.line, f"$ {typed.command}\n{log.read_text('utf-8')}\n--- the page says:\n{typed.output}")

    def shell(self, command: str) -> "subprocess.Popen[str]":
        """A command, under way."""
        return subprocess.Popen(
            ["bash", "-c", command],
            cwd=self.home,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    # -- the end

    def leave(self) -> None:
        """Stop what the page started, which must stop well."""
        for worker in self.workers:
            worker.send_signal(signal.SIGINT)
        for worker in self.workers:
            worker.communicate(timeout=PATIENCE)
            assert worker.returncode == 0
        if self.session is not None:
            self.session.leave()

    def kill(self) -> None:
        """Whatever is left."""
        for worker in self.workers:
            worker.kill()
            worker.communicate()
        if self.session is not None:
            self.session.kill()


@contextlib.contextmanager
def reader(page: Path, folder: Path, port: int | None = None) -> Iterator[Reader]:
    """A reader of *page*, nothing of which outlives a failure."""
    made = Reader(page, folder, port)
    try:
        yield made
        made.leave()
    finally:
        made.kill()


def _commands(folder: Path) -> Path:
    """A folder of the commands that a page may type, run by this Python."""
    binaries = folder / "bin"
    binaries.mkdir()
    for name, words in {"python": "", "pytest": "-m pytest -p no:cacheprovider", "conveyor": "-m conveyor"}.items():
        script = binaries / name
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {words} "$@"\n', "utf-8")
        script.chmod(0o755)
    return binaries


def _module(name: str) -> str:
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _is_test(name: str) -> bool:
    return Path(name).name.startswith(("test_", "conftest"))
