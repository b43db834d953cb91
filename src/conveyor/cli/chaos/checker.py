"""Whether what happened may be: compares what processes wrote down with what the database holds.

It uses none of the code that it judges. FAULTS are told by what invariant they break: I1 no job is lost, I2 effects
once, I3 duplicates only where a worker was lost, I4 one execution at a time and one end, I5 tokens only rise.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final, NamedTuple

from conveyor.cli.chaos.history import Record, Run, runs_of
from conveyor.cli.chaos.tables import Row, Tables

SHOWN: Final = 3
"""Jobs that are named for each violation."""
_UNRECORDED: Final = {"succeeded", "running", "cancelled"}
"""Where a job stands while the attempt that is under way, or has ended well, is in no record."""
SETTLING: Final = 5.0
"""Seconds within which an outcome is written, on a machine that is busy: until then it may be lost with its process."""
SEEN: Final = 1.0
"""Seconds within which a death is seen."""
Windows = Mapping[int, Sequence[tuple[float, float]]]


@dataclass(frozen=True)
class Promises:
    """What tasks do, by their names, that the checker may count on."""

    tokens: frozenset[str] = frozenset()
    """Their result is the token of the attempt that gave it."""
    effects: frozenset[str] = frozenset()
    """They write one effect, in the transaction that completes them."""


class Recovery(NamedTuple):
    """From when an execution's process died, or was frozen, until its job could run again, and did."""

    since: float
    freed: float | None
    """Seconds from then until it was taken back; ``None`` where its runner gave it back, which leaves no record."""
    started: float
    """Seconds from then to its next start: the jobs that were due before it have their turn first."""


@dataclass(frozen=True)
class Report:
    """What the checker found; empty tuples are good news."""

    accepted: int
    unknown: int
    """Enqueues without an answer: each may be in the database, once."""
    completed: int
    executions: int
    lost: tuple[str, ...]
    """Accepted, and without an outcome."""
    uninvited: int
    """Jobs in the database beyond those that were accepted or may have been."""
    in_both: tuple[str, ...]
    """Jobs in both tables."""
    twice: tuple[str, ...]
    """Jobs whose function ran to its end in more than one attempt, or more than once in one."""
    effects_twice: tuple[str, ...]
    stale: tuple[str, ...]
    """Jobs that were started with a token that was not above all earlier ones."""
    misnumbered: tuple[str, ...]
    """Jobs whose attempts are not counted 1, 2, 3 ... by starts and record together, or beyond their limit."""
    overlaps: tuple[float, ...]
    """Milliseconds in which two executions of one job ran at the same time, neither of them frozen."""
    recoveries: tuple[Recovery, ...]
    unexplained: tuple[str, ...] = ()
    """Jobs of ``twice`` that nobody had lost a worker over."""
    foreign: tuple[str, ...] = ()
    """Jobs that have succeeded by the word of an attempt that was no longer theirs."""
    reset: tuple[str, ...] = ()
    """Jobs whose token is below one that they were started with."""
    unrun: tuple[str, ...] = ()
    """Jobs that have succeeded, and never ran to their end."""
    effects_doubled: tuple[str, ...] = ()
    """Transactional jobs with more effects than one."""
    effects_missing: tuple[str, ...] = ()
    """Those that have succeeded and have none."""
    effects_uncalled: tuple[str, ...] = ()
    """Those that have not succeeded, and have one."""
    misattributed: tuple[str, ...] = ()
    """Jobs whose record has the success of another attempt than their last, or more than one."""
    refused: int = 0
    """Executions that came to their end in a living, or thawed, process when their job was another attempt's."""


