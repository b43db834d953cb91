"""The demo's report: one HTML page about one run, complete without a network and without a script."""

import hashlib
import math
import os
import platform
import re
from base64 import b64encode
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from conveyor.cli.demo import charts
from conveyor.cli.demo.charts import Bar, Bin, Html, Spread, Tile, join, moment, path_label, percent, runtime, tag

_TOP_ROWS = 15
_TASK_ROWS = 12
_RETRY_ROWS = 40
_ERROR_LINES = 5
_TILES = 36
_MOST_BINS = 90
_MOST_TICKS = 6
_ROUND_SPANS = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 21600, 43200, 86400)
_FAILED = ("failed", "quarantined")
_FINAL = ("succeeded", *_FAILED, "cancelled")
_SINGLE = "single modules"


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
    """One demo run; *resumed* says that it took up the jobs of one cut short."""

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
    digest = b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    title = tag("title", f"{run.name}: {run.totals.enqueued:,} jobs")
    body = tag("main", *_sections(run)) + tag("div", id="tip", hidden="", role="presentation")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"{title}<style>{_STYLE}</style></head><body>{body}<script>{_SCRIPT}</script></body></html>\n"
    )


def _sections(run: Run) -> Iterator[Html]:
    yield _masthead(run)
    yield _headline_tiles(run)
    yield _throughput(run)
    yield tag("div", _biggest(run), _slowest(run), class_="pair")
    yield tag("div", _per_task(run), _run_times(run), class_="pair")
    yield _packages(run)
    yield _troubles(run)
    yield _footer(run)


def _seconds(run: Run) -> float:
    return max(0.0, (run.finished_at - run.started_at).total_seconds())


def _times(jobs: Sequence[JobRow]) -> list[float]:
    return sorted(seconds for job in jobs if (seconds := _time(job)) is not None)


def _time(job: JobRow) -> float | None:
    seconds = job.run_seconds
    return seconds if seconds is not None and math.isfinite(seconds) and seconds >= 0 else None


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _card(title: str, note: str, body: Html | None, *, absent: str) -> Html:
    head = tag("header", tag("h2", title), tag("p", note)) if body is not None else tag("header", tag("h2", title))
    return tag("section", head, tag("p", absent, class_="absent") if body is None else body, class_="card")


def _masthead(run: Run) -> Html:
    totals = run.totals
    if not totals.enqueued:
        headline = "No job was enqueued."
    elif totals.lost:
        headline = f"{totals.lost:,} of {_many(totals.enqueued, 'job')} lost."
    else:
        headline = f"{_many(totals.enqueued, 'job')} in {moment(_seconds(run))}, none lost."
    badge = tag("span", "resumed", class_="badge", title="This run took up the jobs of one that was cut short.")
    name = tag("p", _LOGO, tag("span", run.name), badge if run.resumed else Html(), class_="brand")
    folder = tag("p", "One job per Python file of ", tag("code", run.folder), class_="lead")
    return tag("header", name, tag("h1", headline), folder, class_="masthead")


def _headline_tiles(run: Run) -> Html:
    totals, seconds = run.totals, _seconds(run)
    finished = totals.succeeded + totals.failed
    open_jobs = sum(job.state not in _FINAL for job in run.jobs)
    pace = f"{finished / seconds:,.0f} finished a second" if seconds and finished else "nothing finished yet"
    lost = "a job neither finished nor waiting" if totals.lost else "every job accounted for"
    rows = (
        ("enqueued", totals.enqueued, f"{open_jobs:,} not finished" if open_jobs else pace),
        ("succeeded", totals.succeeded, _share(totals.succeeded, totals.enqueued)),
        ("retried", totals.retried, "more than one attempt" if totals.retried else "all at the first attempt"),
        ("failed", totals.failed, _share(totals.failed, totals.enqueued)),
        ("lost", totals.lost, lost),
    )
    return tag("ul", *(_headline_tile(*row, totals.enqueued) for row in rows), class_="tiles")


def _headline_tile(name: str, count: int, note: str, whole: int) -> Html:
    share = tag("svg", tag("rect", width=percent(min(1, count / (whole or 1))), height=4, rx=2), height=4, aria_hidden="true")
    figure = tag("b", f"{count:,}", class_="" if count else "zero")
    return tag("li", tag("span", name), figure, tag("small", note), share, class_=f"tile-{name}")


