"""What one job changes of its process must not reach the next: a snapshot, and the way back to it."""

import contextlib
import locale
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast

STREAMS: Final = ("stdin", "stdout", "stderr")
SIGNALS: Final = tuple(sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}))
LIMITS: Final = tuple(getattr(resource, f"RLIMIT_{name}") for name in ("NOFILE", "AS", "DATA", "CPU", "FSIZE", "CORE"))
"""What code does set for itself. To ask for all sixteen after each job would cost as much as all else here."""


_handler: Final = cast(Callable[[int], object], vars(signal).get("_signal", signal).getsignal)
"""Without the enumeration that Python makes of each answer: that costs more than a short job."""


class Fresh:
    """As the process is now. Contextvars are no part of it: each job has a context of its own."""

    def __init__(self, files: Sequence[int]) -> None:
        """*files* are descriptors that must stay what they are."""
        self._folder = _folder()
        self._mask = os.umask(0o077)
        os.umask(self._mask)
        self._raw = dict(_raw())
        self._environment = dict(os.environ)
        self._zone = _zone()
        self._limits = _limits()
        self._nice = os.getpriority(os.PRIO_PROCESS, 0)
        self._handlers = {number: handler for number in SIGNALS if (handler := signal.getsignal(number)) is not None}
        self._raw_handlers = [_handler(number) for number in SIGNALS]
        self._locale = locale.setlocale(locale.LC_ALL)
        self._streams = [getattr(sys, name) for name in STREAMS]
        self._path = list(sys.path)
        self._recursion = sys.getrecursionlimit()
        self._files = {file: what(file) for file in files}

    def restore(self) -> bool:
        """Back to it; ``False`` when that cannot be, so that the process has to end."""
        try:
            self._restore_process()
            self._restore_python()
        except (OSError, ValueError, TypeError, locale.Error):
            return False
        return all(what(file) == before for file, before in self._files.items())

    def _restore_process(self) -> None:
        os.umask(self._mask)
        if _folder() != self._folder:
            os.chdir(self._folder)
        if _raw() != self._raw:
            self._restore_environment()
            time.tzset()  # code in C goes by TZ whether Python was told of it or not
        elif _zone() != self._zone:
            time.tzset()
        self._restore_limits()
        signal.setitimer(signal.ITIMER_REAL, 0)  # an alarm of one job must not ring in another
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        if list(map(_handler, SIGNALS)) != self._raw_handlers:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)

    def _restore_environment(self) -> None:
        for name in [name for name in os.environ if name not in self._environment]:
            del os.environ[name]
        os.environ.update(self._environment)

    def _restore_limits(self) -> None:
        """Raises ``OSError`` or ``ValueError`` for what only root may take back."""
        if (limits := _limits()) != self._limits:
            for number, limit, before in zip(LIMITS, limits, self._limits, strict=True):
                if limit != before:
                    resource.setrlimit(number, before)
        if os.getpriority(os.PRIO_PROCESS, 0) != self._nice:
            os.setpriority(os.PRIO_PROCESS, 0, self._nice)

    def _restore_python(self) -> None:
        if locale.setlocale(locale.LC_ALL) != self._locale:
            locale.setlocale(locale.LC_ALL, self._locale)
        for name, stream in zip(STREAMS, self._streams, strict=True):
            setattr(sys, name, stream)
        if sys.path != self._path:
            sys.path[:] = self._path
        if sys.getrecursionlimit() != self._recursion:
            sys.setrecursionlimit(self._recursion)
        if socket.getdefaulttimeout() is not None:
            socket.setdefaulttimeout(None)


def _raw() -> Mapping[object, object]:
    """The environment as ``os.environ`` keeps it: looked at after each job, it must cost little."""
    return cast(Mapping[object, object], vars(os.environ).get("_data", os.environ))


def _zone() -> tuple[tuple[str, str], int]:
    return time.tzname, time.timezone


def _limits() -> list[tuple[int, int]]:
    return list(map(resource.getrlimit, LIMITS))


def _folder() -> str:
    with contextlib.suppress(FileNotFoundError):
        return os.getcwd()  # noqa: PTH109 - after each job, where a Path would cost more than the question
    return ""


def what(file: int) -> tuple[int, int] | None:
    """What a descriptor leads to; ``None`` when it is closed."""
    try:
        status = os.fstat(file)
    except OSError:
        return None
    return status.st_dev, status.st_ino
