"""Arguments and results: what goes in comes out equal, and what would not is refused at the door, with its path."""

import enum
import inspect
import math
import sys
import typing
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple, NewType
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conveyor.core.codec import Codec
from conveyor.core.errors import PayloadError
from conveyor.core.values import DEPTH_LIMIT, PAYLOAD_LIMIT
from tests.support import late

UserId = NewType("UserId", int)
NOON = datetime(2030, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
NAN, INF = float("nan"), float("inf")


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


class Level(enum.IntEnum):
    LOW = 1


@dataclass
class Address:
    street: str
    since: date


class Customer(msgspec.Struct):
    name: str
    addresses: list[Address]


class Point(NamedTuple):
    x: int
    y: int


@dataclass
class Link:
    next: "Link | None" = None


def anything(x, *rest, key=None, **more):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN002, ANN003, ANN201 - it promises nothing
    """Takes whatever comes, and promises nothing about it."""


def taking(annotation: object) -> Callable[..., object]:
    """A function whose one parameter and result bear *annotation*."""

    def function(x: object) -> object:
        return x

    function.__annotations__ = {"x": annotation, "return": annotation}
    return function


def kind(value: object) -> str:
    """A test's id: the same in every process, as no object's address is."""
    return type(value).__name__


def through(function: Callable[..., object], /, *args: object, **kwargs: object) -> tuple[list[Any], dict[str, Any]]:
    """The arguments as another process would get them: from the bytes alone."""
    data = Codec(function, "shop.buy").encode(args, kwargs)
    return Codec(function, "shop.buy").decode(data)


def refused(path: str, function: Callable[..., object], /, *args: object, **kwargs: object) -> str:
    """The text of the refusal, which must begin with *path*."""
    with pytest.raises(PayloadError) as caught:
        Codec(function, "shop.buy").encode(args, kwargs)
    text = str(caught.value)
    assert text.partition(": ")[0] == path, text
    return text


# ---------------------------------------------------------- plain values


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        0,
        -1,
        2**63 - 1,
        -(2**63),
        0.1,
        1.0,
        -0.0,
        5e-324,
        1.7976931348623157e308,
        "",
        "a\0b",
        "\x7f\u2028\ufffe😀",
        [],
        {},
        [[[]]],
        {"a": [1, {"b": None}]},
        {"": 1, "a.b": 2, "\0": 3},
    ],
)
def test_a_plain_value_comes_back_as_it_went_in(value: object) -> None:
    (back,), named = through(anything, value)
    assert (typed(back), named) == (typed(value), {})


json_like = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def typed(value: object) -> object:
    """*value* with the type of each part beside it: ``True == 1`` and ``1 == 1.0`` are not the same."""
    if isinstance(value, list):
        return [typed(item) for item in value]
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    return type(value), repr(value)


@settings(max_examples=30)
@given(json_like, st.dictionaries(st.text(min_size=1), json_like, max_size=3))
def test_whatever_json_can_say_comes_back_in_value_and_type(value: object, more: dict[str, object]) -> None:
    more = {name: item for name, item in more.items() if name not in {"x", "key"}}
    (back,), named = through(anything, value, **more)
    assert (typed(back), typed(named)) == (typed(value), typed(more))


@settings(max_examples=30)
@given(json_like)
def test_results_keep_the_same_promise(value: object) -> None:
    codec = Codec(anything, "shop.buy")
    assert typed(codec.decode_result(codec.encode_result(value))) == typed(value)


def test_equal_calls_are_equal_bytes() -> None:
    codec = Codec(anything, "shop.buy")
    one = codec.encode(({"a": 1, "b": 2},), {"m": 1, "n": 2})
    assert one == codec.encode(({"b": 2, "a": 1},), {"n": 2, "m": 1}) == b'[[{"a":1,"b":2}],{"m":1,"n":2}]'


# -------------------------------------------------------- annotated values


