"""``conveyor bench``: what this machine and this store can do, with the settings that anyone would use."""

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from conveyor.app import Conveyor
from conveyor.cli.about import here
from conveyor.cli.bench import options as given
from conveyor.cli.bench.backlog import measure_backlog
from conveyor.cli.bench.drain import measure_drain
from conveyor.cli.bench.enqueue import measure_enqueue
from conveyor.cli.bench.figures import Result
from conveyor.cli.bench.idle import measure_idle
from conveyor.cli.bench.latency import measure_latency
from conveyor.cli.bench.options import Settings
from conveyor.cli.bench.pictures import picture
from conveyor.cli.bench.schedules import measure_schedules
from conveyor.cli.bench.site import Parts
from conveyor.cli.bench.snapshot import measure_held
from conveyor.cli.bench.steady import measure_steady
from conveyor.cli.bench.told import tell
from conveyor.cli.clearing import cleared_up
from conveyor.cli.logs import log_to_stderr
from conveyor.cli.output import say_json
from conveyor.core.errors import ConveyorError
from conveyor.store.openers import open_ground

MEASURES: Final[Mapping[str, Callable[[Settings], Parts]]] = {
    "enqueue": measure_enqueue,
    "drain": measure_drain,
    "latency": measure_latency,
    "steady": measure_steady,
    "backlog": measure_backlog,
    "held-snapshot": measure_held,
    "schedules": measure_schedules,
    "idle": measure_idle,
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    given.arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Measure, and print the figures."""
    log_to_stderr("warning", "text")
    os.environ.pop("CONVEYOR_INLINE", None)  # it is for debugging, and would run the jobs here
    with TemporaryDirectory(prefix="conveyor-bench-") as folder, cleared_up():
        settings = given.read(options, options.store or f"sqlite:///{folder}/bench.db")
        about = _about(settings)
        results: dict[str, Result] = {}
        try:
            for what in settings.what:
                results |= _measured(what, settings)
        except ConveyorError as error:
            if results:  # they took their time, and are right
                _show({**about, "error": str(error)}, results, options)
            raise
    _show(about, results, options)
    return 0


def _measured(what: str, settings: Settings) -> dict[str, Result]:
    runs = [MEASURES[what](settings) for _ in range(settings.runs)]
    return {f"{what}.{part}" if part else what: Result([parts[part] for parts in runs]) for part in runs[0]}


def _show(about: Mapping[str, object], results: Mapping[str, Result], options: argparse.Namespace) -> None:
    if options.svg:
        Path(options.svg).write_text(picture(about, results), "utf-8")
    if options.json:
        say_json({**about, "measures": {name: result.as_json() for name, result in results.items()}})
    else:
        tell(about, results)


def _about(settings: Settings) -> dict[str, object]:
    """What the figures depend on. Raises ``NotHere`` when something was asked for that this store has not."""
    ground = open_ground(settings.url)
    try:
        if settings.hold or "held-snapshot" in settings.what:
            with ground.held():
                pass
        about = dict(ground.about)
        kind = ground.kind
    finally:
        ground.close()
    store = {"kind": kind, "url": Conveyor(settings.url).store.url, "version": about.pop("server_version")}
    return {
        **here(),
        "store": {**store, "settings": about},
        "options": settings.as_json(),
    }
