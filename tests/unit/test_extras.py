"""The rarer options as they are stored: one text, or nothing."""

import msgspec
import pytest

from conveyor.core.backoff import Backoff
from conveyor.core.extras import NONE, Extras, decoded, encoded, marked, needle

ALL = Extras(
    tags=marked(("a", "b")),
    unique="k",
    until="start",
    expires=5,
    keep=-1,
    store_result=False,
    backoff=Backoff.exponential(2, factor=3),
    redact=("password", 0),
)


def test_what_is_stored_comes_back() -> None:
    assert decoded(encoded(ALL)) == ALL
    assert decoded((encoded(ALL) or "").encode()) == ALL


def test_nothing_is_stored_of_nothing() -> None:
    assert encoded(NONE) is None
    assert decoded(None) == decoded("") == NONE
    assert (NONE.tag_list, NONE.meta_dict, NONE.store_result) == ((), {}, True)


@pytest.mark.parametrize("text", ["not json", "[]", "7", '{"tags": 5}', b"\xff\xfe", '{"backoff": {"base": -1}}'])
def test_what_somebody_has_spoilt_is_nothing(text: str | bytes) -> None:
    assert decoded(text) == NONE


def test_an_option_of_a_later_version_does_no_harm() -> None:
    assert decoded('{"unique": "k", "colour": "red"}').unique == "k"


@pytest.mark.parametrize("tags", [(), ("a",), ("a", "b", "c"), ('a"b\\', "é😀")])
def test_tags_come_back_in_order(tags: tuple[str, ...]) -> None:
    assert Extras(tags=marked(tags)).tag_list == tags


@pytest.mark.parametrize("tag", ["a", 'a"b\\', "é😀", "a b", "%"])
def test_a_stored_text_holds_the_needle_of_each_of_its_tags_and_of_no_other(tag: str) -> None:
    text = encoded(Extras(tags=marked((f"x{tag}", tag, f"{tag}x")), unique=tag))
    assert text is not None
    assert needle(tag) in text
    for other in (f"{tag}y", tag[:-1] or "-", "x", "unique"):
        assert needle(other) not in text
    assert needle(tag) not in (encoded(Extras(tags=marked((f"x{tag}", f"{tag}x")), unique=tag)) or "")


@pytest.mark.parametrize("tags", [(), ("other",)])
@pytest.mark.parametrize("wrapped", ["\x1fa\x1f", "\\\x1fa\x1f", "\\u001fa\\u001f", "\n\x1fa\x1f\x1f"])
def test_no_fact_and_no_key_of_the_users_is_taken_for_a_tag(tags: tuple[str, ...], wrapped: str) -> None:
    extras = Extras(tags=marked(tags), meta=msgspec.Raw(msgspec.json.encode({wrapped: wrapped})), unique=wrapped)
    text = encoded(extras)
    assert text is not None
    assert needle("a") not in text
    back = decoded(text)
    assert (back.tag_list, back.meta_dict, back.unique) == (tags, {wrapped: wrapped}, wrapped)
