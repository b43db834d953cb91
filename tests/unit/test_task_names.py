"""A task's name is what every process calls it: the one that enqueues, and the one that works."""

import functools
import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conveyor import Conveyor
from conveyor.core.errors import ConveyorError, PayloadError
from tests.support.threads import together

SHOP = """
import multiprocessing
from conveyor import Conveyor
app = Conveyor("sqlite:///:memory:")

@app.task
def mail(): ...

def names(*_):
    return " ".join(app.tasks)

if __name__ == "__main__":
    print(names())
"""
SPAWNING = SHOP.replace(
    "    print(names())",
    '    with multiprocessing.get_context("spawn").Pool(1) as pool:\n        print(*pool.map(names, [0]))',
)


@pytest.fixture
def app() -> Conveyor:
    return Conveyor("sqlite:///:memory:")


RUNS = {
    "path": ["shop.py"],
    "submodule": ["-m", "pkg.mod"],
    "package": ["-m", "pkg"],
    "profiler": ["-m", "cProfile", "shop.py"],
    "spawned": ["spawning.py"],
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "pkg").mkdir()
    (folder / "pkg/__init__.py").write_text("")
    for path in ("shop.py", "pkg/mod.py", "pkg/__main__.py"):
        (folder / path).write_text(SHOP)
    (folder / "spawning.py").write_text(SPAWNING)
    return folder


@pytest.fixture(scope="module")
def said(project: Path) -> dict[str, str]:
    """The name as each kind of run says it."""

    def say(arguments: list[str]) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True, timeout=30)
        return next(line for line in done.stdout.splitlines() if line.endswith(".mail"))

    calls = [functools.partial(say, arguments) for arguments in RUNS.values()]
    return dict(zip(RUNS, together(calls), strict=True))


@pytest.fixture
def imported(project: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """The name as a worker knows it, which imports the module."""
    monkeypatch.syspath_prepend(str(project))

    def name(module: str) -> str:
        for one in ("shop", "pkg", module):
            monkeypatch.delitem(sys.modules, one, raising=False)
        return str(importlib.import_module(module).names())

    return name


def outside(_: int) -> None: ...


class Shop:
    @staticmethod
    def sell() -> None: ...


async def later() -> None: ...


def test_a_task_is_named_by_module_and_qualname(app: Conveyor) -> None:
    assert app.task(outside).name == f"{__name__}.outside"
    assert app.task(Shop.sell).name == f"{__name__}.Shop.sell"
    assert app.task(later).name == f"{__name__}.later"
    assert [*app.tasks] == [f"{__name__}.{name}" for name in ("outside", "Shop.sell", "later")]


@pytest.mark.parametrize(
    ("run", "module"),
    [("path", "shop"), ("submodule", "pkg.mod"), ("package", "pkg.__main__")],
)
def test_a_program_and_its_worker_agree(
    said: dict[str, str], imported: Callable[[str], str], run: str, module: str
) -> None:
    assert said[run] == imported(module)


def test_so_they_do_when_the_program_runs_under_a_profiler(said: dict[str, str]) -> None:
    assert said["profiler"] == "shop.mail"


def test_so_does_a_child_that_multiprocessing_spawned(said: dict[str, str]) -> None:
    assert said["spawned"] == "spawning.mail"


def test_a_nested_function_and_a_lambda_are_refused_with_the_fix(app: Conveyor) -> None:
    def inside() -> None: ...

    for function in (inside, lambda: None):
        with pytest.raises(ConveyorError, match=r"is a lambda or a nested function.*@app\.task\(name=\.\.\.\)"):
            app.task(function)
    assert not app.tasks


@pytest.mark.parametrize(
    "callable_", [functools.partial(outside, 1), len, Shop(), Shop], ids=["partial", "builtin", "object", "class"]
)
def test_so_is_what_is_no_plain_function(app: Conveyor, callable_: object) -> None:
    with pytest.raises(ConveyorError, match="is not a plain function; give the task a name"):
        app.task(callable_)  # type: ignore[arg-type]  # what the test is about


@pytest.mark.parametrize("name", [None, "another"])
def test_what_is_a_task_already_is_refused_with_the_fix(app: Conveyor, name: str | None) -> None:
    first = app.task(name="first")(outside)
    with pytest.raises(ConveyorError, match=r"^<Task first> is a task already; .*\.definition\.function\)$"):
        app.task(name=name)(first)
    assert app.task(name="another")(first.definition.function).name == "another"


@pytest.mark.parametrize("option", ["takes_context", "transactional"])
@pytest.mark.parametrize("value", ["no", 1, None])
def test_a_switch_is_true_or_false(app: Conveyor, option: str, value: object) -> None:
    with pytest.raises(TypeError, match=f"^{option} must be True or False, not "):
        app.task(name="inner", **{option: value})  # type: ignore[call-overload]  # what the test is about


def test_with_a_name_each_of_them_can_be_a_task(app: Conveyor) -> None:
    def inside() -> int:
        return 1

    assert app.task(name="inner")(inside).name == "inner"
    assert app.task(name="lambda")(lambda: 2)() == 2
    assert app.task(name="partial")(functools.partial(outside, 1)).name == "partial"


@pytest.mark.parametrize("name", ["", "x" * 201, "a\0b", "a\nb", "\ud800"], ids=repr)
def test_a_name_keeps_the_rules_of_names(app: Conveyor, name: str) -> None:
    with pytest.raises(PayloadError, match=r"^name"):
        app.task(name=name)(outside)


def test_a_name_is_text(app: Conveyor) -> None:
    with pytest.raises(TypeError, match="name must be a str, not int"):
        app.task(name=5)(outside)  # type: ignore[call-overload]  # what the test is about


def test_a_name_stands_for_one_task(app: Conveyor) -> None:
    app.task(outside)
    taken = f"a task named '{__name__}.outside' is registered already; give one of the two another name="
    with pytest.raises(ConveyorError, match=taken):
        app.task(outside)
    with pytest.raises(ConveyorError, match=taken):
        app.task(name=f"{__name__}.outside")(later)
    assert app.task(name="other")(outside).name == "other"


def test_a_wrapped_function_has_the_name_of_what_it_wraps(app: Conveyor) -> None:
    @functools.wraps(outside)
    def wrapper(number: int) -> None:
        return outside(number)

    assert app.task(wrapper).name == f"{__name__}.outside"


def test_a_task_still_is_its_function(app: Conveyor) -> None:
    add = app.task(name="add")(lambda a, b: a + b)
    assert add(1, b=2) == 3
    assert repr(add) == "<Task add>"
    coroutine = app.task(later)()
    coroutine.close()
    assert coroutine.__name__ == "later"


@pytest.mark.parametrize("option", [{"prioritty": 9}, {"run_after": 5}, {"queues": "mail"}], ids=str)
def test_an_option_that_a_task_does_not_have_is_refused_and_named(app: Conveyor, option: dict[str, object]) -> None:
    with pytest.raises(TypeError, match=next(iter(option))):
        app.task(**option)(outside)  # type: ignore[call-overload]  # what the test is about


@pytest.mark.parametrize("backoff", [5, None, "fast"])
def test_a_backoff_is_a_backoff(app: Conveyor, backoff: object) -> None:
    with pytest.raises(TypeError, match=r"backoff must be a Backoff, such as Backoff\.fixed\(10\)"):
        app.task(backoff=backoff)(outside)  # type: ignore[call-overload]  # what the test is about
