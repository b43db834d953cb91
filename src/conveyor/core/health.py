"""What is wrong with a store, its queues and its workers, and what to do about it: decided from facts, without I/O."""

import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from itertools import islice, takewhile
from typing import Final

from conveyor.core.clock import MICROSECOND
from conveyor.core.judge import CRASHES_ALLOWED, was_unfit
from conveyor.core.model import COUNTED, DueTask, JobInfo, QueueInfo, Runner

CLOCK_ALLOWED: Final = timedelta(seconds=5)
"""Between this host and the database. Times that callers name come due by the database's clock."""
LONG: Final = timedelta(days=1)
"""A job that is due for longer has been forgotten."""
DEPLOY: Final = timedelta(minutes=10)
"""A deploy takes no longer: jobs that fit no code for so long will not, until somebody does something."""
NAMED: Final = 3
"""Names in one finding."""
MOST: Final = 10
"""Findings of one kind that are told one by one."""


class Severity(StrEnum):
    """How bad a finding is."""

    FINE = "fine"
    """Looked at, and as it should be."""
    NOTE = "note"
    """Worth knowing; it may be meant, or pass by itself."""
    TROUBLE = "trouble"
    """Jobs wait that will not run, or may be lost, until somebody does something."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that ``app.doctor()`` has looked at."""

    check: str
    """What was looked at: ``store``, ``schema``, ``clock``, ``queues``, ``tasks``, ``workers`` ..."""
    severity: Severity
    text: str
    fix: str = ""
    """What to do; empty when there is nothing to do."""


def fine(check: str, text: str) -> Finding:
    """Nothing is wrong."""
    return Finding(check, Severity.FINE, text)


def note(check: str, text: str, fix: str = "") -> Finding:
    """Something is worth knowing."""
    return Finding(check, Severity.NOTE, text, fix)


def trouble(check: str, text: str, fix: str) -> Finding:
    """Something is wrong."""
    return Finding(check, Severity.TROUBLE, text, fix)


def of_schema(found: int, known: int) -> Finding:
    """Whether the tables are those that this version needs; both as numbers of migrations."""
    if found < known:
        return trouble("schema", f"the tables are at migration {found}, this version needs {known}", "conveyor migrate")
    if found > known:
        text = f"the tables are at migration {found}, this version knows {known}: a newer Conveyor has made them"
        return note("schema", text, "bring this program to that version too")
    return fine("schema", f"the tables are at migration {found}, as this version needs")


def of_clock(ahead: int, error: int) -> Finding:
    """How far the database's clock is *ahead* of this host's, and by how much that may be wrong: microseconds."""
    text = f"this host's clock and the database's differ by {abs(ahead) / 1e6:.3f} s, give or take {error / 1e6:.3f} s"
    if (abs(ahead) - error) * MICROSECOND <= CLOCK_ALLOWED:
        return fine("clock", text)
    way = "behind" if ahead > 0 else "ahead"
    fix = "set this host's clock (NTP): what it sends for a certain time comes due when the database says so"
    return trouble("clock", f"{text}: this host is {way}", fix)


def of_queues(queues: Sequence[QueueInfo]) -> list[Finding]:
    """Whether somebody takes what is due."""
    found = [finding for queue in queues if (finding := _of_queue(queue)) is not None]
    if found:
        return bounded("queues", found)
    due = sum(queue.ready for queue in queues)
    oldest = max((queue.oldest for queue in queues if queue.oldest is not None), default=None)
    waits = f", the oldest for {span(oldest)}" if oldest is not None else ""
    return [fine("queues", f"{_many(due, 'job')} due in {len(queues)} queues{waits}")]


def _of_queue(queue: QueueInfo) -> Finding | None:
    if not queue.ready:
        return None
    due = f"{_many(queue.ready, 'job')} due, the oldest for {span(queue.oldest or timedelta())}"
    long = (queue.oldest or timedelta()) >= LONG
    if queue.paused_at is not None:
        text = f"queue {queue.name!r} is paused since {queue.paused_at:%Y-%m-%d %H:%M:%S} UTC, with {due}"
        return Finding(
            "queues",
            Severity.TROUBLE if long else Severity.NOTE,
            text,
            f"conveyor queues resume {shlex.quote(queue.name)}",
        )
    if not queue.workers:
        text = f"no running worker serves queue {queue.name!r}, with {due}"
        return trouble("queues", text, f"conveyor worker -q {shlex.quote(queue.name)}")
    if long:
        look = f"conveyor jobs --state ready --queue {shlex.quote(queue.name)} --oldest-first, then conveyor why ID"
        return trouble("queues", f"queue {queue.name!r} has {due}", look)
    return None


def of_tasks(
    due: Mapping[str, Sequence[DueTask]], runners: Sequence[Runner], own: Collection[str] | None
) -> list[Finding]:
    """Whether the workers of each queue know the tasks that are *due* in it.

    *own* are the tasks of this app; ``None`` when it has none.
    """
    found: list[Finding] = []
    for queue, tasks in due.items():
        known = {name for r in runners if r.alive and queue in r.info.queues for name in r.info.tasks}
        found += [_unknown(queue, task, own) for task in tasks if task.task not in known]
    if found:
        return bounded("tasks", found)
    return [fine("tasks", "running workers know the task of every job that is due")] if due else []


