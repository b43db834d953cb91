"""Names, tags, free texts and facts: what is stored is a plain text that every store can hold, or nothing is."""

import enum
import json
from collections.abc import Callable, Sequence
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conveyor import Conveyor
from conveyor.core.errors import ConveyorError, PayloadError
from conveyor.core.text import (
    META_LIMIT,
    NAME_LENGTH,
    TAGS,
    checked_meta,
    checked_name,
    checked_tags,
    free_text,
    is_a,
    told,
)
from conveyor.core.unique import Unique
from tests.support.hostile import VALUES, Mood, Rude, Slippery, Text, tried

Check = Callable[[object], object]

CHECKS: dict[str, Check] = {
    "name": lambda value: checked_name("queue", cast(str, value)),
    "free text": lambda value: free_text("reason", cast(str, value), 500),
    "tags": lambda value: checked_tags(cast(Sequence[str], value)),
    "tag": lambda value: checked_tags([cast(str, value)]),
    "meta": lambda value: checked_meta(cast(dict[str, object], value)),
    "a fact": lambda value: checked_meta({"fact": value}),
    "a fact's name": lambda value: checked_meta({cast(str, value): 1} if is_a(value, str) else {"": value}),
    "unique key": lambda value: Unique(cast(str, value)),
}
PATHS = ("queue", "reason", "tags", "meta", "unique")


@pytest.mark.parametrize("check", CHECKS)
def test_every_value_is_taken_as_plain_text_or_refused_with_its_path(check: str) -> None:
    for name, hostile in VALUES.items():
        value = hostile.make()
        taken, refusal = tried(lambda value=value: CHECKS[check](value))  # type: ignore[misc]  # bound now
        if refusal is None:
            assert plain(taken), name
        else:
            assert refusal.startswith(PATHS), (name, refusal)
            assert len(refusal) < 1_000


def plain(taken: object) -> bool:
    if isinstance(taken, Unique):
        return type(taken.key) in {str, type(None)}
    if isinstance(taken, tuple):
        return all(type(one) is str for one in taken)
    if isinstance(taken, bytes):
        return isinstance(json.loads(taken), dict)
    return type(taken) is str


def test_a_slippery_text_is_held_by_what_it_holds() -> None:
    assert checked_name("queue", Slippery("mail")) == "mail"
    assert free_text("reason", Slippery("a\nb"), 5) == "a\nb"
    assert checked_tags([Slippery("a"), Slippery("b")]) == ("a", "b")
    assert Unique(Slippery("k")).key == "k"


def test_a_member_of_an_enumeration_is_its_text() -> None:
    for taken in (checked_name("queue", Mood.GLAD), free_text("reason", Mood.GLAD, 9), Unique(Mood.GLAD).key):
        assert (type(taken), taken) == (str, "glad")
    assert type(checked_name("queue", Text("a"))) is str


# ------------------------------------------------------------------- names


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "x" * NAME_LENGTH,
        "../../etc/passwd",
        "C:\\nul",
        "tâche.Ω.任务.😀",
        "admin",
        "аdmin",  # the first letter is Cyrillic  # noqa: RUF001 - that is the point
        "Mail",
        " a b ",
        "'\"%s{};--",
        "__proto__",
    ],
)
def test_a_name_may_be_any_printable_text(name: str) -> None:
    assert checked_name("queue", name) == name


@pytest.mark.parametrize(
    "bad",
    [
        *("\0", "\n", "\r", "\t", "\x1b", "\x7f", "\x85", "\u00a0"),
        *("\u200b", "\u200d", "\u2028", "\u202e", "\u2066", "\ufeff", "\ud800", "\ufffe", "\U000e0001"),
    ],
    ids=ascii,
)
def test_no_name_holds_what_cannot_be_seen(bad: str) -> None:
    with pytest.raises(PayloadError, match=r"^queue='a.*b' holds characters that cannot be printed$"):
        checked_name("queue", f"a{bad}b")


@pytest.mark.parametrize(("name", "length"), [("", 0), ("x" * 201, 201), ("x" * 10_000, 10_000)])
def test_no_name_is_empty_or_long(name: str, length: int) -> None:
    with pytest.raises(PayloadError, match=f"^queue must have 1 to 200 characters, not {length}$"):
        checked_name("queue", name)


@pytest.fixture
def app() -> Conveyor:
    return Conveyor("sqlite:///:memory:")


def test_names_that_look_alike_are_different_tasks(app: Conveyor) -> None:
    names = ["mail", "Mail", "mаil", "mail ", "../mail", "mаil".upper()]  # noqa: RUF001 - Cyrillic, as above
    for name in names:
        app.task(name=name)(lambda: None)
    assert list(app.tasks) == names
    with pytest.raises(ConveyorError, match="'mail' is registered already"):
        app.task(name="mail")(lambda: None)