def check(
    records: Sequence[Record],
    tables: Tables,
    effects: Mapping[str, Sequence[int]] | None = None,
    promises: Promises = Promises(),
    *,
    notice: float = 0.0,
    tolerance: float = 0.0,
) -> Report:
    """Compare *records*, in the order of time, with the database, and with the *effects* of its jobs.

    *notice*: seconds that a process gets, once thawed, to notice what it has lost. *tolerance*: seconds by which two
    executions may seem to overlap because the death of the first was seen late.
    """
    case = _Case(records, tables, promises, notice)
    jobs, written = case.jobs, effects or {}
    return Report(
        accepted=len(case.accepted),
        unknown=case.unknown,
        completed=len(case.accepted & case.ended),
        executions=case.answers["started"],
        lost=tuple(sorted(case.accepted - case.ended)),
        uninvited=max(len((case.ended | case.hot) - case.accepted) - case.unknown, 0),
        in_both=tuple(sorted(case.ended & case.hot)),
        twice=case.twice,
        effects_twice=_repeated(record.job for record in records if record.kind == "effect"),
        stale=tuple(job for job, runs in jobs.items() if _stale(runs, case.windows)),
        misnumbered=tuple(row.job for row in case.all if not _well_numbered(row, jobs.get(row.job, []), case.windows)),
        overlaps=tuple(ms for runs in jobs.values() for ms in _overlaps(runs, case.windows) if ms > tolerance * 1000),
        recoveries=tuple(recovery for runs in jobs.values() for recovery in case.recoveries(runs)),
        unexplained=tuple(job for job in case.twice if not case.explained(job)),
        foreign=tuple(row.job for row in case.done if row.result != str(row.token).encode()),
        reset=tuple(job for job in jobs if case.reset(job)),
        unrun=tuple(row.job for row in case.done if not _done(jobs.get(row.job, []))),
        effects_doubled=tuple(sorted(job for job, tokens in written.items() if len(tokens) > 1)),
        effects_missing=tuple(job for job in case.transactional(succeeded=True) if job not in written),
        effects_uncalled=tuple(job for job in case.transactional(succeeded=False) if job in written),
        misattributed=tuple(row.job for row in case.all if row.successes not in {(), (row.attempt,)}),
        refused=sum(case.refused(run) for runs in jobs.values() for run in runs),
    )


class _Case:
    """What there is to compare, by jobs."""

    def __init__(self, records: Sequence[Record], tables: Tables, promises: Promises, notice: float) -> None:
        self._promises = promises
        self.answers = Counter(record.kind for record in records)
        self.accepted = {record.job for record in records if record.kind == "accepted"}
        self.unknown = self.answers["asked"] - self.answers["accepted"] - self.answers["refused"]
        self.windows = _windows(records, notice)
        self._wall = median(record.wall - record.at for record in records) if records else 0.0
        self._gone: defaultdict[int, list[float]] = defaultdict(list)  # one number may be that of several processes
        for record in records:
            if record.kind == "gone":
                self._gone[record.pid].append(record.at)
        self.hot, self.ended = {row.job for row in tables.hot}, {row.job for row in tables.past}
        self.all = (*tables.hot, *tables.past)
        self._rows = {row.job: row for row in self.all}
        self.jobs: defaultdict[str, list[Run]] = defaultdict(list)
        for run in sorted(runs_of(records), key=lambda run: run.start):
            self.jobs[run.job].append(run)
        self.twice = tuple(sorted(job for job, runs in self.jobs.items() if len(_done(runs)) > 1))
        self.done = [row for row in tables.past if row.state == "succeeded" and row.task in promises.tokens]

    def transactional(self, *, succeeded: bool) -> list[str]:
        """The jobs whose effect is to be there, or not."""
        rows = [row for row in self.all if row.task in self._promises.effects]
        return [row.job for row in rows if (row.state == "succeeded") == succeeded]

    def explained(self, job: str) -> bool:
        """Whether it ran to its end more than once for a reason.

        Of one whose end is part of its transaction the effect tells: the commit may have been lost.
        """
        done = _done(self.jobs[job])
        row = self._rows.get(job)
        transactional = row is not None and row.task in self._promises.effects
        return transactional or all(map(self._lost, done[:-1], done[1:]))

    def _lost(self, run: Run, after: Run) -> bool:
        """Whether its job had to be run again, as it was *after* it, although it came to its end.

        Whoever was cut off from the store, by a network or by the death of his runner, has had it taken from him, and
        the record says so. A job that is given back leaves no trace: only a process that ends does that to one that
        it has run to its end, and is gone soon after.
        """
        if run.job in self._rows and run.attempt in self._rows[run.job].taken:
            return True
        last = run.end + SETTLING
        return self._died(run) <= min(last, after.start + SEEN) or any(
            begin < min(last, after.start) and end >= run.start for begin, end in self.windows.get(run.pid, ())
        )

    def _died(self, run: Run) -> float:
        """When its process did, which lived when it ended."""
        return min((at for at in self._gone[run.pid] if at >= run.end), default=float("inf"))

    def refused(self, run: Run) -> bool:
        """Whether its outcome must have been refused."""
        moved = run.job in self._rows and self._rows[run.job].token != run.token
        thawed = any(run.start < begin < run.end for begin, _ in self.windows.get(run.pid, ()))
        heard = thawed or self._died(run) > run.end + SETTLING
        return run.how == "ended" and moved and heard

    def recoveries(self, runs: Sequence[Run]) -> Iterator[Recovery]:
        """Of one job."""
        for before, after in pairwise(runs):
            windows = self.windows.get(before.pid, ())
            since = next((begin for begin, _ in windows if before.start <= begin <= before.end), None)
            if since is None and before.how == "gone":
                since = before.end
            if since is not None and after.start > since:
                taken = self._taken_at(before)  # a death may be seen later than it was
                given = taken is None or taken > after.start  # what was taken back is a later one of the same number
                freed = None if given or taken is None else max(taken - since, 0.0)
                yield Recovery(since, freed, after.start - since)

    def _taken_at(self, run: Run) -> float | None:
        """When it was taken back, on the clock of the records, if it was."""
        row = self._rows.get(run.job)
        return row.taken[run.attempt] - self._wall if row and run.attempt in row.taken else None

    def reset(self, job: str) -> bool:
        """Whether its token went back."""
        return job in self._rows and self._rows[job].token < max(run.token for run in self.jobs[job])


