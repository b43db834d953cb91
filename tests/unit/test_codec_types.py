"""What users put into signatures: pydantic models, paths, unions, odd enumerations; each as itself or not at all."""

import functools
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict, Unpack
from uuid import UUID

import msgspec
import pydantic
import pytest

from conveyor.core.codec import Codec
from conveyor.core.errors import PayloadError, UnfitArguments
from tests.support.hostile import Address, Aliased, Barking, Colour, Link, Meowing, Model, Order, Point, Price, linked

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


def taking(annotation: object) -> Callable[..., object]:
    def function(x: object) -> object:
        return x

    function.__annotations__ = {"x": annotation, "return": annotation}
    return function


def through(annotation: object, value: object) -> Any:
    """*value* as another process would get it, as argument and as result, which must be one."""
    codec = Codec(taking(annotation), "shop.buy")
    (back,), _ = codec.decode(codec.encode((value,), {}))
    result = codec.decode_result(codec.encode_result(value))
    assert (type(back), back) == (type(result), result)
    return back


def refusal(annotation: object, value: object) -> str:
    with pytest.raises(PayloadError) as caught:
        Codec(taking(annotation), "shop.buy").encode((value,), {})
    return str(caught.value)


# ------------------------------------------------------------------ models


class Patch(pydantic.BaseModel):
    name: str | None = None
    email: str | None = None
    parts: "list[Patch]" = []


def test_a_field_that_was_not_set_is_not_set_in_the_task_either() -> None:
    patch = Patch(name=None, parts=[Patch(email="e")])
    back = through(Patch, patch)
    assert back.model_dump(exclude_unset=True) == {"name": None, "parts": [{"email": "e"}]}


def test_a_default_that_is_new_each_time_is_kept() -> None:
    order = Order()
    assert through(Order, order).id == order.id


def test_a_model_among_others_that_is_told_by_its_default_is_told() -> None:
    assert type(through(Meowing | Barking, Barking())) is Barking
    assert through(list[Barking | Meowing], [Meowing(), Barking()]) == [Meowing(), Barking()]


def test_models_that_cannot_be_told_apart_are_refused() -> None:
    assert refusal(Model | Aliased, Aliased(theX=1)).startswith("x: a Aliased would come back as a Model, which")


def test_an_alias_need_not_be_the_same_both_ways() -> None:
    assert Codec(taking(Aliased), "t").encode((Aliased(theX=5),), {}) == b'[[{"x":5}],{}]'
    assert through(Aliased, Aliased(theX=5)) == Aliased(theX=5)


def test_a_part_of_a_model_is_named() -> None:
    naive = Order(lines={"tea": [Model(x=1), Model(x=1, when=NOON.replace(tzinfo=None))]})
    assert refusal(Order, naive).startswith("x.lines['tea'][1].when: a datetime without a time zone")


def test_a_model_in_a_struct_a_list_and_a_union_comes_back() -> None:
    class Basket(pydantic.BaseModel):
        model: Model

    assert through(dict[str, list[Basket | int | None]], {"a": [Basket(model=Model(x=1)), 2, None]}) == {
        "a": [Basket(model=Model(x=1)), 2, None]
    }


def test_a_model_without_annotation_is_refused_with_the_fix() -> None:
    assert "annotate the parameter so that it can be read back (for example `x: Model`)" in refusal(object, Model(x=1))


def test_pydantic_is_not_imported_for_those_who_do_not_use_it() -> None:
    program = (
        "import sys; from conveyor.core.codec import Codec; c = Codec(lambda x: x, 't'); c.encode(({'a': 1},), {});"
        "assert not {'pydantic', 'attrs', 'attr'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


# ------------------------------------------------------------------- paths


def test_a_path_comes_back_as_a_path() -> None:
    assert through(Path, Path("/srv/a b")) == Path("/srv/a b")
    assert through(Path | None, None) is None


def test_text_stays_text_where_a_path_could_stand() -> None:
    assert through(Path | str, "a/b") == "a/b"
    assert refusal(Path | str, Path("a")).startswith("x: a PosixPath would come back as a str, which JSON writes alike")
    assert refusal(Path, "a").endswith("a str would come back as the PosixPath of the annotation; send that")


# ------------------------------------------------------------------ unions


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int | datetime, NOON),
        (int | datetime, 5),
        (str | date, "2030-01-01"),
        (date | datetime, NOON),
        (date | datetime, NOON.date()),
        (Model | int, 5),
        (Model | int, True),
        (Literal["-"] | Path, "-"),
        (Literal["-"] | Path, Path("a")),
        (Colour | int, Colour.RED),
        (list[Model | datetime], [Model(x=1), NOON]),
        (set[date | datetime], {NOON, NOON.date()}),
        (tuple[Model | int, ...], (Model(x=1), 2)),
        (tuple[Model | int, str], (Model(x=1), "a")),
        (Model | list[datetime], [NOON]),
        (bytes | int, b"a"),
        (UUID | int, UUID(int=5)),
    ],
)
def test_an_arm_that_json_tells_is_found(annotation: object, value: object) -> None:
    back = through(annotation, value)
    assert (type(back), back) == (type(value), value)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (str | datetime, NOON),
        (datetime | str, NOON),
        (str | bytes, b"a"),
        (str | Colour, Colour.RED),
        (dict[str, int] | Model, Model(x=1)),
        (dict[str, Any] | Address, Address("x")),
        (list[str] | tuple[str, ...], ("a",)),
        (object | datetime, NOON),
    ],
)
def test_what_json_would_write_as_another_arm_is_refused_whatever_it_says(annotation: object, value: object) -> None:
    assert "JSON writes alike and the annotation allows" in refusal(annotation, value)


