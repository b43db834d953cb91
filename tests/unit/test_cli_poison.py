"""What the commands say of jobs that killed their workers, and how one of them is let out again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from conveyor import Conveyor, State
from conveyor.cli import main
from conveyor.core.judge import CRASHES_ALLOWED, suspect
from conveyor.store.contract import Store
from tests.support.jobs import Hand, enqueue, new_job, rescue, see
from tests.support.stores import open_store, sqlite_url


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with two jobs in quarantine."""
    made = open_store(sqlite_url(tmp_path))
    enqueue(made, new_job(), new_job())
    for number in range(2 * CRASHES_ALLOWED):
        hand = Hand(made, 60.0, bytes([number]) * 16)
        hand.take_one()
        hand.die()
        rescue(made)
    yield made
    made.close()


def said(store: Store, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main([*words, "--store", store.url]) == 0
    return capsys.readouterr().out


def test_each_command_names_them_and_what_to_do(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    listed = said(store, capsys, "jobs", "--state", "quarantined")
    assert listed.count(" quarantined ") == 2
    for command in (("status",), ("failures",), ("doctor",)):
        shown = said(store, capsys, *command)
        assert "conveyor jobs --state quarantined" in shown
        assert "conveyor retry ID releases one" in shown
    assert "in quarantine" not in said(store, capsys, "failures", "--state", "failed")


def test_one_command_releases_one_whose_crashes_count_anew_and_which_runs_alone(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    app = Conveyor(store.url)
    job, other = app.jobs.list(state=State.QUARANTINED)
    app.close()
    assert said(store, capsys, "retry", job.id) == f"{job.id} was quarantined: ready\n"
    hand = Hand(store, 60.0, b"h" * 16)
    claimed = hand.take_one()
    assert (claimed.crashes, suspect(claimed)) == (0, True)
    assert "1 job in quarantine" in said(store, capsys, "doctor")
    hand.die()
    rescue(store)
    assert see(store, claimed.id).state is State.READY
    assert other.id in said(store, capsys, "jobs", "--state", "quarantined")