def test_a_name_made_of_the_functions_own_keeps_the_rules_too(app: Conveyor) -> None:
    def work() -> None: ...

    for name in ("x" * 10_000, "a\0b", "a\u202eb"):
        work.__qualname__ = name
        with pytest.raises(PayloadError, match=r"^name"):
            app.task(work)
    assert not app.tasks


# -------------------------------------------------------------- free texts


def test_a_free_text_may_have_lines_and_marks() -> None:
    text = "line 1\nline 2\t\x1b\u202e\ufeff😀"
    assert free_text("reason", text, 100) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x" * 101, "101 characters, and at most 100"),
        ("a\0b", "NUL"),
        ("a\ud800", "lone surrogate"),
        (b"a", "not bytes"),
    ],
    ids=["long", "nul", "surrogate", "bytes"],
)
def test_what_no_store_can_hold_is_refused(text: str, why: str) -> None:
    with pytest.raises((PayloadError, TypeError), match=f"^reason.*{why}"):
        free_text("reason", text, 100)


# -------------------------------------------------------------------- tags


def test_tags_keep_their_order_and_come_once() -> None:
    assert checked_tags(["b", "a", "b"]) == ("b", "a")
    assert checked_tags(("b", "a")) == ("b", "a")
    assert checked_tags({"c", "b", "a"}) == ("a", "b", "c")
    assert checked_tags([]) == ()


def test_one_text_is_no_list_of_tags() -> None:
    with pytest.raises(TypeError, match=r"^tags must be a list of names, as tags=\['billing'\], not 'billing'$"):
        checked_tags("billing")


@pytest.mark.parametrize("bad", [["ok", ""], ["ok", "a\nb"], ["ok", "\ud800"], ["ok", "x" * 201]], ids=ascii)
def test_the_bad_tag_is_named(bad: list[str]) -> None:
    with pytest.raises(PayloadError, match=r"^tags\[1\]"):
        checked_tags(bad)


def test_a_tag_is_text() -> None:
    with pytest.raises(TypeError, match=r"^tags\[1\] must be a str, not int$"):
        checked_tags(["ok", cast(str, 5)])


def test_there_are_at_most_twenty() -> None:
    names = [str(n) for n in range(TAGS + 1)]
    assert len(checked_tags(names[:TAGS])) == TAGS
    with pytest.raises(PayloadError, match=r"^tags: more than 20 of them"):
        checked_tags(names)


# -------------------------------------------------------------------- meta


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers(-(2**63), 2**63 - 1)
            | st.floats(allow_nan=False, allow_infinity=False),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=5,
        ),
        max_size=5,
    )
)
def test_meta_is_what_json_carries_in_one_form(meta: dict[str, object]) -> None:
    data = checked_meta(meta)
    assert json.loads(data) == meta
    assert data == checked_meta(dict(reversed(meta.items())))


@pytest.mark.parametrize(
    ("meta", "path"),
    [
        ({"a": float("nan")}, "meta['a']"),
        ({"a": [1, {"b": 2**70}]}, "meta['a'][1]['b']"),
        ({"a": "\ud800"}, "meta['a']"),
        ({"a": {"b": (1,)}}, "meta"),
        ({"a": {1: 2}}, "meta"),
        ({"a": Mood.GLAD}, "meta"),
        ({"a": object()}, "meta"),
        ({"a": "x" * META_LIMIT}, "meta"),
        ({"k" * META_LIMIT: 1}, "meta"),
    ],
    ids=lambda part: str(part)[:20].replace("\ud800", "?"),
)
def test_the_bad_fact_is_named(meta: dict[str, object], path: str) -> None:
    with pytest.raises(PayloadError) as caught:
        checked_meta(meta)
    assert str(caught.value).partition(": ")[0] == path


def test_meta_is_a_dict() -> None:
    for wrong in ([("a", 1)], "a", None, VALUES["ordered-dict"].make(), VALUES["dict-subclass"].make()):
        with pytest.raises(TypeError, match=r"^meta must be a dict, not "):
            checked_meta(cast(dict[str, object], wrong))


# ----------------------------------------------------------------- refusals


class Long(enum.Enum):
    NAME = "x" * 10_000


def test_any_value_can_be_told() -> None:
    assert told(5) == "5"
    assert told(10**5000) == "a large int"
    assert told(["x" * 10, 5]) == "['xxxxxxxxxx', 5]"
    assert told(VALUES["doubled-list"].make()).startswith("list of 2 (list of 2 (list of 2 (")
    assert told(VALUES["doubled-dataclass"].make()) == "a large Holder"
    assert told(Rude()) == "a Rude"
    assert told("\ud800") == r"'\ud800'"


def test_but_not_at_length() -> None:
    assert len(told("x" * 10**6)) == 81
    assert told(Long.NAME) == "a large Long"