# ------------------------------------------------------ paths of what is bad


@pytest.mark.parametrize(
    ("annotation", "value", "path"),
    [
        (Address, Address("a", tags=["b", "\ud800"]), "x.tags[1]"),
        (list[Address], [Address("a", tags=["b", 2**70])], "x[0].tags[1]"),  # type: ignore[list-item]  # what it is about
        (Price, Price(1), "x.amount"),
        (Price, Price(float("nan")), "x.amount"),
        (Point, Point(1, 2), "x.y"),
        (dict[str, Point], {"p": Point(1, 2)}, "x['p'].y"),
        (Link, linked(70), "x" + ".next" * 64),
        (object, {"a": [1, (2,)]}, "x['a'][1]"),
        (object, {"a": {1: 2}}, "x['a']"),
        (set[float], {float("inf")}, "x{}"),
        (list[int], [1, 2, True, b"a"], "x[3]"),
    ],
    ids=lambda part: str(part)[:20],
)
def test_the_innermost_bad_part_is_named(annotation: object, value: object, path: str) -> None:
    text = refusal(annotation, value)
    assert text.partition(": ")[0] == path, text


def test_a_refusal_says_what_is_wrong_with_the_annotation() -> None:
    text = refusal(Model, Price(1.0))
    assert text.startswith("x: a Price would not come back equal (1 validation error for Model x Field required")
    assert text.endswith("); annotate the parameter so that it can be read back, or send plain JSON values")


def test_a_refused_result_is_told_as_a_result() -> None:
    def give(x: int):  # type: ignore[no-untyped-def]  # noqa: ANN202 - what it is about
        return (x, x)

    with pytest.raises(PayloadError, match=r"^result: a tuple .*annotate the result.*`-> tuple`"):
        Codec(give, "give").encode_result((1, 1))


def test_a_result_that_its_annotation_would_change_is_refused() -> None:
    with pytest.raises(PayloadError, match=r"^result: a str would come back as the datetime of the annotation"):
        Codec(taking(datetime), "give").encode_result("2030-01-01T00:00:00Z")


# ---------------------------------------------------------------- functions


class Wishes(TypedDict):
    when: datetime
    where: NotRequired[Path]
    note: str


def test_keywords_of_a_typed_dict_come_back_each_as_its_type() -> None:
    def book(**wishes: Unpack[Wishes]) -> None: ...

    codec = Codec(book, "book")
    wishes = Wishes(when=NOON, where=Path("a"), note="2030-01-01T12:00:00Z")
    assert codec.decode(codec.encode((), {**wishes})) == ([], wishes)
    with pytest.raises(PayloadError, match=r"^wishes\['other'\]: "):
        codec.encode((), {"other": NOON})


def remind(who: str, when: datetime) -> tuple[datetime, str]:
    return when, who


class Reminder:
    def __call__(self, who: str, when: datetime) -> tuple[datetime, str]:
        return when, who


@pytest.mark.parametrize(
    "function", [functools.partial(remind, "Eve"), functools.partial(Reminder(), "Eve")], ids=["function", "object"]
)
def test_the_annotations_of_what_is_wrapped_count(function: Callable[..., object]) -> None:
    codec = Codec(function, "remind")
    assert codec.decode(codec.encode((NOON,), {})) == ([NOON], {})
    assert codec.decode_result(codec.encode_result((NOON, "Eve"))) == (NOON, "Eve")


