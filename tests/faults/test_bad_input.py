"""Bad input through the public face, on every store that processes share: FAULTS B01.

Every hostile value goes through every door. It comes back as it was, or is refused at the call with a typed error
that names its path; both stores agree, and both agree with what the codec says without any store.
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from conveyor import Context, Conveyor, Job, State
from conveyor.core.errors import PayloadError
from conveyor.core.failure import describe
from conveyor.core.verdicts import Cancel, Fail, Verdict
from conveyor.task import Call, Task
from tests.support.hostile import ERRORS, VALUES, same, tried
from tests.support.stores import SHARED, sqlite_url
from tests.support.verdicts import REFUSED, SAME, annotated, returned, sent, without_annotations

Cell = tuple[str, ...]
Cells = dict[Cell, str]
Taker = Task[..., bool]

SLOTS: Final = {"default": 50}
HINTS: Final = ("none", "own")
DOORS: Final = ("enqueue", "aenqueue", "many")
ONCE: Final = {"max_attempts": 1}

BRISK: Final = [name for name, value in VALUES.items() if not value.slow]

pytestmark = pytest.mark.timeout(400)  # thousands of cells, on a slow machine


@pytest.fixture
def apps(tmp_path: Path, postgres_url: str) -> Iterator[dict[str, Conveyor]]:
    """One on each store."""
    made = dict(zip(SHARED, map(Conveyor, (sqlite_url(tmp_path), postgres_url)), strict=True))
    yield made
    for app in made.values():
        app.close()


def work(app: Conveyor) -> None:
    """Run all that waits."""
    assert app.run_worker(SLOTS, burst=True) == 0


def takes(name: str, hint: str) -> Callable[[object], object]:
    async def take(x: object) -> bool:
        return same(VALUES[name].make(), x)

    return dressed(take, name, hint)


def gives(name: str, hint: str) -> Callable[[], object]:
    async def give() -> object:
        return VALUES[name].make()

    return dressed(give, name, hint)


def dressed(function: Callable[..., Any], name: str, hint: str) -> Callable[..., Any]:
    return annotated(function, VALUES[name].annotation) if hint == "own" else without_annotations(function)


def cells() -> Iterator[tuple[str, str]]:
    """Each value with each way to annotate it."""
    for name, value in VALUES.items():
        yield from ((name, hint) for hint in HINTS if not (value.slow if hint == "none" else value.annotation is None))


def agreed(verdicts: dict[str, Cells], least: int) -> Cells:
    """The verdicts of the stores, which are one, and nothing but "same" and "refused"."""
    first, *others = verdicts.values()
    assert all(first == other for other in others)
    assert {cell: verdict for cell, verdict in first.items() if verdict not in {SAME, REFUSED}} == {}
    assert len(first) >= least
    return first


# --------------------------------------------------------------- arguments


def takers(app: Conveyor) -> dict[Cell, Taker]:
    """A task for every value and every way to annotate it, which says whether the value came as it was."""
    made: dict[Cell, Taker] = {}
    for name, hint in cells():
        function = takes(name, hint)
        function.__annotations__.pop("return", None)
        made[name, hint] = app.task(name=f"take {name} {hint}", **ONCE)(function)  # type: ignore[assignment,call-overload]  # made at run time
    return made


def passed(app: Conveyor) -> Cells:
    """What becomes of every value as an argument: of ``enqueue``, ``enqueue_many`` and ``aenqueue``."""
    accepted: list[tuple[Cell, Taker, object]] = []
    refused: list[tuple[Taker, object, str]] = []
    verdicts: Cells = {}
    calls: list[Call[bool]] = []
    for cell, taker in takers(app).items():
        value = VALUES[cell[0]].make()
        call, refusal = tried(lambda taker=taker, value=value: taker.bind(value))  # type: ignore[misc]  # bound now
        if refusal is None:
            accepted.append((cell, taker, value))
            calls.append(call)  # type: ignore[arg-type]  # what bind gives
        else:
            assert re.match(r"(x|take [\w-]+ \w+)[\[.{:]", refusal), refusal
            refused.append((taker, value, refusal))
            verdicts |= {(*cell, door): REFUSED for door in DOORS}
    jobs = {(*cell, "enqueue"): taker.enqueue(value) for cell, taker, value in accepted}
    jobs |= {(*cell, "many"): job for (cell, *_), job in zip(accepted, app.enqueue_many(calls), strict=True)}
    jobs |= asyncio.run(passed_later(app, accepted, refused))
    for taker, value, refusal in refused:
        assert tried(lambda taker=taker, value=value: taker.enqueue(value)) == (None, refusal)  # type: ignore[misc]  # bound now
    work(app)
    return verdicts | {cell: SAME if job.result(timeout=0) else "came otherwise" for cell, job in jobs.items()}


async def passed_later(
    app: Conveyor, accepted: list[tuple[Cell, Taker, object]], refused: list[tuple[Taker, object, str]]
) -> dict[Cell, Job[bool]]:
    for taker, value, refusal in refused:
        with pytest.raises(PayloadError) as caught:
            await taker.aenqueue(value)
        assert str(caught.value) == refusal
    jobs = await asyncio.gather(*(taker.aenqueue(value) for _, taker, value in accepted))
    await app.aclose()
    return {(*cell, "aenqueue"): job for (cell, *_), job in zip(accepted, jobs, strict=True)}


def test_every_argument_comes_back_or_is_refused_and_all_stores_and_doors_agree(apps: dict[str, Conveyor]) -> None:
    found = agreed({store: passed(app) for store, app in apps.items()}, least=1_500)
    for name, hint in cells():
        pure = sent(takes(name, hint), (VALUES[name].make(),), {})
        assert {found[name, hint, door] for door in DOORS} == {pure}, (name, hint)


def test_a_refused_call_takes_no_other_along(apps: dict[str, Conveyor]) -> None:
    for app in apps.values():
        task = app.task(name="take", **ONCE)(without_annotations(takes("true", "none")))  # type: ignore[call-overload]  # as above
        with pytest.raises(PayloadError, match=r"^x: nan"):
            app.enqueue_many(task.bind(value) for value in (True, float("nan")))
        assert sum(app.jobs.counts().values()) == 0
        jobs = app.enqueue_many([task.bind(True), task.bind(True)])
        work(app)
        assert [job.result(timeout=0) for job in jobs] == [True, True]


# ----------------------------------------------------------------- results


def given(app: Conveyor) -> Cells:
    """What becomes of every value as a result."""
    tasks = {
        (name, hint): app.task(name=f"give {name} {hint}", **ONCE)(gives(name, hint))  # type: ignore[call-overload]  # as above
        for name, hint in cells()
    }
    jobs = dict(zip(tasks, app.enqueue_many(task.bind() for task in tasks.values()), strict=True))
    work(app)
    return {cell: result_of(job, VALUES[cell[0]].make()) for cell, job in jobs.items()}


def result_of(job: Job[object], value: object) -> str:
    info = job.refresh()
    if info.state is State.SUCCEEDED:
        return SAME if same(value, job.result(timeout=0)) else "came otherwise"
    error = info.error
    fine = error and error.type == "conveyor.core.errors.PayloadError" and re.match(r"result[\[.{:]", error.message)
    return REFUSED if fine else f"{info.state}: {error}"


def test_every_result_comes_back_or_fails_its_job_and_all_stores_agree(apps: dict[str, Conveyor]) -> None:
    found = agreed({store: given(app) for store, app in apps.items()}, least=500)
    for name, hint in cells():
        assert found[name, hint] == returned(gives(name, hint), VALUES[name].make()), (name, hint)


# ----------------------------------------------------------------- failures


async def fail(name: str) -> None:
    error = ERRORS[name]()
    raise error


def fail_in_thread(name: str) -> None:
    error = ERRORS[name]()
    raise error


async def fail_with(name: str) -> None:
    raise ValueError(VALUES[name].make())


def recorded(app: Conveyor) -> dict[Cell, tuple[object, ...]]:
    """What is stored of every error; what two of a kind need not share is left out."""
    tasks = {
        function.__name__: app.task(name=function.__name__, **ONCE)(function)  # type: ignore[call-overload]  # one of three
        for function in (fail, fail_in_thread, fail_with)
    }
    asked = [(task, name) for task in tasks for name in (BRISK if task == "fail_with" else ERRORS)]
    jobs = app.enqueue_many(tasks[task].bind(name) for task, name in asked)
    work(app)
    return {cell: failure_of(job) for cell, job in zip(asked, jobs, strict=True)}


def failure_of(job: Job[object]) -> tuple[object, ...]:
    info = job.refresh()
    error = info.error
    assert (info.state, info.attempt) == (State.FAILED, 1), info
    assert error is not None
    assert "\0" not in error.type + error.message + error.traceback
    assert "hunter2" not in error.message + error.traceback
    return error.type, fixed(error.message), error.fingerprint


def fixed(text: str | None) -> str:
    """*text* without what differs each time."""
    return re.sub(r"0x[0-9a-f]+|id='\d+'", "0x", text or "")


def test_every_failure_is_recorded_and_all_stores_agree(apps: dict[str, Conveyor]) -> None:
    first, second = (recorded(app) for app in apps.values())
    assert first == second
    assert len(first) == 2 * len(ERRORS) + len(BRISK)
    assert all(kind and fingerprint for kind, _, fingerprint in first.values())
    for name in ERRORS:
        assert first["fail", name][0] == class_raised(lambda name=name: fail(name).send(None)), name  # type: ignore[misc]  # bound now
        assert first["fail_in_thread", name][0] == class_raised(lambda name=name: fail_in_thread(name)), name  # type: ignore[misc]  # as above


def class_raised(call: Callable[[], None]) -> str:
    """The class of what comes out of *call*: some Python itself replaces by another."""
    try:
        call()
    except BaseException as caught:  # noqa: BLE001 - any kind
        return describe(caught).type
    raise AssertionError


# ------------------------------------------- names, keys, tags, facts, words


async def nothing() -> None: ...


Way = Callable[[Conveyor, Task[[], None], object], tuple[object, object]]
"""Takes a value in at one door; gives what went in, and what the store says."""


def _through(option: Callable[[object], dict[str, object]], back: Callable[[Job[None]], object]) -> Way:
    def way(_: Conveyor, task: Task[[], None], value: object) -> tuple[object, object]:
        job = task.using(**option(value)).enqueue()  # type: ignore[arg-type]  # whatever it is
        job.refresh()
        return value, back(job)

    return way


def _info(job: Job[None]) -> Any:
    return job.refresh()


WAYS: Final[dict[str, Way]] = {
    "queue": _through(lambda v: {"queue": v}, lambda job: _info(job).queue),
    "unique": _through(lambda v: {"unique": v}, lambda job: _info(job).unique),
    "tag": _through(lambda v: {"tags": [v]}, lambda job: _info(job).tags[0]),
    "meta": _through(lambda v: {"meta": {"k": v}}, lambda job: _info(job).meta["k"]),
    "meta key": _through(lambda v: {"meta": {v: 1}}, lambda job: next(iter(_info(job).meta))),
    "all of meta": _through(lambda v: {"meta": v}, lambda job: _info(job).meta),
}
VERDICTS: Final[dict[str, type[Verdict]]] = {kind.__name__: kind for kind in (Cancel, Fail)}
PREFIX: Final = {"meta key": "meta", "all of meta": "meta", "tag": "tags"}


def told(app: Conveyor) -> Cells:
    """What becomes of every value beside the arguments."""
    task = app.task(name="nothing", **ONCE)(nothing)  # type: ignore[call-overload]  # as above
    verdicts: Cells = {}
    for door, way in WAYS.items():
        for name in BRISK:
            if door == "unique" and name in {"true", "none", "false-as-int"}:  # which mean something else there
                continue
            value = VALUES[name].make()
            if door == "meta key" and not issubclass(type(value), str):  # to hash some would take for ever
                continue
            pair, refusal = tried(lambda way=way, value=value: way(app, task, value))  # type: ignore[misc]  # bound now
            fine = refusal is not None and refusal.startswith(PREFIX.get(door, door))
            verdicts[door, name] = (REFUSED if fine else str(refusal)) if pair is None else alike(*pair)  # type: ignore[misc]  # a pair
    return verdicts


def alike(value: object, back: object) -> str:
    """A text of a class of the user's is stored as the plain text that it is."""
    plain = str.__str__(value) if issubclass(type(value), str) else value
    return SAME if same(plain, back) else f"came back as {back!r:.60}"


