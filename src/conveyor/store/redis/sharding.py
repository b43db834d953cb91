"""A store in several parts, each with keys of its own on one node: which part a job lies in, and plans over all parts.

A job with a unique key lies where the key says, any other where its id says. A schedule lies where its name says, and
so do its jobs, for both are written in one step; so an id alone does not always tell, and whoever has only that looks
there first, and then in the others.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar
from zlib import crc32

from conveyor.core.model import NewJob
from conveyor.plan import Steps

T = TypeVar("T")
Key = TypeVar("Key")


def by_id(id_: bytes, shards: int) -> int:
    """Where a job of that id lies, unless something else about it says so: ids end in random bits."""
    return id_[-1] % shards


def by_name(name: str, shards: int) -> int:
    """Where a unique key, a schedule or a lock of that name lies."""
    return crc32(name.encode()) % shards


def of_job(job: NewJob, shards: int) -> int:
    """Where a new job is to lie."""
    return by_name(job.unique.key, shards) if job.unique else by_id(job.id, shards)


def at(shard: int, steps: Steps[T]) -> Steps[T]:
    """*steps*, each of whose calls goes to that shard."""
    try:
        statement = next(steps)
        while True:
            answer = yield replace(statement, params={**statement.params, "shard": shard})
            statement = steps.send(answer)
    except StopIteration as end:
        value: T = end.value
        return value


def everywhere(shards: int, steps: Callable[[], Steps[T]]) -> Steps[list[T]]:
    """What *steps* give in each shard, one after the other."""
    found: list[T] = []
    for shard in range(shards):
        part = yield from at(shard, steps())
        found.append(part)
    return found


def grouped(items: Iterable[T], place: Callable[[T], Key]) -> dict[Key, list[T]]:
    """*items* by their place, each in its order."""
    found: dict[Key, list[T]] = {}
    for item in items:
        found.setdefault(place(item), []).append(item)
    return found


def flat(parts: Iterable[Sequence[T]]) -> list[T]:
    """All of *parts* in one."""
    return [item for part in parts for item in part]