def _share(count: int, whole: int) -> str:
    if not count or not whole:
        return "none"
    return "all" if count == whole else f"{min(99.9, max(0.1, 100 * count / whole)):.1f} %"


def _throughput(run: Run) -> Html:
    done = [(job, job.finished_at) for job in run.jobs if job.finished_at is not None]
    title, absent = "Throughput", "No job has finished."
    if not done:
        return _card(title, "", None, absent=absent)
    first = min(run.started_at, *(at for _, at in done))
    offsets = [(job, (at - first).total_seconds()) for job, at in done]
    span = max(0.05, *(offset for _, offset in offsets))
    width = _round_span(span, _MOST_BINS)
    bins = _bins(offsets, width, math.floor(span / width) + 1)
    whole = width * len(bins)
    mark = _round_span(whole, _MOST_TICKS)
    ticks = [(i * mark / whole, moment(i * mark)) for i in range(math.floor(whole / mark + 1e-9) + 1)]
    peak = max(slot.finished for slot in bins) / width
    note = f"Jobs finished per {moment(width)}; at the peak {peak:,.0f} a second"
    return _card(title, note, charts.area(bins, ticks, note), absent=absent)


def _round_span(whole: float, most: int) -> float:
    fallback = 86400.0 * math.ceil(whole / most / 86400)
    return next((span for span in _ROUND_SPANS if whole / span <= most), fallback)


def _bins(offsets: Sequence[tuple[JobRow, float]], width: float, count: int) -> list[Bin]:
    slots: defaultdict[int, list[JobRow]] = defaultdict(list)
    for job, offset in offsets:
        slots[min(count - 1, int(offset / width))].append(job)
    return [_bin(slots[i], f"{moment(i * width)} to {moment((i + 1) * width)}") for i in range(count)]


def _bin(jobs: Sequence[JobRow], when: str) -> Bin:
    retried = sum(job.attempt > 1 for job in jobs)
    failed = sum(job.state in _FAILED for job in jobs)
    tip = f"{when}\n{len(jobs):,} finished"
    tip += f"\n{retried:,} after a retry" if retried else ""
    return Bin(len(jobs), retried, failed, tip + (f"\n{failed:,} failed" if failed else ""))


def _biggest(run: Run) -> Html:
    measured = [(job, job.measures) for job in run.jobs if job.measures is not None]
    measured.sort(key=lambda pair: (-pair[1].lines, pair[0].path))
    rows = [Bar(job.path, m.lines, f"{m.lines:,}", _describe(job)) for job, m in measured[:_TOP_ROWS]]
    note = f"Lines per file, the first {len(rows)} of {len(measured):,}"
    body = charts.bars(rows, "by-size") if rows else None
    return _card("Biggest modules", note, body, absent="No file has been measured.")


def _slowest(run: Run) -> Html:
    timed = [(job, seconds) for job in run.jobs if (seconds := _time(job)) is not None]
    timed.sort(key=lambda pair: (-pair[1], pair[0].path))
    rows = [Bar(job.path, seconds, _millis(seconds), _describe(job)) for job, seconds in timed[:_TOP_ROWS]]
    note = f"Run time of the last attempt in ms, the first {len(rows)} of {len(timed):,}"
    body = charts.bars(rows, "by-time") if rows else None
    return _card("Slowest files", note, body, absent="No job has run.")


def _millis(seconds: float) -> str:
    return f"{seconds * 1e3:,.0f}" if seconds >= 1 else f"{seconds * 1e3:,.1f}"


def _describe(job: JobRow) -> str:
    told, seconds = [job.path], _time(job)
    if job.measures is not None:
        m = job.measures
        told.append(f"{_many(m.lines, 'line')}, {m.code_lines:,} of them code, {_bytes(m.size)}")
        told.append(f"{_many(m.functions, 'function')}, {m.classes:,} classes, nested {m.depth} deep")
    if seconds is not None:
        told.append(f"{runtime(seconds)}, attempt {job.attempt}, {job.state}")
    return "\n".join(charts.clean(line) for line in told)


