"""``conveyor demo`` on a small folder: to its end, and over interruptions."""

import re
import signal
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from conveyor import Conveyor, State
from tests.support.cli import Done, Terminal
from tests.support.waiting import until

FILES = 60
SHORT = 30
LONG = 1_500
"""Lines of a file: so many that one takes a few hundredths of a second, and a test can get in between."""
TOTALS = re.compile(r"enqueued (\d+), succeeded (\d+), retried (\d+), failed (\d+), lost: (\d+)")
VOID = {"meta", "link", "br", "hr", "img", "input", "wbr", "col"}


class Outline(HTMLParser):
    """Reads a page strictly: what opens must close, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        fetched = [value for name, value in attrs if name in {"src", "href"} and value and value.startswith("http")]
        assert not fetched, "the report must be complete without a network"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def library(terminal: Terminal) -> Terminal:
    """A terminal with a folder ``lib`` of Python files."""
    fill(terminal, SHORT)
    terminal.write("lib/broken.py", "def (\n")
    terminal.write("lib/site-packages/other.py", "x = 1\n")
    terminal.write("lib/notes.txt", "no Python\n")
    return terminal


def fill(terminal: Terminal, lines: int) -> None:
    """Write the files anew, of so many *lines*."""
    for number in range(FILES):
        body = "".join(f"def f{line}(x: int) -> int:\n    return x + {number}\n\n" for line in range(lines // 3))
        terminal.write(f"lib/part{number % 4}/module{number:02}.py", body)


@pytest.fixture(params=["sqlite", "postgres"])
def store_words(request: pytest.FixtureRequest) -> list[str]:
    """What to say for each store: nothing for the demo's own file."""
    return ["--store", request.getfixturevalue("postgres_url")] if request.param == "postgres" else []


@pytest.fixture
def app(library: Terminal, store_words: list[str]) -> Iterator[Conveyor]:
    """A look into the demo's store."""
    opened = Conveyor(store_words[1] if store_words else f"sqlite:///{library.folder}/conveyor-demo/jobs.db")
    yield opened
    opened.close()


def totals(done: Done) -> tuple[int, ...]:
    """Enqueued, succeeded, retried, failed, lost: of a run that ended well."""
    assert (done.status, done.err) == (0, "")
    found = TOTALS.search(done.out)
    assert found, done.out
    return tuple(map(int, found.groups()))


def half_way(process: "subprocess.Popen[str]", app: Conveyor) -> None:
    """Wait until some jobs are done, and some are not."""
    made = Path(app.url.removeprefix("sqlite:///"))

    def some() -> bool:
        assert process.poll() is None, "it ended before anybody could interrupt it"
        if app.url.startswith("sqlite") and not made.exists():
            return False
        return app.jobs.counts()[State.SUCCEEDED] >= 5

    until(some, patience=30)


def test_a_whole_run(library: Terminal, app: Conveyor, store_words: list[str]) -> None:
    done = library.run("demo", "lib", *store_words)

    assert totals(done) == (FILES + 1, FILES + 1, 2, 0, 0)
    lines = done.out.splitlines()
    assert re.match(r"enqueued 61 jobs in \d+ ms: one for each file of .*/lib$", lines[0])
    assert lines[-1] == f"report: {library.folder.resolve()}/conveyor-demo/report.html"
    page = Outline()
    page.feed((library.folder / "conveyor-demo" / "report.html").read_text("utf-8"))
    page.close()
    assert page.open == []
    assert {"html", "svg"} <= page.seen
    assert f"{FILES + 1} jobs" in page.text
    assert sum(app.jobs.counts().values()) == FILES + 1


