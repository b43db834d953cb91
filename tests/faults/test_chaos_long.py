"""The scenarios of ``conveyor chaos``, as long as the reliability page tells of them: ``make soak``."""

import os
import subprocess
import sys

import pytest

from conveyor.cli.chaos.scenarios import ALL, Scenario
from tests.e2e.conftest import url
from tests.support.chaos import with_redis
from tests.support.stores import SERVED

__all__ = ["url"]

LONG = {
    "P01": ("--rounds", "1000"),
    "P03": ("--seconds", "1800"),
    "P04": ("--rounds", "200"),
    "D02": ("--seconds", "600"),
    "R01": ("--seconds", "3600"),
    "D12": ("--rounds", "1000"),
    "D19": ("--rounds", "40"),
    "N01": ("--rounds", "10"),
    "N04": ("--rounds", "20"),
    "C04": ("--seconds", "200"),
    "C05": ("--seconds", "600"),
}
USUAL = ("--seconds", "60")


@pytest.mark.soak
@pytest.mark.parametrize("url", SERVED, indirect=True)
@pytest.mark.parametrize("scenario", ALL, ids=lambda s: s.name)
def test_a_scenario_finds_nothing(scenario: Scenario, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", with_redis(os.environ["PATH"]))
    words = [scenario.name, *LONG.get(scenario.name, USUAL), "--store", url]
    done = subprocess.run(
        [sys.executable, "-m", "conveyor", "chaos", *words], capture_output=True, text=True, check=False
    )
    sys.stdout.write(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ("not run:" in done.stdout) == bool(scenario.why_not(url))