def _windows(records: Sequence[Record], notice: float) -> Windows:
    """When each process was frozen, and *notice* seconds more."""
    found: defaultdict[int, list[tuple[float, float]]] = defaultdict(list)
    for record in records:
        if record.kind == "stopped":
            found[record.pid].append((record.at, float("inf")))
        elif record.kind == "resumed" and found.get(record.pid):
            found[record.pid][-1] = (found[record.pid][-1][0], record.at + notice)
    return found


def _frozen(pid: int, at: float, windows: Windows) -> bool:
    return any(begin <= at <= end for begin, end in windows.get(pid, ()))


def _done(runs: Iterable[Run]) -> list[Run]:
    return [run for run in runs if run.how == "ended"]


def _repeated(jobs: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(job for job, count in Counter(jobs).items() if count > 1))


def _in_order(runs: Sequence[Run], windows: Windows) -> list[Run]:
    """Without those that were about to start when they were frozen: they start late, and their end is refused."""
    return [run for run in runs if not _frozen(run.pid, run.start, windows)]


def _stale(runs: Sequence[Run], windows: Windows) -> bool:
    return any(after.token <= before.token for before, after in pairwise(_in_order(runs, windows)))


def _well_numbered(row: Row, runs: Sequence[Run], windows: Windows) -> bool:
    """A claim that its worker died of spends an attempt, and may never have started: the record has it then.

    One that was given back does not: the attempt of that number is still to come.
    """
    last = row.attempt - (row.state in _UNRECORDED)
    numbers = [run.attempt for run in _in_order(runs, windows)]
    whole = [tuple(range(1, last + 1))]
    if row.state == "cancelled":
        whole.append(tuple(range(1, row.attempt + 1)))
    return (
        row.attempt <= row.max_attempts
        and row.numbers in whole
        and numbers == sorted(numbers)
        and all(number <= row.attempt + (row.state == "waiting") for number in numbers)
        and (row.state != "succeeded" or row.attempt in [run.attempt for run in runs])
    )


def _overlaps(runs: Sequence[Run], windows: Windows) -> Iterator[float]:
    """Milliseconds, without those in which either was frozen."""
    for before, after in pairwise(runs):
        begin, end = after.start, min(before.end, after.end)
        frozen = sorted([*windows.get(before.pid, ()), *windows.get(after.pid, ())])
        both = 0.0
        for start, stop in [*frozen, (float("inf"), float("inf"))]:
            both += max(min(start, end) - begin, 0.0)
            begin = max(begin, stop)
        if both > 0:
            yield both * 1000


def violations(report: Report) -> list[str]:
    """What breaks an invariant, each in a line with the first jobs that it is about."""
    told = (
        ("I1", "accepted, and without an outcome", report.lost),
        ("I1", "in both tables", report.in_both),
        ("I1", "succeeded, and never ran to the end", report.unrun),
        ("I2", "transactional, with more than one effect", report.effects_doubled),
        ("I2", "transactional and succeeded, without an effect", report.effects_missing),
        ("I2", "transactional and not succeeded, with an effect", report.effects_uncalled),
        ("I3", "ran to the end twice, and no worker was lost", report.unexplained),
        ("I4", "ended by an attempt that had lost them", report.foreign),
        ("I5", "started with a token that is not the highest", report.stale),
        ("I5", "whose token went back", report.reset),
        ("I12", "whose attempts are miscounted", report.misnumbered),
        ("I12", "recorded as the success of another attempt", report.misattributed),
    )
    lines = [f"{name}: {many(len(jobs))} {what}: {_named(jobs)}" for name, what, jobs in told if jobs]
    if report.uninvited:
        lines.append(f"I1: {many(report.uninvited)} that nobody enqueued")
    if report.overlaps:
        worst = max(report.overlaps)
        lines.append(f"I4: {len(report.overlaps)} times two executions of a job at once, up to {worst:.0f} ms")
    return lines


def many(count: int) -> str:
    """So many jobs."""
    return "1 job" if count == 1 else f"{count:,} jobs"


def _named(jobs: Sequence[str]) -> str:
    return ", ".join(jobs[:SHOWN]) + (", ..." if len(jobs) > SHOWN else "")
