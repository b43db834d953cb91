"""Whether the indexes of a store on Redis say what its jobs say: what one would be, made anew from the jobs alone."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple, cast

from conveyor.cli.chaos.keys import Keys

FIELDS: Final = (
    *("state", "queue", "priority", "task", "run_after", "attempts", "expires_at", "delete_after", "finished_at"),
    *("runner", "token", "cancelled", "unique", "fingerprint", "started_at", "last_attempted_at"),
)
ZSET: Final = ("ZRANGE", "0", "-1", "WITHSCORES")
DERIVED: Final[Mapping[str, Sequence[str]]] = {
    **dict.fromkeys(("live", "past", "lane", "lanes", "running", "retry", "expiring", "gone", "error"), ZSET),
    **dict.fromkeys(("queues", "errors", "asked"), ("SMEMBERS",)),
    **dict.fromkeys(("unique", "held"), ("HGETALL",)),
}
"""What indexes begin with, and what reads them; a key of several parts has a colon behind it."""
TOKEN: Final = re.compile(r"\d+")
"""What stands first in what a runner holds of a job; see ``held_as`` in ends.lua."""
SHOWN: Final = 5


class Entry(NamedTuple):
    """One entry of an index."""

    place: str
    member: str
    value: str


def unsound(here: Keys) -> list[str]:
    """What is wrong, for people: entries that are missing, and such as should not be there."""
    return [line for part in here.parts for line in _unsound(here, part)]


def _unsound(here: Keys, part: str) -> Iterator[str]:
    names = here.names(part)
    wanted = {entry for job in _jobs(here, part, names) for entry in _entries(*job)}
    wanted |= {Entry("queues", _queue(entry), "") for entry in wanted if entry.place.startswith(("lanes:", "running:"))}
    there = set(_there(here, part, names))
    yield from (f"missing: {' '.join(entry)}" for entry in sorted(wanted - there)[:SHOWN])
    yield from (f"too much: {' '.join(entry)}" for entry in sorted(there - wanted)[:SHOWN])
    (runners,) = here.each(part, [("ZRANGE", f"{part}:runners", 0, -1)])
    known = {f"held:{runner.decode()}" for runner in cast("list[bytes]", runners)}
    nameless = sorted(entry for entry in there if entry.place.startswith("held:") and entry.place not in known)
    yield from (f"held by a runner that nobody knows: {entry.member}" for entry in nameless[:SHOWN])


def _jobs(here: Keys, part: str, names: Sequence[str]) -> Iterator[tuple[str, Mapping[str, str]]]:
    ids = [name.removeprefix("job:") for name in names if name.startswith("job:")]
    rows = here.each(part, (("HMGET", f"{part}:job:{id_}", *FIELDS) for id_ in ids))
    for id_, row in zip(ids, rows, strict=True):
        cells = zip(FIELDS, cast("list[bytes | None]", row), strict=True)
        yield id_, {field: cell.decode("utf-8", "replace") for field, cell in cells if cell is not None}


def _entries(id_: str, job: Mapping[str, str]) -> Iterator[Entry]:
    """Where a job is to be found."""
    state = job["state"]
    if state in {"waiting", "running"}:
        yield Entry("live", id_, "0")
        if "unique" in job:
            yield Entry("unique", job["unique"], id_)
        yield from _waiting(id_, job) if state == "waiting" else _running(id_, job)
        return
    yield Entry(f"past:{state}", id_, "0")
    if "delete_after" in job:
        yield Entry("gone", id_, job["delete_after"])
    if "fingerprint" in job:
        yield Entry(f"error:{job['fingerprint']}", id_, job["finished_at"])
        yield Entry("errors", job["fingerprint"], "")


def _waiting(id_: str, job: Mapping[str, str]) -> Iterator[Entry]:
    queue, priority, task = job["queue"], job["priority"], job["task"]
    yield Entry(f"lane:{len(queue.encode())}:{queue}:{priority}:{task}", id_, job["run_after"])
    yield Entry(f"lanes:{queue}", f"{priority}:{task}", str(-int(priority)))
    if "attempts" in job:
        yield Entry(f"retry:{queue}", id_, job["run_after"])
    if "expires_at" in job:
        yield Entry("expiring", id_, job["expires_at"])


def _running(id_: str, job: Mapping[str, str]) -> Iterator[Entry]:
    since = max(int(job.get(name, 0)) for name in ("started_at", "last_attempted_at"))  # the first attempt has one time
    yield Entry(f"running:{job['queue']}", id_, str(since))
    yield Entry(f"held:{job['runner']}", id_, job["token"])
    if "cancelled" in job:
        yield Entry(f"asked:{job['runner']}", id_, "")


def _queue(entry: Entry) -> str:
    return entry.place.partition(":")[2]


def _there(here: Keys, part: str, names: Sequence[str]) -> Iterator[Entry]:
    known = [(name, words) for name in names if (words := DERIVED.get(name.partition(":")[0]))]
    found = here.each(part, ((words[0], f"{part}:{name}", *words[1:]) for name, words in known))
    for (name, _), members in zip(known, found, strict=True):
        for member, value in _pairs(members):
            its = TOKEN.findall(value)[0] if name.startswith("held:") else value
            yield Entry(name, member.decode("utf-8", "replace"), its)


def _pairs(members: object) -> Iterator[tuple[bytes, str]]:
    """As redis-py gives sets, hashes, and members that scores follow."""
    if isinstance(members, set):
        yield from ((member, "") for member in cast("set[bytes]", members))
    elif isinstance(members, dict):
        yield from ((name, value.decode()) for name, value in cast("dict[bytes, bytes]", members).items())
    else:
        flat = cast("list[bytes]", members)
        yield from ((name, f"{float(score):.0f}") for name, score in zip(flat[::2], flat[1::2], strict=True))