def _bytes(size: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:  # noqa: PLR2004 - a kilobyte
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"


def _per_task(run: Run) -> Html:
    tasks: defaultdict[str, list[JobRow]] = defaultdict(list)
    for job in run.jobs:
        tasks[job.task].append(job)
    timed = [(name, times) for name, jobs in tasks.items() if (times := _times(jobs))]
    timed.sort(key=lambda pair: (-len(pair[1]), pair[0]))
    rows = [
        Spread(name, _many(len(times), "job"), _quantile(times, 0.5), _quantile(times, 0.95), times[-1])
        for name, times in timed[:_TASK_ROWS]
    ]
    more = f", the first {len(rows)} of {len(timed):,}" if len(timed) > len(rows) else ""
    note = f"Half the jobs took no longer than p50 (dot), 95 % no longer than p95 (ring){more}; logarithmic"
    return _card("Run time per task", note, charts.ranges(rows) if rows else None, absent="No job has run.")


def _run_times(run: Run) -> Html:
    times = _times(run.jobs)
    if not times:
        return _card("Spread of run times", "", None, absent="No job has run.")
    marks = [("p50", _quantile(times, 0.5)), ("p95", _quantile(times, 0.95))]
    note = f"Jobs by run time, logarithmic; together {moment(math.fsum(times))} of work"
    return _card("Spread of run times", note, charts.histogram(times, marks[:1], note), absent="")


def _packages(run: Run) -> Html:
    files = [(job.path.split("/"), job.measures) for job in run.jobs if job.measures is not None]
    shared = len(os.path.commonprefix([parts[:-1] for parts, _ in files])) if files else 0
    packages: defaultdict[str, list[Measures]] = defaultdict(list)
    for parts, measures in files:
        packages[parts[shared] if len(parts) > shared + 1 else _SINGLE].append(measures)
    sizes = sorted(((sum(m.lines for m in held), name) for name, held in packages.items()), reverse=True)
    tiles = [_package(name, packages[name]) for lines, name in sizes[:_TILES] if lines]
    rest = [m for lines, name in sizes[_TILES:] if lines for m in packages[name]]
    if rest:
        tiles.append(_package(f"{len(sizes) - _TILES:,} more", rest))
    tiles.sort(key=lambda tile: -tile.size)
    title, absent = "The folder", "No file with a line in it has been measured."
    if not tiles:
        return _card(title, "", None, absent=absent)
    maps = (charts.treemap(tiles, 2.6, "wide"), charts.treemap(tiles, 0.62, "tall"))
    note = "Lines by top-level package; the deeper the tint, the longer its files"
    return _card(title, note, join([_figures([m for _, m in files]), *maps]), absent=absent)


def _package(name: str, held: Sequence[Measures]) -> Tile:
    lines = sum(m.lines for m in held)
    mean = lines / len(held)
    tip = f"{name}\n{_many(lines, 'line')} in {_many(len(held), 'file')}\n{mean:,.0f} lines a file"
    return Tile(name, lines, f"{lines:,}", min(1.0, mean / 1200), tip)


def _figures(measures: Sequence[Measures]) -> Html:
    copies = sum(count - 1 for count in Counter(m.sha256 for m in measures).values())
    total: Callable[[Callable[[Measures], int]], str] = lambda pick: f"{sum(map(pick, measures)):,}"  # noqa: E731
    rows = (
        ("files", f"{len(measures):,}"),
        ("lines", total(lambda m: m.lines)),
        ("lines of code", total(lambda m: m.code_lines)),
        ("functions", total(lambda m: m.functions)),
        ("classes", total(lambda m: m.classes)),
        ("deepest nesting", f"{max(m.depth for m in measures):,}"),
        ("in all", _bytes(sum(m.size for m in measures))),
        ("copies of another", f"{copies:,}"),
    )
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", figure)) for name, figure in rows), class_="figures")


def _troubles(run: Run) -> Html:
    jobs = [job for job in run.jobs if job.attempt > 1 or job.errors or job.state in _FAILED]
    jobs.sort(key=lambda job: (job.state not in _FAILED, -job.attempt, job.path))
    heads = ("file", "attempts", "outcome", "run time", "what went wrong")
    head = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in heads)))
    body = tag("tbody", *(_trouble(job) for job in jobs[:_RETRY_ROWS]))
    shown = f"the first {_RETRY_ROWS} of {len(jobs):,}" if len(jobs) > _RETRY_ROWS else _many(len(jobs), "job")
    note = f"Jobs that needed more than one attempt, or failed: {shown}"
    table = tag("table", head, body) if jobs else None
    return _card("Retries and failures", note, table, absent="Every job that ran succeeded at its first attempt.")


