"""The demo's report: one HTML page about one run, complete without a network and without a script."""

import hashlib
import math
import os
import platform
import re
from base64 import b64encode
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, takewhile

from conveyor.cli.demo import charts
from conveyor.cli.demo.charts import Html, join, moment, runtime, tag

_RANKED = 15
_TASKS = 12
_TROUBLES = 40
_ERRORS = 6
_TILES = 36
_BINS = 90
_ROUND = (0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200)
_FAILED = ("failed", "quarantined")
_FINAL = ("succeeded", "cancelled", *_FAILED)


@dataclass(frozen=True, slots=True)
class Measures:
    """What one file holds: *depth* is its deepest nesting of blocks, *size* is in bytes."""

    lines: int
    code_lines: int
    functions: int
    classes: int
    depth: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job as the run left it.

    *path* is relative to the folder, with ``/``; *errors* has one line per failed attempt, oldest first;
    *run_seconds* is the run time of the last attempt; *measures* is missing unless the file was measured.
    """

    task: str
    path: str
    state: str
    attempt: int
    enqueued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    run_seconds: float | None
    measures: Measures | None
    errors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Totals:
    """Jobs counted by outcome; *retried* ones are among the others too, *lost* must be 0."""

    enqueued: int
    succeeded: int
    retried: int
    failed: int
    lost: int


@dataclass(frozen=True, slots=True)
class Run:
    """One demo run; *resumed* says that it took up the jobs of one that was cut short."""

    name: str
    folder: str
    store: str
    started_at: datetime
    finished_at: datetime
    resumed: bool
    totals: Totals
    jobs: Sequence[JobRow]


def render(run: Run) -> str:
    """Write the whole page; it loads nothing, and its size hardly grows with the number of jobs."""
    digest = b64encode(hashlib.sha256(charts.SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    title = tag("title", f"{run.name}: {_many(run.totals.enqueued, 'job')}")
    body = tag(
        "body",
        tag("main", *_sections(run)),
        tag("div", id="tip", hidden=""),
        tag("script", Html(charts.SCRIPT)),
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"{title}<style>{charts.STYLE}{_STYLE}</style></head>{body}</html>\n"
    )


def _sections(run: Run) -> Iterator[Html]:
    timed = [(seconds, job) for job in run.jobs if (seconds := _time(job)) is not None]
    timed.sort(key=lambda pair: pair[0])
    measured = [(job, job.measures) for job in run.jobs if job.measures is not None]
    yield _masthead(run)
    yield _headline_tiles(run)
    yield _throughput(run)
    yield tag("div", _biggest(measured), _slowest(timed), class_="pair")
    yield tag("div", _per_task(timed), _run_times([seconds for seconds, _ in timed]), class_="pair")
    yield _packages(measured)
    yield _troubles(run.jobs)
    yield _footer(run)


def _time(job: JobRow) -> float | None:
    seconds = job.run_seconds
    return seconds if seconds is not None and math.isfinite(seconds) and seconds >= 0 else None


def _lasted(run: Run) -> float:
    seconds = max(0.0, (run.finished_at - run.started_at).total_seconds())
    return round(seconds, 1) or seconds


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _first(shown: int, count: int) -> str:
    return f"the first {shown:,} of {count:,}" if shown < count else f"{count:,} in all"


def _card(title: str, note: str, body: Html) -> Html:
    return tag("section", tag("header", tag("h2", title), tag("p", note)), body, class_="card")


def _masthead(run: Run) -> Html:
    totals, headline = run.totals, "No job was enqueued."
    if totals.lost:
        headline = f"{totals.lost:,} of {_many(totals.enqueued, 'job')} lost."
    elif totals.enqueued:
        failed = f"{totals.failed:,} failed, " if totals.failed else ""
        headline = f"{_many(totals.enqueued, 'job')} in {moment(_lasted(run))}, {failed}none lost."
    badge = tag("span", "resumed", class_="badge", title="It took up the jobs of a run that was cut short.")
    brand = tag("p", _LOGO, tag("span", run.name), badge if run.resumed else Html(), class_="brand")
    folder = tag("p", "One job per Python file of ", tag("code", run.folder), class_="lead")
    return tag("header", brand, tag("h1", headline), folder)


def _headline_tiles(run: Run) -> Html:
    totals, seconds = run.totals, _lasted(run)
    waiting = sum(job.state not in _FINAL for job in run.jobs)
    pace = f"{(totals.succeeded + totals.failed) / seconds:,.1f} a second" if seconds else "at once"
    notes = {
        "enqueued": f"{waiting:,} not finished" if waiting else pace,
        "succeeded": _share(totals.succeeded, totals.enqueued),
        "retried": "more than one attempt" if totals.retried else "all at the first attempt",
        "failed": _share(totals.failed, totals.enqueued),
        "lost": "without an outcome" if totals.lost else "every job accounted for",
    }
    counts = (totals.enqueued, totals.succeeded, totals.retried, totals.failed, totals.lost)
    tiles: list[Html] = []
    for (name, note), count in zip(notes.items(), counts, strict=True):
        filled = tag("rect", width=charts.percent(min(1, count / (totals.enqueued or 1))), height=4, rx=2)
        figure = tag("b", f"{count:,}", class_="" if count else "zero")
        drawing = tag("svg", filled, height=4, aria_hidden="true")
        tiles.append(tag("li", tag("span", name), figure, tag("small", note), drawing, class_=f"of-{name}"))
    return tag("ul", *tiles, class_="tiles")


def _share(count: int, whole: int) -> str:
    if not count or not whole:
        return "none"
    return "all" if count == whole else f"{min(99.9, max(0.1, 100 * count / whole)):.1f} % of all"


def _throughput(run: Run) -> Html:
    done = [(job, job.finished_at) for job in run.jobs if job.finished_at is not None]
    if not done:
        return _card("Throughput", "No job has finished.", Html())
    first = min(run.started_at, *(at for _, at in done))
    offsets = [(job, (at - first).total_seconds()) for job, at in done]
    span = max(0.5, *(offset for _, offset in offsets))
    width = _round(span, _BINS)
    bins = _bins(offsets, width, math.floor(span / width + 1e-9) + 1)
    whole = width * len(bins)
    mark = _round(whole, 6)
    ticks = [(i * mark / whole, moment(i * mark)) for i in range(math.floor(whole / mark + 1e-9) + 1)]
    peak = max(slot.finished for slot in bins) / width
    note = f"Jobs finished per {moment(width)}; at the peak {peak:,.0f} a second"
    return _card("Throughput", note, charts.area(bins, ticks, note))


def _round(whole: float, most: int) -> float:
    return next((span for span in _ROUND if whole / span <= most), whole / most)


def _bins(offsets: Sequence[tuple[JobRow, float]], width: float, count: int) -> list[charts.Bin]:
    slots: list[list[JobRow]] = [[] for _ in range(count)]
    for job, offset in offsets:
        slots[min(count - 1, int(offset / width))].append(job)
    bins: list[charts.Bin] = []
    for i, jobs in enumerate(slots):
        retried, failed = sum(job.attempt > 1 for job in jobs), sum(job.state in _FAILED for job in jobs)
        tip = f"{moment(i * width)} to {moment((i + 1) * width)}\n{len(jobs):,} finished"
        tip += f"\n{retried:,} after a retry" if retried else ""
        bins.append(charts.Bin(len(jobs), retried, failed, tip + (f"\n{failed:,} failed" if failed else "")))
    return bins


def _biggest(measured: Sequence[tuple[JobRow, Measures]]) -> Html:
    top = sorted(measured, key=lambda pair: (-pair[1].lines, pair[0].path))[:_RANKED]
    rows = [charts.Bar(job.path, m.lines, f"{m.lines:,}", _describe(job)) for job, m in top]
    note = f"Lines per file, {_first(len(top), len(measured))}" if top else "No file has been measured."
    return _card("Biggest modules", note, charts.bars(rows, "by-size"))


def _slowest(timed: Sequence[tuple[float, JobRow]]) -> Html:
    top = timed[: -_RANKED - 1 : -1]
    rows = [charts.Bar(job.path, time, f"{time * 1e3:,.{int(time < 1)}f}", _describe(job)) for time, job in top]
    note = f"Run time of the last attempt in ms, {_first(len(top), len(timed))}" if top else "No job has run."
    return _card("Slowest files", note, charts.bars(rows, "by-time"))


def _describe(job: JobRow) -> str:
    told, seconds, m = [charts.clean(job.path, 200)], _time(job), job.measures
    if m is not None:
        told.append(f"{_many(m.lines, 'line')}, {m.code_lines:,} of them code, {m.size / 1e3:,.1f} kB")
        told.append(f"{_many(m.functions, 'function')}, {m.classes:,} classes, nested {m.depth} deep")
    if seconds is not None:
        told.append(f"{runtime(seconds)}, attempt {job.attempt}, {job.state}")
    return "\n".join(told)


def _per_task(timed: Sequence[tuple[float, JobRow]]) -> Html:
    tasks: defaultdict[str, list[float]] = defaultdict(list)
    for seconds, job in timed:
        tasks[job.task].append(seconds)
    top = dict(sorted(tasks.items(), key=lambda pair: (-len(pair[1]), pair[0]))[:_TASKS])
    note = f"Median (dot), p95 (ring) and longest, logarithmic; {_first(len(top), len(tasks))}"
    return _card("Run time per task", note if top else "No job has run.", charts.ranges(top))


def _run_times(times: Sequence[float]) -> Html:
    if not times:
        return _card("Spread of run times", "No job has run.", Html())
    note = f"Jobs by run time, logarithmic; together {runtime(math.fsum(times))} of work"
    return _card("Spread of run times", note, charts.histogram(times, note))


def _packages(measured: Sequence[tuple[JobRow, Measures]]) -> Html:
    files = [(job.path.split("/"), m) for job, m in measured]
    shared = _shared([parts[:-1] for parts, _ in files])
    packages: defaultdict[str, list[Measures]] = defaultdict(list)
    for parts, measures in files:
        packages[parts[shared] if len(parts) > shared + 1 else "single modules"].append(measures)
    tiles = sorted((_tile(name, held) for name, held in packages.items()), key=lambda tile: -tile.size)
    kept = {tile.label for tile in tiles[:_TILES]}
    rest = [m for name, held in packages.items() if name not in kept for m in held]
    if rest:
        tiles[_TILES:] = [_tile(f"{len(tiles) - _TILES:,} more", rest)]
    tiles = sorted((tile for tile in tiles if tile.size > 0), key=lambda tile: -tile.size)
    if not tiles:
        return _card("The folder", "No file with a line in it has been measured.", Html())
    maps = (charts.treemap(tiles, 2.6, "wide"), charts.treemap(tiles, 0.62, "tall"))
    note = "Lines by top-level package; the deeper the tint, the longer its files"
    return _card("The folder", note, join([_figures([m for _, m in measured]), *maps]))


def _shared(folders: Sequence[Sequence[str]]) -> int:
    same = takewhile(lambda names: len(set(names)) == 1, zip(*folders, strict=False))
    return sum(1 for _ in same)


def _tile(name: str, held: Sequence[Measures]) -> charts.Tile:
    lines = sum(m.lines for m in held)
    mean = lines / len(held)
    tip = f"{_many(lines, 'line')} in {_many(len(held), 'file')}\n{mean:,.0f} lines a file"
    return charts.Tile(name, lines, min(1.0, mean / 1200), f"{charts.clean(name, 200)}\n{tip}")


def _figures(held: Sequence[Measures]) -> Html:
    rows = {
        "files": f"{len(held):,}",
        "lines": f"{sum(m.lines for m in held):,}",
        "lines of code": f"{sum(m.code_lines for m in held):,}",
        "functions": f"{sum(m.functions for m in held):,}",
        "classes": f"{sum(m.classes for m in held):,}",
        "deepest nesting": f"{max(m.depth for m in held):,}",
        "kilobytes": f"{sum(m.size for m in held) / 1e3:,.0f}",
        "copies of another": f"{len(held) - len(Counter(m.sha256 for m in held)):,}",
    }
    return _pairs(rows, "figures")


def _pairs(rows: dict[str, str], kind: str) -> Html:
    pairs = (tag("div", tag("dt", name), tag("dd", value)) for name, value in rows.items())
    return tag("dl", *pairs, class_=kind)


def _troubles(jobs: Sequence[JobRow]) -> Html:
    found = [job for job in jobs if job.attempt > 1 or job.errors or job.state in _FAILED]
    if not found:
        return _card("Retries and failures", "No job needed a second attempt, and none failed.", Html())
    found.sort(key=lambda job: (job.state not in _FAILED, -job.attempt, job.path))
    names = ("file", "attempts", "outcome", "run time", "what went wrong, by attempt")
    head = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in names)))
    table = tag("table", head, tag("tbody", *(_trouble(job) for job in found[:_TROUBLES])))
    note = f"Jobs that needed a second attempt, or failed: {_first(min(_TROUBLES, len(found)), len(found))}"
    return _card("Retries and failures", note, table)


def _trouble(job: JobRow) -> Html:
    seconds, lines, attempt = _time(job), list[Html](), 1
    for error, same in groupby(job.errors[:_ERRORS]):
        last = attempt + len(list(same)) - 1
        lines.append(tag("li", tag("i", str(attempt) if last == attempt else f"{attempt}\u2013{last}"), error))
        attempt = last + 1
    if len(job.errors) > _ERRORS:
        lines.append(tag("li", tag("i", "+"), f"{len(job.errors) - _ERRORS:,} more"))
    tone = "failed" if job.state in _FAILED else job.state
    return tag(
        "tr",
        tag("td", charts.path_label(job.path), tag("small", job.task), title=job.path),
        tag("td", f"{job.attempt:,}", class_="attempts"),
        tag("td", tag("span", job.state, class_=f"state {tone}")),
        tag("td", runtime(seconds) if seconds is not None else "\u2013", data_v=round((seconds or 0) * 1e6)),
        tag("td", tag("ol", *lines) if lines else "no error was kept", class_="errors"),
    )


def _footer(run: Run) -> Html:
    # A store is often a URL, and a report is made to be shown around: its password stays here.
    store = re.sub(r"(://[^:/@\s]*):.*@", r"\1:***@", run.store)
    rows = {
        "store": re.sub(r"(?i)(passw(?:or)?d=)[^&\s]+", r"\1***", store),
        "Python": f"{platform.python_version()}, {platform.system()} {platform.machine()}",
        "machine": _many(os.cpu_count() or 1, "core"),
        "duration": moment(_lasted(run)),
        "date": f"{run.started_at:%Y-%m-%d %H:%M:%S %Z}".strip(),
    }
    return tag("footer", _pairs(rows, "facts"))


_LOGO = Html(
    '<svg height="22" aria-hidden="true"><path class="box" d="M5 1h6v8h-6zM15 1h6v8h-6z"></path>'
    '<rect x="1" y="12" width="32" height="9" rx="4.5"></rect><circle cx="6" cy="16.5" r="1.7"></circle>'
    '<circle cx="17" cy="16.5" r="1.7"></circle><circle cx="28" cy="16.5" r="1.7"></circle></svg>'
)

_STYLE = """
*{box-sizing:border-box;margin:0;padding:0}ol,ul{list-style:none}
body{background:var(--page);color:var(--ink);font:15px/1.5 system-ui,"Segoe UI",Roboto,sans-serif}
main{max-width:1280px;margin:auto;padding:40px 32px;display:grid;grid-template-columns:minmax(0,1fr);
gap:20px}code{font:.92em ui-monospace,Menlo,Consolas,monospace}
code,h1,dd,td,.brand,#tip{overflow-wrap:anywhere}
h1{font-size:clamp(1.8rem,4.4vw,3rem);line-height:1.12;letter-spacing:-.025em;margin:14px 0 8px}
h2{font-size:1.08rem}small,dt,.lead,.card header p{color:var(--soft)}
.card header p,table,.facts{font-size:.88rem}
.brand{display:flex;align-items:center;gap:10px;font-weight:600}
.brand svg{flex:none;width:34px;fill:var(--ink)}.brand .box{fill:var(--retry)}
.brand circle{fill:var(--page)}
.badge{flex:none;font-size:.78rem;padding:1px 9px;border:1px solid;color:var(--retry);border-radius:99px}
.card,.tiles li{background:var(--card);border:1px solid var(--rule);border-radius:14px;min-width:0}
.card{padding:22px 24px}.card header:not(:last-child){margin-bottom:16px}
.pair,.tiles{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:20px}
.tiles{grid-template-columns:repeat(5,minmax(0,1fr));gap:12px}.tiles li{padding:14px 18px 16px;display:grid}
.tiles b{font-size:clamp(1.6rem,3vw,2.3rem);line-height:1.2;color:var(--tone)}.tiles rect{fill:var(--tone)}
.tiles li{grid-template-rows:auto auto 1fr auto}.tiles span{font-size:.88rem;font-weight:600}
.tiles svg{margin-top:10px;border-radius:2px;background:var(--rule)}.of-enqueued{--tone:var(--ink)}
.of-succeeded{--tone:var(--good)}.of-retried{--tone:var(--retry)}.of-failed,.of-lost{--tone:var(--fail)}
.tiles .zero{color:var(--soft)}.tiles .of-lost .zero{color:var(--good)}
.figures{display:grid;grid-template-columns:repeat(8,auto);justify-content:space-between;gap:8px 16px}
.figures{margin-bottom:18px}.figures dt{font-size:.82rem}.figures dd{font-size:1.15rem;font-weight:600}
.facts{display:flex;flex-wrap:wrap;gap:10px 36px;padding:6px 2px}small{display:block}i{font-style:normal}
table{width:100%;border-collapse:collapse;table-layout:fixed;font-variant-numeric:tabular-nums}
th{text-align:left;color:var(--soft);font-weight:500;padding:0 12px 6px 0}th[aria-sort]{color:var(--ink)}
td{vertical-align:top;padding:9px 12px 9px 0;border-top:1px solid var(--rule)}th[tabindex]{cursor:pointer}
th:nth-child(1){width:30%}th:nth-child(2){width:9%}th:nth-child(3),th:nth-child(4){width:11%}
th[aria-sort=ascending]::after{content:" \\2191"}th[aria-sort=descending]::after{content:" \\2193"}
.state::before{content:"";display:inline-block;width:8px;height:8px;border-radius:9px;margin-right:7px;
background:var(--tone,var(--soft))}.failed{--tone:var(--fail)}.succeeded{--tone:var(--good)}
.retryable{--tone:var(--retry)}.errors li{display:grid;grid-template-columns:2.4em 1fr}
.errors i{color:var(--soft)}
@media(max-width:900px){.pair{grid-template-columns:minmax(0,1fr)}
.figures{grid-template-columns:repeat(4,1fr)}}
@media(max-width:640px){main{padding:22px 14px;gap:14px}.pair{gap:14px}.card{padding:18px 16px}
.tiles{grid-template-columns:repeat(2,minmax(0,1fr))}.of-enqueued{grid-column:1/-1}
.figures{grid-template-columns:repeat(2,1fr)}table,tbody,td{display:block}thead{display:none}
tr{display:flex;flex-wrap:wrap;gap:2px 16px;border-top:1px solid var(--rule);padding:10px 0}
td{border:0;padding:0}td:first-child,.errors{width:100%}.attempts::before{content:"attempts "}}
"""
