"""What helps Sphinx to build the documentation."""

import pydoc
import xml.etree.ElementTree as ET
from pathlib import Path
from types import ModuleType

import pytest

import conveyor
from conveyor import Conveyor
from conveyor.core.lifecycle import MOVES, diagram

TOOLS = Path(__file__).parents[2] / "tools"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def statechart(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOLS))
    import statechart as tool

    return tool


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOLS))
    import exported as tool

    return tool


def drawn(statechart: ModuleType, text: str) -> ET.Element:
    return ET.fromstring(statechart.svg(statechart.read(text)))  # noqa: S314 - it was made a moment ago


def test_every_move_is_drawn_in_a_row_of_its_own(statechart: ModuleType) -> None:
    chart = drawn(statechart, diagram())
    words = [text.text for text in chart.iter(f"{SVG}text")]
    assert words[-len(MOVES) :] == [move.event for move in MOVES]
    heads = words[: -len(MOVES)]
    assert sorted(heads) == sorted({move.target for move in MOVES})
    arrows = [path.get("d", "") for path in chart.iter(f"{SVG}path") if path.get("marker-end")]
    assert len({arrow.split()[1].partition("H")[0] for arrow in arrows}) == len(MOVES)


def test_arrows_go_from_column_to_column(statechart: ModuleType) -> None:
    chart = drawn(statechart, "stateDiagram-v2\n    [*] --> a: go\n    a --> b: on\n    b --> b: stay\n    b --> [*]")
    places = {text.text: text.get("x") for text in chart.iter(f"{SVG}text")}
    _, on, stay = (path.get("d", "") for path in chart.iter(f"{SVG}path") if path.get("marker-end"))
    assert on.startswith(f"M{places['a']} ")
    assert on.endswith(f"H{places['b']}")
    assert stay.startswith(f"M{places['b']} ")
    assert len(list(chart.iter(f"{SVG}rect"))) == 3  # the final one has two lines


@pytest.mark.parametrize(
    "text", ["graph TD\n  a --> b", "stateDiagram-v2\n  a -> b", "stateDiagram-v2\n  note left of a"]
)
def test_what_cannot_be_drawn_is_refused(statechart: ModuleType, text: str) -> None:
    with pytest.raises(ValueError, match=r"only a stateDiagram-v2|is no arrow"):
        statechart.read(text)


def test_names_of_no_page_are_documented_all_the_same(exported: ModuleType) -> None:
    everything = [f"conveyor.{name}" for name in conveyor.__all__]
    assert exported.left([]) == everything
    page = "```{eval-rst}\n.. autoclass:: conveyor.Job\n   :members:\n\n.. py:data:: conveyor.__version__\n```\n"
    named = {"conveyor.Job", "conveyor.__version__"}
    assert exported.left([page]) == [name for name in everything if name not in named]
    errors, rest = exported.errors([page]), exported.rest([page])
    assert errors[0] == "conveyor.ConveyorError"
    assert "conveyor.JobFailed" in errors
    assert "conveyor.Retry" in rest
    assert sorted([*errors, *rest, *named]) == sorted(everything)


def test_parts_of_the_app_are_found_where_they_are_defined(exported: ModuleType) -> None:
    (jobs,) = (name for name in exported.parts([]) if name.endswith(".Jobs"))
    assert isinstance(Conveyor("sqlite:///:memory:").jobs, pydoc.locate(jobs))  # type: ignore[arg-type]  # a class


def test_each_kind_has_its_directive(exported: ModuleType) -> None:
    text = exported.directives(f"conveyor.{name}" for name in ("JobFailed", "Backoff", "current", "__version__"))
    for line in (
        ".. autoexception:: conveyor.JobFailed",
        ".. autoclass:: conveyor.Backoff",
        ".. autofunction:: conveyor.current",
        ".. autodata:: conveyor.__version__",
    ):
        assert f"\n{line}\n" in text
    assert exported.directives([]) == ""
