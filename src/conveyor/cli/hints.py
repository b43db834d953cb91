"""A name that finds nothing may be mistyped: whether anybody knows it, and which one was meant."""

import contextlib
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Final

from conveyor.app import Conveyor
from conveyor.cli.words import did_you_mean, meant
from conveyor.task import Task

LATEST: Final = 100
"""Jobs that are looked at for the names of queues and tasks."""


def unknown(app: Conveyor, *, queue: str | None, task: str | None = None) -> str:
    """What to say of a queue, or a task, that nobody knows; empty when all that is given is known."""
    if queue is not None and not app.jobs.list(queue=queue, limit=1):
        queues = _queues(app)
        if queue not in queues:
            return f"no job, worker or task names queue {queue!r}{meant(queue, queues)}"
    if task is not None and not app.jobs.list(task=task, limit=1):
        tasks = _task_names(app)
        if task not in tasks:
            return f"no job or worker knows a task {task!r}{_meant_task(task, tasks)}"
    return ""


def _queues(app: Conveyor) -> set[str]:
    named = {"default", *(task.options.queue for task in _tasks(app).values())}
    used = {job.queue for job in app.jobs.list(limit=LATEST)}
    return named | used | {queue.name for queue in app.queues.list()}


def _task_names(app: Conveyor) -> set[str]:
    served = {name for runner in app.jobs.runners() for name in runner.info.tasks}
    return {*_tasks(app), *served, *(job.task for job in app.jobs.list(limit=LATEST))}


def _tasks(app: Conveyor) -> Mapping[str, Task[..., object]]:
    """The app's; none where the modules that it includes cannot be imported, which is not what was asked."""
    with contextlib.suppress(Exception):
        return app.tasks
    return {}


def _meant_task(word: str, names: Collection[str]) -> str:
    """As ``meant``; a task may have been named without its module, in whole or nearly."""
    short = {name.rpartition(".")[2]: name for name in names}
    close = get_close_matches(word, names, n=1) or [short[last] for last in get_close_matches(word, short, n=1)]
    return did_you_mean(close)