def _trouble(job: JobRow) -> Html:
    seconds = _time(job)
    state = tag("span", job.state, class_=f"state {'bad' if job.state in _FAILED else job.state}")
    lines = [tag("li", error) for error in job.errors[:_ERROR_LINES]]
    if len(job.errors) > _ERROR_LINES:
        lines.append(tag("li", f"and {len(job.errors) - _ERROR_LINES:,} more", class_="more"))
    return tag(
        "tr",
        tag("td", path_label(job.path), tag("small", job.task), title=job.path),
        tag("td", f"{job.attempt:,}", class_="num attempts"),
        tag("td", state),
        tag("td", "" if seconds is None else runtime(seconds), class_="num", data_v=round((seconds or 0) * 1e6)),
        tag("td", tag("ol", *lines) if lines else "no error was kept", class_="errors"),
    )


def _footer(run: Run) -> Html:
    # A store is often a URL, and a report is made to be shown around: its password stays here.
    store = re.sub(r"(://[^:/@\s]*):.*@", r"\1:***@", run.store)
    store = re.sub(r"(?i)(passw(?:or)?d=)[^&\s]+", r"\1***", store)
    rows = (
        ("store", store),
        ("Python", f"{platform.python_version()}, {platform.system()} {platform.machine()}"),
        ("machine", _many(os.cpu_count() or 1, "core")),
        ("duration", moment(_seconds(run))),
        ("date", f"{run.started_at:%Y-%m-%d %H:%M:%S %Z}".strip()),
    )
    return tag("footer", tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in rows)))


_LOGO = Html(
    '<svg width="34" height="22" aria-hidden="true"><rect x="4" y="1" width="8" height="8" rx="1.5" class="box"></rect>'
    '<rect x="15" y="1" width="8" height="8" rx="1.5" class="box"></rect>'
    '<rect x="1" y="12" width="32" height="9" rx="4.5" class="belt"></rect><circle cx="6" cy="16.5" r="1.7"></circle>'
    '<circle cx="17" cy="16.5" r="1.7"></circle><circle cx="28" cy="16.5" r="1.7"></circle></svg>'
)

