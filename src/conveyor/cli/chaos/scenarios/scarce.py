"""Too little of what a machine has: of descriptors, and of room on its disk."""

import contextlib
import os
import resource
import shutil
import subprocess
from collections.abc import Collection, Iterable
from functools import partial
from pathlib import Path
from typing import Final

from conveyor.cli.chaos import tree
from conveyor.cli.chaos.checker import many
from conveyor.cli.chaos.processes import Worker, within
from conveyor.cli.chaos.site import DRAIN, SLOTS, Site
from conveyor.cli.chaos.tables import Tables

FEW: Final = 64
"""Descriptors of each process of a worker that has few of them all the time."""
WITHOUT: Final = 6.0
"""Seconds at most in which another one can open nothing at all."""
SLOW: Final = 0.5
"""Seconds of the jobs for which it would need more cells than it has."""
MIB: Final = 1024 * 1024
MOUNTED: Final = 'mount -t tmpfs -o size=4m none "$0" && exec "$@" >> "$0/log" 2>&1'
"""What it prints and logs goes to the small disk too."""


def r03(site: Site) -> Tables:
    """Leave one worker few descriptors, and another none at all for a while: they wait, and go on."""
    site.load()
    few, other = site.worker(), site.worker()
    allow([few.pid], FEW)
    for worker in (few, other):
        site.working(worker)
    core = {pid for worker in (few, other) for pid in _core(worker)}
    for _ in site.rounds():
        worker = site.chance.choice([few, other])
        squeezed = {pid: _highest(pid) + site.chance.randrange(1, 4) for pid in worker.members}
        for pid, most in squeezed.items():
            allow([pid], most)
        for task in (site.tasks.doze, site.tasks.nap):
            for _ in range(2 * SLOTS):
                site.enqueue(partial(task.enqueue, SLOW))
        site.injected()
        site.pause(min(WITHOUT, site.seconds / 2))
        allow(worker.members, FEW if worker is few else None)
        site.pause(1.0)
    allow(few.members, None)
    if gone := [pid for pid in core if not tree.lives(pid)]:
        site.wrong(f"{len(gone)} supervisors or runners have ended for want of descriptors: {few.said[-500:]}")
    tables = site.drain()
    if taken := [row for row in (*tables.hot, *tables.past) if row.taken]:
        site.wrong(f"{many(len(taken))} were taken from workers that only had no descriptors: {taken[0].job}")
    return tables


def allow(pids: Iterable[int], count: int | None) -> None:
    """Let each process have so many descriptors, and whatever it starts; without a *count* as many as it may."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard if count is None else count, hard))


def _core(worker: Worker) -> Collection[int]:
    """Its supervisor and its runner."""
    parts = worker.parts()
    return parts["supervisor"] + parts["runner"] if "supervisor" in parts else [worker.pid]


def _highest(pid: int) -> int:
    """The highest descriptor that a process has."""
    with contextlib.suppress(OSError):
        return max(int(entry.name) for entry in (tree.PROC / str(pid) / "fd").iterdir())
    return 0


def r02(site: Site) -> Tables:
    """Fill the disk that a worker's log and temporary files are on: it works on, and drops what it cannot write."""
    place = site.folder / "full"
    place.mkdir()
    site.load()
    worker = site.worker(before=[*unshared(), "sh", "-c", MOUNTED, str(place)], TMPDIR=str(place))
    site.working(worker)
    core = _core(worker)
    inside = tree.PROC / str(worker.pid) / "root" / place.relative_to("/")
    jobs: list[str] = []
    for _ in site.rounds():
        filled = _fill(inside / "filled")
        site.injected()
        jobs += [site.enqueue(task.enqueue) for task in (site.tasks.everyday.talk, site.tasks.everyday.tell) * SLOTS]
        if not within(partial(site.over, jobs), DRAIN):
            site.wrong(f"I13: jobs have not ended {DRAIN:.0f} s after the disk was full")
            break
        site.pause(min(WITHOUT, site.seconds / 2))
        (inside / "filled").unlink()
        site.note(f"{filled / MIB:.0f} MiB filled, and freed again")
    if gone := [pid for pid in core if not tree.lives(pid)]:
        site.wrong(f"{len(gone)} supervisors or runners have ended because a disk was full")
    tables = site.drain()
    if harmed := [row.job for row in tables.past if row.job in jobs and (row.state, row.attempt) != ("succeeded", 1)]:
        site.wrong(f"{many(len(harmed))} that print and log did not succeed at once: {harmed[0]}")
    return tables


def unshared() -> list[str]:
    """The command that runs another one with mounts of its own, which are gone with it."""
    return ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]


def cannot_mount() -> str:
    """Why no disk can be made to be full; empty when it can."""
    if not shutil.which("unshare"):
        return "it takes the right to mount, and there is no unshare here"
    probe = [*unshared(), "sh", "-c", "mount -t tmpfs -o size=64k none /tmp"]
    done = subprocess.run(probe, capture_output=True, check=False)  # noqa: S603 - our own words
    return "" if done.returncode == 0 else "it takes the right to mount, which this user, or this container, has not"


def _fill(file: Path) -> int:
    """Write until there is no more room; gives how many bytes."""
    written = 0
    with file.open("wb", buffering=0) as out, contextlib.suppress(OSError):
        while count := out.write(b"\0" * 4096):
            written += count
    return written
