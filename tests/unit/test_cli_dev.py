"""What ``conveyor dev`` sees of a project, and when it takes a change for over. It runs in ``tests/e2e``."""

import os
import py_compile
from collections.abc import Callable, Iterator, Sequence
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from conveyor.cli.dev.child import shown
from conveyor.cli.dev.tree import CHANGES, Look, Tree, changed, folders, forget, settled


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and the current one."""
    made = tmp_path / "project"
    made.mkdir()
    monkeypatch.chdir(made)
    return made


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def seen(folder: Path) -> set[str]:
    return {str(Path(path).relative_to(folder)) for path in Tree([folder]).look()}


# ---------------------------------------------------------------- what is watched


def test_python_files_and_the_projects_own_are_watched(project: Path) -> None:
    watched = {
        "shop.py",
        "pyproject.toml",
        "shop/jobs.py",
        "shop/deep/down/x.py",
        "größe/ä b.py",
        "below/pyproject.toml",
    }
    for name in (*watched, "README.md", "shop.pyc", "jobs.db", "shop/data.json", "py", "Makefile"):
        write(project / name)
    assert seen(project) == watched


@pytest.mark.parametrize(
    "folder", [".venv", ".git", ".hidden", "node_modules", "__pycache__", "a/__pycache__", "lib/site-packages"]
)
def test_what_is_not_the_projects_own_is_passed_over(project: Path, folder: str) -> None:
    write(project / "shop.py")
    write(project / folder / "x.py")
    write(project / folder / "deep" / "x.py")
    assert seen(project) == {"shop.py"}


def test_a_virtual_environment_is_known_by_its_file_and_not_its_name(project: Path) -> None:
    write(project / "shop.py")
    write(project / "py311" / "pyvenv.cfg")
    write(project / "py311" / "lib" / "x.py")
    assert seen(project) == {"shop.py"}


def test_links(project: Path, tmp_path: Path) -> None:
    """A file is watched wherever it lies; a folder might lead back here, or to the whole disk."""
    write(tmp_path / "elsewhere" / "real.py")
    (project / "linked.py").symlink_to(tmp_path / "elsewhere" / "real.py")
    (project / "nowhere.py").symlink_to(tmp_path / "nonesuch.py")
    (project / "loop").symlink_to(project)
    (project / ".#shop.py").symlink_to("ada@host.1")  # as an editor marks what it has open
    assert seen(project) == {"linked.py"}
    before = Tree([project]).look()
    write(tmp_path / "elsewhere" / "real.py", "x = 1")
    assert changed(before, Tree([project]).look()) == [str(project / "linked.py")]


def test_a_folder_that_is_not_there_holds_nothing(project: Path) -> None:
    assert Tree([project / "nonesuch"]).look() == {}


@pytest.mark.parametrize("target", ["shop:app", "shop", "shop.jobs:app", "nonesuch", "", ".shop:app", "a/b:c", "json"])
def test_the_current_folder_is_watched(project: Path, target: str) -> None:
    write(project / "shop" / "__init__.py")
    assert folders(target)[0] == project


def test_the_project_is_watched_from_a_folder_below(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project / "pyproject.toml")
    (project / "below").mkdir()
    monkeypatch.chdir(project / "below")
    assert folders("shop:app") == [project]


@pytest.mark.parametrize("kind", ["package", "namespace", "module"])
def test_an_app_that_lies_elsewhere_is_watched_too(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    away = tmp_path / "away"
    write(away / {"package": "faraway/__init__.py", "namespace": "faraway/jobs.py", "module": "faraway.py"}[kind])
    monkeypatch.syspath_prepend(away)
    assert folders("faraway.jobs:app") == [project, away if kind == "module" else away / "faraway"]


def test_an_installed_app_is_not_watched(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "lib" / "site-packages" / "installed" / "__init__.py")
    monkeypatch.syspath_prepend(tmp_path / "lib" / "site-packages")
    assert folders("installed:app") == [project]


# ---------------------------------------------------------------- what a change is


def same_time(path: Path, text: str) -> None:
    stat = path.stat()
    path.write_text(text, "utf-8")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


CHANGES_SEEN: dict[str, Callable[[Path], object]] = {
    "its time": lambda path: os.utime(path, ns=(0, 1)),
    "its size": lambda path: same_time(path, "longer than before"),
    "it has gone": Path.unlink,
    "it is another": lambda path: path.rename(path.with_name("new.py")),
}


@pytest.mark.parametrize("change", CHANGES_SEEN.values(), ids=CHANGES_SEEN)
def test_a_change_is_seen(project: Path, change: Callable[[Path], object]) -> None:
    path = write(project / "shop.py", "x")
    tree = Tree([project])
    before = tree.look()
    assert changed(before, tree.look()) == []
    change(path)
    assert str(path) in changed(before, tree.look())


class Watch:
    """Looks and pauses by a script."""

    def __init__(self, looks: Sequence[Look], stop_at: int | None = None) -> None:
        self._looks: Iterator[Look] = iter(looks)
        self._stop_at = stop_at
        self.pauses = 0

    def look(self) -> Look:
        return next(self._looks)

    def pause(self) -> bool:
        self.pauses += 1
        return self.pauses == self._stop_at


A, B, C = ({"shop.py": (number, 0)} for number in range(3))
D: Look = {**C, "new.py": (1, 1)}


@pytest.mark.parametrize(
    ("looks", "files", "pauses"),
    [
        ([A], [], 0),
        ([B, B], ["shop.py"], 1),
        ([B, C, D, D], ["new.py", "shop.py"], 3),
        ([B, A], [], 1),
    ],
    ids=["none", "one", "a checkout", "taken back"],
)
def test_a_change_is_over_when_two_looks_are_alike(looks: list[Look], files: list[str], pauses: int) -> None:
    watch = Watch(looks)
    assert settled(A, watch.look, watch.pause) == files
    assert watch.pauses == pauses


def test_who_is_told_to_stop_waits_no_longer() -> None:
    watch = Watch([B], stop_at=1)
    assert settled(A, watch.look, watch.pause) == ["shop.py"]


def test_what_is_never_quiet_does_not_hold_up_for_ever() -> None:
    watch = Watch([{"shop.py": (number, 0)} for number in range(1, 2 * CHANGES)])
    assert settled(A, watch.look, watch.pause) == ["shop.py"]
    assert watch.pauses == CHANGES


def test_what_was_compiled_of_a_changed_file_is_not_used_again(project: Path) -> None:
    """Of two changes within a second, Python itself would take the second for the first."""
    path = write(project / "shop.py", "x = 1")
    py_compile.compile(str(path))
    compiled = Path(cache_from_source(str(path)))
    assert compiled.exists()
    same_time(path, "x = 2")
    forget([str(path), str(project / "pyproject.toml"), str(project / "gone.py")])
    assert not compiled.exists()


# ---------------------------------------------------------------- what the user's code raised


def of(code: str, file: str) -> BaseException:
    try:
        exec(compile(code, file, "exec"), {})  # noqa: S102 - a stand-in for a user's module
    except Exception as error:  # noqa: BLE001 - whatever it is
        return error
    raise AssertionError("it raised nothing")


def test_an_error_is_shown_with_the_users_lines_only() -> None:
    told = shown(of("def f():\n    raise ValueError('no')\nf()", "shop.py"))
    assert 'File "shop.py", line 2, in f' in told
    assert told.endswith("ValueError: no\n")


def test_a_syntax_error_is_shown_with_its_place() -> None:
    error = of("x = 1\ndef (", "shop.py")
    error.__traceback__ = None
    told = shown(error)
    assert told.startswith('  File "shop.py", line 2\n    def (\n        ^\n')
    assert told.endswith("SyntaxError: invalid syntax\n")


def test_what_is_not_the_users_fault_is_not_shown() -> None:
    assert shown(None) == ""
    assert shown(ModuleNotFoundError("No module named 'nonesuch'")) == ""
