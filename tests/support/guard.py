"""Ends a test's server when the process that started it is gone, however it went.

Standard input is a pipe whose other end only the starter holds, so its end is the starter's end. A tidy
starter has removed everything by then, and nothing is left to do here.
"""

import os
import select
import shutil
import signal
import sys
from pathlib import Path


def main() -> None:
    root = Path(sys.argv[1])
    sys.stdin.buffer.read()
    pid = server_of(root / "data", "postmaster.pid") or server_of(root / "pgbouncer.ini", "../pgbouncer.pid")
    pid = pid or server_of(root, "redis.pid")
    if pid is not None:
        server = os.pidfd_open(pid)
        signal.pidfd_send_signal(server, signal.SIGQUIT)
        select.select([server], [], [], 10)  # readable once the server has ended
    shutil.rmtree(root, ignore_errors=True)


def server_of(argument: Path, pid_file: str) -> int | None:
    """Return the pid in *pid_file* if it runs with *argument*, or in it: a pid alone may be another process."""
    try:
        pid = int(Path(os.path.normpath(argument / pid_file)).read_text().split()[0])
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        folder = Path(f"/proc/{pid}/cwd").resolve()
    except (OSError, ValueError, IndexError):
        return None
    return pid if os.fsencode(argument) in command.split(b"\0") or folder == argument.resolve() else None


if __name__ == "__main__":
    main()