def test_names_keys_tags_and_facts_come_back_or_are_refused_and_all_stores_agree(apps: dict[str, Conveyor]) -> None:
    agreed({store: told(app) for store, app in apps.items()}, least=1_000)


# ---------------------------------------------------- words about a running job


def spoken(app: Conveyor) -> Cells:
    """What becomes of every value as progress, as its message, and as the reason of a cancellation."""

    async def speak(ctx: Context, door: str, name: str) -> str:
        value: Any = VALUES[name].make()
        say = {"progress": lambda: ctx.progress(value), "message": lambda: ctx.progress(message=value)}[door]
        _, refusal = tried(say)
        return SAME if refusal is None else REFUSED if refusal.startswith(door) else refusal

    task = app.task(name="speak", takes_context=True, **ONCE)(speak)  # type: ignore[call-overload]  # as above
    asked = [(door, name) for door in ("progress", "message") for name in BRISK]
    jobs = app.enqueue_many(task.bind(*cell) for cell in asked)
    work(app)
    return {cell: job.result(timeout=0) for cell, job in zip(asked, jobs, strict=True)} | reasons(app)


def ended(app: Conveyor) -> dict[Cell, tuple[object, ...]]:
    """What is stored of every value as the reason of a task's own verdict: never is it refused, for it is too late."""

    async def end(kind: str, name: str) -> None:
        raise VERDICTS[kind](VALUES[name].make())

    task = app.task(name="end", **ONCE)(end)  # type: ignore[call-overload]  # as above
    asked = [(kind, name) for kind in VERDICTS for name in BRISK]
    jobs = app.enqueue_many(task.bind(*cell) for cell in asked)
    work(app)
    return {
        cell: (job.refresh().state, fixed(job.info.cancelled), fixed(str(job.info.error)))
        for cell, job in zip(asked, jobs, strict=True)
    }


