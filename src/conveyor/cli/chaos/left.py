"""What a run has made beside processes and files, written down before it is made.

Whoever made it takes it away. When the run itself was killed, and could not, its guard does: see ``guard``.
"""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

FILE: Final = "left"
PATIENCE: Final = 20.0

Kind = Literal["namespace", "group"]
THAW: Final = {"freezer.state": "THAWED", "cgroup.freeze": "0"}
"""What lets a control group go on, by the file of its kind that takes it."""


class Left(NamedTuple):
    """One thing: a network namespace by its name, or a control group by its folder."""

    kind: Kind
    name: str


def note(folder: Path, kind: Kind, name: str) -> None:
    """It is about to be made, for the run in *folder*."""
    with (folder / FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(Left(kind, name)) + "\n")


def noted(folder: Path) -> Iterator[Left]:
    """What was noted."""
    with contextlib.suppress(FileNotFoundError):
        for line in (folder / FILE).read_text("utf-8").splitlines():
            yield Left(*json.loads(line))


def thaw(group: Path) -> None:
    """Let a control group go on: what is frozen does not even die."""
    for name, word in THAW.items():
        with contextlib.suppress(OSError):
            if (group / name).exists():
                (group / name).write_text(word)


def remove(left: Left) -> None:
    """Take it away, if it is there; nothing may live in it any more."""
    if left.kind == "group":
        with contextlib.suppress(OSError):
            Path(left.name).rmdir()
    else:  # its end of the cable goes with it, and so the other one
        ip("netns", "del", left.name)


def ip(*words: str) -> str:
    """Run ``ip`` with *words*; gives what it complains of."""
    try:
        done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=PATIENCE, check=False)  # noqa: S603, S607 - our own words, and the tool as the system has it
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return (done.stderr.strip() or f"exit status {done.returncode}") if done.returncode else ""
