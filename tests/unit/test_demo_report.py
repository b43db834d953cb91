"""The demo's page stays whole whatever the run was, and says nothing that a browser would obey or fetch."""

import base64
import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from conveyor.cli.demo import charts
from conveyor.cli.demo.report import JobRow, Measures, Run, Totals, render

BEGUN = datetime(2025, 11, 22, 9, 30, tzinfo=UTC)
HOSTILE = "</script><script>alert(1)</script><img src=x onerror='alert(2)'>\" '&amp; http://evil.example/\x00"


class Page(HTMLParser):
    """What a browser would see: every element closed in its order, and each text with where it stands."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def count(self, tag: str, class_: str | None = None) -> int:
        return sum(
            name == tag and class_ in (None, *(attributes.get("class") or "").split())
            for name, attributes in self.elements
        )

    @property
    def text(self) -> str:
        return " ".join(data for tag, data in self.texts if tag not in {"style", "script"})


def measured(n: int) -> Measures:
    return Measures(100 + n, 80 + n, n % 30, n % 5, n % 9, 4000 + n, f"{n % 1000:064x}")


def job(n: int = 0, *, path: str | None = None, state: str = "succeeded", attempt: int = 1) -> JobRow:
    started = BEGUN + timedelta(milliseconds=n)
    failures = attempt if state == "failed" else attempt - 1
    return JobRow(
        task=f"conveyor.demo.task_{n % 3}",
        path=path or f"package{n % 60}/module_{n}.py",
        state=state,
        attempt=attempt,
        enqueued_at=BEGUN,
        started_at=started,
        finished_at=started + timedelta(milliseconds=3),
        run_seconds=0.0001 * (1 + n % 4000),
        measures=measured(n) if state == "succeeded" else None,
        errors=tuple(f"OSError: {k}" for k in range(failures)),
    )


def run_of(jobs: Sequence[JobRow], lost: int = 0) -> Run:
    failed = sum(row.state == "failed" for row in jobs)
    retried = sum(row.attempt > 1 for row in jobs)
    succeeded = sum(row.state == "succeeded" for row in jobs)
    totals = Totals(len(jobs), succeeded, retried, failed, lost)
    later = BEGUN + timedelta(seconds=12.34)
    return Run("demo", "/usr/lib/python3", "sqlite:///jobs.db", BEGUN, later, False, totals, jobs)


def unfinished(row: JobRow, state: str) -> JobRow:
    return replace(row, state=state, attempt=0, started_at=None, finished_at=None, run_seconds=None, measures=None)


STATES = ("scheduled", "ready", "blocked", "running", "retryable", "cancelled", "quarantined")

RUNS = {
    "none": run_of([]),
    "one": run_of([job()]),
    "many": run_of([job(n, attempt=1 + (n % 50 == 0)) for n in range(1800)]),
    "all failed": run_of([job(n, state="failed", attempt=5) for n in range(300)]),
    "none measured": run_of([replace(job(n), measures=None) for n in range(20)]),
    "nothing in any file": run_of([replace(job(n), measures=Measures(0, 0, 0, 0, 0, 0, "")) for n in range(20)]),
    "none finished": run_of([unfinished(job(n), state) for n, state in enumerate(STATES)]),
    "every state": run_of([job(n, state=state) for n, state in enumerate(STATES)]),
    "one instant": replace(
        run_of([replace(job(n), started_at=BEGUN, finished_at=BEGUN, run_seconds=0.0) for n in range(50)]),
        finished_at=BEGUN,
    ),
    "clock turned back": replace(run_of([job()]), finished_at=BEGUN - timedelta(hours=1)),
    "run times that are none": run_of([replace(job(), run_seconds=x) for x in (float("nan"), -1.0, 1e300)]),
    "months": run_of([job(), replace(job(1), finished_at=BEGUN + timedelta(days=400))]),
    "long paths": run_of([job(n, path="a_folder/" * 400 + f"{n}.py") for n in range(60)]),
    "hostile": replace(
        run_of(
            [
                replace(
                    job(n, path=HOSTILE + ("/x" * (n % 2)), attempt=3),
                    errors=(HOSTILE, HOSTILE * 1000),
                    task=HOSTILE,
                )
                for n in range(60)
            ],
            lost=3,
        ),
        name=HOSTILE,
        folder=HOSTILE,
        store=HOSTILE,
        resumed=True,
    ),
}


@pytest.fixture(params=RUNS)
def text(request: pytest.FixtureRequest) -> str:
    return render(RUNS[request.param])


def test_the_page_is_whole_and_every_section_is_there(text: str) -> None:
    page = Page(text)
    assert page.count("section", "card") == 7
    assert page.count("h1") == page.count("footer") == page.count("script") == page.count("style") == 1
    assert page.count("li", "of-lost") == 1
    assert "nan" not in re.findall(r'="([^"]*)"', text)
    text.encode("utf-8")


def test_the_page_loads_nothing_and_runs_only_its_own_script(text: str) -> None:
    page = Page(text)
    loading = {"src", "href", "xlink:href", "srcset", "action", "data", "poster"}
    for name, attributes in page.elements:
        assert name not in {"img", "link", "iframe", "object", "embed", "image", "use", "base"}
        assert not loading & attributes.keys()
        assert not [key for key in attributes if key.startswith("on")]
        assert "http" not in (attributes.get("style") or "")
    (style,) = [data for tag, data in page.texts if tag == "style"]
    (script,) = [data for tag, data in page.texts if tag == "script"]
    assert "http" not in style + script
    assert "@import" not in style
    assert not re.search(r"url\((?!#)", text)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(at["content"] for _, at in page.elements if at.get("http-equiv"))
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def test_geometry_stays_inside_the_drawing(text: str) -> None:
    for name, attributes in Page(text).elements:
        for key in ("x", "cx", "x1", "x2", "width"):
            value = attributes.get(key) or "0"
            if value.endswith("%") and name != "svg":
                assert 0 <= float(value[:-1]) <= 100, (name, key, value)
        for key in ("height", "r", "y", "cy"):
            value = attributes.get(key) or "0"
            assert value == "100%" or 0 <= float(value) <= 300, (name, key, value)


def test_an_ordinary_run_loads_from_nowhere() -> None:
    assert not re.search("https?://", render(RUNS["many"]))


def test_hostile_text_is_shown_as_it_is() -> None:
    page = Page(render(RUNS["hostile"]))
    shown = HOSTILE.replace("\x00", "\ufffd")
    assert ("td", shown) not in page.texts
    assert shown in [data for _, data in page.texts]
    assert shown in [at.get("title") for _, at in page.elements]
    assert page.count("img") == 0
    assert page.count("script") == 1


@pytest.mark.parametrize("mark", ["\udcff", "\u202e", "\x00", "\x1b", "\u2066"])
def test_what_cannot_be_printed_is_marked(mark: str) -> None:
    text = render(run_of([job(path=f"pkg/a{mark}b.py", attempt=2)]))
    assert mark not in text
    assert "a\ufffdb.py" in Page(text).text


def test_twenty_thousand_jobs_make_a_small_page() -> None:
    errors = tuple(f"{k} " + "x" * 5000 for k in range(50))
    jobs = [
        replace(
            job(n, path="folder/" * 40 + f"{n}/x.py", state="failed", attempt=5),
            measures=measured(n),
            task=f"task{n}",
            errors=errors,
        )
        for n in range(20_000)
    ]
    text = render(run_of(jobs))
    assert len(text.encode()) < 2_000_000
    page = Page(text)
    assert "20,000" in page.text
    assert "the first 40 of 20,000" in page.text
    assert "the first 15 of 20,000" in page.text
    assert "44 more" in page.text


def test_the_headline_tells_how_it_went() -> None:
    def headline(run: Run) -> str:
        return next(data for tag, data in Page(render(run)).texts if tag == "h1")

    many = RUNS["many"]
    assert headline(many) == "1,800 jobs in 12.3\u00a0s, none lost."
    assert headline(RUNS["none"]) == "No job was enqueued."
    assert headline(RUNS["all failed"]) == "300 jobs in 12.3\u00a0s, 300 failed, none lost."
    assert headline(replace(many, totals=replace(many.totals, lost=2))) == "2 of 1,800 jobs lost."


def test_tiles_take_the_totals_as_they_are() -> None:
    run = replace(RUNS["one"], totals=Totals(12_345, 11_000, 222, 1_300, 45))
    shown = [data for tag, data in Page(render(run)).texts if tag == "b"][:5]
    assert shown == ["12,345", "11,000", "222", "1,300", "45"]


def test_each_attempt_and_its_error_is_listed_and_repeats_are_gathered() -> None:
    errors = ("OSError: a", "OSError: a", "OSError: b")
    page = Page(render(run_of([replace(job(attempt=4), errors=errors), job(1)])))
    assert page.count("tr") == 2
    listed = [data for tag, data in page.texts if tag in {"i", "li"}]
    assert listed == ["1\u20132", "OSError: a", "3", "OSError: b"]


def test_failures_come_first_among_the_retries() -> None:
    jobs = [job(0, attempt=3), job(1, state="failed"), job(2, attempt=2), job(3)]
    text = render(run_of(jobs))
    rows = re.findall(r"<tr>.*?module_(\d)\.py.*?</tr>", text.partition("<tbody>")[2])
    assert rows == ["1", "0", "2"]


@pytest.mark.parametrize(
    ("store", "shown"),
    [
        ("postgresql://me:s3cr:et@/x@host/db", "postgresql://me:***@host/db"),
        ("postgresql://host/db?user=me&password=s3cret&x=1", "postgresql://host/db?user=me&password=***&x=1"),
        ("sqlite:///jobs.db", "sqlite:///jobs.db"),
    ],
)
def test_no_password_is_shown(store: str, shown: str) -> None:
    text = render(replace(RUNS["one"], store=store))
    assert "s3cr" not in text
    assert shown in Page(text).text


def labels_of(text: str) -> list[tuple[str, str]]:
    wide = text.partition("treemap wide")[2].partition("treemap tall")[0]
    return re.findall(r"<b>(.*?)</b><span>(.*?)</span>", wide)


def test_packages_are_counted_below_what_all_paths_share() -> None:
    paths = ("src/lib/a/x.py", "src/lib/a/y.py", "src/lib/b/z.py", "src/lib/top.py")
    text = render(run_of([job(n, path=path) for n, path in enumerate(paths)]))
    assert sorted(labels_of(text)) == [("a", "201"), ("b", "102"), ("single modules", "103")]


def test_small_packages_share_one_tile_and_no_line_is_lost() -> None:
    run = RUNS["many"]
    labels = dict(labels_of(render(run)))
    assert len(labels) == 37
    assert "24 more" in labels
    lines = sum(row.measures.lines for row in run.jobs if row.measures)
    assert sum(int(size.replace(",", "")) for size in labels.values()) == lines


@pytest.mark.parametrize("sizes", [[], [5], [1] * 36, [10**9, 1], [2**n for n in range(40, 0, -1)]])
@pytest.mark.parametrize("shape", [2.6, 0.62])
def test_boxes_share_the_whole_by_size(sizes: list[int], shape: float) -> None:
    boxes = charts.boxes(sizes, (0, 0, shape, 1))
    for size, (_, _, width, height) in zip(sizes, boxes, strict=True):
        assert math.isclose(width * height, shape * size / sum(sizes), rel_tol=1e-6)
    for x, y, width, height in boxes:
        assert -1e-9 <= x <= x + width <= shape + 1e-9
        assert -1e-9 <= y <= y + height <= 1 + 1e-9


@pytest.mark.parametrize("most", [0, 1, 3, 5, 9, 10, 11, 68, 99, 100, 101, 999, 20_000, 123_456])
def test_levels_are_few_even_and_reach_the_top(most: int) -> None:
    levels = charts.steps(most)
    assert levels[0] == 0
    assert levels[-1] >= most
    assert 2 <= len(levels) <= 6
    assert len({b - a for a, b in pairwise(levels)}) == 1


@pytest.mark.parametrize(
    ("least", "most"),
    [(0.0, 0.0), (1e-9, 1e-9), (0.001, 0.001), (0.0024, 0.391), (1e-6, 1e5), (50.0, 60.0), (1e-7, 9e9)],
)
def test_a_logarithmic_axis_holds_its_values_and_labels_few_of_them(least: float, most: float) -> None:
    scale = charts.LogScale.around(least, most)
    assert 0 <= scale.at(least) <= scale.at(most) <= 1
    for few in (3, 5):
        ticks = scale.ticks(few)
        assert 1 <= len(ticks) <= few
        assert all(0 <= where <= 1 for where, _ in ticks)
        assert len({label for _, label in ticks}) == len(ticks)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0.00 µs"),
        (0.000_15, "150 µs"),
        (0.003_04, "3.04 ms"),
        (0.0527, "52.7 ms"),
        (0.326, "326 ms"),
        (0.9999, "1.00 s"),
        (1.5, "1.50 s"),
        (59.96, "60.0 s"),
        (999.9, "16 min 40 s"),
        (3600 * 50, "2 d 2 h"),
    ],
)
def test_run_times_have_three_figures(seconds: float, shown: str) -> None:
    assert charts.runtime(seconds).replace("\u00a0", " ") == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (0.25, "0.25 s"),
        (11.8, "11.8 s"),
        (119, "119 s"),
        (120, "2 min"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
    ],
)
def test_spans_are_said_as_people_say_them(seconds: float, shown: str) -> None:
    assert charts.moment(seconds).replace("\u00a0", " ") == shown


def test_quantiles_are_of_the_jobs_that_ran() -> None:
    times = [float(n) for n in range(1, 101)]
    assert [charts.quantile(times, share) for share in (0.5, 0.95, 1)] == [50, 95, 100]
    assert charts.quantile([7.0], 0.5) == 7


def test_only_markup_made_here_passes_unescaped() -> None:
    assert charts.tag("p", "<b>", charts.tag("b", "&"), title='"') == '<p title="&quot;">&lt;b&gt;<b>&amp;</b></p>'
