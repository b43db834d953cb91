"""What ``retry``, ``cancel``, ``delete`` and ``prune`` have in common: which jobs, whether to ask, what was done."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from conveyor.app import Conveyor
from conveyor.cli.filters import any_given, filter_arguments, given_filters
from conveyor.cli.lookup import app_arguments, find_jobs
from conveyor.cli.output import clean, say, say_json, table
from conveyor.cli.progress import Advance, progress
from conveyor.cli.words import Nonsense, complain
from conveyor.client.changes import Affected
from conveyor.core.errors import JobNotFound
from conveyor.job import Job

INTERRUPTED: Final = 130


class Command(NamedTuple):
    """How one of the commands speaks of what it does; ``{}`` stands for so many jobs."""

    name: str
    now: str
    past: str
    left: str = "as they were, for they were just being written"
    """What is to say of jobs that it left."""


class Many(Protocol):
    """Changes all the jobs that are meant, or counts them."""

    def __call__(self, *, dry_run: bool, progress: Advance | None) -> Affected:
        """Do it; *progress* hears how many more are done."""
        ...


class Verdict(NamedTuple):
    """What became of one job that was named by its id, or, in a dry run, would."""

    done: str = ""
    """In the past tense; empty when the job is left as it is."""
    left: str = ""
    """Why it is left."""
    well: bool = True
    """Whether the job is as it was wanted."""


One = Callable[[Job[object], bool], Verdict]
"""Changes one job, unless it is a dry run."""


def change_arguments(parser: argparse.ArgumentParser, everything: str) -> None:
    """The options that say which jobs; *everything* is what ``--all`` means."""
    parser.add_argument(
        "ids", nargs="*", default=[], metavar="ID", help="the jobs' ids; or say which by the options below"
    )
    app_arguments(parser)
    filter_arguments(parser)
    parser.add_argument("--all", action="store_true", help=everything)
    care_arguments(parser)


def care_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say how to go about it."""
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument("--yes", action="store_true", help="do not ask before several jobs are changed")
    parser.add_argument("--json", action="store_true", help="for programs")


def change(options: argparse.Namespace, command: Command, one: One, many: Callable[[Conveyor], Many]) -> int:
    """Change the jobs that are named, or those that are meant; gives the exit status."""
    named = any_given(given_filters(options))
    if options.ids and (named or options.all):
        raise Nonsense("give ids, or say which jobs by options, not both")
    if not (options.ids or named or options.all):
        raise Nonsense("which jobs? Give ids, or options such as --state failed, or --all")
    app = find_jobs(options)
    if options.ids:
        return _each(app, options, command, one)
    return change_many(options, command, many(app))


# ---------------------------------------------------------------- by options


def change_many(options: argparse.Namespace, command: Command, many: Many) -> int:
    """Change the jobs that are meant, if the user agrees; gives the exit status."""
    meant = many(dry_run=True, progress=None)
    if not int(meant):
        return _tell(options, f"no jobs to {command.name}", meant)
    would = _said(command.now, "ask", meant)
    if options.dry_run:
        return _tell(options, f"would {would}", meant)
    if int(meant) > 1 and not options.yes and not _agreed(would):
        complain(command.name, "nothing was changed")
        return 1
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        shown(count)

    try:
        with progress(command.name, int(meant)) as shown:
            affected = many(dry_run=False, progress=advance)
    except KeyboardInterrupt:
        complain(command.name, f"interrupted after {done:,} of {int(meant):,} jobs; the same command does the rest")
        return INTERRUPTED
    left = f"; left {_count(affected.left, 'job')} {command.left}" if affected.left else ""
    return _tell(options, _said(command.past, "asked", affected) + left, affected)


def _agreed(what: str) -> bool:
    """Ask on the terminal; where there is none, refuse."""
    if not sys.stdin.isatty():
        raise Nonsense(f"this would {what}; say --yes if that is meant, or --dry-run to look only")
    sys.stderr.write(f"{what[0].upper()}{what[1:]}? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _said(form: str, ask: str, affected: Affected) -> str:
    parts = [form.format(_count(affected.jobs, "job"))] if affected.jobs or not affected.asked else []
    parts += [f"{ask} {_count(affected.asked, 'running job')} to stop"] if affected.asked else []
    return ", ".join(parts)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _tell(options: argparse.Namespace, text: str, affected: Affected) -> int:
    if options.json:
        told = {"changed": affected.jobs, "asked": affected.asked, "left": affected.left}
        say_json({"dry_run": options.dry_run, **told})
    else:
        say(text)
    return 0


# ---------------------------------------------------------------- by ids


class _Told(NamedTuple):
    id: str
    was: str
    verdict: Verdict


def _each(app: Conveyor, options: argparse.Namespace, command: Command, one: One) -> int:
    """Each by itself: who names a job wants to know what became of it."""
    ids = list(dict.fromkeys(options.ids))
    told: list[_Told] = []
    missing: list[str] = []
    try:
        with progress(command.name, len(ids)) as advance:
            for id_ in ids:
                try:
                    job = app.jobs.get(id_)
                    told.append(_Told(job.id, job.state, one(job, options.dry_run)))
                except JobNotFound as error:
                    missing.append(id_)
                    complain(command.name, str(error))
                advance(1)
    except KeyboardInterrupt:
        complain(command.name, f"interrupted after {len(told) + len(missing):,} of {len(ids):,} jobs")
        return INTERRUPTED
    finally:
        _say_told(options, told, missing)
    return 1 if missing or not all(one.verdict.well for one in told) else 0


def _say_told(options: argparse.Namespace, told: Sequence[_Told], missing: Sequence[str]) -> None:
    if options.json:
        jobs = [
            {"id": id_, "was": was, "done": done or None, "left": left or None} for id_, was, (done, left, _) in told
        ]
        say_json({"dry_run": options.dry_run, "jobs": jobs, "missing": missing})
        return
    would = "would be " if options.dry_run else ""
    rows = [(id_, was, f"{would}{done}" if done else f"left: {left}") for id_, was, (done, left, _) in told]
    if len(rows) > 1:
        table(("ID", "WAS", "NOW"), rows)
    for id_, was, now in rows if len(rows) == 1 else ():
        say(clean(f"{id_} was {was}: {now}"))
