"""``conveyor job``: one job on one screen."""

import argparse
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from conveyor.cli.lookup import app_arguments, find_jobs
from conveyor.cli.masking import shown_call
from conveyor.cli.output import clean, job_json, say, say_json, stamp, table
from conveyor.cli.timeline import Line, timeline
from conveyor.cli.which import find_job
from conveyor.core.clock import MICROSECOND, moment
from conveyor.core.health import span
from conveyor.core.lifecycle import State
from conveyor.core.model import Attempt, JobInfo, Progress
from conveyor.core.options import DEFAULT_KEEP

WIDE: Final = 20
"""Characters of a progress bar."""
LABEL: Final = 12
VALUE: Final = 2_000
"""Characters of arguments and result that are shown without ``--full``."""
OUTPUT_LINES: Final = 24
"""The last lines of what an attempt said are shown without ``--full``."""
TRACEBACK_LINES: Final = 24
"""The last lines of a traceback are shown without ``--full``."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    app_arguments(parser)
    parser.add_argument("job", metavar="ID", help="the job's id, or 8 and more digits that it begins with")
    parser.add_argument("--full", action="store_true", help="all tracebacks and output, arguments and result")
    parser.add_argument("--json", action="store_true", help="for programs: all of it")


def run(options: argparse.Namespace) -> int:
    """Show all that is known of the job."""
    app = find_jobs(options)
    info = find_job(app, options.job)
    reason = app.jobs.why(info)
    if options.json:
        say_json({**job_json(info), "why": reason, "attempts": [_as_json(attempt) for attempt in info.attempts]})
        return 0
    say("\n".join(above(info, reason, full=options.full)))
    table(("TIME (UTC)", "EVENT", ""), [_row(line) for line in timeline(info, app.jobs.runners())])
    say("\n".join(below(info, full=options.full)))
    return 0


def above(info: JobInfo, reason: str, *, full: bool) -> Iterator[str]:
    """The lines above the timeline: which job, why it stands where it does, and what it is."""
    yield clean(f"{info.id}  {info.task}")
    yield clean(reason)
    yield ""
    yield from (f"{label:<{LABEL}}{clean(text)}" for label, text in _facts(info, full=full))
    yield ""


def below(info: JobInfo, *, full: bool) -> Iterator[str]:
    """The lines below the timeline: the last error and output, or, if *full*, all; and what to type next."""
    failed = [attempt for attempt in info.attempts if attempt.error]
    for attempt in failed if full else failed[-1:]:
        yield from _error(attempt, full=full)
    spoken = [attempt for attempt in info.attempts if attempt.output]
    for attempt in spoken if full else spoken[-1:]:
        yield from _output(attempt, full=full)
    yield ""
    if info.state in {State.FAILED, State.QUARANTINED}:
        yield f"{'again':<{LABEL}}conveyor retry {info.id}"
        if info.error and info.error.fingerprint:
            yield clean(f"{'others':<{LABEL}}conveyor jobs --error {info.error.fingerprint}")
    yield f"{'log lines':<{LABEL}}grep job={info.id} FILE"
    yield f"{'':<{LABEL}}jq -c 'select(.job == \"{info.id}\")' FILE    (of --log-format json)"


def _facts(info: JobInfo, *, full: bool) -> Iterator[tuple[str, str]]:
    yield "queue", f"{info.queue}, priority {info.priority}"
    crashes = f", {info.crashes} of its workers died" if info.crashes else ""
    limit = f"{span(info.timeout)} each" if info.timeout else "no time limit"
    yield "attempts", f"{info.attempt} of {info.max_attempts}, {limit}{crashes}"
    if info.progress is not None:
        yield "progress", bar(info.progress)
    if info.unique is not None:
        until = "it has started" if info.extras.until == "start" else "it has ended"
        yield "unique", f"{info.unique or 'by its arguments'}, until {until}"
    if info.schedule:
        tick = f", for its tick of {info.tick:%Y-%m-%d %H:%M:%S} UTC" if info.tick else ""
        yield "schedule", f"{info.schedule}{tick}"
    if info.tags:
        yield "tags", ", ".join(info.tags)
    if info.meta:
        yield "meta", _short(info.meta, full=full)
    arguments, result = shown_call(info)
    yield "arguments", _short(arguments, full=full)
    if info.state is State.SUCCEEDED:
        yield "result", _short(result, full=full) if info.result is not None else "not stored"
    if info.cancelled is not None:
        yield "cancelled" if info.state.final else "to stop", info.cancelled
    yield "kept", _kept(info)


def bar(progress: Progress) -> str:
    """How far, as a bar, and what the task says of it."""
    if progress.value is None:
        return progress.message
    done = round(min(max(progress.value, 0), 1) * WIDE)
    return f"[{'#' * done}{'-' * (WIDE - done)}] {progress.value:.0%} {progress.message}".rstrip()


def _kept(info: JobInfo) -> str:
    if info.finished_at is None:
        keep = info.extras.keep
        if keep is not None and keep < 0:
            return "for ever"
        return f"for {span(DEFAULT_KEEP if keep is None else keep * MICROSECOND)} after its end"
    if info.delete_after is None:
        return "for ever"
    return f"until {_utc(info.delete_after)[:19]} UTC"


def _short(value: object, *, full: bool) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if full or len(text) <= VALUE else f"{text[:VALUE]}... (all of it with --full)"


def _row(line: Line) -> tuple[str, str, str]:
    return (_utc(line.when), line.what, line.details)


def _utc(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S.%f}"[:-3]


def _error(attempt: Attempt, *, full: bool) -> Iterator[str]:
    lines = attempt.error.traceback.rstrip().split("\n") if attempt.error else []
    yield ""
    yield clean(f"attempt {attempt.number}: {attempt.error}")
    if not full and len(lines) > TRACEBACK_LINES:
        yield f"    ... {len(lines) - TRACEBACK_LINES} lines before; all of them with --full"
        lines = lines[-TRACEBACK_LINES:]
    yield from (f"    {clean(line)}".rstrip() for line in lines)


def _output(attempt: Attempt, *, full: bool) -> Iterator[str]:
    lines = attempt.output.rstrip().split("\n")
    yield ""
    yield f"attempt {attempt.number} said:"
    if not full and len(lines) > OUTPUT_LINES:
        yield f"    ... {len(lines) - OUTPUT_LINES} lines before; what is kept of them with --full"
        lines = lines[-OUTPUT_LINES:]
    yield from (f"    {clean(line)}".rstrip() for line in lines)


def _as_json(attempt: Attempt) -> dict[str, object]:
    error = attempt.error
    failure = error and {
        "type": error.type,
        "message": error.message,
        "traceback": error.traceback,
        "fingerprint": error.fingerprint,
    }
    return {
        "number": attempt.number,
        "event": attempt.event,
        "started_at": stamp(moment(attempt.started_at)),
        "finished_at": stamp(moment(attempt.finished_at)),
        "runner": attempt.runner,
        "error": failure,
        "cpu": attempt.cpu,
        "memory": attempt.memory,
        "output": attempt.output,
    }
