"""Tables and bars: drawn on a terminal, plain elsewhere, and never obedient to what stands in them."""

import contextlib
import io
import re
import sys
from collections.abc import Callable
from itertools import pairwise

import pytest

from conveyor.cli import progress as progress_module
from conveyor.cli.output import COLOURS, clean, fitted, table
from conveyor.cli.progress import progress
from conveyor.core.lifecycle import State

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
HOSTILE = {
    "lines": ("one\ntwo\r\u2028", r"one\ntwo\r\u2028"),
    "colour": ("\x1b[31mred\x9b0m", r"\x1b[31mred\x9b0m"),
    "title": ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
    "turned around": ("\u202efdp.exe\u2066", r"\u202efdp.exe\u2066"),
    "no width": ("a\u200bb\ufeff", r"a\u200bb\ufeff"),
    "half a character": ("\udc80", r"\udc80"),
    "markup": ("[red]x[/red] [link=file:///]", "[red]x[/red] [link=file:///]"),
    "broken markup": ("[/nonesuch] [", "[/nonesuch] ["),
    "emoji code": (":boom:", ":boom:"),
    "backslash": ("\\[red]", "\\[red]"),
    "Hebrew": ("שלום", "שלום"),
}


class Screen(io.StringIO):
    """A terminal, as far as a program can tell."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Screen]:
    """Puts a terminal of so many columns in the place of both outputs."""

    def put(width: int) -> Screen:
        made = Screen()
        for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setattr(sys, "stdout", made)
        monkeypatch.setattr(sys, "stderr", made)
        return made

    return put


def shown(screen: Screen) -> list[str]:
    """The lines without their colours."""
    return [ESCAPE.sub("", line).rstrip() for line in screen.getvalue().splitlines()]


@pytest.fixture
def no_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("rich", "rich.console", "rich.table", "rich.text", "rich.progress"):
        monkeypatch.setitem(sys.modules, name, None)


# ---------------------------------------------------------------- plain

SAMPLE = ("ID", "STATE", "ERROR"), [("01", "failed", "x" * 60), ("02", "ready", "")]


def test_columns_are_as_wide_as_their_widest_cell(capsys: pytest.CaptureFixture[str]) -> None:
    table(("A", "B"), [("one", "x"), ("o", "")])
    assert capsys.readouterr().out == "A    B\none  x\no\n"


def test_wide_characters_take_two_columns_and_marks_none(capsys: pytest.CaptureFixture[str]) -> None:
    table(("A", "B"), [("漢字", "x"), ("e\u0301e", "y")])
    assert capsys.readouterr().out == "A     B\n漢字  x\ne\u0301e    y\n"


@pytest.mark.parametrize(("text", "harmless"), HOSTILE.values(), ids=HOSTILE)
def test_a_cell_is_shown_and_not_obeyed(text: str, harmless: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert clean(text) == harmless
    table((text, "B"), [(text, "x")])
    head, row = capsys.readouterr().out.splitlines()
    assert head == f"{harmless}  B"
    assert row == f"{harmless}  x"


@pytest.mark.parametrize("why", ["pipe", "dumb", "no rich"])
def test_the_plain_form_cuts_nothing(
    why: str, screen: Callable[[int], Screen], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    on = screen(40)
    if why == "pipe":
        monkeypatch.setattr(on, "isatty", lambda: False)
    elif why == "dumb":
        monkeypatch.setenv("TERM", "dumb")
    else:
        request.getfixturevalue("no_rich")
    table(*SAMPLE)
    assert on.getvalue() == f"ID  STATE   ERROR\n01  failed  {'x' * 60}\n02  ready\n"


# ---------------------------------------------------------------- drawn


def test_columns_fit_the_terminal(screen: Callable[[int], Screen]) -> None:
    on = screen(40)
    table(*SAMPLE)
    head, first, second = shown(on)
    assert (head, second) == ("ID  STATE   ERROR", "02  ready")
    assert first == f"01  failed  {'x' * 27}…"
    assert len(first) == 40


ID = "01a20275-4efd-7236-9828-a833eae408d6"
JOBS = (
    ("ID", "TASK", "QUEUE", "STATE", "ATTEMPT", "AGE", "ERROR"),
    [
        (ID, "shop.tasks.mail", "default", "quarantined", "3/5", "12 min", "ValueError: " + "x" * 50),
        (ID, "shop.hi", "default", "ready", "0/5", "3 s", ""),
    ],
)


@pytest.mark.parametrize("width", [80, 90, 100, 120])
def test_what_is_to_be_copied_or_looked_for_is_never_cut(screen: Callable[[int], Screen], width: int) -> None:
    on = screen(width)
    table(*JOBS)
    head, first, second = shown(on)
    assert first.startswith(f"{ID} ")
    assert re.search(r" quarantined +3/5 +12 min +Value", first)
    assert re.search(r" ready +0/5 +3 s$", second)
    assert ("ATTEMPT" in head) == (width >= 100)
    assert max(map(len, (head, first, second))) == width


def test_where_nothing_could_be_shown_nothing_is_cut(screen: Callable[[int], Screen]) -> None:
    on = screen(60)
    table(*JOBS)
    assert "ValueError: " + "x" * 50 in on.getvalue()


def test_a_table_without_rows_is_its_heading(screen: Callable[[int], Screen]) -> None:
    on = screen(60)
    table(JOBS[0], [])
    assert shown(on) == ["ID  TASK  QUEUE  STATE  ATTEMPT  AGE  ERROR"]


@pytest.mark.parametrize(
    ("room", "widths"),
    [
        (100, [4, 7, 20, 30]),
        (61, [4, 7, 20, 30]),
        (60, [4, 7, 20, 29]),
        (41, [4, 7, 15, 15]),
        (31, [4, 7, 10, 10]),
        (30, [4, 6, 10, 10]),
        (27, [4, 3, 10, 10]),
        (17, [4, 3, 5, 5]),
        (16, None),
    ],
)
def test_the_widest_column_gives_way_first_and_headings_before_cells(room: int, widths: list[int] | None) -> None:
    lines = [("ID", "ATTEMPT", "TASK", "ERROR"), ("0123", "2/5", "x" * 20, "x" * 30)]
    assert fitted(lines, room, {0}) == widths


def test_states_have_colours(screen: Callable[[int], Screen]) -> None:
    on = screen(80)
    table(("STATE", "TASK"), [(state, "failed") for state in State])
    rows = dict(zip(State, on.getvalue().splitlines()[1:], strict=True))
    for state, row in rows.items():
        assert bool(ESCAPE.search(row)) == (state in COLOURS)
    assert re.match(r"\x1b\[32msucceeded *\x1b\[0m +failed", rows[State.SUCCEEDED])
    assert re.match(r"\x1b\[31mfailed *\x1b\[0m +failed", rows[State.FAILED])
    assert rows[State.READY].rstrip() == "ready        failed"


@pytest.mark.parametrize(("text", "harmless"), HOSTILE.values(), ids=HOSTILE)
def test_a_drawn_cell_is_not_obeyed_either(text: str, harmless: str, screen: Callable[[int], Screen]) -> None:
    on = screen(80)
    table(("ID", "STATE", text), [("01", text, text)])
    bold, plain = on.getvalue().splitlines()
    assert set(ESCAPE.findall(bold)) == {"\x1b[1m", "\x1b[0m"}
    assert "\x1b" not in plain
    head, row = shown(on)
    assert head.endswith(f" {harmless}")
    assert row.count(harmless) == 2


def test_no_color_is_heeded(screen: Callable[[int], Screen], monkeypatch: pytest.MonkeyPatch) -> None:
    on = screen(40)
    monkeypatch.setenv("NO_COLOR", "1")
    table(*SAMPLE)
    assert "\x1b" not in on.getvalue()
    assert [len(line.rstrip()) for line in on.getvalue().splitlines()] == [17, 40, 9]


# ---------------------------------------------------------------- progress


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting between two pictures or lines."""
    monkeypatch.setattr(progress_module, "DRAW", 0.0)
    monkeypatch.setattr(progress_module, "TELL", 0.0)


