"""``conveyor status``."""

import argparse
from collections.abc import Sequence
from datetime import timedelta

from conveyor.cli.hints import unknown
from conveyor.cli.lookup import app_arguments, find_jobs, whole_url
from conveyor.cli.output import age, counted, say, say_json, table
from conveyor.cli.times import duration
from conveyor.client.queues import TARGET
from conveyor.core.lifecycle import State
from conveyor.core.model import Runner
from conveyor.core.scaling import Load


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    app_arguments(parser)
    parser.add_argument("--queue", help="only jobs of this queue")
    parser.add_argument(
        "--target-wait",
        type=duration,
        default=timedelta(seconds=TARGET),
        metavar="DURATION",
        help=f"within which a due job should start, for the desired workers of --json ({TARGET:g}s)",
    )
    parser.add_argument("--json", action="store_true", help="for programs; also how busy each queue is")


def run(options: argparse.Namespace) -> int:
    """Show jobs by state, and the workers."""
    app = find_jobs(options)
    counts = app.jobs.counts(queue=options.queue)
    runners = app.jobs.runners()
    if options.json:
        loads = [load for load in app.queues.load(options.target_wait) if options.queue in {None, load.queue}]
        told = {"store": whole_url(app), "jobs": counts, "workers": [_as_json(runner) for runner in runners]}
        say_json({**told, **_loads_json(loads, options.target_wait, app.in_outbox())})
        return 0
    say(whole_url(app))
    say()
    table(("STATE", "JOBS"), [(state, counted(number)) for state, number in counts.items()])
    say()
    if waiting := app.in_outbox():
        say(f"{counted(waiting)} more wait in the outbox, for a worker to forward them")
        say()
    if counts.get(State.QUARANTINED):
        say("in quarantine are jobs whose workers died of them: conveyor jobs --state quarantined;")
        say("conveyor retry ID releases one")
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
        "supervisor": runner.info.supervisor or None,
        "version": runner.info.version,
        "started_at": runner.started_at.isoformat(),
        "queues": runner.info.queues,
        "tasks": list(runner.info.tasks),
    }


def _loads_json(loads: Sequence[Load], target: timedelta, waiting: int | None) -> dict[str, object]:
    """*waiting* in the outbox, for which there must be a worker: what they will need is not known yet."""
    queues = [
        {
            "queue": load.queue,
            "ready": load.ready,
            "running": load.running,
            "oldest": _seconds(load.oldest),
            "wait_p95": _seconds(load.wait_p95),
            "run_time": _seconds(load.run_time),
            "workers": load.workers,
            "slots": load.slots,
            "desired": load.desired,
        }
        for load in loads
    ]
    desired = max((load.desired for load in loads), default=0)
    desired = max(desired, 1 if waiting else 0)
    outbox = {} if waiting is None else {"outbox": waiting}
    return {**outbox, "queues": queues, "target_wait": target.total_seconds(), "desired": desired}


def _seconds(length: timedelta | None) -> float | None:
    return None if length is None else length.total_seconds()


def _as_row(runner: Runner) -> tuple[str, ...]:
    queues = ",".join(f"{name}={slots}" for name, slots in runner.info.queues.items())
    up = age(runner.started_at)
    pid = runner.info.supervisor or runner.info.pid  # the one to be told to stop
    return (runner.id[:8], runner.info.host, str(pid), up, queues, "" if runner.alive else "dead")
