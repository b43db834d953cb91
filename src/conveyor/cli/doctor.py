"""``conveyor doctor``."""

import argparse
from collections.abc import Sequence
from dataclasses import replace

from conveyor.app import Conveyor
from conveyor.cli.lookup import MissingStore, app_arguments, check_there, find_both, whole_url
from conveyor.cli.output import clean, say, say_json
from conveyor.core.health import Finding, Severity, trouble

MARGIN = 21


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    app_arguments(parser)
    parser.add_argument("--deep", action="store_true", help="look through all jobs as well, on SQLite the whole file")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(options: argparse.Namespace) -> int:
    """Say what was found; 1 when there is trouble."""
    found = _examined(find_both(options), deep=options.deep)
    troubles = sum(finding.severity is Severity.TROUBLE for finding in found)
    if options.json:
        say_json([_as_json(finding) for finding in found])
        return bool(troubles)
    for finding in found:
        say(f"{finding.severity:<9}{finding.check:<12}{clean(finding.text)}")
        if finding.fix:
            say(f"{'':<{MARGIN}}-> {clean(finding.fix)}")
    notes = sum(finding.severity is Severity.NOTE for finding in found)
    say()
    say(f"{troubles or 'no'} {'trouble' if troubles == 1 else 'troubles'}, {notes} {'note' if notes == 1 else 'notes'}")
    return bool(troubles)


def _examined(app: Conveyor, *, deep: bool) -> Sequence[Finding]:
    try:
        check_there(app)
    except MissingStore as error:
        return [trouble("store", error.args[0], error.cure)]
    return [_placed(app, finding) for finding in app.doctor(deep=deep)]


def _placed(app: Conveyor, finding: Finding) -> Finding:
    """With the store's whole path, where it is named."""
    named = finding.check == "store" and app.url in finding.text
    return replace(finding, text=finding.text.replace(app.url, whole_url(app))) if named else finding


def _as_json(finding: Finding) -> dict[str, object]:
    return {"check": finding.check, "severity": finding.severity, "text": finding.text, "fix": finding.fix}
