"""How long a failed job waits: four shapes, all bounded, all spread."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conveyor.core.backoff import DEFAULT_BACKOFF, LONGEST_WAIT, Backoff

NAN, INF = float("nan"), float("inf")


def waits(backoff: Backoff, attempts: int = 5) -> list[float]:
    """The waits after the first so many failures, unspread."""
    return [backoff.seconds(attempt, 0.0) for attempt in range(1, attempts + 1)]


def test_fixed_waits_the_same_each_time() -> None:
    assert waits(Backoff.fixed(7)) == [7] * 5


def test_fixed_is_not_held_to_the_usual_cap() -> None:
    assert waits(Backoff.fixed(timedelta(days=2)), 1) == [172_800]


def test_linear_grows_by_its_step_up_to_its_cap() -> None:
    assert waits(Backoff.linear(10, cap=35)) == [10, 20, 30, 35, 35]


def test_exponential_grows_by_its_factor_up_to_its_cap() -> None:
    assert waits(Backoff.exponential(10, factor=3, cap=300)) == [10, 30, 90, 270, 300]


def test_a_list_is_gone_through_and_its_last_wait_stays() -> None:
    assert waits(Backoff.of([1, timedelta(minutes=1), 5])) == [1, 60, 5, 5, 5]


def test_the_default_spends_about_three_minutes_on_five_attempts() -> None:
    assert waits(DEFAULT_BACKOFF, 4) == [5, 15, 45, 135]


def test_zero_means_at_once() -> None:
    assert waits(Backoff.fixed(0)) == [0] * 5


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
def test_the_spread_only_ever_shortens_a_wait(chance: float) -> None:
    assert Backoff.fixed(100, jitter=0.25).seconds(1, chance) == pytest.approx(100 - 25 * chance)


def test_no_jitter_means_no_spread() -> None:
    assert Backoff.fixed(100, jitter=0).seconds(1, 0.999) == 100


@pytest.mark.parametrize(
    "backoff",
    [
        Backoff.exponential(5, factor=10**6),
        Backoff.exponential(5.0, factor=1e6),
        Backoff.exponential(1e-9, factor=3),
        Backoff.linear(1e300),
    ],
)
def test_growth_beyond_all_numbers_stops_at_the_cap(backoff: Backoff) -> None:
    assert backoff.seconds(1000, 0.0) == 3600


@pytest.mark.parametrize("nothing", [0, 0.0])
def test_no_wait_stays_no_wait_however_often_it_is_multiplied(nothing: float) -> None:
    assert Backoff.exponential(nothing, factor=3).seconds(1000, 0.0) == 0


@settings(max_examples=50)
@given(
    st.one_of(
        st.builds(Backoff.fixed, st.floats(0, 1e6)),
        st.builds(lambda base, cap: Backoff.linear(base, cap=cap), st.floats(0, 1e6), st.floats(0, 1e6)),
        st.builds(
            lambda base, factor, cap: Backoff.exponential(base, factor=factor, cap=cap),
            st.floats(0, 1e6),
            st.floats(0, 1e6) | st.integers(0, 10**6),
            st.floats(0, 1e6),
        ),
        st.builds(Backoff.of, st.lists(st.floats(0, 1e6), min_size=1)),
    ),
    st.integers(1, 1000),
    st.floats(0, 1, exclude_max=True),
)
def test_every_wait_of_every_rule_lies_between_zero_and_its_bound(
    backoff: Backoff, attempt: int, chance: float
) -> None:
    assert 0 <= backoff.seconds(attempt, chance) <= max(backoff.waits, default=backoff.cap)


@pytest.mark.parametrize("wrong", [NAN, INF, -INF, -1, -0.001, timedelta(seconds=-1)])
def test_a_wait_must_be_a_number_that_a_clock_can_wait_for(wrong: float) -> None:
    for make in (Backoff.fixed, Backoff.linear, Backoff.exponential, lambda wait: Backoff.of([1, wait])):
        with pytest.raises(ValueError, match=r"must be finite and not negative|between 0 seconds and ten years"):
            make(wrong)


@pytest.mark.parametrize("name", ["factor", "cap", "jitter"])
@pytest.mark.parametrize("wrong", [NAN, INF, -1])
def test_so_must_everything_that_shapes_it(name: str, wrong: float) -> None:
    with pytest.raises(ValueError, match=f"{name}={wrong}"):
        Backoff.exponential(1, **{name: wrong})


def test_jitter_is_a_share() -> None:
    with pytest.raises(ValueError, match=r"jitter=1\.5 is a share of the wait and must be at most 1"):
        Backoff.fixed(1, jitter=1.5)


def test_a_list_of_waits_must_not_be_empty() -> None:
    with pytest.raises(ValueError, match="at least one wait"):
        Backoff.of([])


@pytest.mark.parametrize("much", [LONGEST_WAIT * 1.001, 1e300])
def test_no_rule_waits_longer_than_ten_years(much: float) -> None:
    for make in (
        Backoff.fixed,
        lambda wait: Backoff.linear(1, cap=wait),
        lambda wait: Backoff.exponential(1, cap=wait),
        lambda wait: Backoff.of([wait]),
    ):
        with pytest.raises(ValueError, match="ten years"):
            make(much)


UNTYPED = cast(Any, Backoff)
"""As one calls it without a type checker."""


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: UNTYPED.fixed("3"), "Backoff.fixed: seconds must be a number of seconds or a timedelta, not '3'"),
        (lambda: UNTYPED.fixed(3, jitter=None), "Backoff: jitter must be a number, not None"),
        (lambda: UNTYPED.linear([]), r"Backoff.linear: seconds must be .*, not \[\]"),
        (lambda: UNTYPED.linear(3, cap="1h"), "Backoff.linear: cap must be .*, not '1h'"),
        (lambda: UNTYPED.exponential(True), "Backoff.exponential: seconds must be .*, not True"),
        (lambda: UNTYPED.exponential(3, factor="2"), "Backoff: factor must be a number, not '2'"),
        (lambda: UNTYPED.exponential(3, cap=None), "Backoff.exponential: cap must be .*, not None"),
        (lambda: UNTYPED.of([1, "2"]), r"Backoff.of: waits\[1\] must be .*, not '2'"),
        (lambda: UNTYPED.of(5), r"Backoff.of takes a list of waits, as Backoff.of\(\[1, 60\]\), not 5"),
    ],
)
def test_what_is_no_number_is_refused_by_its_name(make: Callable[[], Backoff], told: str) -> None:
    with pytest.raises(TypeError, match=f"^{told}$"):
        make()
