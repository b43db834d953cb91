"""Which tasks an app has: those that it made, those of included modules, and those that it adopts."""

import gc
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

import conveyor
from conveyor import Conveyor
from conveyor.core.errors import ConveyorError, UsageError

WAIT = 5
_numbers = count(1)
Module = Callable[[str], str]


def made() -> Conveyor:
    return Conveyor("sqlite:///:memory:")


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Module]:
    """Makes a module of this text, and gives its name."""
    monkeypatch.syspath_prepend(tmp_path)
    names: list[str] = []

    def write(text: str) -> str:
        names.append(f"adopted_{next(_numbers)}")
        (tmp_path / f"{names[-1]}.py").write_text(textwrap.dedent(text))
        return names[-1]

    yield write
    for name in names:
        sys.modules.pop(name, None)


TASKS = """
    import conveyor

    @conveyor.task(queue="mail", max_attempts=2)
    def add(left, right):
        return left + right

    @conveyor.task
    async def double(number):
        return number * 2

    again = add
"""


# ------------------------------------------------------------------ include


def test_tasks_of_an_included_module_are_the_apps(module: Module) -> None:
    name = module(TASKS)
    app = Conveyor("sqlite:///:memory:", include=[name])
    assert name not in sys.modules  # not before they are needed
    assert set(app.tasks) == {f"{name}.add", f"{name}.double"}
    added = sys.modules[name].add.enqueue(1, 2)
    doubled = app.tasks[f"{name}.double"].enqueue(4)
    assert app.default_queues(3) == {"default": 3, "mail": 3}
    assert app.run_worker(burst=True) == 0
    assert (added.result(timeout=WAIT), doubled.result(timeout=WAIT)) == (3, 8)
    assert (added.refresh().queue, added.refresh().max_attempts) == ("mail", 2)
    app.close()


def test_an_included_module_is_looked_for_when_one_of_its_tasks_is_enqueued_first(module: Module) -> None:
    name = module(TASKS)
    app = Conveyor("sqlite:///:memory:", include=[name])
    job = __import__(name).add.enqueue(1, 2)
    assert app.jobs.get(job.id).task == f"{name}.add"
    app.close()


def test_a_module_that_makes_its_own_app_keeps_its_tasks(module: Module) -> None:
    name = module(
        """
        import conveyor
        own = conveyor.Conveyor("sqlite:///:memory:")

        @own.task
        def mine():
            pass

        @conveyor.task
        def loose():
            pass
        """
    )
    app = Conveyor("sqlite:///:memory:", include=[name])
    assert set(app.tasks) == {f"{name}.loose"}


def test_what_an_included_module_raises_comes_out_each_time(module: Module) -> None:
    name = module("raise RuntimeError('not configured')")
    app = Conveyor("sqlite:///:memory:", include=[name])
    for _ in range(2):
        with pytest.raises(RuntimeError, match="not configured"):
            app.tasks  # noqa: B018 - a property that imports
    with pytest.raises(ModuleNotFoundError, match="nowhere"):
        Conveyor("sqlite:///:memory:", include=["nowhere_at_all"]).tasks  # noqa: B018 - as above
    del app
    gc.collect()  # apps that are still there would be asked for the tasks of their modules


@pytest.mark.parametrize("include", ["shop.tasks", [5], [None]])
def test_what_is_no_list_of_names_is_refused(include: list[str]) -> None:
    with pytest.raises(UsageError, match=r"^include must be a list of module names, as include=\['shop.tasks'\]"):
        Conveyor("sqlite:///:memory:", include=include)


