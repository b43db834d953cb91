"""Figures: what a run gave, what it could not tell and why, and what several runs come to."""

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

STANDARD: Final = (
    "jobs",
    "seconds",
    "jobs_per_second",
    "p50_ms",
    "p95_ms",
    "p99_ms",
    "max_ms",
    "worker_cpu_us_per_job",
    "server_cpu_us_per_job",
    "wal_bytes_per_job",
    "transactions_per_job",
    "fsyncs_per_job",
    "dead_tuples_per_job",
    "history_rows",
)
"""What every measure of jobs says, or says why it cannot; programs may count on these names."""
SHARES: Final = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99, "max_ms": 1.0}

DIGITS: Final = 3

Sample = Mapping[str, float]
"""What was seen in one slice of time; ``at`` is its end, in seconds since the start."""


@dataclass(frozen=True)
class Run:
    """One run of one measure: a figure is in ``values``, or ``missing`` says why it is not."""

    values: dict[str, float]
    missing: dict[str, str] = field(default_factory=dict[str, str])
    series: Sequence[Sample] = ()

    def figures(self) -> dict[str, float | None]:
        """All figures, the missing ones as ``None``."""
        known: dict[str, float | None] = {**self.values}
        return known | dict.fromkeys(self.missing)


@dataclass(frozen=True)
class Result:
    """Several runs of one measure."""

    runs: Sequence[Run]

    @property
    def names(self) -> Sequence[str]:
        """The figures that any run has, or misses; those that all measures have come first."""
        names = dict.fromkeys(name for run in self.runs for name in run.figures())
        return [name for name in STANDARD if name in names] + [name for name in names if name not in STANDARD]

    @property
    def missing(self) -> dict[str, str]:
        """Why figures are not known, of those that not every run has."""
        return {name: why for run in self.runs for name, why in run.missing.items()}

    def over(self, name: str) -> Sequence[float]:
        """The figure of each run, lowest first; nothing unless all runs have it."""
        if name in self.missing:
            return []
        return sorted(run.values[name] for run in self.runs if name in run.values)

    def median(self, name: str) -> float | None:
        """The middle one; ``None`` when it is not known."""
        over = self.over(name)
        return statistics.median(over) if over else None

    def as_json(self) -> dict[str, object]:
        """For programs; see docs/how-to/bench.md."""
        over = {name: self.over(name) for name in self.names}
        return {
            "runs": len(self.runs),
            "median": {name: rounded(self.median(name)) for name in over},
            "lowest": {name: rounded(values[0] if values else None) for name, values in over.items()},
            "highest": {name: rounded(values[-1] if values else None) for name, values in over.items()},
            "not_measured": self.missing,
            "each": [_run_json(run) for run in self.runs],
        }


def _run_json(run: Run) -> dict[str, object]:
    figures = {name: rounded(value) for name, value in run.figures().items()}
    return {"figures": figures, "series": [{k: rounded(v) for k, v in sample.items()} for sample in run.series]}


def rounded(value: float | None) -> float | None:
    """Six figures are more than any measure is good for; whole numbers stay whole."""
    if value is None or value == int(value):
        return None if value is None else int(value)
    return float(f"{value:.6g}")


def quantile(ascending: Sequence[float], share: float) -> float:
    """The least of the *ascending* values that *share* of them do not exceed; there must be one."""
    return ascending[max(math.ceil(share * len(ascending)) - 1, 0)]


class Waits:
    """Times, kept as counts of values of three digits: millions of them take no more room than some thousands."""

    def __init__(self) -> None:
        """None yet."""
        self._counts: Counter[int] = Counter()

    def __len__(self) -> int:
        """How many there are."""
        return self._counts.total()

    def add(self, microseconds: int) -> None:
        """One more."""
        spare = len(str(microseconds)) - DIGITS
        self._counts[microseconds if spare <= 0 else round(microseconds, -spare)] += 1

    def merge(self, other: "Waits") -> None:
        """All of *other*."""
        self._counts.update(other._counts)  # noqa: SLF001 - its own kind

    def percentiles(self) -> dict[str, float]:
        """``p50_ms`` to ``max_ms``; nothing of nothing."""
        found: dict[str, float] = {}
        wanted = {name: max(math.ceil(share * len(self)), 1) for name, share in SHARES.items()}
        seen = 0
        for value in sorted(self._counts):
            seen += self._counts[value]
            found |= {name: value / 1_000 for name, place in wanted.items() if name not in found and seen >= place}
        return found


def percentiles(milliseconds: Sequence[float]) -> dict[str, float]:
    """The same, exactly."""
    ascending = sorted(milliseconds)
    return {name: quantile(ascending, share) for name, share in SHARES.items()} if ascending else {}


def completed(values: Mapping[str, float], missing: Mapping[str, str], otherwise: str) -> Run:
    """A run with all of ``STANDARD``; what neither has a value nor a reason is missing because of *otherwise*."""
    reasons = {name: missing.get(name, otherwise) for name in STANDARD if name not in values}
    extra = {name: why for name, why in missing.items() if name not in values}
    return Run(dict(values), reasons | extra)
