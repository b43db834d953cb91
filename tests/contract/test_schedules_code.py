"""Code that differs from what the store has of its schedules: workers and the doctor say so, on every store."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

import pytest

from conveyor import Conveyor, daily, every
from conveyor.core.health import Severity
from conveyor.core.schedules import Scheduled
from conveyor.store.contract import Store
from conveyor.worker import schedules as watching
from conveyor.worker.runner import Settings
from conveyor.worker.schedules import Declaring
from tests.support.stores import rows
from tests.support.waiting import auntil

Versions = Callable[..., Conveyor]


def report() -> None: ...


@pytest.fixture
def version(url: str, store: Store) -> Versions:
    """Makes a version of the code, on the store: one task, and the schedules that are given by name and rule."""

    def made(**rules: str) -> Conveyor:
        app = Conveyor(url)
        app._opened = store
        task = app.task(name="shop.report")(report)
        for name, rule in rules.items():
            app.schedule(rule, name=name)(task)
        return app

    return made


@pytest.fixture
def loop(store: Store) -> Iterator[asyncio.Runner]:
    """An event loop that closes the connections that it has opened."""
    with asyncio.Runner() as runner:
        yield runner
        runner.run(store.aclose())


class Workers:
    """What workers do with the schedules of their code, and what they warn of."""

    def __init__(self, loop: asyncio.Runner, store: Store, caplog: pytest.LogCaptureFixture) -> None:
        self._loop, self._store, self._log = loop, store, caplog
        caplog.set_level(logging.WARNING)

    def start(self, app: Conveyor) -> Declaring:
        """One more, which has brought in its code's."""
        declaring = Declaring(self._store, app.schedules.declared, app.tasks)
        assert self.warned(declaring) == []
        return declaring

    def warned(self, *workers: Declaring) -> list[str]:
        """What they warn of when a minute has passed."""
        self._log.clear()
        for worker in workers:
            self._loop.run(worker.work())
        return list(self._log.messages)


@pytest.fixture
def workers(loop: asyncio.Runner, store: Store, caplog: pytest.LogCaptureFixture) -> Workers:
    return Workers(loop, store, caplog)


def stored(store: Store) -> list[Scheduled]:
    return [row._replace(now=0) for row in store.run(store.schedules.all())]


# ------------------------------------------------------------------ workers


def test_who_is_overruled_by_other_code_warns_once_of_each_declaration(
    version: Versions, store: Store, workers: Workers
) -> None:
    new, old = version(night="0 3 * * *", day="0 9 * * *"), version(night="0 2 * * *", day="0 9 * * *")
    first = workers.start(new)
    assert workers.warned(first) == []
    second = workers.start(old)
    before = stored(store)
    (told,) = workers.warned(first)
    assert told.startswith("schedule night: a worker with other code has started since")
    assert "the store follows that one; if the code of this worker is the newer" in told
    assert "conveyor schedules plan" in told
    assert "conveyor schedules apply" in told
    assert workers.warned(first, first, second) == []
    assert stored(store) == before

    newest = version(night="0 4 * * *", day="0 9 * * *")
    third = workers.start(newest)
    assert len(workers.warned(first, first, second, second, third)) == 2
    assert workers.warned(first, second, third) == []

    new.schedules.apply()
    assert workers.warned(first, first) == []
    newest.schedules.apply()
    assert len(workers.warned(first, first)) == 1, "the same that was warned of, and had gone meanwhile"


def test_each_of_several_is_told_and_what_was_edited_stays(version: Versions, workers: Workers) -> None:
    new, old = version(night="0 3 * * *", day="0 9 * * *"), version(night="0 2 * * *", day="0 8 * * *")
    first = workers.start(new)
    new.schedules.update("day", rule=daily(at="10:00"))
    new.schedules.pause("night")
    assert workers.warned(first) == []
    old.schedules.apply()
    day, night = workers.warned(first)
    assert day.startswith("schedule day: ")
    assert "and the store keeps what was edited at run time;" in day
    assert night.startswith("schedule night: ")
    assert "and the store follows that one;" in night
    assert workers.warned(first) == []


def test_what_is_gone_or_made_by_hand_since_is_nobody_elses_declaration(version: Versions, workers: Workers) -> None:
    app = version(night="0 3 * * *")
    worker = workers.start(app)
    app.schedules.remove("night")
    assert workers.warned(worker, worker) == []
    app.schedules.add("night", app.tasks["shop.report"], every(hours=1))
    assert workers.warned(worker, worker) == []
    version(night="0 2 * * *").schedules.apply()
    assert len(workers.warned(worker, worker)) == 1
    app.schedules.remove("night")
    app.schedules.add("night", app.tasks["shop.report"], every(hours=1))
    assert workers.warned(worker) == []


