"""Every bound catches a file that breaks it, and lets one pass that keeps it."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "bounds.py"

PYPROJECT = '[project]\nname = "conveyor"\ndependencies = ["msgspec>=1"]\n'
README = "# Conveyor\n\n```python\nimport conveyor\n```\n"


@pytest.fixture
def bounds(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOL.parent))
    import bounds as tool

    return tool


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "README.md").write_text(README)
    return tmp_path


def function(lines: int, name: str = "long", docstring: str = '"""Say so."""') -> str:
    return f"def {name}() -> None:\n    {docstring}\n" + "    print()\n" * (lines - 1)


SMALL = "".join(function(2, f"small_{number}") for number in range(20))

GOOD = {
    "file": ("src/conveyor/task.py", "x = 1\n" * 400),
    "plan file": ("src/conveyor/store/sqlite/claim.sql", "-- a\n" * 450),
    "function": ("src/conveyor/task.py", SMALL + function(40)),
    "docstring apart": (
        "src/conveyor/task.py",
        SMALL + function(40, docstring='"""Say.\n' + "    so\n" * 30 + '    """'),
    ),
    "class": ("src/conveyor/task.py", 'class Wide:\n    """Wide."""\n' + "    x = 1\n" * 248),
    "lazy optional import": ("src/conveyor/drivers/pg.py", "def _f() -> None:\n    import psycopg\n"),
    "lazy heavy import": ("src/conveyor/cli/web.py", "def _f() -> None:\n    from http import server\n"),
    "lazy import of ours": (
        "src/conveyor/app.py",
        "def _f() -> None:\n    from conveyor.store import sqlite\n",
    ),
    "Any in the codec": ("src/conveyor/core/codec.py", "from typing import Any\n"),
    "Any in a driver": ("src/conveyor/drivers/pg.py", "import typing as t\nx: t.Any = 1\n"),
    "another Any": ("src/conveyor/task.py", "from conveyor.core.model import Any\n"),
    "ignore": ("src/conveyor/task.py", "x = 1  # type: ignore[misc]  # the stub is wrong\n"),
    "ignore, reason above": ("src/conveyor/task.py", "# the stub is wrong\nx = 1  # type: ignore[misc]\n"),
    "noqa": ("src/conveyor/task.py", "x = 1  # noqa: S101, E501 - the table is read across\n"),
    "ignore and noqa": ("src/conveyor/task.py", "x = 1  # type: ignore[misc]  # noqa: S101 - wrong stub\n"),
    "private name": ("src/conveyor/task.py", "def _private() -> None:\n    print()\n"),
    "private module": ("src/conveyor/_inner.py", "def public() -> None:\n    print()\n"),
    "private class": ("src/conveyor/task.py", "class _Private:\n    def public(self) -> None: ...\n"),
    "override": ("src/conveyor/task.py", "@typing.override\ndef run() -> None: ...\n"),
    "sleep among faults": ("tests/faults/test_x.py", "import time\ntime.sleep(1)\n"),
    "another sleep": ("tests/unit/test_x.py", "from conveyor import clock\nclock.sleep(1)\n"),
    "parametrize": (
        "tests/unit/test_x.py",
        "import pytest\n@pytest.mark.parametrize('skip', [1])\ndef test_x(): ...\n",
    ),
    "lazy import of a benchmark": ("benchmarks/peers/x.py", "def _f() -> None:\n    import json\n"),
    "README": ("README.md", "text\n" * 28 + "```python\n" + "text\n" * 91),
}

BAD = {
    "file": ("src/conveyor/task.py", "x = 1\n" * 401, 401, "file has 401 lines"),
    "plan file": ("src/conveyor/store/sqlite/claim.sql", "-- a\n" * 451, 451, "file has 451 lines"),
    "SQL elsewhere": ("src/conveyor/web/page.sql", "-- a\n" * 401, 401, "file has 401 lines"),
    "function": ("src/conveyor/task.py", SMALL + function(41), 61, "long() has 41 lines"),
    "method": (
        "src/conveyor/task.py",
        SMALL + 'class Task:\n    """One."""\n\n    async def _run(self) -> None:\n' + "        print()\n" * 40,
        64,
        "_run() has 41 lines",
    ),
    "typical function": (
        "src/conveyor/task.py",
        function(21),
        1,
        "90th percentile of function lengths is 21",
    ),
    "class": (
        "src/conveyor/task.py",
        'class Wide:\n    """Wide."""\n' + "    x = 1\n" * 249,
        1,
        "class Wide has 251 lines",
    ),
    "lazy import, wrong place": (
        "src/conveyor/task.py",
        "def _f() -> None:\n    import psycopg\n",
        2,
        "import inside",
    ),
    "lazy import, one of the core's": (
        "src/conveyor/app.py",
        "def _f() -> None:\n    import msgspec\n",
        2,
        "msgspec is",
    ),
    "lazy import, quick": (
        "src/conveyor/cli/x.py",
        "def _f() -> None:\n    from json import dumps\n",
        2,
        "json is",
    ),
    "Any imported": ("src/conveyor/task.py", "from typing import Any\n", 1, "Any outside"),
    "Any renamed": ("src/conveyor/task.py", "from typing import Any as Whatever\n", 1, "Any outside"),
    "Any as an attribute": ("src/conveyor/task.py", "import typing as t\nx: t.Any = 1\n", 2, "Any outside"),
    "ignore, no code": (
        "src/conveyor/task.py",
        "x = 1  # type: ignore  # the stub is wrong\n",
        1,
        "without a code",
    ),
    "ignore, no reason": ("src/conveyor/task.py", "x = 1  # type: ignore[misc]\n", 1, "without a reason"),
    "pyright ignore": ("tests/unit/test_x.py", "x = 1  # pyright: ignore[reportX]\n", 1, "without a reason"),
    "noqa, no code": (
        "src/conveyor/task.py",
        "x = 1  # noqa - the table is read across\n",
        1,
        "without a code",
    ),
    "noqa, no reason": ("tools/x.py", "x = 1  # noqa: S101, E501\n", 1, "without a reason"),
    "noqa of a file": ("src/conveyor/task.py", "# ruff: noqa\n", 1, "without a code"),
    "reason of the line above's code": (
        "src/conveyor/task.py",
        "x = 1  # what x is\ny = 1  # noqa: S101\n",
        2,
        "without a reason",
    ),
    "function undocumented": (
        "src/conveyor/task.py",
        "def run() -> None:\n    print()\n",
        1,
        "run is public",
    ),
    "class undocumented": ("src/conveyor/__init__.py", "class Task:\n    x = 1\n", 1, "Task is public"),
    "method undocumented": (
        "src/conveyor/task.py",
        'class Task:\n    """One."""\n\n    async def run(self) -> None:\n        print()\n',
        4,
        "run is public",
    ),
    "conditional function": (
        "src/conveyor/task.py",
        "if x:\n    def run() -> None: ...\n",
        2,
        "run is public",
    ),
    "sleep": ("tests/unit/test_x.py", "import time\ntime.sleep(1)\n", 2, "time.sleep in a test"),
    "sleep, imported": (
        "tests/conftest.py",
        "from time import sleep as nap\nnap(1)\n",
        2,
        "time.sleep in a test",
    ),
    "skip": ("tests/unit/test_x.py", "import pytest\npytest.skip('no')\n", 2, "pytest.skip"),
    "skip among faults": (
        "tests/faults/test_x.py",
        "from pytest import skip\nskip('no')\n",
        2,
        "pytest.skip",
    ),
    "skip mark": (
        "tests/unit/test_x.py",
        "import pytest\n@pytest.mark.skipif(x)\ndef f(): ...\n",
        2,
        "pytest.mark.skipif",
    ),
    "xfail": (
        "tests/unit/test_x.py",
        "import pytest\npytestmark = [pytest.mark.xfail]\n",
        2,
        "pytest.mark.xfail",
    ),
    "importorskip": (
        "tests/unit/test_x.py",
        "import pytest\nx = pytest.importorskip('x')\n",
        2,
        "pytest.importorskip",
    ),
    "function of a benchmark": ("benchmarks/peers/x.py", function(41), 1, "long() has 41 lines"),
    "Any in a benchmark": ("benchmarks/x.py", "from typing import Any\n", 1, "Any outside"),
    "noqa in a benchmark": ("benchmarks/x.py", "x = 1  # noqa: S101\n", 1, "without a reason"),
    "README too long": ("README.md", README + "text\n" * 116, 121, "README has 121 lines"),
    "README without a program": ("README.md", "text\n" * 29 + "```python\n", 1, "no ```python block"),
}


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@pytest.mark.parametrize(("path", "text"), GOOD.values(), ids=GOOD)
def test_within_bounds(bounds: ModuleType, root: Path, path: str, text: str) -> None:
    write(root, path, text)
    assert list(bounds.check(root)) == []


@pytest.mark.parametrize(("path", "text", "line", "message"), BAD.values(), ids=BAD)
def test_out_of_bounds(bounds: ModuleType, root: Path, path: str, text: str, line: int, message: str) -> None:
    write(root, path, text)
    problems = [problem for problem in bounds.check(root) if message in problem.message]
    assert [(problem.path, problem.line) for problem in problems][-1:] == [(path, line)]


def test_a_repository_needs_a_readme(bounds: ModuleType, root: Path) -> None:
    (root / "README.md").unlink()
    assert [str(problem) for problem in bounds.check(root)] == ["README.md:1 there is no README"]


def test_the_command_prints_each_problem_and_fails(root: Path) -> None:
    write(root, "src/conveyor/task.py", "x = 1  # noqa\n")
    done = subprocess.run([sys.executable, TOOL, root], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "src/conveyor/task.py:1 noqa without a code\n")


def test_the_command_is_content_with_good_code(root: Path) -> None:
    done = subprocess.run([sys.executable, TOOL, root], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "bounds: all kept in src/conveyor\n")
