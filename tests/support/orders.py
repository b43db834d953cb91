"""What may become of jobs when several act on them at a time: a few lines of Python, and a search for an order.

A race is right when there is some order in which its acts, each done alone, give the very answers that they gave and
leave what was found afterwards. Each step of such an order must stand in the lifecycle's table.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import NamedTuple

from conveyor.core.lifecycle import FINAL, STORED_RUNNING, STORED_WAITING, Event, State, shown, targets


@dataclass(frozen=True, slots=True)
class Row:
    """A job as its table has it, without times."""

    id: bytes
    stored: str
    later: bool = False
    """Whether its time is to come; of waiting ones."""
    failed: bool = False
    """Whether it has a record of attempts."""
    token: int = 0
    attempt: int = 0
    limit: int = 5
    crashes: int = 0
    runner: bytes | None = None
    """Of running ones."""
    wish: str | None = None
    """Why it was cancelled, or is to be."""
    key: str | None = None
    until_start: bool = False
    over: bool = False
    """Whether it is too late to start it; of unfinished ones."""
    stale: bool = False
    """Whether it may be pruned; of ended ones."""
    brief: bool = False
    """Whether it may be pruned as soon as it has ended."""
    args: bytes = b"[[],{}]"
    progress: bytes | None = None

    @property
    def state(self) -> State:
        """As a person sees it."""
        return shown(self.stored, due=not self.later, failed_before=self.failed)

    @property
    def waits(self) -> bool:
        """Whether nobody holds it, and it has not ended."""
        return self.stored == STORED_WAITING

    @property
    def runs(self) -> bool:
        """Whether a runner holds it."""
        return self.stored == STORED_RUNNING

    @property
    def ended(self) -> bool:
        """Whether it is in history."""
        return not self.waits and not self.runs

    def held_by(self, runner: bytes, token: int) -> bool:
        """Whether an outcome of that attempt applies."""
        return self.runs and (self.runner, self.token) == (runner, token)

    def moved(self, event: Event, target: "Row") -> "Row":
        """*target*, if the lifecycle's table has such a move and the token does not fall."""
        assert target.state in targets(self.state, event), f"{self.state} --{event}--> {target.state} is in no table"
        assert target.token >= self.token, "the token fell"
        return target

    def end(self, event: Event, state: State, wish: str | None = None, **changes: object) -> "Row":
        """What history takes over of it."""
        assert state in FINAL
        key = None if self.until_start else self.key
        plain = replace(
            self,
            stored=state.value,
            runner=None,
            wish=wish,
            key=key,
            until_start=False,
            later=False,
            over=False,
            stale=self.brief,
        )
        return self.moved(event, replace(plain, **changes))  # type: ignore[arg-type]  # names of fields, checked there

    def wait(self, event: Event, *, later: bool, **changes: object) -> "Row":
        """The same job, waiting."""
        plain = replace(self, stored=STORED_WAITING, runner=None, later=later)
        return self.moved(event, replace(plain, **changes))  # type: ignore[arg-type]  # as above


class World(NamedTuple):
    """All there is."""

    rows: frozenset[Row]
    paused: bool = False

    def get(self, id_: bytes) -> Row | None:
        """The job of that id."""
        return next((row for row in self.rows if row.id == id_), None)

    def put(self, row: Row) -> "World":
        """With *row* instead of what it was before."""
        return self.drop(row.id)._replace(rows=self.drop(row.id).rows | {row})

    def drop(self, id_: bytes) -> "World":
        """Without that job."""
        return self._replace(rows=frozenset(row for row in self.rows if row.id != id_))

    def holder(self, key: str | None) -> Row | None:
        """The unfinished job that holds *key*."""
        held = [row for row in self.rows if key is not None and row.key == key and not row.ended]
        assert len(held) <= 1, "two unfinished jobs hold one key"
        return held[0] if held else None


class Done(NamedTuple):
    """One act of a race, as it went."""

    name: str
    answer: object
    after: Callable[[World, object], Sequence[World]]
    """The worlds that may follow one in which it is done alone and answers so; none when it cannot answer so."""


def explained(begin: World, done: Sequence[Done], end: World) -> Sequence[Done] | None:
    """An order of *done* that leads from *begin* to *end*; ``None`` when there is none."""
    for order in permutations(done):
        worlds = [begin]
        for act in order:
            worlds = [after for world in worlds for after in act.after(world, act.answer)]
        if end in worlds:
            return order
    return None