ANNOTATED: list[tuple[object, object]] = [
    (datetime, NOON),
    (datetime, NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))),
    (datetime | None, None),
    (date, NOON.date()),
    (timedelta, timedelta(days=-3, microseconds=7)),
    (uuid.UUID, uuid.UUID(int=7)),
    (Decimal, Decimal("1.50")),
    (bytes, bytes(range(256))),
    (bytearray, bytearray(b"\0\xff")),
    (Colour, Colour.RED),
    (Level, Level.LOW),
    (Address, Address("High St", NOON.date())),
    (Customer, Customer("Eve", [Address("High St", NOON.date())])),
    (list[Customer], [Customer("Eve", [])]),
    (tuple, (1, "a")),
    (tuple[int, datetime], (1, NOON)),
    (tuple[int, ...], (1, 2, 3)),
    (Point, Point(1, 2)),
    (set[int], {3, 1, 2}),
    (frozenset[str], frozenset({"a"})),
    (dict[int, str], {1: "a", -2: "b"}),
    (dict[uuid.UUID, Colour], {uuid.UUID(int=7): Colour.BLUE}),
    (UserId, UserId(7)),
    (float, 1),
    (float | None, 1),
    (Any, {"a": 1}),
    (object, "a"),
]


@pytest.mark.parametrize(("annotation", "value"), ANNOTATED, ids=lambda part: str(part)[:40])
def test_what_is_annotated_comes_back_equal(annotation: object, value: object) -> None:
    function = taking(annotation)
    codec = Codec(function, "shop.buy")
    result = codec.decode_result(codec.encode_result(value))
    assert (through(function, value), result) == (([value], {}), value)


def test_so_does_a_keyword() -> None:
    def at(*, when: datetime) -> None: ...

    assert through(at, when=NOON) == ([], {"when": NOON})


@pytest.mark.parametrize(("annotation", "value"), [pair for pair in ANNOTATED if pair[0] != float | None], ids=str)
def test_and_never_as_an_equal_value_of_another_type(annotation: object, value: object) -> None:
    (back,), _ = through(taking(annotation), value)
    assert type(back) is type(value)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (datetime, "2030-01-01T00:00:00Z"),
        (bytes, "abcd"),
        (uuid.UUID, str(uuid.UUID(int=7))),
        (Decimal, "1.5"),
        (tuple, [1]),
    ],
)
def test_a_plain_value_is_not_made_into_what_the_annotation_says(annotation: object, value: object) -> None:
    try:
        (back,), _ = through(taking(annotation), value)
    except PayloadError:
        return  # refusing it is as honest
    assert back == value


def test_a_number_is_not_rounded_to_fit_an_annotation() -> None:
    try:
        (back,), _ = through(taking(float | None), 2**53 + 1)
    except PayloadError:
        return
    assert back == 2**53 + 1


def test_a_plain_value_that_does_not_fit_its_annotation_is_handed_over_as_python_would() -> None:
    assert through(taking(int), "seven") == (["seven"], {})
    assert through(taking(Address), None) == ([None], {})


def test_a_moment_in_the_hour_that_comes_twice_can_be_sent() -> None:
    twice = datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    for moment in (twice, twice.replace(fold=1)):
        (back,), _ = through(taking(datetime), moment)
        assert back.timestamp() == moment.timestamp()


def test_a_moment_without_a_time_zone_is_refused_even_when_annotated() -> None:
    assert "time zone" in refused("x", taking(datetime), NOON.replace(tzinfo=None))


# --------------------------------------------------------------- refusals


def nested(depth: int, make: Callable[[object], object] = lambda inner: [inner]) -> object:
    value: object = 1
    for _ in range(depth):
        value = make(value)
    return value


def cycle() -> list[object]:
    inside: list[object] = []
    inside.append(inside)
    return inside


@pytest.mark.parametrize("wrong", [NAN, INF, -INF])
def test_no_float_that_json_cannot_say(wrong: float) -> None:
    assert "send None or a string instead" in refused("x", anything, wrong)
    refused("x['a'][1]", anything, {"a": [0, wrong]})
    refused("key", anything, 1, key=wrong)
    refused("rest[1][0]", anything, 1, 2, [wrong])
    refused("more['b'][0]", anything, 1, b=[wrong])


@pytest.mark.parametrize("wrong", [2**63, -(2**63) - 1, 10**400])
def test_no_integer_beyond_64_bits(wrong: int) -> None:
    assert f"an integer of {wrong.bit_length()} bits; at most 63" in refused("x", anything, wrong)
    refused("x[0]['a']", anything, [{"a": wrong}])


