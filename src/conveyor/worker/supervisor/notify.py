"""Tells systemd how the service is (sd_notify): ready, stopping, and alive for its watchdog. Silent elsewhere."""

import contextlib
import os
import socket
from collections.abc import Mapping
from typing import Final

SHARE: Final = 3
"""Signs of life in one period of the watchdog."""


class Notifier:
    """Speaks to whoever the environment names."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Reads ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID``."""
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        period = environment.get("WATCHDOG_USEC", "")
        mine = environment.get("WATCHDOG_PID") in {None, "", str(os.getpid())}
        self.period = int(period) / 1_000_000 / SHARE if period.isdecimal() and mine and self._address else 0.0
        """Seconds between signs of life; 0 where nobody waits for any."""
        self._last = 0.0

    def say(self, *lines: str) -> None:
        """Send assignments, as ``READY=1``; nobody answers."""
        if self._address:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
                speaker.setblocking(False)  # noqa: FBT003 - as the library has it
                speaker.sendto("\n".join(lines).encode(), self._address)

    def alive(self, now: float) -> None:
        """It is alive; said as often as the watchdog wants to hear it."""
        if self.period and now - self._last >= self.period:
            self._last = now
            self.say("WATCHDOG=1")