_STYLE = """
:root{color-scheme:light dark;--page:#f3f1ea;--card:#fffdf8;--ink:#1d2228;--soft:#626973;--rule:#e4e0d5;
--jobs:#2a62c0;--size:#157a73;--time:#7a4db3;--retry:#b56800;--fail:#c03426;--good:#24794a}
@media(prefers-color-scheme:dark){:root{--page:#111417;--card:#191d22;--ink:#e9e6df;--soft:#9ca4ad;--rule:#2b3138;
--jobs:#74a5ff;--size:#45b8ad;--time:#b592f0;--retry:#f0aa3c;--fail:#ff7d6d;--good:#62c98c}}
*{box-sizing:border-box;margin:0;padding:0}
body{background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1280px;margin:auto;padding:40px 32px;display:grid;grid-template-columns:minmax(0,1fr);gap:20px}
code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.92em;overflow-wrap:anywhere}
h1{font-size:clamp(1.8rem,4.4vw,3rem);line-height:1.12;letter-spacing:-.025em;margin:14px 0 8px;text-wrap:balance}
h2{font-size:1.08rem;letter-spacing:-.01em}
ol,ul{list-style:none}
small,.lead,.card header p,.absent,dt{color:var(--soft)}
.num,dd,.tiles b{font-variant-numeric:tabular-nums}
.brand{display:flex;align-items:center;gap:10px;font-weight:600;overflow-wrap:anywhere}
.brand .box{fill:var(--retry)}.brand .belt{fill:var(--ink)}.brand circle{fill:var(--page)}.brand svg{flex:none}
.badge{font-size:.78rem;padding:1px 9px;border:1px solid var(--retry);color:var(--retry);border-radius:99px}
.card,.tiles li{background:var(--card);border:1px solid var(--rule);border-radius:14px}
.card{padding:22px 24px;min-width:0}
.card header{margin-bottom:16px}.card header p{font-size:.88rem}
.pair{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:20px}
.tiles{display:grid;grid-template-columns:repeat(5,minmax(0,1fr));gap:12px}
.tiles li{padding:14px 18px 16px;display:grid;--tone:var(--ink)}
.tiles b{font-size:clamp(1.6rem,3vw,2.3rem);line-height:1.2;letter-spacing:-.02em;color:var(--tone)}
.tiles span{font-size:.88rem;font-weight:600}.tiles small{font-size:.82rem}
.tiles svg{margin-top:10px;border-radius:2px;background:var(--rule)}.tiles rect{fill:var(--tone)}
.tiles .tile-succeeded{--tone:var(--good)}.tiles .tile-retried{--tone:var(--retry)}
.tiles .tile-failed,.tiles .tile-lost{--tone:var(--fail)}.tiles .zero{color:var(--soft)}
.tiles .tile-lost .zero{color:var(--good)}
svg{display:block;width:100%;overflow:visible}.brand svg{width:34px}
svg text{font-size:12px;fill:var(--soft);font-variant-numeric:tabular-nums}svg .strong{fill:var(--ink);font-weight:600}
.grid{stroke:var(--rule)}.base{stroke:var(--soft);stroke-opacity:.6}.hit{fill:var(--ink);fill-opacity:0}
.hit:hover{fill-opacity:.07}
.plot{display:grid;grid-template-columns:52px minmax(0,1fr);gap:10px}
.curve{fill:none;stroke:var(--jobs);stroke-width:2;stroke-linejoin:round}.peak{fill:var(--jobs)}
.dense,.thin{stop-color:var(--jobs);stop-opacity:.38}.thin{stop-opacity:.04}
circle.retried{fill:var(--retry)}circle.failed{fill:var(--fail)}
.column{fill:var(--time)}.column:hover{fill-opacity:.7}.mark{stroke:var(--ink);stroke-dasharray:3 3}
.path{display:flex;min-width:0;white-space:nowrap}
.path b{font-weight:600;overflow:hidden;text-overflow:ellipsis}
.path .dir{color:var(--soft);overflow:hidden;text-overflow:ellipsis;flex:0 9999 auto}
.bars li{display:grid;grid-template-columns:minmax(0,11fr) minmax(0,12fr) 4.2em;gap:12px;align-items:center;
padding:4px 0;font-size:.88rem}
.bars .num,.ranges .num{text-align:right}.by-size rect{fill:var(--size)}.by-time rect{fill:var(--time)}
.bars li:hover rect{fill-opacity:.75}
.ranges .row{display:grid;grid-template-columns:minmax(0,4fr) minmax(0,6fr) repeat(3,4.9em);gap:0 10px;
align-items:center;border-top:1px solid var(--rule);font-size:.88rem}
.ranges .head{border:0;color:var(--soft);font-size:.82rem}
.name{overflow:hidden;padding:6px 0}.name b,.name small{display:block;overflow:hidden;text-overflow:ellipsis}
.name b{font-weight:600}.whisker,.end{stroke:var(--time);stroke-width:1.5}.span{stroke:var(--time);stroke-width:4}
.span{stroke-opacity:.45}.dot{fill:var(--time)}.ring{fill:var(--card);stroke:var(--time);stroke-width:2}
.figures{display:grid;grid-template-columns:repeat(8,auto);justify-content:space-between;gap:8px 16px;margin-bottom:18px}
.figures dt{font-size:.82rem}.figures dd{font-size:1.15rem;font-weight:600}
.treemap{position:relative}.wide{aspect-ratio:2.6}.tall{aspect-ratio:.62;display:none}
.tile{position:absolute;padding:1px}
.tile div{height:100%;border-radius:4px;overflow:hidden;padding:4px 7px;font-size:.8rem;line-height:1.35;
container-type:size;background:color-mix(in srgb,var(--size) var(--tint),var(--card))}
.tile b,.tile span{display:block;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}.tile b{font-weight:600}
@container(max-width:34px) or (max-height:15px){.tile b,.tile span{display:none}}
@container(max-height:34px){.tile span{display:none}}
table{width:100%;border-collapse:collapse;font-size:.88rem;table-layout:fixed}
th{text-align:left;color:var(--soft);font-weight:500;padding:0 12px 6px 0}
td{vertical-align:top;padding:9px 12px 9px 0;border-top:1px solid var(--rule);overflow-wrap:anywhere}
td small{display:block}th:nth-child(1){width:31%}th:nth-child(2){width:8%}th:nth-child(3),th:nth-child(4){width:10%}
th[tabindex]{cursor:pointer}th[aria-sort]{color:var(--ink)}
th[aria-sort=ascending]::after{content:" \\2191"}th[aria-sort=descending]::after{content:" \\2193"}
.state::before{content:"";display:inline-block;width:8px;height:8px;border-radius:9px;margin-right:7px;
background:var(--soft)}
.state.bad::before{background:var(--fail)}.state.succeeded::before{background:var(--good)}
.state.retryable::before{background:var(--retry)}
.errors li{counter-increment:n;padding-left:22px;position:relative}.errors ol{counter-reset:n}
.errors li::before{content:counter(n);position:absolute;left:0;color:var(--soft)}.errors .more::before{content:"+"}
footer dl{display:flex;flex-wrap:wrap;gap:10px 36px;padding:6px 2px;font-size:.88rem}footer dd{overflow-wrap:anywhere}
#tip{position:fixed;left:0;top:0;z-index:9;max-width:min(420px,92vw);padding:7px 11px;border-radius:8px;font-size:.82rem;
white-space:pre-line;overflow-wrap:anywhere;background:var(--ink);color:var(--card);pointer-events:none}
#tip[hidden]{display:none}
@media(max-width:900px){.pair{grid-template-columns:minmax(0,1fr)}.figures{grid-template-columns:repeat(4,1fr)}}
@media(max-width:640px){main{padding:22px 14px;gap:14px}.card{padding:18px 16px}
.tiles{grid-template-columns:repeat(2,minmax(0,1fr))}.tile-enqueued{grid-column:1/-1}
.figures{grid-template-columns:repeat(2,1fr)}.wide{display:none}.tall{display:block}
.bars li{grid-template-columns:minmax(0,1fr) auto;gap:2px 10px}.bars svg{grid-area:2/1/3/3}.bars .path{grid-area:1/1}
.plot{grid-template-columns:44px minmax(0,1fr);gap:8px}
.ranges .row{grid-template-columns:repeat(3,1fr)}.ranges .name,.ranges svg,.head span:first-child{grid-column:1/-1}
.ranges .num{text-align:left;padding-bottom:8px}
table,tbody,tr,td{display:block}thead{display:none}tr{border-top:1px solid var(--rule);padding:10px 0}
td{border:0;padding:1px 0}td.num,td:nth-child(3){display:inline-block;margin-right:14px;text-align:left}
.attempts::after{content:" attempts"}}
"""

