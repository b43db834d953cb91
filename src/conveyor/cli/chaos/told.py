"""What a run came to, for people and for programs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from conveyor.cli.bench.figures import quantile
from conveyor.cli.chaos.scenarios import Scenario
from conveyor.cli.chaos.site import Found
from conveyor.cli.output import say, table

HEAD: Final = ("SCENARIO", "OUTCOME", "FAULTS", "ACCEPTED", "LOST", "DOUBLED", "REFUSED", "P50", "P99", "MAX")
SHARES: Final = {"p50": 0.5, "p99": 0.99, "max": 1.0}


def tell(about: Mapping[str, object], results: Mapping[Scenario, Found | str]) -> None:
    """A table; below it what was wrong, and what is worth to be known."""
    say(f"conveyor {about['conveyor']}  python {about['python']}  {about['cores']} cores  {about['at']}")
    say(f"{about['store']}  seed={about['seed']}")
    say()
    table(HEAD, [row(scenario.name, found) for scenario, found in results.items()])
    say()
    for scenario, found in results.items():
        if isinstance(found, str):
            say(f"{scenario.name} not run: {found}")
            continue
        for line in found.violations:
            say(f"{scenario.name} VIOLATED {line}")
        say("\n    ".join([f"{scenario.name} {scenario.summary}", *found.notes]))


def row(name: str, found: Found | str) -> Sequence[str]:
    """One scenario; what was not run has no figures, and above all no good ones."""
    if isinstance(found, str) or found.report is None:
        return (name, "not run" if isinstance(found, str) else "FAILED", *("-" for _ in HEAD[2:]))
    figures = as_json(found)
    times = [f"{value:.2f} s" if isinstance(value := figures[f"recovery_{share}"], float) else "-" for share in SHARES]
    counts = [f"{figures[key]:,}" for key in ("faults", "accepted", "lost", "doubled_effects", "refused_stale_writes")]
    return (name, "VIOLATED" if found.violations else "ok", *counts, *times)


def as_json(found: Found | str) -> Mapping[str, object]:
    """For programs."""
    if isinstance(found, str):
        return {"outcome": "not run", "why": found}
    if found.report is None:
        return {"outcome": "failed", "violations": found.violations}
    report = found.report
    times = sorted(recovery.freed for recovery in report.recoveries if recovery.freed is not None)
    again = sorted(recovery.started for recovery in report.recoveries)
    return {
        "outcome": "violated" if found.violations else "ok",
        "seconds": round(found.seconds, 1),
        "faults": found.faults,
        "accepted": report.accepted,
        "indeterminate": report.unknown,
        "lost": len(report.lost),
        "executions": report.executions,
        "doubled_executions": len(report.twice),
        "doubled_effects": len(report.effects_doubled),
        "refused_stale_writes": report.refused,
        "overlaps": len(report.overlaps),
        "overlap_ms": round(max(report.overlaps, default=0)),
        "recoveries": len(again),
        **{f"recovery_{name}": round(quantile(times, share), 3) if times else None for name, share in SHARES.items()},
        **{f"restart_{name}": round(quantile(again, share), 3) if again else None for name, share in SHARES.items()},
        "violations": found.violations,
        "notes": found.notes,
        **({"series": found.series} if found.series else {}),
    }


def tell_list(scenarios: Iterable[Scenario], url: str) -> None:
    """What there is, and why some of it cannot be run on the store at *url*."""
    table(("SCENARIO", "SUMMARY", "NOT RUN"), [(s.name, s.summary, s.why_not(url)) for s in scenarios])
