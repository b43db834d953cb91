"""The figures for people."""

from collections.abc import Mapping
from typing import Final, cast

from conveyor.cli.bench.figures import Result
from conveyor.cli.output import say, table

UNITS: Final = {
    "_per_second": "/s",
    "_us_per_job": "us",
    "_bytes_per_job": "B",
    "_per_job": "",
    "_bytes_per_job_with_enqueue": "B",
    "_bytes": "B",
    "_ms": "ms",
    "_seconds": "s",
}
"""Of figures, by how their names end; the longest end counts."""
SHARES: Final = ("drift_", "times_", "ratio_", "share_")
"""Figures that are multiples of others."""
TEN, THOUSAND = 10, 1_000


def tell(about: Mapping[str, object], results: Mapping[str, Result]) -> None:
    """Where it was measured, and for each measure its figures, then what could not be measured."""
    store = cast(Mapping[str, object], about["store"])
    settings = cast(Mapping[str, str], store["settings"])
    say(f"{store['kind']} {store['version']}  " + "  ".join(f"{name}={value}" for name, value in settings.items()))
    say(f"conveyor {about['conveyor']}  python {about['python']}  {about['cores']} cores  {about['at']}")
    for name, result in results.items():
        _tell(name, result)


def _tell(name: str, result: Result) -> None:
    say()
    many = f", median of {len(result.runs)} runs" if len(result.runs) > 1 else ""
    say(f"{name}{many}")
    known = [figure for figure in result.names if figure not in result.missing]
    if many:
        table(("", "MEDIAN", "LOWEST", "HIGHEST"), [_row(result, figure) for figure in known])
    else:
        table(("", ""), [_row(result, figure)[:2] for figure in known])
    reasons: dict[str, list[str]] = {}
    for figure, why in result.missing.items():
        reasons.setdefault(why, []).append(figure)
    for why, figures in reasons.items():
        say(f"not measured: {why} ({', '.join(figures)})")


def _row(result: Result, name: str) -> tuple[str, str, str, str]:
    over = result.over(name)
    median, lowest, highest = (shown(name, value) for value in (result.median(name), over[0], over[-1]))
    return name, median, lowest, highest


def shown(name: str, value: float | None) -> str:
    """A figure as people read it, with its unit."""
    if value is None:
        return "not measured"
    digits = 0 if abs(value) >= THOUSAND or value == int(value) else 1 if abs(value) >= TEN else 3
    return f"{value:,.{digits}f} {unit(name)}".rstrip()


def unit(name: str) -> str:
    """The unit of a figure."""
    if name.startswith(SHARES):
        return "x"
    ends = [end for end in UNITS if name.endswith(end)]
    return UNITS[max(ends, key=len)] if ends else ""