def _unknown(queue: str, due: DueTask, own: Collection[str] | None) -> Finding:
    text = (
        f"no running worker of queue {queue!r} knows the task {due.task!r}, "
        f"with {_many(due.jobs, 'job')} due, the oldest for {span(due.oldest)}"
    )
    if own is None:
        fix = "start workers with the code that has it; with --app, this says whether your app does"
    elif due.task in own:
        fix = "this app knows it: restart the workers with this code"
    else:
        fix = f"this app does not know it either: bring it back, or conveyor delete --task {shlex.quote(due.task)}"
    return trouble("tasks", text, fix)


def of_quarantine(jobs: int) -> list[Finding]:
    """Whether somebody has to look at jobs that killed their workers; *jobs* are in quarantine."""
    if not jobs:
        return []
    text = f"{_many(jobs, 'job')} in quarantine: of each, {CRASHES_ALLOWED} workers have died"
    look = "conveyor jobs --state quarantined, then conveyor job ID; conveyor retry ID releases one"
    return [note("quarantine", text, look)]


def of_unfit(jobs: Sequence[JobInfo], looked: int) -> list[Finding]:
    """Whether jobs wait for code that takes their arguments; *jobs* were given back, among so many looked at."""
    by_task: dict[str, list[JobInfo]] = {}
    for job in jobs:
        by_task.setdefault(job.task, []).append(job)
    return bounded("deploy", [_of_unfit(task, found, looked) for task, found in by_task.items()])


def _of_unfit(task: str, jobs: Sequence[JobInfo], looked: int) -> Finding:
    tried = max(jobs, key=_tried_for)
    reason = tried.attempts[-1].error.message if tried.attempts[-1].error else ""
    text = f"{len(jobs)} of {_many(looked, 'job')} to be tried again fit no code so far, task {task!r}: {reason}"
    fix = f"start workers with code that takes them; conveyor check-deploy finds the others, conveyor why {tried.id}"
    severity = Severity.TROUBLE if _tried_for(tried) >= DEPLOY else Severity.NOTE
    return Finding("deploy", severity, text, fix)


def _tried_for(job: JobInfo) -> timedelta:
    """How long a job has been given back already, as far as its record goes."""
    releases = list(takewhile(was_unfit, reversed(job.attempts)))
    return (releases[0].started_at - releases[-1].started_at) * MICROSECOND


def of_workers(runners: Sequence[Runner], stranded: int) -> list[Finding]:
    """Whether workers live, and are of one kind; *stranded* are jobs whose runner is dead."""
    alive = [runner for runner in runners if runner.alive]
    found: list[Finding] = []
    if stranded and not alive:
        text = f"{_many(stranded, 'job')} running on dead workers, and nobody is there to take them back"
        found.append(trouble("workers", text, "conveyor worker"))
    elif stranded:
        text = f"{_many(stranded, 'job')} running on dead workers; another worker takes them back within seconds"
        found.append(note("workers", text))
    if not alive:
        found.append(note("workers", "no worker is running", "conveyor worker"))
    for runner in runners:
        if not runner.alive:
            who = f"worker {runner.id[:8]} ({runner.info.host} pid {runner.info.pid})"
            found.append(note("workers", f"{who} has died without a word; running workers clear away what it left"))
    if len(versions := sorted({runner.info.version for runner in alive})) > 1:
        text = f"workers of several versions are running: {', '.join(versions)}"
        found.append(note("workers", text, "restart the older ones, unless a deploy is under way"))
    found += _differing(alive)
    slots = sum(sum(runner.info.queues.values()) for runner in alive)
    return bounded("workers", found) or [fine("workers", f"{_many(len(alive), 'worker')}, {_many(slots, 'slot')}")]


def _differing(alive: Sequence[Runner]) -> list[Finding]:
    """Workers of one queue that have older code than others; those that share no task are of another program."""
    found: list[Finding] = []
    for queue in sorted({queue for runner in alive for queue in runner.info.queues}):
        known = [frozenset(runner.info.tasks) for runner in alive if queue in runner.info.queues]
        lacking = [more - tasks for tasks in known if (more := _more(tasks, known)) != tasks]
        if lacking:
            names = sorted(frozenset[str]().union(*lacking))
            rest = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            text = (
                f"{len(lacking)} of {_many(len(known), 'worker')} of queue {queue!r} do not know all that the others "
                f"know: {', '.join(names[:NAMED])}{rest}"
            )
            found.append(note("workers", text, "restart those with older code, unless a deploy is under way"))
    return found


def _more(tasks: frozenset[str], known: Sequence[frozenset[str]]) -> frozenset[str]:
    """*tasks*, and all that those know who know some of them."""
    return tasks.union(*(others for others in known if tasks & others))


def bounded(check: str, findings: Iterable[Finding]) -> list[Finding]:
    """The first of *findings*, the worst first, and how many more there are."""
    ordered = sorted(findings, key=lambda finding: finding.severity is not Severity.TROUBLE)
    shown = list(islice(ordered, MOST))
    if rest := ordered[MOST:]:
        shown.append(Finding(check, rest[0].severity, f"and {len(rest)} more of the kind"))
    return shown


def span(length: timedelta) -> str:
    """A duration as people say it, in one unit."""
    seconds = max(length.total_seconds(), 0)
    for unit, size, most in (("s", 1, 60), ("min", 60, 60), ("h", 3_600, 24)):
        if (number := round(seconds / size)) < most:
            return f"{number} {unit}"
    return f"{round(seconds / 86_400)} d"


def _many(number: int, what: str) -> str:
    count = f"{number:,}" if number <= COUNTED else f"more than {COUNTED:,}"
    return f"{count} {what}" if number == 1 else f"{count} {what}s"
