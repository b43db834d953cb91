"""Both type checkers refuse exactly the marked lines of ``fails.py``, and nothing in ``passes.py``."""

import asyncio
import contextlib
import inspect
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.typing import passes

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MARK = "refused"

Lines = Mapping[str, set[int]]
"""Line numbers by file name."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The two files alone: what surrounds them here is not to have a say."""
    for name in ("passes.py", "fails.py"):
        shutil.copy(HERE / name, tmp_path)
    return tmp_path


def wanted() -> Lines:
    text = (HERE / "fails.py").read_text("utf-8").splitlines()[1:]
    return {"fails.py": {number for number, line in enumerate(text, 2) if MARK in line.partition("#")[2]}}


def mypy(folder: Path) -> Lines:
    command = [sys.executable, "-m", "mypy", "--strict", "--output=json", "--config-file", str(ROOT / "pyproject.toml")]
    # A cache of this test's own: two mypys that write one cache spoil it for each other.
    command += ["--cache-dir", str(folder / "cache"), "passes.py", "fails.py"]
    environment = os.environ | {"MYPYPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    found: dict[str, set[int]] = {}
    for report in map(json.loads, done.stdout.splitlines()):
        if report["severity"] == "error":
            found.setdefault(report["file"], set()).add(report["line"])
    return found


def pyright(folder: Path) -> Lines:
    settings = {
        "include": ["passes.py", "fails.py"],
        "strict": ["passes.py", "fails.py"],
        "extraPaths": [str(ROOT / "src")],
        "pythonVersion": "3.11",
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), "utf-8")
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    found: dict[str, set[int]] = {}
    for report in json.loads(done.stdout)["generalDiagnostics"]:
        place = Path(report["file"]).name
        found.setdefault(place, set()).add(report["range"]["start"]["line"] + 1)
    return found


@pytest.mark.timeout(180)  # from a cold start, on a slow machine
@pytest.mark.parametrize("checker", [mypy, pyright], ids=["mypy", "pyright"])
def test_marked_lines_and_no_others_are_refused(checker: Callable[[Path], Lines], folder: Path) -> None:
    assert checker(folder) == wanted()


@pytest.fixture(scope="module")
def opened() -> Iterator[None]:
    yield
    passes.app.close()


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize(
    "calls",
    [
        getattr(passes, name)
        for name, value in vars(passes).items()
        if inspect.isfunction(value) and value.__module__ == passes.__name__ and not inspect.signature(value).parameters
    ],
)
def test_what_passes_the_checkers_works(calls: Callable[[], object]) -> None:
    """Those that wait for a result would wait in vain: nobody works on that store."""
    expected = pytest.raises(TimeoutError) if "result" in calls.__name__ else contextlib.nullcontext()
    with expected:
        made = calls()
        if inspect.iscoroutine(made):
            asyncio.run(made)