@pytest.mark.timeout(120)  # PostgreSQL's lease of 20 s has to run out
def test_a_killed_run_is_resumed(library: Terminal, app: Conveyor, store_words: list[str]) -> None:
    fill(library, LONG)
    with library.started("demo", "lib", "--slots", "2", *store_words) as process:
        half_way(process, app)
        process.kill()
    fill(library, SHORT)
    before = {info.id for info in app.jobs.list(limit=1000)}
    assert not (library.folder / "conveyor-demo" / "report.html").exists()

    again = library.run("demo", "lib", "--slots", "2", *store_words)

    enqueued, succeeded, retried, failed, lost = totals(again)
    assert (enqueued, succeeded, failed, lost) == (FILES + 1, FILES + 1, 0, 0)
    assert 2 <= retried <= 4, "the two that stumble, and what ran when it was killed"
    assert re.match(r"resumes demo-\S+: 61 files of ", again.out)
    assert {info.id for info in app.jobs.list(limit=1000)} == before, "nothing was enqueued a second time"
    assert totals(library.run("demo", "lib", *store_words))[0] == FILES + 1, "a third run is a run of its own"
    assert sum(app.jobs.counts().values()) == 2 * (FILES + 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_how_to_resume(
    library: Terminal, app: Conveyor, store_words: list[str], number: signal.Signals
) -> None:
    fill(library, LONG)
    with library.started("demo", "lib", "--slots", "2", *store_words) as process:
        half_way(process, app)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    fill(library, SHORT)
    assert (process.returncode, err) == (130, "")
    stopped = re.search(r"stopped with (\d+) of 61 files to go; run it again to resume", out)
    assert stopped
    assert 0 < int(stopped[1]) <= FILES + 1 - 5
    assert not (library.folder / "conveyor-demo" / "report.html").exists()

    again = library.run("demo", "lib", *store_words)

    assert totals(again) == (FILES + 1, FILES + 1, 2, 0, 0), "an interruption costs no attempt"
    assert sum(app.jobs.counts().values()) == FILES + 1


def test_a_run_that_was_killed_before_it_enqueued_begins(library: Terminal) -> None:
    """The note is written before the jobs are; a kill between the two leaves a note alone."""
    assert totals(library.run("demo", "lib", "--limit", "3"))[0] == 3
    note = library.folder / "conveyor-demo" / "run.json"
    told = msgspec.json.decode(note.read_bytes())
    note.write_bytes(msgspec.json.encode({**told, "finished": False, "queue": "demo-never-enqueued"}))
    done = library.run("demo", "lib")
    assert totals(done)[0] == 3
    assert done.out.startswith("enqueued 3 jobs")


def test_another_folder_is_another_run(library: Terminal) -> None:
    assert totals(library.run("demo", "lib/part0", "--limit", "2", "--out", "out"))[0] == 2
    assert totals(library.run("demo", "lib/part1", "--limit", "3", "--out", "out"))[0] == 3
    assert (library.folder / "out" / "report.html").exists()
    assert not (library.folder / "conveyor-demo").exists()


BAD = {
    "empty folder": (("empty",), "there are no .py files in "),
    "missing folder": (("nowhere",), "there is no folder "),
    "a file": (("one.py",), "there is no folder "),
    "no slots": (("lib", "--slots", "0"), "--slots 0 must lie between 1 and 1,000"),
    "too many slots": (("lib", "--slots", "1001"), "--slots 1001 must lie between 1 and 1,000"),
    "slots, a word": (("lib", "--slots", "many"), "--slots"),
    "limit, none": (("lib", "--limit", "0"), "--limit 0"),
    "limit, negative": (("lib", "--limit", "-3"), "--limit -3"),
    "out, a file": (("lib", "--out", "one.py"), "one.py"),
    "out, impossible": (("lib", "--out", "/proc/nowhere"), "/proc/nowhere"),
    "store": (("lib", "--store", "mysql://x"), "must begin with sqlite:///, postgresql:// or redis://"),
    "store, down": (("lib", "--store", "postgresql://127.0.0.1:1/x"), "PostgreSQL cannot be reached"),
}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, ...], str]:
    """What is said of all that cannot be demonstrated."""
    terminal = Terminal(tmp_path_factory.mktemp("demo"))
    terminal.write("lib/some.py", "x = 1\n")
    terminal.write("one.py", "x = 1\n")
    (terminal.folder / "empty").mkdir()
    return terminal.refuses_each(("demo", *words) for words, _ in BAD.values())


@pytest.mark.parametrize(("words", "hint"), BAD.values(), ids=BAD)
def test_what_cannot_be_demonstrated(said: dict[tuple[str, ...], str], words: tuple[str, ...], hint: str) -> None:
    assert hint in said["demo", *words]


def test_a_note_that_cannot_be_read(terminal: Terminal) -> None:
    terminal.write("lib/some.py", "x = 1\n")
    terminal.write("conveyor-demo/run.json", "{")
    assert "run.json cannot be read" in terminal.refuses("demo", "lib")


def test_a_refused_run_leaves_nothing_behind(terminal: Terminal) -> None:
    terminal.refuses("demo", "nowhere")
    assert list(terminal.folder.iterdir()) == []