def test_two_threads_that_come_first_import_a_module_once(module: Module) -> None:
    name = module(f"import builtins\n{textwrap.dedent(TASKS)}\nbuiltins.imports = getattr(builtins, 'imports', 0) + 1")
    app = Conveyor("sqlite:///:memory:", include=[name])
    threads = [threading.Thread(target=lambda: len(app.tasks)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    import builtins

    assert vars(builtins).pop("imports") == 1
    assert len(app.tasks) == 2


# -------------------------------------------------------------------- adopt


def test_a_loose_task_belongs_to_nobody_until_an_app_adopts_it() -> None:
    task = conveyor.task(name="loose")(lambda number: number + 1)
    assert task(1) == 2
    with pytest.raises(ConveyorError, match=r"the task loose belongs to no app yet; .* app\.adopt\(it\)"):
        task.enqueue(1)
    app = made()
    app.adopt(task)
    job = task.enqueue(1)
    assert app.run_worker(burst=True) == 0
    assert job.result(timeout=WAIT) == 2
    app.adopt(task)  # it is the app's already
    app.close()


def test_a_task_has_one_app() -> None:
    loose = conveyor.task(name="loose")(lambda: None)
    first, second = made(), made()
    first.adopt(loose)
    with pytest.raises(ConveyorError, match="the task loose belongs to another app already"):
        second.adopt(loose)
    own = first.task(name="own")(lambda: None)
    with pytest.raises(ConveyorError, match=r"<Task own> was made by an app, and belongs to it"):
        second.adopt(own)


def test_a_refused_task_is_not_among_the_apps_tasks() -> None:
    loose = conveyor.task(name="loose")(lambda: None)
    first, second = made(), made()
    first.adopt(loose)
    with pytest.raises(ConveyorError):
        second.adopt(loose)
    assert list(second.tasks) == []


def test_a_name_is_given_once() -> None:
    app = made()
    app.task(name="same")(lambda: 1)
    with pytest.raises(ConveyorError, match="a task named 'same' is registered already"):
        app.task(name="same")(lambda: 2)
    with pytest.raises(ConveyorError, match="a task named 'same' is registered already"):
        app.adopt(conveyor.task(name="same")(lambda: 3))
    assert app.tasks["same"].definition.function() == 1


def test_a_loose_task_may_find_another_app_once_its_own_is_gone() -> None:
    loose = conveyor.task(name="loose")(lambda: None)
    app = made()
    app.adopt(loose)
    del app
    gc.collect()
    with pytest.raises(ConveyorError, match="belongs to no app yet"):
        loose.enqueue()
    other = made()
    other.adopt(loose)
    assert loose.enqueue().created
    other.close()


def test_the_tasks_of_an_app_are_to_look_at() -> None:
    app = made()
    with pytest.raises(TypeError):
        app.tasks["x"] = None  # type: ignore[index]  # what the test is about


# ------------------------------------------------------------------ options


def test_an_option_that_there_is_not_is_named() -> None:
    for name in ("colour", "run_after", "meta", "within"):
        with pytest.raises(TypeError, match=f"a task has no option {name}; run_after, meta and within are for using"):
            made().task(**{name: 5})  # type: ignore[call-overload]  # what the test is about


def test_a_broken_option_is_refused_where_the_task_is_made() -> None:
    for options in ({"priority": 101}, {"backoff": 5}, {"retry_on": 5}, {"tags": "x"}, {"unique": 5}, {"keep": -1}):
        with pytest.raises((TypeError, ValueError)):
            made().task(**options)  # type: ignore[call-overload]  # what the test is about


def test_using_changes_one_job_and_leaves_the_task() -> None:
    app = made()
    task = app.task(name="t", tags=["a"], expires=60, store_result=False)(lambda: 1)
    chosen = task.using(tags=["b", "c"], meta={"order": 7}, expires=None, keep=None)
    job = chosen.using(priority=3).enqueue()
    info = job.refresh()
    assert (info.tags, info.meta, info.priority, info.expires_at) == (("b", "c"), {"order": 7}, 3, None)
    plain = task.enqueue().refresh()
    assert (plain.tags, plain.meta, plain.priority) == (("a",), {}, 0)
    assert plain.expires_at is not None
    assert app.run_worker(burst=True) == 0
    assert (job.result(timeout=WAIT), job.refresh().delete_after) == (None, None)
    app.close()
