"""The files of a project, watched by looking: nothing to install, and the same on every file system."""

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from importlib.machinery import PathFinder
from importlib.util import cache_from_source
from pathlib import Path
from typing import Final

from conveyor.cli.lookup import home

SKIPPED: Final = {"node_modules", "__pycache__", "site-packages", "dist-packages"}
CHANGES: Final = 50
"""Looks for which changes are awaited to end: what is never quiet must not hold up for ever."""

Look = Mapping[str, tuple[int, int]]
"""Time of change and size of each file by its path."""


class Tree:
    """The Python files, and each ``pyproject.toml``, below some folders.

    Hidden folders and installed packages are passed over, and so is any virtual environment, whatever its name.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        """Nothing is read yet."""
        self.folders = [str(folder) for folder in folders]

    def look(self) -> Look:
        """All files as they are now."""
        found: dict[str, tuple[int, int]] = {}
        ahead = list(self.folders)
        while ahead:
            ahead += _looked(ahead.pop(), found)
        return found


def folders(target: str) -> list[Path]:
    """Where the code of the app *target*, ``module:attr``, may lie: the project, and the module's own folder.

    None is below another. The module is found but not imported: the user's code must run in the worker only.
    """
    project, here = home(), Path.cwd()
    name = target.partition(":")[0].partition(".")[0]
    spec = PathFinder.find_spec(name, [str(project), str(here), *sys.path])
    modules: list[Path] = []
    if spec is not None:
        places = spec.submodule_search_locations or ([str(Path(spec.origin).parent)] if spec.origin else [])
        modules = [path for path in map(Path, places) if not SKIPPED.intersection(path.parts)]
    asked = [path.resolve() for path in (project, here, *modules)]
    return [path for path in dict.fromkeys(asked) if not any(other in path.parents for other in asked)]


def changed(before: Look, after: Look) -> list[str]:
    """The files that came, went or differ; in order."""
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def settled(before: Look, look: Callable[[], Look], pause: Callable[[], bool]) -> list[str]:
    """What has changed since *before*, once two looks are alike: one ``git checkout`` is one change.

    *pause* waits for a moment, and may end the waiting by giving ``True``.
    """
    latest = look()
    for _ in range(CHANGES):
        if latest == before or pause():
            break
        earlier, latest = latest, look()
        if latest == earlier:
            break
    return changed(before, latest)


def forget(files: Iterable[str]) -> None:
    """Remove what Python has compiled of *files*.

    It takes its copy for fresh while size and time of change agree, and that time counts whole seconds: of two
    changes within one second it would run the first.
    """
    for file in files:
        if file.endswith(".py"):
            Path(cache_from_source(file)).unlink(missing_ok=True)


def _looked(folder: str, found: dict[str, tuple[int, int]]) -> list[str]:
    """Add what is to be watched of *folder* to *found*; the folders below it."""
    try:
        with os.scandir(folder) as listing:
            entries = list(listing)
    except OSError:  # it has gone meanwhile, or is not ours to read
        return []
    if any(entry.name == "pyvenv.cfg" for entry in entries):
        return []
    below: list[str] = []
    for entry in entries:
        if entry.name.startswith(".") or entry.name in SKIPPED:
            continue
        try:
            if entry.is_dir(follow_symlinks=False):
                below.append(entry.path)
            elif entry.name.endswith(".py") or entry.name == "pyproject.toml":
                stat = entry.stat()
                found[entry.path] = (stat.st_mtime_ns, stat.st_size)
        except OSError:  # as above; or a link that leads nowhere
            continue
    return below