_SCRIPT = """
const tip = document.getElementById("tip");
for (const title of document.querySelectorAll("svg title")) {
  title.parentNode.dataset.tip = title.textContent;
  title.remove();
}
for (const owner of document.querySelectorAll("[title]")) {
  owner.dataset.tip = owner.title;
  owner.removeAttribute("title");
}
function show(event) {
  const owner = event.target.closest("[data-tip]");
  tip.hidden = !owner;
  if (!owner) return;
  tip.textContent = owner.dataset.tip;
  const below = event.clientY + 20;
  const x = Math.max(8, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8));
  const y = below + tip.offsetHeight > innerHeight ? event.clientY - tip.offsetHeight - 12 : below;
  tip.style.transform = `translate(${x}px, ${y}px)`;
}
for (const kind of ["pointermove", "pointerdown"]) document.addEventListener(kind, show);
function sort(table, head) {
  const up = head.ariaSort !== "ascending";
  for (const other of head.parentNode.cells) other.ariaSort = null;
  head.ariaSort = up ? "ascending" : "descending";
  const key = (row) => row.cells[head.cellIndex].dataset.v ?? row.cells[head.cellIndex].textContent;
  const order = (a, b) => key(a).localeCompare(key(b), undefined, { numeric: true }) * (up ? 1 : -1);
  table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
}
for (const head of document.querySelectorAll("th")) {
  head.tabIndex = 0;
  head.onclick = () => sort(head.closest("table"), head);
  head.onkeydown = (event) => event.key === "Enter" && head.onclick();
}
"""
