"""P07: processes that are made when the app has been used already share nothing with it but the store."""

import json
import subprocess
import sys
from collections import Counter

import pytest

from tests.support.cli import clean_environment
from tests.support.preforked import CHILDREN, JOBS, Said
from tests.support.stores import SHARED, number, open_store
from tests.support.yard import ROOT

pytestmark = [pytest.mark.parametrize("url", SHARED, indirect=True), pytest.mark.timeout(180)]


def test_processes_that_are_made_after_the_first_use_work_as_if_alone(url: str) -> None:
    environment = clean_environment()
    environment["PYTHONPATH"] += f":{ROOT}"
    command = [sys.executable, "-m", "tests.support.preforked", url]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done
    told = [Said(*json.loads(line)) for line in done.stdout.splitlines()]
    assert Counter(said.who for said in told) == {**CHILDREN, "before": 1, "beside": 1, "after": 1}
    assert [error for said in told for error in said.errors] == []
    assert [said for said in told if said.found != said.sent] == []
    assert all(said.sent == 2 * JOBS for said in told if said.who != "beside")
    store = open_store(url)
    try:
        assert number(store, "SELECT count(*) FROM conveyor_job") == sum(said.sent for said in told)
    finally:
        store.close()