def test_nothing_nested_deeper_than_64() -> None:
    assert through(anything, nested(DEPTH_LIMIT)) == ([nested(DEPTH_LIMIT)], {})
    assert f"nested more than {DEPTH_LIMIT} deep" in refused("x" + "[0]" * 64, anything, nested(DEPTH_LIMIT + 1))
    refused("x" + "['k']" * 64, anything, nested(65, lambda inner: {"k": inner}))
    refused("x" + "[0]" * 64, anything, nested(100_000))


@pytest.mark.parametrize("levels", [DEPTH_LIMIT + 1, 5_000])
def test_not_even_in_an_annotated_type(levels: int) -> None:
    chain = Link()
    for _ in range(levels):
        chain = Link(chain)
    with pytest.raises(PayloadError):
        Codec(taking(Link), "shop.buy").encode((chain,), {})


def test_no_cycle() -> None:
    assert "or a cycle" in refused("x" + "[0]" * 64, anything, cycle())
    link = Link()
    link.next = link
    with pytest.raises(PayloadError):
        Codec(taking(Link), "shop.buy").encode((link,), {})


def test_a_list_that_holds_one_list_twice_and_so_on_is_refused_before_it_takes_for_ever() -> None:
    value: list[object] = []
    for _ in range(60):  # 2 ** 60 places in all
        value = [value, value]
    calls = 0

    def impatient(*_: object) -> None:  # called at each call of a function
        nonlocal calls
        calls += 1
        assert calls < 500_000

    before = sys.gettrace()
    sys.settrace(impatient)
    try:
        refused("x", anything, value)
    finally:
        sys.settrace(before)


@pytest.mark.parametrize(
    ("wrong", "path"),
    [("\ud800", "x"), (["a", "\udfff"], "x[1]"), ({"a": {"b": "\ud800"}}, "x['a']['b']")],
)
def test_no_lone_surrogate(wrong: object, path: str) -> None:
    text = refused(path, anything, wrong)
    assert "lone surrogate" in text
    text.encode()


def test_no_lone_surrogate_in_a_key_either() -> None:
    with pytest.raises(PayloadError, match=r"^x.*lone surrogate") as caught:
        Codec(anything, "shop.buy").encode(({"\ud800": 1},), {})
    str(caught.value).encode()


@pytest.mark.parametrize("wrong", [object(), Codec, len, 1j, range(3), (n for n in "ab"), ValueError("no")], ids=kind)
def test_no_object_that_json_cannot_carry(wrong: object) -> None:
    text = refused("x", anything, wrong)
    assert type(wrong).__name__ in text
    refused("x['a'][0]", anything, {"a": [wrong]})


@pytest.mark.parametrize(
    "wrong",
    [
        (1, 2),
        [(1, 2)],
        {"a": (1,)},
        {1, 2},
        {1: "a"},
        {None: "a"},
        {True: "a"},
        b"a",
        NOON,
        NOON.date(),
        Decimal(1),
        uuid.UUID(int=1),
        Colour.RED,
        Level.LOW,
        [Level.LOW],
        Address("a", NOON.date()),
        Point(1, 2),
        OrderedDict(a=1),
        [OrderedDict(a=1)],
    ],
    ids=repr,
)
def test_nothing_that_would_come_back_as_something_else(wrong: object) -> None:
    with pytest.raises(PayloadError, match=r"^x.*annotate|^x.*send"):
        Codec(anything, "shop.buy").encode((wrong,), {})


def test_a_refusal_shows_how_to_annotate() -> None:
    assert refused("x", anything, (1, 2)) == (
        "x: a tuple would not come back equal; annotate the parameter so that it can be read back "
        "(for example `x: tuple`), or send plain JSON values"
    )


def test_not_more_than_256_kib() -> None:
    frame = len(b'[[""],{}]')
    assert through(anything, "x" * (PAYLOAD_LIMIT - frame))
    text = refused("shop.buy", anything, "x" * (PAYLOAD_LIMIT - frame + 1))
    assert text.endswith("262,145 bytes, and at most 262,144 can be stored; store it elsewhere and send its key")


def test_a_refusal_does_not_repeat_what_it_refuses() -> None:
    with pytest.raises(PayloadError) as caught:
        Codec(anything, "shop.buy").encode(({"k" * 10**6: NAN},), {})
    assert len(str(caught.value)) < 2_000


class Rude:
    """A key that cannot even be shown."""

    def __repr__(self) -> str:
        raise ZeroDivisionError


