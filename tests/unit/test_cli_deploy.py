"""``conveyor check-deploy``, and what is behind it: which waiting jobs some code could not run, and which to come."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from conveyor import Conveyor, UsageError, every, once
from conveyor.cli import check_deploy, main
from conveyor.core.deploy import MisfitSchedule
from conveyor.core.schedules import Edit
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
    await old.schedules.aadd("goes", old.tasks["gone"], every(hours=1))
    found = await new.jobs.aunrunnable()
    assert (found.jobs, [one.name for one in found.schedules]) == (1, ["goes"])


def test_a_schedule_whose_jobs_could_not_be_run_is_told(old: Conveyor, new: Conveyor) -> None:
    mail, gone = old.tasks["mail"], old.tasks["gone"]
    old.schedules.add("fits", mail.bind(1), every(hours=1))
    old.schedules.add("fits no more", mail.using(queue="slow").bind(1, plan="pro"), every(hours=1))
    old.schedules.add("over", gone, once(datetime.now(UTC) - timedelta(days=1)))
    old.schedules.add("paused", gone, every(hours=1))
    old.schedules.pause("paused")
    misfits = [
        MisfitSchedule("fits no more", "mail", "mail(user: int) -> None: got an unexpected keyword argument 'plan'"),
        MisfitSchedule("paused", "gone", ""),
    ]
    found = new.jobs.unrunnable()
    assert (found.schedules, found.misfits, found.jobs) == (misfits, [], 0)
    assert new.jobs.unrunnable(queue="slow").schedules == misfits[:1]
    assert old.jobs.unrunnable().schedules == []


def test_what_the_new_code_declares_otherwise_is_no_trouble_unless_it_was_edited(old: Conveyor, new: Conveyor) -> None:
    for name in ("edited", "followed", "left"):
        old.schedule(every(hours=1), name=name, args=(1,), kwargs={"plan": "pro"})(old.tasks["mail"])
    for name in ("edited", "followed"):
        new.schedule(every(hours=1), name=name, args=(1,))(new.tasks["mail"])
    old.schedules.apply()
    old.schedules.update("edited", rule=every(hours=2))
    assert [one.name for one in new.jobs.unrunnable().schedules] == ["edited", "left"]
    new.schedules.apply(reset=True, remove_orphans=True)
    assert new.jobs.unrunnable().schedules == []


def test_a_schedule_that_cannot_be_read_is_told_unless_one_queue_is_meant(old: Conveyor, new: Conveyor) -> None:
    old.schedules.add("it", old.tasks["mail"].bind(1), every(hours=1))
    (row,) = old.store.run(old.store.schedules.all())
    spoilt = Edit("it", row.version, '{"rule": 5}', None, row.next_at, None, None, "allow")
    old.store.run(old.store.schedules.save([spoilt]))
    assert new.jobs.unrunnable().schedules == [MisfitSchedule("it", "", "what is stored of it cannot be read")]
    assert new.jobs.unrunnable(queue="default").schedules == []


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


def test_the_command_names_schedules_and_a_pipeline_can_stop_there(
    old: Conveyor, shop: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("at night", "each day", "hourly"):
        old.schedules.add(name, old.tasks["gone"], every(hours=1))
    old.schedules.add("fits", old.tasks["mail"].bind(1), every(hours=1))
    assert main(["check-deploy", "--app", shop]) == 1
    shown = capsys.readouterr().out
    assert "looked at 0 waiting jobs: this code can run all\n" in shown
    assert "at night  gone  this code has no task of that name\n" in shown
    assert "\n3 schedules make jobs that this code cannot run\n" in shown
    assert "keep a task of that name" in shown
    assert shown.endswith("conveyor schedules remove 'at night'\n")
    monkeypatch.setattr(check_deploy, "SHOWN", 1)
    assert main(["check-deploy", "--app", shop]) == 1
    shown = capsys.readouterr().out
    assert "and 2 more; --json has all\n" in shown
    assert "each day" not in shown
    assert main(["check-deploy", "--app", shop, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["jobs"], told["misfits"]) == (0, [])
    assert [one["schedule"] for one in told["schedules"]] == ["at night", "each day", "hourly"]
    unknown = {"task": "gone", "unknown": True, "reason": "this code has no task of that name"}
    assert told["schedules"][0] == {"schedule": "at night", **unknown}
    for name in ("at night", "each day"):
        old.schedules.remove(name)
    old.schedules.update("hourly", call=old.tasks["mail"].bind(1, plan="pro"))
    assert main(["check-deploy", "--app", shop]) == 1
    shown = capsys.readouterr().out
    assert "\n1 schedule makes jobs that this code cannot run\n" in shown
    assert "keep taking what it sends" in shown
    old.schedules.remove("hourly")
    assert main(["check-deploy", "--app", shop]) == 0
