"""The documents say what the code says, and lead where they point. Their programs are run in ``tests/e2e``."""

import re
from pathlib import Path

import pytest

from conveyor import __version__
from conveyor.cli import COMMANDS
from conveyor.core.lifecycle import MOVES, State
from conveyor.core.options import Changes, Lasting
from conveyor.declare import TaskOptions
from tests.support.docs import DOCUMENTS, PAGES, README, ROOT, asked, blocks, generated, parser
from tests.support.pages import RUN, SHOWN

CODE = re.compile(r"^\s*(from [\w.]+ import |import \w|(async )?def \w+\(|class \w+.*:$|@\w+[.(])", re.MULTILINE)
LINK = re.compile(r"(?<!!)\[[^]]+\]\(([^)\s]+)\)")
DOCS = {str(path.relative_to(ROOT)): path for path in DOCUMENTS}
OPTIONS = "docs/reference/options.md"
FILES = {**DOCS, **{path.name: path for path in ROOT.glob("*.md")}}


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def anchors(path: Path) -> set[str]:
    """What can be linked to within a page, as its headings are on the web."""
    headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", DOCS)
def test_generated_parts_are_up_to_date(name: str) -> None:
    made = generated()
    for part, text in asked(read(name)):
        assert text == made[part], f"{name} is behind the code; run: python -m tests.support.docs"


def test_every_generated_part_is_shown_once() -> None:
    shown = [part for path in DOCUMENTS for part, _ in asked(path.read_text("utf-8"))]
    assert sorted(shown) == sorted(generated())


def test_the_diagram_and_the_table_of_moves_are_whole() -> None:
    text = read("docs/architecture.md")
    for move in MOVES:
        assert f"    {move.source or '[*]'} --> {move.target}: {move.event}\n" in text
        assert f"| {move.source or ''} | {move.event} | {move.target} | {move.meaning} |\n" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_in_the_reference_and_has_a_meaning(command: str) -> None:
    section = read("docs/reference/command-line.md").partition(f"## conveyor {command}\n")[2].partition("\n## ")[0]
    actions = parser(command)._actions
    assert actions
    for action in actions:
        assert action.help, f"{action.dest} has no help"
        for option in action.option_strings:
            assert f"`{option}`" in section or f"`{option} " in section


def test_every_option_of_tasks_and_jobs_is_in_the_reference() -> None:
    rows = {
        name: (task, job)
        for names, task, job in re.findall(r"^\| (`.+?`) \| (yes|no) \| (yes|no) \| ", read(OPTIONS), re.MULTILINE)
        for name in re.findall(r"`(\w+)`", names)
    }
    of_tasks = {*TaskOptions.__annotations__, *Lasting.__annotations__, "takes_context"}
    of_jobs = {*Changes.__annotations__, *Lasting.__annotations__}
    assert {name for name, (task, _) in rows.items() if task == "yes"} == of_tasks
    assert {name for name, (_, job) in rows.items() if job == "yes"} == of_jobs


def test_the_glossary_has_every_state() -> None:
    text = read("docs/glossary.md")
    for state in State:
        assert f"| `{state}` | " in text


@pytest.mark.parametrize("name", FILES)
def test_links_lead_somewhere(name: str) -> None:
    page = FILES[name]
    for target in LINK.findall(page.read_text("utf-8")):
        if target.startswith(("https://", "http://")):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        assert path.exists(), f"{name} links to {target}"
        assert path.is_relative_to(ROOT)
        assert not anchor or anchor in anchors(path), f"{name} links to {target}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, ahead = set[Path](), {README}
    while ahead:
        page = ahead.pop()
        reached.add(page)
        links = LINK.findall(page.read_text("utf-8"))
        files = {
            (page.parent / link.partition("#")[0]).resolve() for link in links if ".md" in link and "//" not in link
        }
        ahead |= files - reached
    assert {path for path in DOCUMENTS if path not in reached} == set()


def test_the_readme_is_short_and_begins_with_a_program() -> None:
    lines = read("README.md").splitlines()
    assert len(lines) <= 120
    first = next(block for block in blocks(read("README.md")) if block.language == "python")
    assert first.line <= 30
    assert "Conveyor(" in first.text
    assert ".enqueue(" in first.text
    top = "\n".join(lines[: first.line])
    assert "make demo" in top
    assert "make test" in top
    assert re.search(r"five attempts", read("README.md"), re.IGNORECASE)


@pytest.mark.parametrize("name", FILES)
def test_lines_are_short_and_fences_closed(name: str) -> None:
    text = FILES[name].read_text("utf-8")
    assert text.count("\n```") + text.startswith("```") == 2 * len(blocks(text))
    for number, line in enumerate(text.splitlines(), 1):
        assert len(line) <= 120 or line.startswith("|") or "](" in line, f"{name}:{number} is {len(line)} characters"


@pytest.mark.parametrize("name", DOCS)
def test_no_code_hides_from_being_run(name: str) -> None:
    """Every fence is one that ``tests/support/pages.py`` sees, and what it does not run holds no code."""
    text = read(name)
    assert not re.search(r"^[ \t]+```|^[ \t]*~~~|code-block|sourcecode|literalinclude|\{code", text, re.MULTILINE)
    for block in blocks(text):
        assert block.language in RUN | SHOWN, f"{name}:{block.line}: what is {block.language}?"
        if block.language in SHOWN:
            assert not CODE.search(block.text), f"{name}:{block.line} shows Python that is not run"


def test_every_page_is_in_the_contents_once() -> None:
    listed = [
        (path.parent / f"{line}.md").resolve()
        for path in PAGES
        for contents in re.findall(r"^:::{toctree}\n(.*?)^:::$", path.read_text("utf-8"), re.DOTALL | re.MULTILINE)
        for line in contents.splitlines()
        if line and not line.startswith(":")
    ]
    assert sorted(listed) == [path for path in PAGES if path != ROOT / "docs" / "index.md"]


def test_the_changelog_knows_this_version() -> None:
    text = read("CHANGELOG.md")
    assert "## [Unreleased]" in text
    assert __version__ in text
