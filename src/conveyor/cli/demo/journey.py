"""One run of the demo: which files, which queue; kept in a file, so that a killed run can be resumed."""

import os
import sysconfig
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from conveyor.cli.demo.report import JobRow, Run, Totals
from conveyor.cli.demo.tasks import read_measures
from conveyor.client.jobs import Jobs
from conveyor.core.errors import UsageError
from conveyor.core.lifecycle import State
from conveyor.core.model import JobInfo

PAGE = 1_000


class Journey(msgspec.Struct):
    """What a run set out to do, written down before its first job is enqueued."""

    queue: str
    folder: str
    store: str
    files: list[str]
    started_at: datetime
    finished: bool = False
    resumed: bool = False

    def save(self, path: Path) -> None:
        """Write it whole or not at all."""
        unnamed = path.with_suffix(".new")
        unnamed.write_bytes(msgspec.json.encode(self))
        unnamed.replace(path)


def begin(path: Path, folder: Path, store: str, limit: int | None) -> Journey:
    """The unfinished run that *path* tells of, when it is the same one; else a new one."""
    if path.exists():
        try:
            last = msgspec.json.decode(path.read_bytes(), type=Journey)
        except msgspec.DecodeError as error:
            raise UsageError(f"{path} cannot be read ({error}); remove it to begin anew") from None
        if not last.finished and (last.folder, last.store) == (str(folder), store):
            last.resumed = True
            return last
    now = datetime.now(UTC)
    files = find_files(folder)[:limit]
    if not files:
        raise UsageError(f"there are no .py files in {folder}")
    return Journey(f"demo-{now:%Y%m%d-%H%M%S}-{os.getpid()}", str(folder), store, files, now)


def library() -> Path:
    """The folder of the running Python's own standard library."""
    return Path(sysconfig.get_path("stdlib"))


def find_files(folder: Path) -> list[str]:
    """The ``.py`` files below *folder*, without what was installed into it."""
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}")
    paths = [path.relative_to(folder) for path in folder.rglob("*.py") if path.is_file()]
    return sorted(str(path) for path in paths if not {"site-packages", "__pycache__"} & set(path.parts))


def read_back(jobs: Jobs, queue: str) -> list[JobInfo]:
    """All jobs of the run, from the store."""
    found: list[JobInfo] = []
    while page := jobs.list(queue=queue, limit=PAGE, after=found[-1].id if found else None):
        found += page
    return found


def account(journey: Journey, infos: Sequence[JobInfo]) -> Totals:
    """The totals, counted from the store. Lost is whatever was set out for and did not come to an end."""
    ended = {_path(info) for info in infos if info.state.final}
    return Totals(
        enqueued=len(infos),
        succeeded=sum(info.state is State.SUCCEEDED for info in infos),
        retried=sum(bool(info.attempts) for info in infos),
        failed=sum(info.state in {State.FAILED, State.QUARANTINED, State.CANCELLED} for info in infos),
        lost=len(set(journey.files) - ended),
    )


def as_run(journey: Journey, infos: Sequence[JobInfo], totals: Totals) -> Run:
    """What the report draws."""
    return Run(
        name=journey.queue,
        folder=journey.folder,
        store=journey.store,
        started_at=min((info.enqueued_at for info in infos), default=journey.started_at),
        finished_at=max((info.finished_at for info in infos if info.finished_at), default=journey.started_at),
        resumed=journey.resumed,
        totals=totals,
        jobs=[_row(info) for info in infos],
    )


def _row(info: JobInfo) -> JobRow:
    return JobRow(
        task=info.task,
        path=_path(info),
        state=info.state,
        attempt=info.attempt,
        enqueued_at=info.enqueued_at,
        started_at=info.last_attempted_at,
        finished_at=info.finished_at,
        run_seconds=info.run_time.total_seconds() if info.run_time else None,
        measures=read_measures(info.result),
        errors=tuple(str(attempt.error) for attempt in info.attempts if attempt.error),
    )


def _path(info: JobInfo) -> str:
    (_, path), _ = msgspec.json.decode(info.payload, type=tuple[tuple[str, str], dict[str, str]])
    return path
