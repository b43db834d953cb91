"""The pytest plugin: it costs next to nothing, and gives harnesses."""

import os
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.cli import clean_environment
from tests.support.docs import ROOT

SHOP = """
from conveyor import Conveyor

app = Conveyor("sqlite:////nowhere/at-all.db")

@app.task(name="add")
def add(left: int, right: int = 0) -> int:
    return left + right
"""
USES = """
from conveyor import Conveyor, State
from conveyor.testing import Harness
from shop import add, app

def test_a_harness(conveyor_harness):
    assert conveyor_harness.app is app
    job = add.enqueue(1)
    conveyor_harness.drain()
    assert job.result() == 1

def test_each_test_has_a_fresh_one(conveyor_harness):
    conveyor_harness.assert_not_enqueued()

def test_others(conveyor_harness_of):
    other = Conveyor("sqlite:///:memory:")
    first, second = conveyor_harness_of(app), conveyor_harness_of(other, "sqlite:///:memory:")
    assert isinstance(first, Harness) and second.app is other
    add.enqueue(1)
    assert len(first.drain()) == 1
"""
LIGHT = """
import sys

def test_nothing_is_imported():
    assert not [name for name in sys.modules if name.partition(".")[0] == "conveyor"]
    assert "pytest_conveyor" in sys.modules
"""


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """pytest in *folder*, with the plugin whether or not it is installed."""
    environment = clean_environment() | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), str(ROOT / "src")])
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "-p", "pytest_conveyor"]
    return subprocess.run(
        [*command, "--rootdir", str(folder), *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "test_shop.py").write_text(USES)
    return tmp_path


@pytest.mark.parametrize("way", ["fixture", "setting", "pyproject"])
def test_the_app_is_found(folder: Path, way: str) -> None:
    files = {
        "fixture": ("conftest.py", "import pytest, shop\n@pytest.fixture\ndef conveyor_app():\n    return shop.app\n"),
        "setting": ("pytest.ini", "[pytest]\nconveyor_app = shop:app\n"),
        "pyproject": ("pyproject.toml", "[tool.conveyor]\napp = 'shop:app'\n"),
    }
    name, text = files[way]
    (folder / name).write_text(text)
    done = run(folder)
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_without_an_app_the_test_says_how_to_name_one(folder: Path) -> None:
    done = run(folder, "-k", "fresh")
    assert done.returncode == 1
    assert "write conveyor_app = module:attr into pytest's settings, or define a fixture" in done.stdout


def test_nothing_of_conveyor_is_imported_before_a_fixture_is_used(tmp_path: Path) -> None:
    (tmp_path / "test_light.py").write_text(LIGHT)
    done = run(tmp_path)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_the_import_costs_next_to_nothing() -> None:
    """A hundredth of what pytest itself takes, give or take."""
    code = (
        "import time, pytest, argparse\nbegun = time.process_time()\nimport pytest_conveyor\n"
        "print(time.process_time() - begun)"
    )
    environment = clean_environment() | {"PYTHONPATH": str(ROOT / "src")}
    taken = [
        float(subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True).stdout)
        for _ in range(5)
    ]
    assert statistics.median(taken) < 0.02, taken


def test_the_package_brings_it_to_pytest() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert project["project"]["entry-points"]["pytest11"] == {"pytest_conveyor": "pytest_conveyor"}
    assert "src/pytest_conveyor" in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
