"""Every hostile value through every door of the codec comes back as it was, or is refused with its path."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.hostile import VALUES, Colour, Holder, Level, Right
from tests.support.verdicts import REFUSED, SAME, Function, annotated, returned, sent, without_annotations

CELLS = 6_000
"""At least so many verdicts; fewer would mean that a door is shut."""


def _itself(part: object) -> object:
    return part


def positional() -> Function:
    def function(x: object) -> object:
        return x

    return function


def starred() -> Function:
    def function(*rest: object) -> object:
        return rest

    return function


def keyword() -> Function:
    def function(*, key: object) -> object:
        return key

    return function


def double_starred() -> Function:
    def function(**more: object) -> object:
        return more

    return function


@dataclass(frozen=True)
class Door:
    """One way for a value to go in."""

    make: Callable[[], Function]
    args: Callable[[object], tuple[object, ...]] = lambda value: (value,)
    kwargs: Callable[[object], dict[str, object]] = lambda _: {}
    hint: Callable[[object], object] = _itself
    """The annotation of the parameter, given that of the value."""


DOORS: Mapping[str, Door] = {
    "positional": Door(positional),
    "star": Door(starred, args=lambda value: (value, value)),
    "keyword": Door(keyword, args=lambda _: (), kwargs=lambda value: {"key": value}),
    "star-star": Door(double_starred, args=lambda _: (), kwargs=lambda value: {"other": value}),
    "in-a-list": Door(positional, args=lambda value: ([value],), hint=lambda hint: list[hint]),  # type: ignore[valid-type]  # made at run time
    "in-a-dict": Door(positional, args=lambda value: ({"k": value},), hint=lambda hint: dict[str, hint]),  # type: ignore[valid-type]  # as above
    "in-both": Door(positional, args=lambda value: ({"k": [value]},), hint=lambda hint: dict[str, list[hint]]),  # type: ignore[valid-type]  # as above
}


def through(value: object, doors: Iterable[str], dress: Callable[[Function, Door], Function]) -> dict[str, str]:
    """The verdict of each door, its function dressed in annotations or not."""
    tried = {name: DOORS[name] for name in doors}
    verdicts = {
        name: sent(dress(door.make(), door), door.args(value), door.kwargs(value)) for name, door in tried.items()
    }
    return verdicts | {"result": returned(dress(positional(), DOORS["positional"]), value)}


def matrix(names: Iterable[str]) -> dict[tuple[str, str, str], str]:
    """The verdict of each cell: value, annotation, door."""
    cells: dict[tuple[str, str, str], str] = {}
    for name in names:
        value, own = VALUES[name].make(), VALUES[name].annotation
        doors: Iterable[str] = DOORS
        dresses: dict[str, Callable[[Function, Door], Function]] = {
            "none": lambda function, _: without_annotations(function),
            "object": lambda function, _: annotated(function, object),
        }
        if own is not None:
            dresses["own"] = lambda function, door, own=own: annotated(function, door.hint(own))  # type: ignore[misc]  # bound now
        if VALUES[name].slow:
            doors, dresses = ["positional"], {"own": dresses["own"]}
        for dress, put_on in dresses.items():
            cells |= {(name, dress, door): verdict for door, verdict in through(value, doors, put_on).items()}
    return cells


@pytest.fixture(scope="module")
def cells() -> dict[tuple[str, str, str], str]:
    return matrix(VALUES)


def test_every_cell_is_same_or_refused(cells: dict[tuple[str, str, str], str]) -> None:
    assert {cell: verdict for cell, verdict in cells.items() if verdict not in {SAME, REFUSED}} == {}
    assert len(cells) >= CELLS


def test_what_must_come_back_does_and_what_must_not_is_refused(cells: dict[tuple[str, str, str], str]) -> None:
    wanted = {name: hostile for name, hostile in VALUES.items() if hostile.comes_back is not None}
    wrong = {
        (name, hint, door): verdict
        for (name, hint, door), verdict in cells.items()
        if name in wanted
        and hint == ("none" if wanted[name].annotation is None else "own")
        and verdict != (SAME if wanted[name].comes_back else REFUSED)
    }
    assert wrong == {}


def test_there_are_many_values() -> None:
    assert len(VALUES) >= 150


# Whatever a machine makes of the same: scalars that JSON has and has not, in containers that it has and has not.
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=5)
    | st.binary(max_size=5)
    | st.decimals(places=2, allow_nan=True)
    | st.datetimes(timezones=st.none() | st.just(UTC))
    | st.uuids()
    | st.sampled_from([Colour.RED, Level.LOW, Right.READ | Right.WRITE])
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3) | st.integers() | st.none() | st.booleans(), inner, max_size=3)
        | st.builds(Holder, inner)
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(anything)
def test_whatever_a_machine_makes_up_is_same_or_refused(value: object) -> None:
    for hint in (None, object, list[datetime | int | None], dict[str, Holder | Decimal], Holder, tuple[Any, bytes]):

        def put_on(function: Function, _: Door, hint: object = hint) -> Function:
            return without_annotations(function) if hint is None else annotated(function, hint)

        verdicts = through(value, ["positional", "in-a-list"], put_on)
        assert set(verdicts.values()) <= {SAME, REFUSED}, verdicts
