"""Which app, which store: options, then the environment, then ``pyproject.toml``, then the default."""

import argparse
import importlib
import os
import sys
import tomllib
import traceback
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

from conveyor.app import Conveyor, importing
from conveyor.core.addresses import DEFAULT_URL
from conveyor.core.errors import UsageError
from conveyor.store.sqlite.place import Place


class MissingStore(UsageError):
    """The store is a file that is not there yet."""

    cure: Final = "enqueue a job, which makes it, or name another with --store or --app"

    def __str__(self) -> str:
        """What is wrong, and what to do."""
        return f"{self.args[0]}; {self.cure}"


class BrokenApp(UsageError):
    """The app's module cannot be imported; ``__cause__`` is what that raised."""


def app_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say which app and which store."""
    parser.add_argument("--app", metavar="MODULE:ATTR", help="your app; else CONVEYOR_APP, else app in [tool.conveyor]")
    store_argument(parser)


def store_argument(parser: argparse.ArgumentParser) -> None:
    """The option that says which store."""
    parser.add_argument(
        "--store",
        metavar="URL",
        help="sqlite:///FILE or postgresql://...; else the app's own, which may be CONVEYOR_URL; without an app, "
        "CONVEYOR_URL or url in [tool.conveyor]",
    )


def name_app(options: argparse.Namespace) -> str:
    """The app that the user means, as ``module:attr``. Raises ``UsageError`` when none is named."""
    target: str | None = options.app or os.environ.get("CONVEYOR_APP") or _file().get("app")
    if not target:
        raise UsageError(
            "which app? Give --app module:attr, set CONVEYOR_APP, or write app = 'module:attr' under "
            "[tool.conveyor] in pyproject.toml"
        )
    return target


def find_app(options: argparse.Namespace) -> Conveyor:
    """The app that the user means. Raises ``UsageError`` when there is none, or it cannot be imported."""
    app = _load(name_app(options))
    if options.store:
        app.use(options.store)
    return app


def find_both(options: argparse.Namespace) -> Conveyor:
    """The app that the user means, on the store that is meant; a bare one where no app is named."""
    if options.app or os.environ.get("CONVEYOR_APP") or _file().get("app"):
        return find_app(options)
    return find_store(options)


def find_store(options: argparse.Namespace) -> Conveyor:
    """An app for reading: the user's own where one is named, else a bare one on the store that is meant."""
    settings = _file()
    named = options.app or os.environ.get("CONVEYOR_APP") or settings.get("app")
    if named and not options.store:
        return _load(named)
    return Conveyor(options.store or os.environ.get("CONVEYOR_URL") or settings.get("url") or DEFAULT_URL)


def find_jobs(options: argparse.Namespace) -> Conveyor:
    """``find_store`` for a command about jobs that are there: it makes no database where there is none."""
    app = find_store(options)
    check_there(app)
    return app


def check_there(app: Conveyor) -> None:
    """Raises ``MissingStore`` when the store is a file, and that is not there."""
    if missing := missing_file(app):
        raise MissingStore(f"there is no database {missing} yet")


def missing_file(app: Conveyor) -> Path | None:
    """The file that the store will be once it is used; ``None`` where it is there, or the store is no file."""
    file = store_file(app)
    return file if file and not file.exists() else None


def whole_url(app: Conveyor) -> str:
    """The store's URL to be read by people: ``sqlite:///shop.db`` is another store in each folder, this is not."""
    file = store_file(app)
    if file is None:
        return app.store.url  # without a password
    path = str(file).translate({ord(char): f"%{ord(char):02X}" for char in "%?#"})
    _, mark, settings = app.url.partition("?")
    return f"sqlite:///{path}{mark}{settings}"


def store_file(app: Conveyor) -> Path | None:
    """The file that the store is; ``None`` where it is a server, or in memory."""
    if urlsplit(app.url).scheme != "sqlite":
        return None
    place = Place(app.url)
    return None if place.memory else place.file


def in_memory(app: Conveyor) -> bool:
    """Whether the store is in the memory of this process."""
    return urlsplit(app.url).scheme == "sqlite" and Place(app.url).memory


def _load(target: str) -> Conveyor:
    module_name, _, attribute = target.partition(":")
    for folder in (home(), Path.cwd()):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise UsageError(
            f"--app {target}: {module_name!r} is no module's name; write it as in an import: shop.jobs:app"
            f"{_not_the_file(module_name)}"
        )
    before = importing.set(module_name)
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise BrokenApp(f"--app {target}: {_import_trouble(module_name, error)}") from error
    finally:
        importing.reset(before)
    if not attribute:
        apps = [name for name, value in vars(module).items() if isinstance(value, Conveyor)]
        if len(apps) != 1:
            found = f"{len(apps)} of them ({', '.join(apps)})" if apps else "none"
            raise UsageError(f"--app {target}: it should hold one Conveyor app, and holds {found}; say module:attr")
        attribute = apps[0]
    app = module
    for part in attribute.split("."):
        if not hasattr(app, part):
            raise UsageError(f"--app {target}: {module_name} has no {attribute}")
        app = getattr(app, part)
    if not isinstance(app, Conveyor):
        raise UsageError(f"--app {target}: {attribute} is {type(app).__name__}, not a Conveyor app")
    return app


def _import_trouble(module: str, error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name and module.startswith(error.name):
        there = f"there is no module {error.name!r} in {Path.cwd()} or among the installed packages"
        return there + _not_the_file(module)
    if isinstance(error, SyntaxError):  # which happens to no frame of the user's
        return f"importing it raised SyntaxError: {error.msg} ({error.filename}:{error.lineno})"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not is_ours(f.filename)]
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"importing it raised {type(error).__name__}: {error}{where}"


def _not_the_file(name: str) -> str:
    """The guess for who names the file of a module, as ``shop/jobs.py``; empty for another name."""
    if not name.endswith(".py"):
        return ""
    module = ".".join(part for part in name.removesuffix(".py").split("/") if part not in {"", "."})
    return f"; a module is named, not its file: did you mean {module!r}?"


def is_ours(file: str) -> bool:
    """Whether a line of a traceback is of Conveyor or of Python's import, and so tells a user nothing."""
    return file.startswith((str(Path(__file__).parents[1]), "<frozen importlib")) or file == importlib.__file__


def shown(error: BaseException | None) -> str:
    """What the user's code has raised, in full and without the lines of who imported it; empty if it has not."""
    if error is None:
        return ""
    told = traceback.TracebackException.from_exception(error)
    told.stack[:] = [frame for frame in told.stack if not is_ours(frame.filename)]
    if told.stack:
        return "".join(told.format())
    return "".join(told.format_exception_only()) if isinstance(error, SyntaxError) else ""


def home() -> Path:
    """The folder of the nearest ``pyproject.toml``, upwards from here; here, when there is none."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "pyproject.toml").is_file()), here)


def _file() -> dict[str, str]:
    """``[tool.conveyor]`` of the nearest ``pyproject.toml``."""
    path = home() / "pyproject.toml"
    try:
        table = tomllib.loads(path.read_text("utf-8")).get("tool", {}).get("conveyor", {})
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from None
    settings = cast(dict[str, object], table) if isinstance(table, dict) else {"": table}
    if not settings.keys() <= {"app", "url"} or not all(isinstance(value, str) for value in settings.values()):
        raise UsageError(f"{path}: [tool.conveyor] holds app = 'module:attr' and url = '...' and nothing else")
    return cast(dict[str, str], settings)