def test_positions_go_as_far_as_the_first_gap() -> None:
    def many(a: int = 1, /, b: int = 2, *, c: int = 3) -> None: ...

    codec = Codec(many, "many")
    assert codec.encode((), {"b": 5}) == b'[[],{"b":5}]'
    assert codec.encode((1,), {"b": 5, "c": 6}) == b'[[1,5],{"c":6}]'
    assert codec.decode(codec.encode((), {"b": 5})) == ([], {"b": 5})


class Talkative:
    def __repr__(self) -> str:
        return "x" * 10**6


class Mute:
    def __repr__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize("default", [Talkative(), Mute()], ids=["talkative", "mute"])
def test_a_wrong_call_is_told_whatever_the_defaults_are(default: object) -> None:
    def work(x: object = default) -> None: ...

    with pytest.raises(TypeError, match="unexpected keyword argument 'y'") as caught:
        Codec(work, "work").encode((), {"y": 1})
    assert len(str(caught.value)) < 1_000


# ------------------------------------------------------------ stored bytes


@pytest.mark.parametrize(
    "data",
    [b"", b"null", b"[]", b"[[]]", b"[[],[]]", b"{}", b"[{},{}]", b"\xff", b'[["\xff"],{}]', b"[" * 10**5, b"[[1],{"],
    ids=lambda data: repr(data[:10]),
)
def test_bytes_that_are_no_call_are_refused_by_name(data: bytes) -> None:
    with pytest.raises(PayloadError, match=r"^shop\.buy: its stored arguments cannot be read: "):
        Codec(taking(int), "shop.buy").decode(data)


def renamed(user: int, *, plan: str = "free") -> None:
    """As the code of a later version may have it."""


@pytest.mark.parametrize(
    ("function", "data", "said"),
    [
        (taking(int), b"[[1,2],{}]", "too many positional arguments"),
        (taking(datetime), b"[[1,2],{}]", "too many positional arguments"),
        (taking(int), b"[[],{}]", "missing a required argument: 'x'"),
        (renamed, b'[[1],{"tier":"pro"}]', "got an unexpected keyword argument 'tier'"),
        (renamed, b'[[],{"user_id":1}]', "missing a required argument: 'user'; it takes no 'user_id'"),
    ],
)
def test_a_call_that_the_function_does_not_take_any_more_is_told_from_bytes_that_are_none(
    function: Callable[..., object], data: bytes, said: str
) -> None:
    with pytest.raises(UnfitArguments) as caught:
        Codec(function, "shop.buy").decode(data)
    assert str(caught.value).startswith("shop.buy(")
    assert str(caught.value).endswith(said)
    assert caught.value.bare == str(caught.value)


class Basket(msgspec.Struct):
    """It has got a field more."""

    number: int
    plan: Literal["free", "pro"]


@pytest.mark.parametrize("hint", [Basket, Basket | None, Annotated[Basket, "the latest"]], ids=str)
def test_an_object_without_the_fields_of_its_class_does_not_fit_and_is_not_let_in_either(hint: object) -> None:
    codec = Codec(taking(hint), "shop.buy")
    with pytest.raises(UnfitArguments, match=r"`plan`") as caught:
        codec.decode(b'[[{"number":1}],{}]')
    assert caught.value.bare == "shop.buy: x has not the fields of its annotation"
    with pytest.raises(PayloadError, match=r"^x: has not the fields of its annotation \(.*`plan`\); send"):
        codec.encode(({"number": 1},), {})
    assert codec.decode(b"[[null],{}]") == ([None], {})  # as `basket: Basket = None` has it
    assert codec.decode(b'[[{"number":1,"plan":"pro"}],{}]') == ([Basket(1, "pro")], {})


# --------------------------------------------------------------- redaction


def test_the_places_of_parameters_are_told_however_they_may_be_sent() -> None:
    def pay(ctx: object, card: str, pin: int, *extra: str, cvc: str = "", **more: str) -> None: ...

    codec = Codec(pay, "pay", skip_first=True)
    assert codec.places(["card", "pin"]) == ("card", "pin", 0, 1)
    assert codec.places(["cvc", "extra"]) == ("cvc", "extra", ~2)
    assert codec.places(["more"]) == ("more", "**")
    assert codec.places(["a key that ** may take"]) == ("a key that ** may take",)


def test_a_name_that_is_no_parameter_has_no_place() -> None:
    def pay(ctx: object, card: str) -> None: ...

    with pytest.raises(TypeError, match="pay has no parameter ctx, nothing to redact"):
        Codec(pay, "pay", skip_first=True).places(["card", "ctx", "nothing"])
