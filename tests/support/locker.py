"""A process that holds a lock, and does as it is told: ``python -m tests.support.locker URL hold|fork|turns ...``."""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Self, cast

from conveyor import Conveyor, LockLost
from conveyor.client.lock import KeptLock
from conveyor.plan import Plan, Statement, Steps
from tests.support.cli import clean_environment
from tests.support.pgbouncer import past

ROOT = Path(__file__).parents[2]
NAME = "nightly"


class Locker:
    """Such a process, seen from a test."""

    def __init__(self, url: str, *words: object) -> None:
        """Starts it."""
        environment = clean_environment()
        environment["PYTHONPATH"] += f":{ROOT}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.locker", url, *map(str, words)],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def hears(self) -> str:
        """The next line that it says."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def told(self, word: str) -> str:
        """Tell it something; what it answers."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return self.hears()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def fenced(token: int, value: str) -> Plan[bool]:
    """Write *value* with *token*, unless something was written with a larger one; whether it was."""

    def steps() -> Steps[bool]:
        text = "UPDATE shelf SET token = :token, value = CAST(:value AS text) WHERE token <= :token"
        return (yield Statement(text, {"token": token, "value": value})).touched == 1

    return Plan(steps)


def say(text: str) -> None:
    """Say it at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def hold(app: Conveyor, ttl: float) -> None:
    """Hold the lock, and do what standard input says."""
    with app.locks.hold(NAME, ttl=ttl) as lock:
        say(f"held {lock.token} {cast(KeptLock, lock).tied}")
        for line in sys.stdin:
            if line == "check\n":
                try:
                    lock.check()
                except LockLost as error:
                    say(f"lost {error}")
                else:
                    say("ok")
            elif line == "write\n":
                say("wrote" if app.store.run(fenced(lock.token, "the first")) else "refused")
            else:
                break
    say("left")


def fork(app: Conveyor, ttl: float) -> None:
    """Hold the lock, and have a child that lives on until its standard input ends; the child says what it has of it."""
    with app.locks.hold(NAME, ttl=ttl) as lock:
        reader, writer = os.pipe()
        if os.fork():
            os.close(writer)
            os.read(reader, 1)
            say(f"held {lock.token} {cast(KeptLock, lock).tied}")
            sys.stdin.read()
        try:
            lock.check()
        except LockLost:
            os.write(writer, b"!")
            sys.stdin.read()
        os._exit(0)


def turns(app: Conveyor, file: Path, times: int) -> None:
    """Add one to the number in *file*, so often."""
    for _ in range(times):
        with app.locks.hold(NAME, wait=60):
            number = int(file.read_text())
            file.write_text(str(number + 1))


def main(words: Sequence[str] | None = None) -> None:
    """Do it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("what", choices=("hold", "fork", "turns"))
    parser.add_argument("rest", nargs="+")
    given = parser.parse_args(words)
    app = Conveyor(given.url, listen_url=past(given.url))
    if given.what == "turns":
        turns(app, Path(given.rest[0]), int(given.rest[1]))
    else:
        {"hold": hold, "fork": fork}[given.what](app, float(given.rest[0]))


if __name__ == "__main__":
    main()
