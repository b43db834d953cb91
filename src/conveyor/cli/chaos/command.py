"""``conveyor chaos``: breaks what may break beside your store, and shows whether anything came of it."""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from conveyor.app import Conveyor
from conveyor.cli.about import here
from conveyor.cli.chaos import options as given
from conveyor.cli.chaos.namespace import NotRun
from conveyor.cli.chaos.options import Settings
from conveyor.cli.chaos.pictures import picture
from conveyor.cli.chaos.scenarios import ALL, Scenario
from conveyor.cli.chaos.site import Found, site
from conveyor.cli.chaos.told import as_json, tell, tell_list
from conveyor.cli.clearing import cleared_up
from conveyor.cli.logs import log_to_stderr
from conveyor.cli.output import is_terminal, say_json
from conveyor.core.errors import ConveyorError, UsageError


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    given.arguments(parser, [scenario.name for scenario in ALL])


def run(options: argparse.Namespace) -> int:
    """Run scenarios, and print what they came to; 1 when any invariant was broken."""
    log_to_stderr("warning", "text")
    os.environ.pop("CONVEYOR_INLINE", None)  # it is for debugging, and would run the jobs here
    os.environ.pop("CONVEYOR_OUTBOX_URL", None)  # it is yours, and is left alone
    with TemporaryDirectory(prefix="conveyor-chaos-") as folder, cleared_up():
        settings = given.read(options, options.store or f"sqlite:///{folder}/chaos.db")
        chosen = [scenario for scenario in ALL if not settings.what or scenario.name in settings.what]
        if options.list:
            tell_list(chosen, settings.url)
            return 0
        if options.svg and not any(scenario.sampled for scenario in chosen):
            raise UsageError("--svg draws what is sampled, and none of these samples anything; R01 does")
        results = {scenario: _result(scenario, settings) for scenario in chosen}
        about = _about(settings)
    if options.svg:
        series = {s.name: found.series for s, found in results.items() if isinstance(found, Found) and found.series}
        Path(options.svg).write_text(picture(about, series), "utf-8")
    if options.json:
        say_json({**about, "scenarios": {scenario.name: as_json(found) for scenario, found in results.items()}})
    else:
        tell(about, results)
    return 1 if any(isinstance(found, Found) and found.violations for found in results.values()) else 0


def _result(scenario: Scenario, settings: Settings) -> Found | str:
    """What it came to, or why it was not run."""
    why = scenario.why_not(settings.url)
    if why:
        return why

    def say(text: str) -> None:
        if is_terminal(sys.stderr):
            sys.stderr.write(f"\r\033[K{scenario.name}: {text}")
            sys.stderr.flush()

    say(scenario.summary)
    try:
        with site(settings, say) as here:
            found: Found | str = here.judge(scenario.act(here))
    except UsageError:
        raise
    except NotRun as reason:
        found = str(reason)
    except ConveyorError as error:  # the others may have something to say all the same
        found = Found(violations=[f"it could not be carried out: {error}"])
    if is_terminal(sys.stderr):
        sys.stderr.write("\r\033[K")
    return found


def _about(settings: Settings) -> Mapping[str, object]:
    """What the figures depend on."""
    return {
        **here(),
        "store": Conveyor(settings.url).store.url,
        "seconds": settings.seconds,
        "rounds": settings.rounds,
        "seed": settings.seed,
    }
