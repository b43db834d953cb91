"""``conveyor status``."""

import argparse

from conveyor.cli.hints import unknown
from conveyor.cli.lookup import app_arguments, find_jobs, whole_url
from conveyor.cli.output import age, counted, say, say_json, table
from conveyor.core.model import Runner


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    app_arguments(parser)
    parser.add_argument("--queue", help="only jobs of this queue")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(options: argparse.Namespace) -> int:
    """Show jobs by state, and the workers."""
    app = find_jobs(options)
    counts = app.jobs.counts(queue=options.queue)
    runners = app.jobs.runners()
    if options.json:
        say_json({"store": whole_url(app), "jobs": counts, "workers": [_as_json(runner) for runner in runners]})
        return 0
    say(whole_url(app))
    say()
    table(("STATE", "JOBS"), [(state, counted(number)) for state, number in counts.items()])
    say()
    if not any(counts.values()) and (hint := unknown(app, queue=options.queue)):
        say(hint)
        say()
    if runners:
        table(("WORKER", "HOST", "PID", "UP", "QUEUES", ""), [_as_row(runner) for runner in runners])
    else:
        say("no workers; start one with `conveyor worker`")
    return 0


def _as_json(runner: Runner) -> dict[str, object]:
    return {
        "runner": runner.id,
        "alive": runner.alive,
        "host": runner.info.host,
        "pid": runner.info.pid,
        "version": runner.info.version,
        "started_at": runner.started_at.isoformat(),
        "queues": runner.info.queues,
        "tasks": list(runner.info.tasks),
    }


def _as_row(runner: Runner) -> tuple[str, ...]:
    queues = ",".join(f"{name}={slots}" for name, slots in runner.info.queues.items())
    up = age(runner.started_at)
    return (runner.id[:8], runner.info.host, str(runner.info.pid), up, queues, "" if runner.alive else "dead")
