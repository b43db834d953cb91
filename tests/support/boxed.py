"""``conveyor worker`` with process numbers of its own: ``python -m tests.support.boxed OPTIONS`` (P11).

In a container each worker has the same ones; so has one here, in a namespace, where the test runs as root.
"""

import os
import sys

if __name__ == "__main__":
    worker = [sys.executable, "-m", "conveyor", "worker", "--app", "tests.faults.tasks:app", *sys.argv[1:]]
    box = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"] if os.geteuid() == 0 else []
    os.execvp([*box, *worker][0], [*box, *worker])  # noqa: S606 - no shell is wanted
