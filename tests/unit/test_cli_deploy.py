"""``conveyor check-deploy``, and what is behind it: which waiting jobs some code could not run."""

import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from conveyor import Conveyor, UsageError
from conveyor.cli import main
from tests.support.stores import rows, sqlite_url


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Conveyor]:
    """The code that has sent the jobs."""
    made = Conveyor(sqlite_url(tmp_path))

    @made.task(name="mail")
    def mail(user: int, *, plan: str = "free") -> None: ...

    made.task(name="gone")(print)
    yield made
    made.close()


@pytest.fixture
def new(old: Conveyor) -> Iterator[Conveyor]:
    """The code that is to take over."""
    made = Conveyor(old.url)

    @made.task(name="mail")
    def mail(user: int) -> None: ...

    yield made
    made.close()


@pytest.fixture
def shop(new: Conveyor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same in a module."""
    name = "shop_of_tomorrow"
    code = f"from conveyor import Conveyor\napp = Conveyor({new.url!r})\n@app.task(name='mail')\ndef mail(user): ...\n"
    (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return f"{name}:app"


def test_all_that_waits_is_looked_at_and_told_by_task_and_reason(old: Conveyor, new: Conveyor) -> None:
    mail, gone = old.tasks["mail"], old.tasks["gone"]
    gone.using(run_after=timedelta(days=1)).enqueue()
    sample = mail.using(queue="slow").enqueue(1, plan="pro")
    mail.enqueue(2, plan="free")
    mail.enqueue(3)
    broken = mail.enqueue(4)
    rows(
        old.store,
        f"UPDATE conveyor_job SET args = CAST('oops' AS BLOB) WHERE hex(id) = '{broken.id.replace('-', '').upper()}'",
    )
    found = new.jobs.unrunnable()
    assert (found.looked, found.whole, found.jobs) == (5, True, 4)
    assert [(misfit.task, misfit.jobs, misfit.reason) for misfit in found.misfits] == [
        ("mail", 2, "mail(user: int) -> None: got an unexpected keyword argument 'plan'"),
        ("gone", 1, ""),
        ("mail", 1, "its stored arguments cannot be read"),
    ]
    assert found.misfits[0].sample == sample.id
    assert new.jobs.unrunnable(queue="slow").looked == 1
    assert old.jobs.unrunnable(queue="slow").misfits == []


def test_what_is_at_either_end_is_seen_within_bounds(old: Conveyor, new: Conveyor) -> None:
    mail, gone = old.tasks["mail"], old.tasks["gone"]
    gone.enqueue()
    old.enqueue_many(mail.bind(number) for number in range(2_000))
    mail.enqueue(1, plan="pro")
    found = new.jobs.unrunnable(limit=1_200)
    assert (found.looked, found.whole, {misfit.task for misfit in found.misfits}) == (1_200, False, {"gone", "mail"})
    assert new.jobs.unrunnable(limit=2_003).whole
    with pytest.raises(UsageError, match="limit=0 must be a whole number above 0"):
        new.jobs.unrunnable(limit=0)


async def test_async_code_finds_the_same(old: Conveyor, new: Conveyor) -> None:
    await old.tasks["gone"].aenqueue()
    assert (await new.jobs.aunrunnable()).jobs == 1


def test_the_command_says_what_code_could_not_run_and_what_to_do(
    old: Conveyor, shop: str, capsys: pytest.CaptureFixture[str]
) -> None:
    job = old.tasks["mail"].enqueue(1, plan="pro")
    old.tasks["mail"].enqueue(1)
    assert main(["check-deploy", "--app", shop]) == 1
    shown = capsys.readouterr().out
    assert f"{job.id}  mail(user): got an unexpected keyword argument 'plan'" in shown
    assert "looked at 2 waiting jobs: this code can run all but 1\n" in shown
    assert "conveyor delete --task mail --dry-run" in shown
    assert main(["check-deploy", "--app", shop, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["looked"], told["whole"], told["jobs"]) == (2, True, 1)
    assert (told["misfits"][0]["unknown"], told["misfits"][0]["sample"]) == (False, job.id)
    job.cancel()
    assert main(["check-deploy", "--app", shop]) == 0
    assert capsys.readouterr().out == "looked at 1 waiting job: this code can run all\n"
