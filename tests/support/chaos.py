"""``conveyor chaos``, as a person runs it."""

import json
import os
from collections.abc import Mapping
from typing import cast

from tests.support.cli import Terminal
from tests.support.redis import find_binary, versions

BUSY = 180.0
"""Seconds that one command gets."""
Figures = Mapping[str, object]


def found(terminal: Terminal, *words: str, patience: float = BUSY) -> Mapping[str, Figures]:
    """What the command says in JSON; nothing may be violated."""
    with terminal.started("chaos", *words, "--seed", "1", "--json") as process:
        out, err = process.communicate(timeout=patience)
    assert (process.returncode, err) == (0, ""), out
    return cast(Mapping[str, Figures], json.loads(out)["scenarios"])


def with_redis(path: str) -> str:
    """*path*, where programs are found, and before it that of the Redis that tests are with."""
    return os.pathsep.join([str(find_binary(versions()[0]).parent), path])
