"""The documentation builds as a site without a warning, and the site needs nothing from elsewhere."""

import fcntl
import re
import subprocess
import sys
import zlib
from html.parser import HTMLParser
from pathlib import Path

import pytest

import conveyor
from conveyor.core.lifecycle import MOVES
from tests.support.cli import clean_environment
from tests.support.docs import PAGES, ROOT

pytestmark = pytest.mark.timeout(240)  # the build is 8 s of work, which a busy machine draws out

DOCS = ROOT / "docs"
NOWHERE = "http://127.0.0.1:1"
"""A proxy that is not there: who fetches anything fails."""
LOADED = {
    "script": ["src"],
    "img": ["src", "srcset"],
    "iframe": ["src"],
    "source": ["src", "srcset"],
    "form": ["action"],
}
"""Where a page names what a browser fetches by itself, or sends something to; of ``link`` all, of ``a`` nothing."""
CSS = re.compile(r"""@import\s+["']([^"']+)|url\(\s*["']?([^"')]+)""")
TEXT_OF_SCRIPT = re.compile(r"""["'`](?:https?:)?//(?!www\.w3\.org/2000/svg)[^"'`]*""")
"""In a script, an address that is written as a text; SVG's is a name, which nobody fetches."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The site; of several test processes the first builds it for all."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "site"
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            build(folder)
    return folder


def build(folder: Path) -> None:
    """Build the site; *folder* is there only once that has succeeded."""
    draft = folder.with_name("draft")
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q", str(DOCS), str(draft)]
    environment = clean_environment() | {"http_proxy": NOWHERE, "https_proxy": NOWHERE}
    built = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=200)
    assert (built.returncode, built.stdout, built.stderr) == (0, "", "")
    draft.rename(folder)


class Loaded(HTMLParser):
    """What a page makes a browser fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.styles = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        given = dict(attrs)
        self.styles += given.get("style") or ""
        names = ["href"] if tag == "link" else LOADED.get(tag, [])
        self.found += [value for name in names if (value := given.get(name))]

    def handle_data(self, data: str) -> None:
        if self._inside == "style":
            self.styles += data


def of_css(text: str) -> list[str]:
    """What a style sheet makes a browser fetch."""
    return [one or other for one, other in CSS.findall(text)]


def test_pages_load_nothing_that_is_not_in_the_site(site: Path) -> None:
    looked_at = 0
    for path in sorted(site.rglob("*")):
        if path.suffix == ".html":
            page = Loaded(path.read_text("utf-8"))
            wanted = page.found + of_css(page.styles)
        elif path.suffix == ".css":
            wanted = of_css(path.read_text("utf-8"))
        else:
            continue
        for target in wanted:
            looked_at += 1
            if target.startswith("data:"):
                continue
            there = (path.parent / target.partition("?")[0].partition("#")[0]).resolve()
            assert "//" not in target, f"{path.name} loads {target}"
            assert there.exists(), f"{path.name} loads {target}, which is not there"
    assert looked_at > 10 * len(PAGES)


def test_scripts_name_no_other_host(site: Path) -> None:
    scripts = sorted(site.rglob("*.js"))
    assert scripts
    for path in scripts:
        if path.name != "searchindex.js":  # the words of the pages
            assert not TEXT_OF_SCRIPT.findall(path.read_text("utf-8")), path.name


def test_every_page_is_built_and_the_diagram_is_drawn(site: Path) -> None:
    for page in PAGES:
        assert (site / page.relative_to(DOCS)).with_suffix(".html").exists()
    page = (site / "architecture.html").read_text("utf-8")
    drawn = page.partition('<div class="chart')[2].partition("</svg>")[0]
    for move in MOVES:
        assert f">{move.event}</text>" in drawn


def test_the_reference_has_every_exported_name(site: Path) -> None:
    lines = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    found = {line.split()[0]: line.split()[3] for line in zlib.decompress(lines).decode().splitlines()}
    for name in conveyor.__all__:
        assert found.get(f"conveyor.{name}", "").startswith("reference/"), f"{name} is not in the reference"
    assert "conveyor.Conveyor.enqueue_many" in found
    assert "conveyor.Task.aenqueue" in found
    assert any(name.endswith(".Jobs.why") for name in found)


def test_what_comes_from_elsewhere_would_be_noticed() -> None:
    page = Loaded(
        '<link href="//a"><script src="https://b"></script><img src="c"><a href="https://d">d</a>'
        '<style>@import "https://e"; p { src: url(https://f) }</style><p style="background: url(\'g\')"></p>'
    )
    assert page.found == ["//a", "https://b", "c"]
    assert of_css(page.styles) == ["https://e", "https://f", "g"]
    assert TEXT_OF_SCRIPT.findall("fetch('https://a'); // http://b")
    assert not TEXT_OF_SCRIPT.findall('// see https://a\nns = "http://www.w3.org/2000/svg"')