def test_a_key_that_cannot_be_shown_is_refused_like_any_other() -> None:
    with pytest.raises(PayloadError, match=r"^x"):
        Codec(anything, "shop.buy").encode(({Rude(): 1},), {})


@pytest.mark.parametrize(
    "wrong", [NAN, 2**63, (1, 2), {1}, object(), "\ud800", "x" * PAYLOAD_LIMIT], ids=lambda v: str(v)[:9]
)
def test_a_result_is_refused_as_an_argument_is(wrong: object) -> None:
    with pytest.raises(PayloadError, match=r"^result: "):
        Codec(anything, "shop.buy").encode_result(wrong)


def test_no_result_is_no_bytes() -> None:
    codec = Codec(anything, "shop.buy")
    assert (codec.encode_result(None), codec.decode_result(None)) == (None, None)


# -------------------------------------------------------------- signatures


def buy(item: str, /, count: int, *, gift: bool = False) -> None: ...
def total(start: int, *amounts: int, **rates: float) -> int: ...


@pytest.mark.parametrize(
    ("args", "kwargs", "trouble"),
    [
        ((), {}, "missing a required"),
        (("tea",), {}, "missing a required argument: 'count'"),
        (("tea",), {"cuont": 1}, "missing a required argument: 'count'; it takes no 'cuont'$"),
        (("tea", 1, 2), {}, "too many positional arguments"),
        (("tea", 1), {"gift": True, "wrap": 1}, "got an unexpected keyword argument 'wrap'"),
        ((), {"item": "tea", "count": 1}, "positional.only"),
        (("tea", 1), {"count": 2}, "multiple values for argument 'count'"),
    ],
)
def test_a_call_that_the_function_does_not_take_is_a_type_error(
    args: tuple[object, ...], kwargs: dict[str, object], trouble: str
) -> None:
    with pytest.raises(TypeError, match=trouble) as caught:
        Codec(buy, "shop.buy").encode(args, kwargs)
    assert str(caught.value).startswith("shop.buy(item: str, /, count: int, *, gift: bool = False) -> None: ")


def plain_ones(a: int, b: int = 2, /, c: int = 3, *, d: int = 4) -> None: ...
def starred(a: int, *rest: int, d: int = 4, **more: int) -> None: ...
def owing(a: int, *, d: int) -> None: ...
def gapped(a: int = 1, *rest: int) -> None: ...
def bare() -> None: ...


@pytest.mark.parametrize("function", [plain_ones, starred, owing, gapped, bare])
@pytest.mark.parametrize("kwargs", [{}, {"d": 9}, {"c": 8}], ids=str)
def test_a_call_is_bound_as_python_binds_it(function: Callable[..., None], kwargs: dict[str, int]) -> None:
    """Also by the shorter way of the usual call."""
    codec, signature = Codec(function, "f"), inspect.signature(function)
    for count in range(6):
        args = tuple(range(count))
        try:
            expected = signature.bind(*args, **kwargs).arguments
        except TypeError:
            with pytest.raises(TypeError):
                codec.encode(args, kwargs)
        else:
            back, named = codec.decode(codec.encode(args, kwargs))
            assert signature.bind(*back, **named).arguments == expected


def test_every_kind_of_parameter_arrives_where_it_was_sent() -> None:
    assert through(buy, "tea", 2, gift=True) == (["tea", 2], {"gift": True})
    assert through(buy, "tea", count=2) in [(["tea", 2], {}), (["tea"], {"count": 2})]
    assert through(total, 1, 2, 3, vat=0.2) == ([1, 2, 3], {"vat": 0.2})
    assert through(total, 1) == ([1], {})


def test_a_default_is_left_to_the_worker() -> None:
    assert Codec(buy, "shop.buy").encode(("tea", 2), {}) == b'[["tea",2],{}]'


def test_parameters_may_bear_any_name() -> None:
    def odd(self: int, name: int, args: int, kwargs: int, function: int) -> None: ...

    assert through(odd, self=1, name=2, args=3, kwargs=4, function=5)[0] == [1, 2, 3, 4, 5]


def test_the_annotation_of_star_args_reads_each_of_them() -> None:
    def at(*moments: datetime) -> None: ...

    assert through(at, NOON, NOON) == ([NOON, NOON], {})


