"""Jobs on Redis that are not found where their own fields say: they are mended little by little, and counted.

Each script is one step of the server's, so there are none. But Redis 6.2 and 7.0, killed in the middle of a write, may
carry out half of a script at a later start; and a server that throws keys away may have thrown away an index.
"""

import time
from binascii import unhexlify
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeVar, cast

from conveyor.core import ids
from conveyor.core.errors import ConveyorError
from conveyor.core.health import Finding, note
from conveyor.plan import Plan, Steps
from conveyor.store.answers import Cure, Mended
from conveyor.store.redis.scripts import call
from conveyor.store.redis.sharding import at

T = TypeVar("T")
Run = Callable[[Plan["Seen"]], "Seen"]

AT_ONCE: Final = 100
"""Entries of indexes that one call looks at, or a few more: some milliseconds of the server's."""
CALLS: Final = 120
"""In one round, of which there is one a minute, however many workers there are."""
CALLS_ALL: Final = 30
"""Of these, which look at all jobs: once a day, and after anything was mended."""
MORE, OVER = 0, 1
"""How an answer of ``mend.lua`` begins."""
SAMPLE: Final = 20_000
"""Unfinished jobs that the doctor looks at."""
SECONDS: Final = 2.0
"""For which it does so at most."""
_CURES: Final = {b"r": Cure.RELEASED, b"h": Cure.HELD, b"l": Cure.LINED_UP, b"e": Cure.PUT_AWAY, b"s": Cure.STALE}


def mended() -> Steps[Mended]:
    """The steps of ``Control.mend`` in one shard: a part of the indexes, and when these are through, of all jobs."""
    over, jobs = yield from _calls("begin", "on", CALLS)
    if over:
        _, more = yield from _calls("all", "all", CALLS_ALL)
        jobs += more
    return Mended(jobs)


def _calls(first: str, then: str, most: int) -> Steps[tuple[bool, list[tuple[str, Cure]]]]:
    """Whether they have come to an end, and not before it was time to begin; and what was mended."""
    jobs: list[tuple[str, Cure]] = []
    for turn in range(most):
        answer = (yield call("mend", AT_ONCE, then if turn else first)).rows[0][0]
        word, *told = cast("list[bytes]", answer)
        jobs += [(_named(id_), _CURES[letter]) for id_, letter in zip(told[::2], told[1::2], strict=True)]
        if int(word) != MORE:
            return int(word) == OVER, jobs
    return False, jobs


def _named(member: bytes) -> str:
    """An id in the form for people; what somebody has spoilt as it is."""
    try:
        return ids.text(unhexlify(member))
    except ValueError:
        return member.decode("utf-8", "replace")


class Seen(NamedTuple):
    """What the doctor has seen of unfinished jobs."""

    looked: int = 0
    amiss: int = 0
    whole: bool = True
    """Whether those were all."""


def of_indexes(run: Run, shards: int, *, deep: bool) -> Sequence[Finding]:
    """What is found of unfinished jobs, of some or, if *deep*, of all; nothing when they are where they say."""
    try:
        seen = run(Plan(lambda: _seen(shards, deep=deep), writes=False))
    except ConveyorError:  # what the matter is with the server is told elsewhere
        return []
    if not seen.amiss:
        return []
    of = f"{seen.looked:,} unfinished jobs" + ("" if seen.whole else " that were looked at")
    text = f"{seen.amiss:,} of {of} are not found where they should be, as after a crash of the server"
    return [note("indexes", text, "let a worker run, and wait: it mends them, and its log says which and how")]


def _seen(shards: int, *, deep: bool) -> Steps[Seen]:
    seen, until = Seen(), time.monotonic() + SECONDS
    for shard in range(shards):
        cursor = b"0"
        while True:
            if not deep and (seen.looked >= SAMPLE or time.monotonic() >= until):
                return seen._replace(whole=False)
            answer = yield from at(shard, _look(cursor))
            cursor, looked, amiss = answer
            seen = Seen(seen.looked + looked, seen.amiss + amiss)
            if cursor == b"0":
                break
    return seen


def _look(cursor: bytes) -> Steps[tuple[bytes, int, int]]:
    return cast("tuple[bytes, int, int]", (yield call("unsound", cursor, AT_ONCE)).rows[0][0])