def work() -> None:
    with progress("enqueue [red]", 3_000) as advance:
        for _ in range(3):
            advance(1_000)


@pytest.mark.usefixtures("at_once")
def test_a_bar_grows_and_goes(screen: Callable[[int], Screen]) -> None:
    on = screen(80)
    work()
    drawn = on.getvalue()
    steps = [ESCAPE.sub("", drawn).find(f"{done}/3000") for done in (1000, 2000, 3000)]
    assert all(0 <= earlier < later for earlier, later in pairwise(steps))
    assert "enqueue [red]" in drawn
    assert drawn.endswith("\x1b[2K")  # the line is empty again
    assert drawn.count("\x1b[?25l") == drawn.count("\x1b[?25h") == 1  # and so the cursor is seen


@pytest.mark.usefixtures("at_once")
def test_a_bar_goes_when_the_work_fails(screen: Callable[[int], Screen]) -> None:
    on = screen(80)
    with contextlib.suppress(ValueError), progress("enqueue", 2) as advance:
        advance(1)
        raise ValueError
    assert on.getvalue().endswith("\x1b[2K")


@pytest.mark.usefixtures("at_once", "no_rich")
def test_lines_stand_in_for_a_bar(screen: Callable[[int], Screen]) -> None:
    on = screen(80)
    work()
    assert on.getvalue() == "".join(f"enqueue [red]: {done} of 3,000\n" for done in ("1,000", "2,000", "3,000"))


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("rich", [True, False])
def test_nothing_is_shown_where_nobody_looks(
    rich: bool, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    if not rich:
        request.getfixturevalue("no_rich")
    work()
    assert capsys.readouterr() == ("", "")


def test_short_work_is_not_spoken_of(screen: Callable[[int], Screen], no_rich: None) -> None:
    on = screen(80)
    work()
    assert on.getvalue() == ""