def test_the_annotation_of_double_star_kwargs_reads_each_of_them() -> None:
    def at(**moments: datetime) -> None: ...

    assert through(at, a=NOON, b=NOON) == ([], {"a": NOON, "b": NOON})


def test_a_keyword_is_not_read_by_the_annotation_of_another_parameter_of_its_name() -> None:
    def at(when: datetime, /, **more: str) -> datetime: ...

    text = "2030-01-01T00:00:00Z"
    assert through(at, NOON, when=text) == ([NOON], {"when": text})
    assert through(at, NOON, **{"return": text}) == ([NOON], {"return": text})


def test_the_context_parameter_is_not_the_callers() -> None:
    def work(ctx: object, when: datetime) -> None: ...

    codec = Codec(work, "shop.work", skip_first=True)
    assert codec.decode(codec.encode((NOON,), {})) == ([NOON], {})
    assert codec.decode(codec.encode((), {"when": NOON}))[0] == [NOON]
    with pytest.raises(TypeError, match="too many positional"):
        codec.encode((1, NOON), {})
    with pytest.raises(TypeError, match="unexpected keyword argument 'ctx'"):
        codec.encode((NOON,), {"ctx": 1})


# ------------------------------------------------------------- annotations


def test_annotations_that_are_text_are_read() -> None:
    assert through(late.remind, NOON) == ([NOON], {})


def test_annotations_that_cannot_be_resolved_promise_nothing() -> None:
    assert through(late.order, {"a": 1}, 2) == ([{"a": 1}, 2], {})
    with pytest.raises(PayloadError, match=r"^order: "):
        Codec(late.order, "shop.order").encode((NOON, 1), {})


def test_one_annotation_that_cannot_be_resolved_does_not_take_the_others_along() -> None:
    assert through(late.ship, NOON, {"a": 1}) == ([NOON, {"a": 1}], {})


def test_not_even_when_it_is_that_of_the_context() -> None:
    codec = Codec(late.call, "shop.call", skip_first=True)
    assert codec.decode(codec.encode((NOON,), {})) == ([NOON], {})


def test_an_annotation_that_is_no_type_at_all_promises_nothing() -> None:
    assert through(late.greet, "Eve") == (["Eve"], {})


@pytest.mark.parametrize(("annotation", "value"), [(typing.List, [1]), (typing.Dict, {"a": 1})], ids=["list", "dict"])  # noqa: UP006 - bare
def test_a_bare_alias_of_a_container_promises_no_parts(annotation: object, value: object) -> None:
    assert through(taking(annotation), value) == ([value], {})


class Unlike:
    """An annotation that cannot even be compared."""

    __hash__ = None  # type: ignore[assignment]  # what the test is about

    def __eq__(self, _: object) -> bool:
        raise ZeroDivisionError


def test_an_annotation_that_cannot_be_compared_promises_nothing() -> None:
    assert through(taking(Unlike()), 1) == ([1], {})


@dataclass(eq=False)
class Quarrelsome:
    x: int

    def __eq__(self, _: object) -> bool:
        raise ZeroDivisionError

    __hash__ = None  # type: ignore[assignment]  # as above


@pytest.mark.parametrize(("annotation", "value"), [(Quarrelsome, Quarrelsome(1)), (Decimal, Decimal("sNaN"))], ids=kind)
def test_a_value_that_cannot_be_compared_is_refused_with_its_path(annotation: object, value: object) -> None:
    refused("x", taking(annotation), value)


def test_a_dataclass_whose_own_annotations_cannot_be_resolved_is_refused_with_its_path() -> None:
    @dataclass
    class Unfinished:
        part: "Missing"  # type: ignore[name-defined]  # noqa: F821 - what the test is about

    refused("x", taking(Unfinished), Unfinished(1))


def test_the_signature_is_read_once_all_names_exist() -> None:
    def early(when: "Later") -> None: ...  # type: ignore[name-defined]  # noqa: F821 - defined below

    codec = Codec(early, "shop.early")
    early.__globals__["Later"] = datetime
    try:
        assert codec.decode(codec.encode((NOON,), {})) == ([NOON], {})
    finally:
        del early.__globals__["Later"]


def test_minus_zero_keeps_its_sign() -> None:
    (back,), _ = through(anything, -0.0)
    assert math.copysign(1, back) == -1