def test_the_reason_of_a_verdict_is_recorded_whatever_it_is_and_all_stores_agree(apps: dict[str, Conveyor]) -> None:
    first, second = (ended(app) for app in apps.values())
    assert first == second
    for (kind, name), (state, reason, error) in first.items():
        assert state is (State.CANCELLED if kind == "Cancel" else State.FAILED), (kind, name, reason, error)
    assert first["Cancel", "looks-like-sql"][1] == VALUES["looks-like-sql"].make()
    assert first["Cancel", "nul"][1] == r"a\x00b"


def reasons(app: Conveyor) -> Cells:
    task = app.task(name="nothing", **ONCE)(nothing)  # type: ignore[call-overload]  # as above
    verdicts: Cells = {}
    for name in BRISK:
        value: Any = VALUES[name].make()
        job = task.enqueue()
        _, refusal = tried(lambda job=job, value=value: job.cancel(value))  # type: ignore[misc]  # bound now
        if refusal is None:
            verdicts["reason", name] = alike(value, job.refresh().cancelled)
        else:
            verdicts["reason", name] = REFUSED if refusal.startswith("reason") else refusal
    return verdicts


def test_progress_and_reasons_are_taken_or_refused_and_all_stores_agree(apps: dict[str, Conveyor]) -> None:
    agreed({store: spoken(app) for store, app in apps.items()}, least=800)
