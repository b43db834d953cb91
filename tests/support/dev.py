"""``conveyor dev`` as a person has it running: what it says, as it says it, and Ctrl+C."""

import os
import signal
import subprocess
import sys
import threading

from tests.support.cli import Terminal
from tests.support.waiting import until

PATIENCE = 30.0


class Dev:
    """The command in a process group of its own, as a shell starts it. What it and its worker say comes in one stream,
    which ends when the last of them has ended.
    """

    def __init__(self, terminal: Terminal, *words: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "conveyor", "dev", *words],
            cwd=terminal.folder,
            env=terminal.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )
        self.pid = self._process.pid
        self.lines: list[str] = []
        self._heard = 0
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def text(self) -> str:
        """All that has been said."""
        return "\n".join(self.lines)

    @property
    def over(self) -> bool:
        """Whether there is nobody left to say anything."""
        return not self._reader.is_alive()

    def says(self, text: str) -> str:
        """Wait for a line that holds *text*, after the one that was waited for last; gives it."""
        until(lambda: self.over or self._found(text) is not None, patience=PATIENCE)
        place = self._found(text)
        assert place is not None, f"it does not say {text!r}:\n{self.text}"
        self._heard = place + 1
        return self.lines[place]

    def interrupt(self) -> None:
        """Ctrl+C: a signal to the whole process group."""
        os.killpg(self.pid, signal.SIGINT)

    def signal(self, number: signal.Signals) -> None:
        """A signal to the command alone."""
        self._process.send_signal(number)

    def ends(self) -> int:
        """Wait for its end, and for that of all that it has started; gives its exit status."""
        until(lambda: self.over, patience=PATIENCE)
        return self._process.wait(PATIENCE)

    def close(self) -> None:
        """Leave nothing behind, whatever has gone wrong."""
        self._process.kill()
        self._process.wait()
        self._reader.join(PATIENCE)
        print(self.text)  # noqa: T201 - pytest shows it when the test failed
        assert self.over, "something has outlived it"

    def _found(self, text: str) -> int | None:
        return next((place for place in range(self._heard, len(self.lines)) if text in self.lines[place]), None)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            self.lines.extend(line.rstrip("\n") for line in stream)
