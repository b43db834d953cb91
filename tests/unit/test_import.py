"""``import conveyor`` is quick, brings no optional package, and asks for two packages besides Python."""

import json
import re
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import conveyor
from tests.support.cli import clean_environment

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
OPTIONAL = {"psycopg", "psycopg_pool", "uvloop", "rich", "redis", "jinja2", "django", "sqlalchemy", "pydantic"}
LONGEST = 0.120
"""Seconds that ``import conveyor`` may take."""
USUAL = 0.050
"""Seconds that the calibration takes on the machine for which ``LONGEST`` was set."""
CALIBRATION = "import asyncio, json, logging, sqlite3"
RUNS, TURNS = 7, 3


def python(code: str, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *options, "-c", code], env=clean_environment(), capture_output=True, text=True, check=True
    )


def import_time(code: str) -> float:
    """Seconds of the processor that running *code* takes: those on the wall are also spent waiting for others."""
    timed = f"import time\nbegun = time.process_time()\n{code}\nprint(time.process_time() - begun)"
    return float(python(timed).stdout)


@pytest.mark.parametrize(
    "code",
    [
        "import conveyor",
        "import conveyor; app = conveyor.Conveyor('sqlite:///:memory:'); app.task(name='t')(print)",
        "import conveyor.cli",
        "from conveyor.cli import COMMANDS, build; build(COMMANDS)",
        "import conveyor; app = conveyor.Conveyor('sqlite:///:memory:'); app.jobs.counts(); app.close()",
    ],
    ids=["import", "app", "command line", "commands", "SQLite"],
)
def test_no_optional_package_is_loaded(code: str) -> None:
    loaded = set(json.loads(python(f"{code}\nimport json, sys; print(json.dumps([*sys.modules]))").stdout))
    assert "conveyor" in loaded
    assert not {name.split(".")[0] for name in loaded} & OPTIONAL


def test_a_program_that_only_enqueues_does_not_load_the_worker() -> None:
    loaded = json.loads(python("import conveyor, json, sys; print(json.dumps([*sys.modules]))").stdout)
    assert not [
        name for name in loaded if name.startswith(("conveyor.worker", "conveyor.cli.", "conveyor.store.sqlite"))
    ]


def test_the_core_depends_on_two_packages() -> None:
    names = {re.split(r"[<>=!~ ;\[]", requirement)[0] for requirement in PROJECT["dependencies"]}
    assert names == {"msgspec", "cronsim"}


def test_importing_takes_a_tenth_of_a_second() -> None:
    """The bound grows with the time that a few modules of Python's own take, so that a slow machine may be slow.

    What else the machine does only adds, and not to both alike: so one good turn of three is enough.
    """
    turns: list[tuple[float, float]] = []
    for _ in range(TURNS):
        taken, usual = [], []
        for _ in range(RUNS):
            taken.append(import_time("import conveyor"))
            usual.append(import_time(CALIBRATION))
        turns.append((statistics.median(taken), max(1.0, statistics.median(usual) / USUAL)))
        if turns[-1][0] <= LONGEST * turns[-1][1]:
            return
    pytest.fail(f"{turns}: seconds, and how slow the machine is")


def test_the_version_is_the_projects() -> None:
    assert conveyor.__version__ == PROJECT["version"]
    assert python("import conveyor; print(conveyor.__version__)").stdout.strip() == PROJECT["version"]


def test_all_that_is_exported_is_there_and_documented() -> None:
    for name in conveyor.__all__:
        assert getattr(conveyor, name).__doc__
