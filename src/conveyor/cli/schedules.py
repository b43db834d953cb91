"""``conveyor schedules``."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from conveyor.app import Conveyor
from conveyor.cli.lookup import app_arguments, find_app, find_jobs
from conveyor.cli.output import clean, say, say_json, stamp, table
from conveyor.cli.words import Nonsense
from conveyor.core.health import Severity
from conveyor.schedule.info import ScheduleInfo
from conveyor.schedule.preview import Preview
from conveyor.schedule.syncing import Change, Difference

MEANT: Final[Mapping[Change, str]] = {
    Change.CREATE: "create",
    Change.CHANGE: "change: the code has changed",
    Change.DRIFT: "keep: it was edited at run time (--reset takes the code's)",
    Change.ORPHAN: "keep: no code declares it any more (--remove-orphans removes it)",
    Change.FOREIGN: "leave: this app does not know its task, so it is another app's; if not: conveyor schedules remove",
    Change.SAME: "same",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "action",
        nargs="?",
        default="list",
        choices=tuple(_ACTIONS),
        metavar="list|plan|apply|preview|why|pause|resume|run|remove",
        help="show all (default); show what apply would do, or have the store follow the code; show the next ticks of "
        "NAME, or what it waits for; pause, resume or remove it, or make one of its jobs now",
    )
    parser.add_argument("names", nargs="*", default=[], metavar="NAME", help="the schedules that are meant")
    app_arguments(parser)
    parser.add_argument("--reset", action="store_true", help="with plan and apply: undo what was edited at run time")
    parser.add_argument(
        "--remove-orphans", action="store_true", help="with plan and apply: remove what no code declares any more"
    )
    parser.add_argument("-n", "--count", type=int, default=10, help="with preview: so many ticks (10)")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(options: argparse.Namespace) -> int:
    """Do it."""
    app = find_app(options) if options.action in {"plan", "apply"} else find_jobs(options)
    if options.action in _NAMED and not options.names:
        raise Nonsense(f"which schedule? conveyor schedules {options.action} NAME")
    if options.action not in _NAMED and options.names:
        raise Nonsense(f"conveyor schedules {options.action} takes no names")
    return _ACTIONS[options.action](app, options)


def _list(app: Conveyor, options: argparse.Namespace) -> int:
    found = app.schedules.list()
    if options.json:
        say_json([_as_json(info) for info in found])
    elif found:
        head = ("NAME", "NEXT", "STATE", "RULE", "TASK", "JOBS", "LAST TICK")
        table(head, [_as_row(info) for info in found])
    else:
        say("no schedules")
    return 0


def _plan(app: Conveyor, options: argparse.Namespace) -> int:
    _show(app.schedules.plan(), options)
    return 0


def _apply(app: Conveyor, options: argparse.Namespace) -> int:
    _show(app.schedules.apply(reset=options.reset, remove_orphans=options.remove_orphans), options)
    return 0


def _show(found: Sequence[Difference], options: argparse.Namespace) -> None:
    rows = [
        (one.name, one.change, _meant(one.change, options) + ("; it is paused" if one.paused else "")) for one in found
    ]
    if options.json:
        say_json([{"schedule": name, "change": change.value, "action": meant} for name, change, meant in rows])
    elif rows:
        for name, _, meant in rows:
            say(clean(f"{name}: {meant}"))
    else:
        say("the code declares no schedules, and none is stored that any code has declared")


def _meant(change: Change, options: argparse.Namespace) -> str:
    if change is Change.DRIFT and options.reset:
        return "reset: it was edited at run time"
    if change is Change.ORPHAN and options.remove_orphans:
        return "remove: no code declares it any more"
    return MEANT[change]


def _preview(app: Conveyor, options: argparse.Namespace) -> int:
    shown = {name: app.schedules.preview(name, options.count) for name in options.names}
    if options.json:
        say_json({name: _as_dict(preview) for name, preview in shown.items()})
        return 0
    for name, preview in shown.items():
        if len(shown) > 1:
            say(clean(f"{name}:"))
        _show_ticks(preview.ticks, preview.zone)
        if preview.around and preview.change is not None:
            say(clean(f"around {_time(preview.change)} UTC, when the clocks of {preview.zone.key} change:"))
            _show_ticks(preview.around, preview.zone)
    return 0


def _show_ticks(ticks: Sequence[datetime], zone: ZoneInfo) -> None:
    local = [tick.astimezone(zone) for tick in ticks]
    if local and zone.key == "UTC":
        table(("UTC",), [(f"{tick:%a} {_time(tick)}",) for tick in ticks])
    elif local:
        rows = [
            (_time(tick), f"{there:%a} {_time(there)} {there:%z}") for tick, there in zip(ticks, local, strict=True)
        ]
        table(("UTC", zone.key), rows)
    else:
        say("no tick is to come")


def _as_dict(preview: Preview) -> dict[str, object]:
    return {
        "zone": preview.zone.key,
        "ticks": [stamp(tick) for tick in preview.ticks],
        "change": stamp(preview.change),
        "around": [stamp(tick) for tick in preview.around],
    }


def _why(app: Conveyor, options: argparse.Namespace) -> int:
    return explain(app, options.names, as_json=options.json)


def explain(app: Conveyor, names: Sequence[str], *, as_json: bool) -> int:
    """Say what each of *names* waits for."""
    told = {name: app.schedules.why(name) for name in names}
    if as_json:
        say_json([{"schedule": name, "why": stands.text, "fix": stands.fix} for name, stands in told.items()])
    else:
        for name, stands in told.items():
            fix = "" if stands.severity is Severity.FINE or not stands.fix else f"; {stands.fix}"
            say(clean(f"{name}: {stands.text}{fix}"))
    return 0


def _each(verb: Callable[[Conveyor, str], str]) -> Callable[[Conveyor, argparse.Namespace], int]:
    def done(app: Conveyor, options: argparse.Namespace) -> int:
        told = {name: verb(app, name) for name in dict.fromkeys(options.names)}
        if options.json:
            say_json([{"schedule": name, "done": text} for name, text in told.items()])
        else:
            for name, text in told.items():
                say(clean(f"{name} {text}"))
        return 0

    return done


def _pause(app: Conveyor, name: str) -> str:
    since = app.schedules.pause(name).paused_at
    return "is paused" if since is None else f"is paused since {_time(since)} UTC"


def _resume(app: Conveyor, name: str) -> str:
    info = app.schedules.resume(name)
    return (
        "goes on, and has ended" if info.next_at is None else f"goes on; its next tick is at {_time(info.next_at)} UTC"
    )


def _run(app: Conveyor, name: str) -> str:
    return f"has made job {app.schedules.run_now(name).id}"


def _remove(app: Conveyor, name: str) -> str:
    return "is removed; its jobs stay" if app.schedules.remove(name) else "was not there"


_NAMED: Final = frozenset({"preview", "why", "pause", "resume", "run", "remove"})
_ACTIONS: Final[Mapping[str, Callable[[Conveyor, argparse.Namespace], int]]] = {
    "list": _list,
    "plan": _plan,
    "apply": _apply,
    "preview": _preview,
    "why": _why,
    "pause": _each(_pause),
    "resume": _each(_resume),
    "run": _each(_run),
    "remove": _each(_remove),
}


def _state(info: ScheduleInfo) -> str:
    state = "paused" if info.paused_at else "ended" if info.ended else "active"
    return f"{state}, edited" if info.edited else state


def _as_row(info: ScheduleInfo) -> tuple[str, ...]:
    tick = _time(info.tick) if info.tick else ""
    next_at = _time(info.next_at) if info.next_at else ""
    return info.name, next_at, _state(info), info.rule, info.task, f"{info.fired:,}", tick


def _as_json(info: ScheduleInfo) -> dict[str, object]:
    return {
        "schedule": info.name,
        "task": info.task,
        "queue": info.queue,
        "rule": info.rule,
        "next_at": stamp(info.next_at),
        "tick": stamp(info.tick),
        "jobs": info.fired,
        "job": info.job,
        "paused_at": stamp(info.paused_at),
        "ended": info.ended,
        "in_code": info.in_code,
        "edited": info.edited,
        "catch_up": info.catch_up,
        "overlap": info.overlap,
    }


def _time(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S}"
