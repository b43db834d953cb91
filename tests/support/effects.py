"""Counts what transactional jobs have done, with plain SQL and nothing of Conveyor's."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tests.support.carriers import outside


@dataclass(frozen=True)
class Effects:
    """What was found; zeros and empty tuples are good news."""

    orders: int
    succeeded: int
    """Jobs of the orders that have succeeded."""
    effects: int
    children: int
    unfinished: int
    orphaned: tuple[str, ...]
    """Orders without a job, and jobs without an order."""
    doubled: tuple[str, ...]
    """Jobs with more effects than one."""
    missing: tuple[str, ...]
    """Jobs that have succeeded and have no effect."""
    uncalled: tuple[str, ...]
    """Jobs that have not succeeded, and have an effect or a child."""
    childless: tuple[str, ...]
    """Jobs that have succeeded and have no child, or more than one."""
    ends: str
    """How many jobs ended how."""

    @property
    def clean(self) -> bool:
        """Whether all is as it should be."""
        return not (self.unfinished or self.orphaned or self.doubled or self.missing or self.uncalled or self.childless)


def count(url: str) -> Effects:
    """Count all that is there."""
    with outside(url) as connection:
        ordered = Counter(job for (job,) in rows(connection, "SELECT job FROM ordered"))
        effects = rows(connection, "SELECT job, kind, parent FROM effect")
        ended = rows(connection, "SELECT id, task, state, args FROM conveyor_history")
        ((unfinished,),) = rows(connection, "SELECT count(*) FROM conveyor_job")
    states = {text(id_): state for id_, _, state, _ in ended}
    parents = [text(id_) for id_, task, _, _ in ended if task != "child"]
    succeeded = {id_ for id_ in parents if states[id_] == "succeeded"}
    done = Counter(job for job, _, _ in effects)
    born = Counter(json.loads(bytes(args))[0][0] for _, task, _, args in ended if task == "child")
    jobs = Counter(parents)
    return Effects(
        orders=sum(ordered.values()),
        succeeded=len(succeeded),
        effects=len(effects),
        children=sum(born.values()),
        unfinished=unfinished,
        orphaned=tuple((ordered - jobs) + (jobs - ordered)),
        doubled=those(job for job, times in done.items() if times > 1),
        missing=those(job for job, state in states.items() if state == "succeeded" and not done[job]),
        uncalled=those(job for job, state in states.items() if state != "succeeded" and (done[job] or born[job])),
        childless=those(job for job in succeeded if born[job] != 1),
        ends=", ".join(f"{times} {state}" for state, times in Counter(states.values()).items()),
    )


def rows(connection: Any, query: str) -> Sequence[tuple[Any, ...]]:
    return list(connection.execute(query).fetchall())


def text(id_: bytes | UUID) -> str:
    return str(id_ if isinstance(id_, UUID) else UUID(bytes=id_))


def those(jobs: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(jobs))
