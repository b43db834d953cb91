"""A wrong clock for one process, and all that it starts: Python's, for a machine has but one.

``libfaketime`` would do the same below Python, but breaks its ``time.sleep`` when it leaves the monotonic clock alone;
and that one is right, and the same in all processes, also where the time of day is wrong.
"""

import os
import time
from pathlib import Path
from typing import Final

CLOCK: Final = "CONVEYOR_CHAOS_CLOCK"
"""The environment's name for what is wrong: since when, by how many seconds, and how fast it runs."""
SECOND: Final = 1_000_000_000


def environment(folder: Path, ahead: float, rate: float) -> dict[str, str]:
    """In which Python has a clock that is *ahead* by so many seconds, and from now on runs *rate* times as fast.

    *folder* is for what makes it so.
    """
    place = folder / "clock"
    place.mkdir(exist_ok=True)
    (place / "sitecustomize.py").write_text(f"from {__name__} import put_wrong\n\nput_wrong()\n", "utf-8")
    path = os.pathsep.join([str(place), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"PYTHONPATH": path, CLOCK: f"{time.time()} {ahead} {rate}"}


def put_wrong() -> None:
    """Make this process's clock wrong, as its environment says."""
    since, ahead, rate = map(float, os.environ[CLOCK].split())
    right = time.time_ns

    def wrong() -> int:
        now = right()
        return now + round(ahead * SECOND + (now - since * SECOND) * (rate - 1))

    for name, clock in {"time_ns": wrong, "time": lambda: wrong() / SECOND}.items():
        setattr(time, name, clock)
