"""``app.schedules`` on every store: made, changed, paused, brought in from the code; from plain code and from async."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from conveyor import Conveyor, PayloadError, ScheduleNotFound, State, Task, UsageError, cron, daily, every, once
from conveyor.core.clock import moment
from conveyor.core.health import Severity
from conveyor.core.schedules import Edit, Scheduled
from conveyor.plan import Plan, Statement, Steps
from conveyor.schedule.firing import move_of
from conveyor.schedule.info import ScheduleInfo
from conveyor.schedule.syncing import Change
from conveyor.store.contract import Store
from conveyor.worker.schedules import Declaring
from tests.support.jobs import Hire

LATER = timedelta(days=1)
HOURS = 3 * 3_600_000_000


@pytest.fixture
def app(url: str, store: Store) -> Iterator[Conveyor]:
    """An app on the store, with one task; one in memory has a store of its own."""
    made = Conveyor(url)
    made.task(name="shop.report")(report)
    if url.endswith(":memory:"):
        made._opened = store
    yield made
    if not url.endswith(":memory:"):
        made.close()


def report(number: int = 0, *, to: str = "") -> str:
    return f"{number} {to}"


def task_of(app: Conveyor) -> Task[..., object]:
    return app.tasks["shop.report"]


def declared(url: str, store: Store, declare: Callable[[Conveyor, Task[..., object]], object]) -> Conveyor:
    """Another version of the code."""
    made = Conveyor(url)
    made._opened = store
    declare(made, made.task(name="shop.report")(report))
    return made


def applied(app: Conveyor, *, reset: bool = False, remove_orphans: bool = False) -> dict[str, Change]:
    found = app.schedules.apply(reset=reset, remove_orphans=remove_orphans)
    return {difference.name: difference.change for difference in found}


def edited(row: Scheduled, *, spec: str, next_at: int | None) -> Edit:
    """As somebody may have spoilt it."""
    return Edit(row.name, row.version, spec, None, next_at, None, None, "allow")


def fire(app: Conveyor, name: str, late: int = 0) -> None:
    """Have its next tick come, *late* microseconds ago, and fire it as a worker does."""
    store = app.store
    (row,) = store.run(store.schedules.all([name]))
    assert row.next_at is not None
    due: Scheduled = row._replace(now=row.next_at + late)
    store.run(store.schedules.fire([move_of(due)]))


# -------------------------------------------------------------- at run time


def test_a_schedule_is_made_and_made_once_more_and_read(app: Conveyor) -> None:
    rule = daily(at="02:00", tz="Europe/Bucharest")
    made = app.schedules.add("night", task_of(app).bind(1, to="me"), rule, catch_up="skip", overlap="skip")
    assert app.schedules.add("night", task_of(app).bind(1, to="me"), rule, catch_up="skip", overlap="skip") == made
    assert (made.task, made.queue, made.rule) == ("shop.report", "default", "daily at 02:00 in Europe/Bucharest")
    assert (made.catch_up, made.overlap, made.fired, made.in_code, made.edited) == ("skip", "skip", 0, False, False)
    assert made.next_at is not None
    assert timedelta(0) < made.next_at - datetime.now(UTC) <= timedelta(days=1, hours=1)
    assert app.schedules.list() == [made] == [app.schedules.get("night")]
    with pytest.raises(UsageError, match="another schedule 'night' already"):
        app.schedules.add("night", task_of(app).bind(2), rule)


def test_what_a_tick_makes_is_the_call_with_its_options(app: Conveyor) -> None:
    call = task_of(app).using(queue="slow", priority=7, tags=["monthly"], meta={"a": 1}, max_attempts=2).bind(5)
    app.schedules.add("it", call, every(hours=1))
    fire(app, "it")
    (info,) = app.jobs.list()
    assert (info.queue, info.priority, info.tags, info.meta, info.max_attempts) == (
        "slow",
        7,
        ("monthly",),
        {"a": 1},
        2,
    )
    assert (info.payload, info.schedule, info.tick) == (b"[[5],{}]", "it", app.schedules.get("it").tick)
    assert app.schedules.get("it").job == info.id


def test_names_that_are_not_there_and_names_that_are_none(app: Conveyor) -> None:
    for call in (
        app.schedules.get,
        app.schedules.pause,
        app.schedules.resume,
        app.schedules.run_now,
        app.schedules.why,
    ):
        with pytest.raises(ScheduleNotFound, match="there is no schedule 'nope'"):
            call("nope")
    with pytest.raises(ScheduleNotFound):
        app.schedules.update("nope", times=3)
    assert not app.schedules.remove("nope")
    for name in ("", "a\nb", "x" * 201):
        with pytest.raises(PayloadError):
            app.schedules.add(name, task_of(app), every(hours=1))


def test_what_makes_no_sense_is_refused_before_anything_is_stored(app: Conveyor) -> None:
    task, hours = task_of(app), every(hours=1)
    wrong: list[tuple[type[Exception], str, Callable[[], object]]] = [
        (ValueError, "field 5", lambda: app.schedules.add("a", task, "0 2 * * mox")),
        (ValueError, "Bukarest", lambda: app.schedules.add("a", task, "0 2 * * *", tz="Europe/Bukarest")),
        (UsageError, "already", lambda: app.schedules.add("a", task, daily(at="02:00", tz="UTC"), tz="Asia/Tokyo")),
        (TypeError, "rule", lambda: app.schedules.add("a", task, 5)),  # type: ignore[arg-type]  # on purpose
        (TypeError, "task", lambda: app.schedules.add("a", report, hours)),  # type: ignore[arg-type]  # on purpose
        (UsageError, "run_after", lambda: app.schedules.add("a", task.using(run_after=5), hours)),
        (UsageError, "'latest', 'skip', 'all'", lambda: app.schedules.add("a", task, hours, catch_up="no")),  # type: ignore[arg-type]  # on purpose
        (UsageError, "'allow'", lambda: app.schedules.add("a", task, hours, overlap=True)),  # type: ignore[arg-type]  # on purpose
        (UsageError, "time zone", lambda: app.schedules.add("a", task, hours, start=datetime(2026, 1, 1))),  # noqa: DTZ001 - on purpose
        (PayloadError, "times", lambda: app.schedules.add("a", task, hours, times=0)),
        (PayloadError, "jitter", lambda: app.schedules.add("a", task, hours, jitter=-1)),
        (TypeError, "number", lambda: app.schedules.add("a", task.bind("x", wrong=1), hours)),
        (
            UsageError,
            "unique",
            lambda: app.schedules.add("a", task.using(unique=True), hours, overlap="cancel_previous"),
        ),
        (TypeError, "nonsense", lambda: app.schedules.add("a", task, hours, nonsense=1)),  # type: ignore[call-arg]  # on purpose
    ]
    for kind, text, call in wrong:
        with pytest.raises(kind, match=text):
            call()
    now = datetime.now(UTC)
    with pytest.raises(UsageError, match="before"):
        app.schedules.add("a", task, hours, start=now, end=now - LATER)
    assert app.schedules.list() == []


def test_paused_it_fires_not_and_goes_on_from_now(app: Conveyor) -> None:
    app.schedules.add("it", task_of(app), every(hours=1))
    before = app.schedules.pause("it")
    assert before.paused_at is not None
    assert app.schedules.pause("it") == before
    fire(app, "it")
    assert app.jobs.list() == []
    after = app.schedules.resume("it")
    assert (after.paused_at, app.schedules.resume("it")) == (None, after)
    assert after.next_at is not None
    assert after.next_at > datetime.now(UTC)
    fire(app, "it")
    assert len(app.jobs.list()) == 1


def test_an_update_changes_what_is_given_and_leaves_the_rest(app: Conveyor) -> None:
    app.schedules.add("it", task_of(app).bind(1), every(hours=1), catch_up="skip")
    before = app.schedules.get("it")
    assert app.schedules.update("it", call=task_of(app).bind(2)).next_at == before.next_at
    assert app.schedules.update("it", overlap="skip").catch_up == "skip"
    changed = app.schedules.update("it", rule="0 5 * * *", tz="Asia/Tokyo")
    assert changed.rule == 'cron "0 5 * * *" in Asia/Tokyo'
    assert app.schedules.update("it", rule="0 6 * * *").rule == 'cron "0 6 * * *" in Asia/Tokyo'
    with pytest.raises(UsageError, match="goes with rule"):
        app.schedules.update("it", tz="UTC")
    fire(app, "it")
    assert app.jobs.list()[0].payload == b"[[2],{}]"
    assert app.schedules.update("it", times=1).ended
    assert not app.schedules.update("it", times=2).ended


def test_one_of_its_jobs_is_made_at_once_also_while_it_is_paused(app: Conveyor) -> None:
    app.schedules.add("it", task_of(app).bind(1), every(hours=1))
    app.schedules.pause("it")
    job = app.schedules.run_now("it")
    (info,) = app.jobs.list()
    assert (info.id, info.schedule, job.state) == (job.id, "it", State.READY)
    assert info.tick is not None
    assert abs(info.tick - datetime.now(UTC)) < timedelta(minutes=1)
    assert app.schedules.get("it").fired == 0


def test_what_is_removed_is_gone_and_its_jobs_stay(app: Conveyor) -> None:
    app.schedules.add("it", task_of(app), every(hours=1))
    fire(app, "it")
    assert app.schedules.remove("it")
    assert (app.schedules.list(), len(app.jobs.list())) == ([], 1)
    app.schedules.add("it", task_of(app), every(hours=2))


def test_a_moment_that_has_passed_has_no_tick(app: Conveyor) -> None:
    assert app.schedules.add("past", task_of(app), once(datetime.now(UTC) - LATER)).ended
    assert not app.schedules.add("future", task_of(app), once(datetime.now(UTC) + LATER)).ended


def test_the_preview_is_that_of_the_rule_also_over_the_next_change_of_the_clocks(app: Conveyor) -> None:
    app.schedules.add("night", task_of(app), "30 3 * * *", tz="Europe/Bucharest")
    shown = app.schedules.preview("night", 3)
    assert (len(shown.ticks), shown.zone.key) == (3, "Europe/Bucharest")
    assert shown.ticks[0] == app.schedules.get("night").next_at
    assert shown.change is not None
    offsets = {tick.astimezone(shown.zone).utcoffset() for tick in (*shown.ticks, *shown.around)}
    assert len(offsets) == 2
    app.schedules.add("often", task_of(app), "*/30 * * * *", tz="Europe/Bucharest")
    often = app.schedules.preview("often", 3)
    assert often.change is not None
    assert [tick - often.change for tick in often.around[:3]] == [timedelta(minutes=m) for m in (-60, -30, 0)]
    assert app.schedules.add("steady", task_of(app), every(hours=1)).ended is False
    assert app.schedules.preview("steady").change is None


def test_all_of_it_from_async_code(app: Conveyor) -> None:
    schedules = app.schedules

    async def used() -> list[ScheduleInfo]:
        try:
            made = [await schedules.aadd("it", task_of(app), every(hours=1))]
            made.append(await schedules.aupdate("it", times=3))
            made.append(await schedules.apause("it"))
            made.append(await schedules.aresume("it"))
            made.append(await schedules.aget("it"))
            assert list(await schedules.alist()) == made[-1:]
            assert (await schedules.arun_now("it")).task == "shop.report"
            assert len((await schedules.apreview("it", 2)).ticks) == 2
            assert (await schedules.awhy("it")).severity is Severity.NOTE
            assert (await schedules.aplan(), await schedules.aapply()) == ([], [])
            assert await schedules.aremove("it")
            return made
        finally:
            await app.aclose()

    assert [info.paused_at is not None for info in asyncio.run(used())] == [False, False, True, False, False]


# ------------------------------------------------------------ from the code


def test_what_the_code_declares_is_brought_in_once_and_stays_in_step(app: Conveyor, url: str, store: Store) -> None:
    def first(app: Conveyor, task: Task[..., object]) -> None:
        app.schedule("0 2 * * *", tz="Europe/Bucharest", name="night", args=(1,))(task)
        app.schedule(every(minutes=15))(task)

    def second(app: Conveyor, task: Task[..., object]) -> None:
        app.schedule("0 3 * * *", tz="Europe/Bucharest", name="night", args=(1,))(task)

    old = declared(url, store, first)
    assert {d.name: d.change for d in old.schedules.plan()} == {"night": Change.CREATE, "shop.report": Change.CREATE}
    assert app.schedules.list() == []
    assert applied(old) == {"night": Change.CREATE, "shop.report": Change.CREATE}
    assert applied(old) == {"night": Change.SAME, "shop.report": Change.SAME}
    before = app.schedules.get("night")
    assert (before.in_code, before.edited) == (True, False)
    new = declared(url, store, second)
    assert applied(new) == {"night": Change.CHANGE, "shop.report": Change.ORPHAN}
    others = Conveyor(url)
    others._opened = store
    assert applied(others, remove_orphans=True) == {"night": Change.FOREIGN, "shop.report": Change.FOREIGN}
    after = app.schedules.get("night")
    assert (after.rule, after.in_code, after.created_at) == (
        'cron "0 3 * * *" in Europe/Bucharest',
        True,
        before.created_at,
    )
    assert [info.name for info in app.schedules.list()] == ["night", "shop.report"]
    applied(new, remove_orphans=True)
    assert [info.name for info in app.schedules.list()] == ["night"]


def test_what_was_edited_at_run_time_stays_over_deploys_until_it_is_reset(url: str, store: Store) -> None:
    def version(rule: str) -> Conveyor:
        return declared(url, store, lambda app, task: app.schedule(rule, name="it")(task))

    first, second = version("0 1 * * *"), version("0 2 * * *")
    applied(first)
    first.schedules.update("it", rule="0 9 * * *")
    assert first.schedules.get("it").edited
    assert (applied(first), applied(second)) == ({"it": Change.DRIFT}, {"it": Change.DRIFT})
    assert second.schedules.get("it").rule == 'cron "0 9 * * *" in UTC'
    assert applied(second, reset=True) == {"it": Change.DRIFT}
    info = second.schedules.get("it")
    assert (info.rule, info.edited) == ('cron "0 2 * * *" in UTC', False)
    assert applied(second) == {"it": Change.SAME}


def test_a_pause_outlives_a_deploy_and_a_new_rule(url: str, store: Store) -> None:
    first = declared(url, store, lambda app, task: app.schedule("0 1 * * *", name="it")(task))
    applied(first)
    paused = first.schedules.pause("it").paused_at
    second = declared(url, store, lambda app, task: app.schedule("0 2 * * *", name="it")(task))
    assert applied(second) == {"it": Change.CHANGE}
    assert second.schedules.get("it").paused_at == paused
    assert [difference.paused for difference in second.schedules.plan()] == [True]


def test_a_change_that_leaves_the_rule_alone_does_not_move_the_next_tick(url: str, store: Store) -> None:
    first = declared(url, store, lambda app, task: app.schedule(every(hours=7), name="it", args=(1,))(task))
    applied(first)
    fire(first, "it")
    before = first.schedules.get("it")
    second = declared(url, store, lambda app, task: app.schedule(every(hours=7), name="it", args=(2,))(task))
    applied(second)
    after = second.schedules.get("it")
    assert (after.next_at, after.fired, after.tick) == (before.next_at, 1, before.tick)


def test_a_deploy_keeps_a_tick_that_nobody_was_there_for(url: str, store: Store) -> None:
    first = declared(url, store, lambda app, task: app.schedule(every(hours=1), name="it")(task))
    applied(first)
    row = store.run(store.schedules.all(["it"]))[0]
    late = row.now - 60_000_000
    store.run(store.schedules.save([Edit("it", row.version, row.spec, row.declared, late, None, None, "allow")]))
    second = declared(url, store, lambda app, task: app.schedule(every(hours=2), name="it")(task))
    assert applied(second) == {"it": Change.CHANGE}
    assert store.run(store.schedules.all(["it"]))[0].next_at == late
    paused = second.schedules.pause("it")
    assert paused.next_at is not None
    third = declared(url, store, lambda app, task: app.schedule(every(hours=3), name="it")(task))
    applied(third)
    after = third.schedules.get("it").next_at
    assert after is not None
    assert after > datetime.now(UTC)


def test_no_edit_moves_the_cursor_to_a_tick_that_has_fired(app: Conveyor, store: Store) -> None:
    app.schedules.add("it", task_of(app), every(hours=1))
    fire(app, "it", late=HOURS)
    tick = app.schedules.get("it").tick
    assert tick is not None
    assert tick > datetime.now(UTC)  # as if the clock had been set back since
    for edited in (
        lambda: app.schedules.update("it", rule=every(minutes=30)),
        lambda: app.schedules.update("it", rule=every(minutes=20)),
        lambda: (app.schedules.pause("it"), app.schedules.resume("it"))[1],
    ):
        after = edited().next_at
        assert after is not None
        assert after > tick


def test_a_database_that_is_made_anew_under_a_worker_gets_its_schedules_back(url: str, store: Store) -> None:
    made = declared(url, store, lambda app, task: app.schedule(every(hours=1), name="it")(task))

    async def worked() -> list[int]:
        try:
            declaring = Declaring(store, made.schedules.declared, made.tasks)
            seen: list[int] = []
            for identity in ("", "", "another"):
                await store.arun(store.schedules.remove("it"))
                if identity:
                    await store.arun(_renamed(store, identity))
                await declaring.work()
                seen.append(len(await store.arun(store.schedules.all())))
            return seen
        finally:
            await store.aclose()

    assert asyncio.run(worked()) == [1, 0, 1]


def _renamed(store: Store, identity: str) -> Plan[None]:
    """Give the store another identity, as one that was made anew has."""

    def steps() -> Steps[None]:
        yield Statement("UPDATE conveyor_meta SET value = :value WHERE name = 'store_id'", {"value": identity})

    return Plan(steps)


def test_of_many_who_bring_in_the_same_code_each_succeeds(url: str, store: Store, opened: Callable[[], Store]) -> None:
    stores = [store] * 6 if url.endswith(":memory:") else [opened() for _ in range(6)]
    apps = [
        declared(url, one, lambda app, task: [app.schedule(cron("0 1 * * *"), name=f"it{n}")(task) for n in range(9)])
        for one in stores
    ]

    async def together() -> None:
        await asyncio.gather(*(asyncio.to_thread(applied, app) for app in apps))

    asyncio.run(together())
    assert len(apps[0].schedules.list()) == 9
    assert set(applied(apps[0]).values()) == {Change.SAME}


def test_two_of_one_name_and_what_is_no_task_are_refused_where_they_are_declared(app: Conveyor) -> None:
    app.schedule(every(hours=1))(task_of(app))
    with pytest.raises(UsageError, match="declared already"):
        app.schedule(every(hours=2))(task_of(app))
    with pytest.raises(TypeError, match=r"above @app\.task"):
        app.schedule(every(hours=1))(report)  # type: ignore[type-var]  # on purpose
    with pytest.raises(TypeError, match="positional"):
        app.schedule(every(hours=1), name="x", args=(1, 2, 3))(task_of(app))


# -------------------------------------------------------------- how it stands


def test_why_says_the_one_thing_that_it_waits_for(app: Conveyor, hire: Hire, store: Store) -> None:
    def why(name: str) -> tuple[Severity, str]:
        told = app.schedules.why(name)
        return told.severity, told.text

    app.schedules.add("it", task_of(app), "0 2 * * *")
    app.schedules.add("over", task_of(app), once(datetime.now(UTC) - LATER))
    app.schedules.add("slow", task_of(app).using(queue="slow"), "0 2 * * *")
    assert why("it") == (Severity.NOTE, "no worker is running")
    assert why("over") == (Severity.FINE, "ended: it has made 0 jobs, and no tick is to come")
    hand = hire()
    assert why("slow") == (Severity.TROUBLE, "no running worker serves its queue 'slow'")
    told = why("it")
    assert told == (Severity.TROUBLE, "no running worker of queue 'default' knows its task 'shop.report'")
    app.schedules.pause("it")
    assert "paused since" in why("it")[1]
    hand.die()
    row = store.run(store.schedules.all(["slow"]))[0]
    past = moment(row.now) - timedelta(minutes=5)
    spoilt = row.spec.replace('"UTC"', '"Mars/Olympus"')
    edits = [edited(row, spec=row.spec, next_at=row.now - 300_000_000)]
    store.run(store.schedules.save(edits))
    assert why("slow") == (
        Severity.TROUBLE,
        f"its tick of {past:%Y-%m-%d %H:%M:%S} UTC has not fired, for no worker is running",
    )
    store.run(store.schedules.save([edited(store.run(store.schedules.all(["slow"]))[0], spec=spoilt, next_at=None)]))
    assert "Mars/Olympus" in why("slow")[1]
    found = {finding.check: finding for finding in app.doctor() if finding.check == "schedules"}
    assert "Mars/Olympus" in found["schedules"].text or "paused" in found["schedules"].text
