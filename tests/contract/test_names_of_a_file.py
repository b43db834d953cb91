"""SQLite: one file is one store, whatever it is called. Leases and bells lie beside it, once."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conveyor.core.lifecycle import State
from conveyor.store.contract import Store
from tests.contract.test_listener import heard, listening
from tests.support.jobs import Hire, enqueue, new_job, rescue, see
from tests.support.stores import open_store

Name = Callable[[Path], str]


def link_to_the_file(folder: Path) -> str:
    (folder / "alias.db").symlink_to("jobs.db")
    return f"sqlite:///{folder}/alias.db"


def link_to_the_folder(folder: Path) -> str:
    (folder / "alias").symlink_to(folder)
    return f"sqlite:///{folder}/alias/jobs.db"


def way_round(folder: Path) -> str:
    (folder / "below").mkdir()
    return f"sqlite:///{folder}/below/../jobs.db"


pytestmark = [
    pytest.mark.parametrize("url", ["sqlite-file"], indirect=True),
    pytest.mark.parametrize("name", [link_to_the_file, link_to_the_folder, way_round]),
]


@pytest.fixture
def alias(store: Store, folder: Path, name: Name) -> Iterator[Store]:
    """The same file under another name."""
    made = open_store(name(folder))
    yield made
    made.close()


def test_a_runner_under_one_name_is_alive_under_the_other_and_keeps_its_jobs(
    store: Store, alias: Store, hire: Hire, folder: Path
) -> None:
    job, other = new_job(), new_job()
    enqueue(alias, job, other)
    real, aliased = hire(store), hire(alias)
    assert {real.take_one().id, aliased.take_one().id} == {job.id, other.id}
    for looking in (store, alias):
        assert [runner.alive for runner in looking.run(looking.operations.runners())] == [True, True]
        assert looking.run(looking.operations.dead_runners()) == 0
        assert rescue(looking) == 0
        assert {see(looking, each.id).state for each in (job, other)} == {State.RUNNING}
    assert [path.name for path in folder.glob("**/*-conveyor")] == ["jobs.db-conveyor"]


def test_a_runner_that_died_under_one_name_is_rescued_under_the_other(store: Store, alias: Store, hire: Hire) -> None:
    enqueue(store, new_job())
    hand = hire(alias)
    hand.take_one()
    hand.die()
    assert rescue(store) == 1


async def test_a_worker_under_one_name_hears_what_is_enqueued_under_the_other(
    store: Store, alias: Store, url: str, folder: Path
) -> None:
    async with listening(store, url, folder) as (_, rung):
        await alias.arun(alias.operations.enqueue([new_job()]))
        await heard(rung)
