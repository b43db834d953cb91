"""``conveyor health``: whether the workers of this machine make progress; a probe that imports no app."""

import argparse
from pathlib import Path
from typing import cast

import msgspec

from conveyor.cli.output import say, say_json
from conveyor.core.errors import UsageError
from conveyor.worker.supervisor.probes import SUFFIX, ask, folder
from conveyor.worker.supervisor.state import RunnerState, WorkerState

SECONDS = 3.0


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--pid", type=int, help="only the worker of this process (default: all of yours here)")
    parser.add_argument(
        "--live", action="store_true", help="ask whether it need not be restarted; a store that is away is no reason to"
    )
    parser.add_argument("--json", action="store_true", help="for programs")


def run(options: argparse.Namespace) -> int:
    """Ask each worker; 0 when all are well, 1 when one is not, or there is none."""
    path = "/healthz" if options.live else "/readyz"
    asked = [(file, _asked(file, path)) for file in _files(options.pid)]
    found = [(file, answer) for file, answer in asked if answer is not None]
    if not found:
        raise UsageError(
            f"process {options.pid} is no worker of yours on this machine"
            if options.pid
            else "no worker of yours is running on this machine; start one with `conveyor worker`"
        )
    if options.json:
        say_json([_as_json(file, answer) for file, answer in found])
    else:
        for file, answer in found:
            say(f"worker {file.stem}: {_told(answer)}")
    return 0 if all(isinstance(answer, tuple) and answer[0] < 400 for _, answer in found) else 1  # noqa: PLR2004 - HTTP's


def _files(pid: int | None) -> list[Path]:
    """The socket files of those that run, and of some that are dead."""
    return sorted(folder().glob(f"{pid or '*'}{SUFFIX}"))


def _asked(file: Path, path: str) -> tuple[int, WorkerState] | str | None:
    """What it answers, or why it does not; ``None`` when nobody is there: the dead leave their file behind."""
    try:
        return ask(file, path, SECONDS)
    except (ConnectionRefusedError, FileNotFoundError):
        file.unlink(missing_ok=True)
        return None
    except OSError as error:
        return f"no answer within {SECONDS:g} s" if isinstance(error, TimeoutError) else f"no answer: {error}"


def _told(answer: tuple[int, WorkerState] | str) -> str:
    if isinstance(answer, str):
        return answer
    state = answer[1]
    runners = [
        f"runner {runner.name} (pid {runner.pid}) runs {runner.running}, {_claimed(runner)}" for runner in state.runners
    ]
    return "; ".join([state.status, *runners])


def _claimed(runner: RunnerState) -> str:
    return "no claim yet" if runner.claim_age is None else f"last claim {runner.claim_age:.1f} s ago"


def _as_json(file: Path, answer: tuple[int, WorkerState] | str) -> dict[str, object]:
    if isinstance(answer, str):
        return {"pid": int(file.stem), "status": "silent", "reason": answer, "well": False}
    return {**cast(dict[str, object], msgspec.to_builtins(answer[1])), "well": answer[0] < 400}  # noqa: PLR2004 - HTTP's
