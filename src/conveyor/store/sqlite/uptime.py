"""A clock that nobody sets, one for all processes of the machine: it counts from its start, and while it sleeps."""

import time
from functools import cache
from pathlib import Path
from typing import Final

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
TIME_NAMESPACE: Final = Path("/proc/self/ns/time")


@cache
def boot() -> str | None:
    """From which start ``uptime`` counts: comparable where this is equal. ``None`` where the system does not say.

    Not equal does not mean that the machine was started anew: some containers give themselves an id of their own
    (systemd-nspawn, LXC), and in a namespace of times the clock shows something else.
    """
    try:
        return f"{BOOT_ID.read_text('ascii').strip()} {_namespace()}" if hasattr(time, "CLOCK_BOOTTIME") else None
    except OSError:
        return None


def uptime() -> int:
    """Microseconds since then; 0 where there is no such clock."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000 if hasattr(time, "CLOCK_BOOTTIME") else 0


def _namespace() -> str:
    try:
        return str(TIME_NAMESPACE.readlink())
    except FileNotFoundError:  # a kernel that has none
        return ""