def test_a_look_is_one_question_and_none_where_the_code_declares_nothing(
    version: Versions, store: Store, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    some, none = workers.start(version(night="0 3 * * *", day="0 9 * * *")), workers.start(version())
    asked: list[object] = []
    carry = store.arun

    async def heard(plan: object) -> object:
        asked.append(plan)
        return await carry(plan)  # type: ignore[arg-type]  # whatever it is

    monkeypatch.setattr(store, "arun", heard)
    assert workers.warned(none) == []
    assert asked == []
    assert workers.warned(some) == []
    assert len(asked) == 2  # which store this is, and what it has of these


def test_a_running_worker_says_that_one_of_older_code_was_started_after_it(
    version: Versions,
    loop: asyncio.Runner,
    store: Store,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "ANEW", 0.02)
    caplog.set_level(logging.INFO)

    async def worked() -> None:
        running: list[asyncio.Task[int]] = []
        try:
            for rule, text in (
                ("0 3 * * *", "schedule night is new"),
                ("0 2 * * *", "schedule night: a worker with other"),
            ):
                app = version(night=rule)
                running.append(asyncio.create_task(app.worker(Settings({"default": 1})).run()))
                await auntil(partial(said, text))
        finally:
            for one in running:
                one.cancel()
                with suppress(asyncio.CancelledError):
                    await one

    def said(text: str) -> bool:
        return text in caplog.text

    loop.run(worked())
    assert caplog.text.count("has started since") == 1
    (row,) = stored(store)
    assert '"0 2 * * *"' in row.spec


# ------------------------------------------------------------------- doctor


def diagnosed(app: Conveyor) -> list[tuple[Severity, str, str]]:
    """What the doctor says of schedules, but that no worker serves them."""
    return [(one.severity, one.text, one.fix) for one in app.doctor() if one.check == "schedules"]


def test_the_doctor_says_what_the_store_has_otherwise_than_the_code(version: Versions) -> None:
    many = {f"it{number}": "0 1 * * *" for number in range(5)}
    app = version(**many)
    ((severity, text, fix),) = diagnosed(app)
    assert (severity, text) == (
        Severity.NOTE,
        "schedules 'it0', 'it1', 'it2' and 2 more: not stored as this app declares",
    )
    assert fix.startswith("conveyor schedules plan, then conveyor schedules apply")
    app.schedules.apply()
    assert diagnosed(app) == [(Severity.FINE, "5 schedules, and none is late", "")]

    app.schedules.update("it1", rule="0 5 * * *")
    app.schedules.add("by hand", app.tasks["shop.report"], every(hours=1))
    after = version(it0="0 2 * * *", it1="0 1 * * *", it2="0 1 * * *", it3="0 1 * * *")
    fine, *told = diagnosed(after)
    assert fine[0] is Severity.FINE
    assert [(severity, text) for severity, text, _ in told] == [
        (Severity.NOTE, "schedule 'it0': not stored as this app declares"),
        (Severity.NOTE, "schedule 'it1': edited at run time, and kept so over deploys"),
        (Severity.NOTE, "schedule 'it4': declared by this app no more, and stored still"),
    ]
    assert "apply --reset" in told[1][2]
    assert "apply --remove-orphans" in told[2][2]
    after.schedules.apply(reset=True, remove_orphans=True)
    assert [severity for severity, *_ in diagnosed(after)] == [Severity.FINE]


def test_the_doctor_says_nothing_where_there_is_nothing_to_compare(version: Versions, url: str, store: Store) -> None:
    assert diagnosed(version()) == []
    version(night="0 1 * * *").schedules.apply()
    another = Conveyor(url)
    another._opened = store
    assert [severity for severity, *_ in diagnosed(another)] == [Severity.FINE]
    another.task(name="other.task")(report)
    assert [severity for severity, *_ in diagnosed(another)] == [Severity.FINE]


def test_the_doctor_goes_on_where_the_schedules_cannot_be_read(version: Versions, store: Store) -> None:
    app = version(night="0 1 * * *")
    rows(store, "ALTER TABLE conveyor_schedule RENAME TO hidden")
    ((severity, text, _),) = diagnosed(app)
    assert (severity, text.startswith("this could not be looked at: ")) == (Severity.TROUBLE, True)
    assert "workers" in {one.check for one in app.doctor()}
