"""Ids are UUIDv7: made anywhere, in order of time, never twice."""

from uuid import RFC_4122, UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conveyor.core import ids
from tests.support.forks import forked


def at(milliseconds: int, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """An id made at that time."""
    monkeypatch.setattr(ids.time, "time_ns", lambda: milliseconds * 1_000_000 + 999_999)
    return ids.new()


def test_an_id_is_a_uuid_of_version_7() -> None:
    made = UUID(bytes=ids.new())
    assert (made.version, made.variant) == (7, RFC_4122)


def test_an_id_begins_with_its_millisecond(monkeypatch: pytest.MonkeyPatch) -> None:
    assert int.from_bytes(at(1_700_000_000_123, monkeypatch)[:6], "big") == 1_700_000_000_123


def test_ids_of_different_milliseconds_sort_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = [0, 1, 1_700_000_000_000, 1_700_000_000_001, 2**48 - 1]
    made = [at(moment, monkeypatch) for moment in moments]
    assert sorted(made) == made
    assert sorted(map(ids.text, made)) == [ids.text(one) for one in made]


def test_ids_of_one_millisecond_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len({at(1, monkeypatch) for _ in range(10_000)}) == 10_000


def test_all_74_random_bits_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [int.from_bytes(at(0, monkeypatch), "big") for _ in range(500)]
    ever, always = 0, -1
    for one in made:
        ever, always = ever | one, always & one
    assert (ever ^ always).bit_count() == 74


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_does_not_give_two_processes_the_same_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    at(1, monkeypatch)  # so that any state of a generator would be shared

    def five() -> str:
        return " ".join(ids.text(ids.new()) for _ in range(5))

    assert len({*forked(five).split(), *forked(five).split(), *five().split()}) == 15


@settings(max_examples=30)
@given(st.binary(min_size=16, max_size=16))
def test_text_and_parse_are_inverse(id_: bytes) -> None:
    text = ids.text(id_)
    assert text == str(UUID(bytes=id_))
    assert ids.parse(text) == ids.parse(text.upper()) == ids.parse(UUID(text)) == id_


@pytest.mark.parametrize("text", ["", "1", "x" * 36, "018f-", "018f5c2e-7b6a-7c3d-9e8f-0123456789abc", "\0" * 36])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"UUID|hexadecimal"):
        ids.parse(text)
