"""Values that a job library must carry exactly or refuse: what users send by mistake, and what only an enemy would.

Each is made by a function, as some are huge, some hold themselves, and all must be made anew in each process.
"""

import dataclasses
import enum
import ipaddress
import re
import threading
import types
import typing
import uuid
from collections import ChainMap, Counter, OrderedDict, UserDict, defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import InitVar, dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Final, Generic, Literal, NamedTuple, NewType, TypedDict, TypeVar
from unittest.mock import MagicMock
from zoneinfo import ZoneInfo

import attrs
import msgspec
import pydantic

from conveyor.core.errors import PayloadError

T = TypeVar("T")

NOON: Final = datetime(2030, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
BERLIN: Final = ZoneInfo("Europe/Berlin")
MEGABYTE: Final = 2**20


@dataclass(frozen=True)
class Hostile:
    """One value, and the annotation under which it has the best chance."""

    make: Callable[[], object]
    annotation: object = None
    comes_back: bool | None = None
    """Whether it must come back under its own annotation; ``None`` where either is right."""
    slow: bool = False
    """Whether only a bound ends its refusal, so that a test with many doors tries few."""


# ----------------------------------------------------------------- classes


class Colour(enum.Enum):
    RED = "r"


class Number(enum.Enum):
    ONE = 1


class Level(enum.IntEnum):
    LOW = 1


class Mood(enum.StrEnum):
    GLAD = "glad"


class Right(enum.Flag):
    READ = 1
    WRITE = 2


class Mode(enum.IntFlag):
    READ = 4
    WRITE = 2


class Pair(enum.Enum):
    ONE = (1, "a")
    NOTHING = None
    HALF = 0.5


class Wide(enum.Enum):
    NOT_A_NUMBER = float("nan")
    HUGE = 2**70


class Text(str):
    __slots__ = ()


class Whole(int):
    pass


class Real(float):
    pass


class Row(list[object]):
    pass


class Table(dict[str, object]):
    pass


class Endless(list[object]):
    def __iter__(self) -> Iterator[object]:
        while True:
            yield 1


class LaterDay(datetime):
    pass


class Vague(tzinfo):
    """A zone that does not know its offset."""

    def utcoffset(self, _: datetime | None) -> None:
        return None


class Broken(tzinfo):
    """A zone that cannot even say that."""

    def utcoffset(self, _: datetime | None) -> timedelta:
        raise ZeroDivisionError


class Point(NamedTuple):
    x: int
    y: float


class Options(TypedDict, total=False):
    when: datetime
    colour: Colour


@dataclass
class Address:
    street: str
    since: date | None = None
    tags: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, order=True)
class Fixed:
    when: datetime
    amount: Decimal


@dataclass
class Price:
    amount: float


@dataclass
class Holder:
    held: Any = None


@dataclass(eq=False)
class Lonely:
    x: int = 1


@dataclass(eq=False)
class Quarrelsome:
    x: int = 1

    def __eq__(self, _: object) -> bool:
        raise ZeroDivisionError

    __hash__ = None  # type: ignore[assignment]  # what it is about


@dataclass(eq=False)
class Flatterer:
    """Says that it is equal to whatever it is compared with."""

    held: object = (1, 2)

    def __eq__(self, _: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]  # as above


@dataclass
class Counting:
    """Changes each time it is made."""

    x: int = 1

    def __post_init__(self) -> None:
        self.x += 1


@dataclass
class Derived:
    x: int
    double: int = field(init=False)

    def __post_init__(self) -> None:
        self.double = 2 * self.x


@dataclass
class Seeded:
    x: int
    seed: InitVar[int] = 0


@dataclass
class Link:
    next: "Link | None" = None


@dataclass
class Box(Generic[T]):
    held: T


@dataclass
class Filed:
    path: Path
    colour: Colour | None = None


class Cat(msgspec.Struct, tag=True):
    name: str


class Dog(msgspec.Struct, tag=True):
    name: str


class Customer(msgspec.Struct, rename="camel", omit_defaults=True):
    full_name: str
    addresses: list[Address] = []


class Compact(msgspec.Struct, array_like=True, frozen=True):
    x: int
    when: datetime


class Loose(msgspec.Struct):
    held: Any


@attrs.define
class Attrs:
    x: int
    when: datetime
    _hidden: str = "h"


@attrs.define
class Seen:
    x: int
    when: datetime


class Model(pydantic.BaseModel):
    x: int
    when: datetime | None = None


class Order(pydantic.BaseModel):
    id: uuid.UUID = pydantic.Field(default_factory=uuid.uuid4)
    lines: dict[str, list[Model]] = {}
    total: Decimal = Decimal(0)
    colour: Colour = Colour.RED
    tags: frozenset[str] = frozenset()


class Aliased(pydantic.BaseModel):
    x: int = pydantic.Field(validation_alias="theX", serialization_alias="itsX")


class Strict(pydantic.BaseModel, strict=True, frozen=True, extra="forbid"):
    when: datetime
    ids: tuple[uuid.UUID, ...]


class Open(pydantic.BaseModel, extra="allow"):
    x: int = 1


class Secretive(pydantic.BaseModel):
    x: int = 1
    _private: int = 0


class Password(pydantic.BaseModel):
    password: pydantic.SecretStr


class Area(pydantic.BaseModel):
    width: int

    @pydantic.computed_field
    def square(self) -> int:
        return self.width**2


class Lossy(pydantic.BaseModel):
    x: int

    @pydantic.field_serializer("x")
    def rounded(self, value: int) -> int:
        return value // 10 * 10


class Blob(pydantic.BaseModel):
    data: bytes


class Whatever(pydantic.BaseModel):
    held: Any = None


class Names(pydantic.RootModel[list[str]]):
    pass


class Page(pydantic.BaseModel, Generic[T]):
    items: list[T]


class Meowing(pydantic.BaseModel):
    kind: Literal["cat"] = "cat"


class Barking(pydantic.BaseModel):
    kind: Literal["dog"] = "dog"


class Base(pydantic.BaseModel):
    x: int = 1


class Wider(Base):
    y: int = 2


@pydantic.dataclasses.dataclass
class Checked:
    model: Model
    when: datetime


class Rude:
    """Every method that could be called raises."""

    def _no(self, *_: object) -> Any:
        raise ZeroDivisionError

    __repr__ = __str__ = __bool__ = __len__ = __iter__ = __getattr__ = __format__ = __reduce__ = __index__ = _no


class Nameless:
    def __repr__(self) -> str:
        return 5  # type: ignore[return-value]  # what it is about

    __str__ = __repr__


class ClassRaises:
    @property  # type: ignore[misc]  # what it is about
    def __class__(self) -> type:
        raise ZeroDivisionError


class ClassLies:
    @property  # type: ignore[misc]  # what it is about
    def __class__(self) -> type:
        return dict


class Metal(type):
    """A metaclass that says nothing of its classes."""

    def __getattribute__(cls, _: str) -> Any:
        raise ZeroDivisionError

    def __repr__(cls) -> str:
        raise ZeroDivisionError

    __hash__ = None  # type: ignore[assignment]  # what it is about


class Smelted(metaclass=Metal):
    pass


class Prop:
    """Looks like a model, and fails."""

    def model_dump(self, **_: object) -> object:
        raise ZeroDivisionError

    @classmethod
    def model_validate_json(cls, _: bytes) -> object:
        raise ZeroDivisionError


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return eval, ("1",)


class Fickle:
    """A key that can be put into a dict, and found never again."""

    def __eq__(self, _: object) -> bool:
        raise ZeroDivisionError

    def __hash__(self) -> int:
        return 1


class ListOfItself(list[object]):
    def __eq__(self, _: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]  # what it is about


# ----------------------------------------------------------------- makers


def nested(depth: int, make: Callable[[object], object] = lambda inner: [inner]) -> object:
    value: object = 1
    for _ in range(depth):
        value = make(value)
    return value


def doubled(make: Callable[[object], object], start: object = "x" * 1_000) -> object:
    """What is small in memory, and holds 2 ** 60 parts."""
    value = start
    for _ in range(60):
        value = make(value)
    return value


def itself() -> object:
    value: list[object] = []
    value.append(value)
    return value


def dict_of_itself() -> object:
    value: dict[str, object] = {}
    value["me"] = value
    return value


def tuple_of_itself() -> object:
    inside: list[object] = []
    value = (inside,)
    inside.append(value)
    return value


def linked(levels: int, *, circular: bool = False) -> Link:
    first = Link()
    last = first
    for _ in range(levels):
        last = Link(last)
    first.next = last if circular else None
    return last


def cyclic_holder() -> Holder:
    value = Holder()
    value.held = value
    return value


def private() -> Secretive:
    value = Secretive()
    value._private = 7
    return value


def patched() -> Model:
    return Model.model_construct(x="not a number")  # type: ignore[arg-type]  # what it is about


def weird_class() -> object:
    return type("X" * 10_000, (), {"__module__": None, "__qualname__": "\ud800\0"})()


def generator() -> object:
    return (n for n in "ab")


def _of(value: object) -> Callable[[], object]:
    return lambda: value


def is_(value: object, annotation: object = None, comes_back: bool | None = None) -> Hostile:
    return Hostile(_of(value), annotation, comes_back)


def made(
    make: Callable[[], object], annotation: object = None, comes_back: bool | None = None, *, slow: bool = False
) -> Hostile:
    return Hostile(make, annotation, comes_back, slow)


YES, NO = True, False

NUMBERS: Final = {
    "none": is_(None, None, YES),
    "true": is_(True, bool, YES),
    "false-as-int": is_(False, int, YES),
    "zero": is_(0, int, YES),
    "int-as-float": is_(1, float, YES),
    "int-as-optional-float": is_(2**53 + 1, float | None, YES),
    "beyond-a-double": is_(2**53 + 1, int, YES),
    "largest-int": is_(2**63 - 1, int, YES),
    "smallest-int": is_(-(2**63), int, YES),
    "int-too-large": is_(2**63, int, NO),
    "int-too-small": is_(-(2**63) - 1, int, NO),
    "int-of-64-bits": is_(2**64 - 1, int, NO),
    "int-of-200-bits": is_(2**200, int, NO),
    "int-without-text": made(lambda: 10**5000, int, NO),
    "tenth": is_(0.1, float, YES),
    "minus-zero": is_(-0.0, float, YES),
    "whole-float": is_(1e16, float, YES),
    "whole-float-as-int": is_(1.0, int, YES),
    "least-float": is_(5e-324, float, YES),
    "largest-float": is_(1.7976931348623157e308, float, YES),
    "nan": is_(float("nan"), float, NO),
    "inf": is_(float("inf"), float, NO),
    "minus-inf": is_(-float("inf"), float, NO),
    "complex": is_(1j, complex, NO),
    "decimal": is_(Decimal("1.50"), Decimal, YES),
    "decimal-minus-zero": is_(Decimal("-0.00"), Decimal, YES),
    "decimal-huge-exponent": is_(Decimal("1E+999999"), Decimal, YES),
    "decimal-many-digits": made(lambda: Decimal("1." + "3" * 5000), Decimal, YES),
    "decimal-million-digits": made(lambda: Decimal("3" * 10**6), Decimal, NO),
    "decimal-nan": is_(Decimal("NaN"), Decimal, NO),
    "decimal-signalling-nan": is_(Decimal("sNaN"), Decimal, NO),
    "decimal-inf": is_(Decimal("Infinity"), Decimal),
    "fraction": is_(Fraction(1, 3), Fraction, NO),
    "int-subclass": is_(Whole(5), Whole, NO),
    "float-subclass": is_(Real(5), Real, NO),
}

TEXTS: Final = {
    "empty-text": is_("", str, YES),
    "nul": is_("a\0b", str, YES),
    "controls": is_("".join(map(chr, range(32))) + "\x7f\x85", str, YES),
    "lone-high-surrogate": is_("a\ud800", str, NO),
    "lone-low-surrogate": is_("\udfffb", str, NO),
    "surrogates-that-pair": is_("\ud83d\ude00", str, NO),
    "undecodable-name": is_(b"\xff".decode("utf-8", "surrogateescape"), str, NO),
    "right-to-left": is_("a\u202eb\u2066", str, YES),
    "zero-width": is_("a\u200bb\u200d\ufeff", str, YES),
    "noncharacter": is_("\ufffe\uffff\U0010ffff", str, YES),
    "line-separators": is_("a\u2028b\u2029c\r\n", str, YES),
    "decomposed": is_("e\u0301 \u212b", str, YES),
    "emoji": is_("👩\u200d👩\u200d👧", str, YES),
    "looks-like-json": is_('{"a": [1]}', str, YES),
    "looks-like-a-date": is_("2030-01-01T00:00:00Z", str, YES),
    "looks-like-a-date-as-one": is_("2030-01-01T00:00:00Z", datetime, NO),
    "looks-like-base64-as-bytes": is_("YWJj", bytes, NO),
    "looks-like-sql": is_("'; DROP TABLE conveyor_job; --", str, YES),
    "looks-like-formats": is_("%s %(a)s {} {0.__class__} $1 :name", str, YES),
    "megabyte-of-text": made(lambda: "x" * (MEGABYTE + 1), str, NO),
    "20-megabytes": made(lambda: "é" * 20 * MEGABYTE, str, NO),
    "full-payload": made(lambda: "x" * (256 * 1024 - 40), str),
    "text-subclass": is_(Text("a"), Text, NO),
    "text-subclass-as-text": is_(Text("a"), str, NO),
}

BYTES: Final = {
    "no-bytes": is_(b"", bytes, YES),
    "all-bytes": is_(bytes(range(256)), bytes, YES),
    "bytearray": made(lambda: bytearray(b"\0\xff"), bytearray, YES),
    "memoryview": made(lambda: memoryview(b"ab"), memoryview),
    "megabyte-of-bytes": made(lambda: bytes(MEGABYTE), bytes, NO),
    "shared-bytes": made(lambda: [bytes(MEGABYTE)] * 10**5, list[bytes], NO, slow=True),
}

CONTAINERS: Final = {
    "empty-list": made(list, list, YES),
    "depth-63": made(lambda: nested(63), list),
    "depth-65": made(lambda: nested(65), list, NO),
    "depth-65-of-dicts": made(lambda: nested(65, lambda inner: {"k": inner}), dict, NO),
    "depth-100000": made(lambda: nested(100_000), list, NO, slow=True),
    "depth-100000-of-tuples": made(lambda: nested(100_000, lambda inner: (inner,)), tuple, NO, slow=True),
    "doubled-list": made(lambda: doubled(lambda inner: [inner, inner]), list, NO, slow=True),
    "doubled-dict": made(lambda: doubled(lambda inner: {"a": inner, "b": inner}), dict, NO, slow=True),
    "doubled-dataclass": made(lambda: doubled(lambda inner: Holder([inner, inner])), Holder, NO, slow=True),
    "doubled-struct": made(lambda: doubled(lambda inner: Loose([inner, inner])), Loose, NO, slow=True),
    "doubled-model": made(lambda: Whatever(held=doubled(lambda inner: [inner, inner])), Whatever, NO, slow=True),
    "doubled-frozenset": made(
        lambda: doubled(lambda inner: frozenset([inner, frozenset([inner])]), frozenset()), frozenset, NO
    ),
    "doubled-row": made(lambda: doubled(lambda inner: Row([inner, inner])), Row, NO, slow=True),
    "doubled-named-tuple": made(
        lambda: doubled(lambda inner: Point(inner, inner)),  # type: ignore[arg-type]  # what it is about
        Point,
        NO,
        slow=True,
    ),
    "itself": made(itself, list, NO),
    "dict-of-itself": made(dict_of_itself, dict, NO),
    "tuple-of-itself": made(tuple_of_itself, tuple, NO),
    "shared-text-in-records": made(
        lambda: [Holder("x" * 100_000), *[Holder(shared) for shared in ["y" * 100_000] for _ in range(10_000)]],
        list[Holder],
        NO,
    ),
    "shared-text-in-a-set": made(lambda: {"x" * 200_000, "y" * 200_000}, set[str], NO),
    "shared-text": made(lambda: ["x" * MEGABYTE] * 10**5, list[str], NO, slow=True),
    "many-items": made(lambda: [1] * 200_000, list[int], NO, slow=True),
    "many-keys": made(lambda: {str(n): n for n in range(50_000)}, dict[str, int], NO, slow=True),
    "as-many-items-as-fit": made(lambda: [1] * 20_000, list[int], slow=True),
    "tuple": is_((1, "a"), tuple[int, str], YES),
    "bare-tuple": is_((1, "a"), tuple, YES),
    "empty-tuple": is_((), tuple, YES),
    "tuple-in-a-tuple": is_(((1,), 2), tuple[tuple[int], int], YES),
    "tuple-in-a-bare-tuple": is_(((1,), 2), tuple, NO),
    "tuple-of-any-length": is_((NOON, NOON), tuple[datetime, ...], YES),
    "tuple-as-list": is_((1, 2), list[int], NO),
    "list-as-tuple": made(lambda: [1, 2], tuple[int, ...], NO),
    "tuple-in-a-dict": made(lambda: {"a": (1,)}, dict[str, tuple[int]], YES),
    "set": made(lambda: {3, 1, 2}, set[int], YES),
    "empty-set": made(set, set, YES),
    "frozenset": is_(frozenset("ab"), frozenset[str], YES),
    "set-as-frozenset": made(lambda: {"a"}, frozenset[str], NO),
    "mixed-set": made(lambda: {1, "1", None}, set),
    "set-of-tuples": made(lambda: {(1, 2)}, set[tuple[int, int]], YES),
    "set-with-nan": made(lambda: {float("nan")}, set[float], NO),
    "int-keys": made(lambda: {1: "a", -2: "b"}, dict[int, str], YES),
    "uuid-keys": made(lambda: {uuid.UUID(int=7): NOON}, dict[uuid.UUID, datetime], YES),
    "date-keys": made(lambda: {NOON.date(): 1}, dict[date, int], YES),
    "enum-keys": made(lambda: {Colour.RED: 1}, dict[Colour, int], YES),
    "none-key": made(lambda: {None: 1}, dict, NO),
    "bool-key": made(lambda: {True: 1}, dict[bool, int]),
    "float-key": made(lambda: {0.5: 1}, dict[float, int]),
    "nan-key": made(lambda: {float("nan"): 1}, dict[float, int], NO),
    "tuple-key": made(lambda: {(1, 2): 1}, dict[tuple[int, int], int]),
    "bytes-key": made(lambda: {b"a": 1}, dict[bytes, int]),
    "huge-int-key": made(lambda: {2**200: 1}, dict[int, int], NO),
    "keys-that-json-confuses": made(lambda: {"1": 1, 1: 2}, dict, NO),
    "surrogate-key": made(lambda: {"\ud800": 1}, dict[str, int], NO),
    "nul-key": made(lambda: {"\0": 1}, dict[str, int], YES),
    "empty-key": made(lambda: {"": {"": []}}, dict, YES),
    "long-key": made(lambda: {"k" * 300_000: 1}, dict[str, int], NO),
    "dangerous-key": made(lambda: {"__proto__": {"a": 1}, "__class__": "x", "self": 1}, dict, YES),
    "key-that-fails": made(lambda: {Fickle(): 1}, dict, NO),
    "ordered-dict": made(lambda: OrderedDict(b=1, a=2), OrderedDict, NO),
    "default-dict": made(lambda: defaultdict(list, a=[1]), defaultdict, NO),
    "counter": made(lambda: Counter("aab"), Counter, NO),
    "chain-map": made(lambda: ChainMap({"a": 1}), ChainMap, NO),
    "user-dict": made(lambda: UserDict(a=1), UserDict, NO),
    "mapping-proxy": made(lambda: types.MappingProxyType({"a": 1}), types.MappingProxyType, NO),
    "deque": made(lambda: deque([1]), deque, NO),
    "list-subclass": made(lambda: Row([1]), Row, NO),
    "dict-subclass": made(lambda: Table(a=1), Table, NO),
    "dict-subclass-as-dict": made(lambda: Table(a=1), dict, NO),
    "flattering-list": made(lambda: ListOfItself([1]), ListOfItself, NO),
    "endless-list": made(lambda: Endless([1]), Endless, NO, slow=True),
    "named-tuple": is_(Point(1, 2.5), Point, YES),
    "named-tuple-as-tuple": is_(Point(1, 2.5), tuple, NO),
    "named-tuple-int-for-float": is_(Point(1, 2), Point, NO),
    "typed-dict": made(lambda: {"when": NOON, "colour": Colour.RED}, Options, YES),
    "typed-dict-with-more": made(lambda: {"when": NOON, "more": 1}, Options, NO),
}

TIMES: Final = {
    "naive": is_(NOON.replace(tzinfo=None), datetime, NO),
    "utc": is_(NOON, datetime, YES),
    "offset": is_(NOON.astimezone(timezone(timedelta(hours=5, minutes=30))), datetime, YES),
    "offset-of-seconds": is_(NOON.astimezone(timezone(timedelta(seconds=3208))), datetime),
    "named-zone": is_(NOON.astimezone(BERLIN), datetime, YES),
    "first-of-the-hour-that-comes-twice": is_(datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN), datetime, YES),
    "second-of-it": is_(datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=BERLIN), datetime, YES),
    "second-of-it-in-a-dataclass": made(
        lambda: Fixed(datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=BERLIN), Decimal(1)), Fixed, YES
    ),
    "the-hour-that-never-comes": is_(datetime(2024, 3, 31, 2, 30, tzinfo=BERLIN), datetime, YES),
    "year-1": is_(datetime(1, 1, 1, tzinfo=UTC), datetime, YES),
    "year-1-further-east": is_(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))), datetime),
    "year-9999": is_(datetime.max.replace(tzinfo=UTC), datetime, YES),
    "year-9999-further-west": is_(datetime.max.replace(tzinfo=timezone(-timedelta(hours=14))), datetime),
    "datetime-subclass": is_(LaterDay(2030, 1, 1, tzinfo=UTC), datetime, NO),
    "vague-zone": is_(datetime(2030, 1, 1, tzinfo=Vague()), datetime, NO),
    "broken-zone": is_(datetime(2030, 1, 1, tzinfo=Broken()), datetime, NO),
    "datetime-as-date": is_(NOON, date, NO),
    "date": is_(date(2030, 1, 1), date, YES),
    "first-date": is_(date.min, date, YES),
    "time": is_(time(9, 30, 0, 1), time, YES),
    "aware-time": is_(time(9, tzinfo=UTC), time, YES),
    "folded-time": is_(time(2, 30, fold=1), time, NO),
    "time-of-a-named-zone": is_(time(9, tzinfo=BERLIN), time, NO),
    "timedelta": is_(timedelta(days=-3, microseconds=7), timedelta, YES),
    "longest-timedelta": is_(timedelta.max, timedelta, YES),
    "shortest-timedelta": is_(timedelta.min, timedelta, YES),
    "zone": is_(BERLIN, ZoneInfo, NO),
}

NAMES: Final = {
    "uuid": is_(uuid.UUID(int=7), uuid.UUID, YES),
    "uuid-as-text": is_(uuid.UUID(int=7), str, NO),
    "enum": is_(Colour.RED, Colour, YES),
    "int-enum": is_(Level.LOW, Level, YES),
    "text-enum": is_(Mood.GLAD, Mood, YES),
    "text-enum-as-text": is_(Mood.GLAD, str, NO),
    "enum-of-another": is_(Number.ONE, Level, NO),
    "flag": is_(Right.READ, Right, YES),
    "flags": is_(Right.READ | Right.WRITE, Right, YES),
    "no-flag": is_(Right(0), Right, YES),
    "int-flags": is_(Mode.READ | Mode.WRITE, Mode, YES),
    "enum-of-a-tuple": is_(Pair.ONE, Pair, YES),
    "enum-of-none": is_(Pair.NOTHING, Pair, YES),
    "enum-of-a-float": is_(Pair.HALF, Pair, YES),
    "enum-of-nan": is_(Wide.NOT_A_NUMBER, Wide, NO),
    "enum-of-70-bits": is_(Wide.HUGE, Wide, NO),
    "literal": is_("a", Literal["a", 1], YES),
    "literal-enum": is_(Colour.RED, Literal[Colour.RED], YES),
    "path": is_(Path("/tmp/a b"), Path, YES),  # noqa: S108 - nothing is there
    "relative-path": is_(PurePosixPath("../x"), PurePosixPath, YES),
    "windows-path": is_(PureWindowsPath("C:\\x"), PureWindowsPath, YES),
    "undecodable-path": is_(Path("\udcff"), Path, NO),
    "path-or-text-path": is_(Path("a"), str | Path, NO),
    "path-or-text-text": is_("a", str | Path, YES),
    "paths": made(lambda: {"a": [Path("b")]}, dict[str, list[Path | None]], YES),
    "address": is_(ipaddress.ip_address("::1"), ipaddress.IPv6Address, NO),
    "pattern": is_(re.compile("a"), re.Pattern, NO),
}

RECORDS: Final = {
    "dataclass": made(lambda: Address("High St", NOON.date(), ["a"]), Address, YES),
    "frozen-dataclass": made(lambda: Fixed(NOON, Decimal("1.50")), Fixed, YES),
    "dataclasses-in-a-dict": made(lambda: {"a": [Address("x")]}, dict[str, list[Address]], YES),
    "dataclass-of-naive": made(lambda: Fixed(NOON.replace(tzinfo=None), Decimal(1)), Fixed, NO),
    "dataclass-of-nan": made(lambda: Price(float("nan")), Price, NO),
    "dataclass-int-for-float": made(lambda: Price(1), Price, NO),
    "dataclass-of-a-tuple": made(lambda: Holder((1, 2)), Holder, NO),
    "dataclass-of-a-surrogate": made(lambda: Address("\ud800"), Address, NO),
    "dataclass-of-a-huge-int": made(lambda: Holder(2**64), Holder, NO),
    "dataclass-of-itself": made(cyclic_holder, Holder, NO),
    "dataclass-without-eq": made(Lonely, Lonely, NO),
    "quarrelsome": made(Quarrelsome, Quarrelsome, NO),
    "flatterer": made(Flatterer, Flatterer, NO),
    "changes-when-made": made(Counting, Counting, NO),
    "derived-field": made(lambda: Derived(2), Derived, YES),
    "init-var": made(lambda: Seeded(1, 2), Seeded),
    "generic-dataclass": made(lambda: Box(NOON), Box[datetime], YES),
    "dataclass-of-a-path": made(lambda: Filed(Path("a"), Colour.RED), Filed, YES),
    "dataclass-not-its-annotation": made(lambda: Price(1.5), Address, NO),
    "dataclass-class": is_(Address, type, NO),
    "chain-of-70": made(lambda: linked(70), Link, NO),
    "chain-of-5000": made(lambda: linked(5000), Link, NO),
    "chain-in-a-circle": made(lambda: linked(3, circular=True), Link, NO),
    "struct": made(lambda: Customer("Eve", [Address("x")]), Customer, YES),
    "tagged-struct": made(lambda: Dog("Rex"), Cat | Dog, YES),
    "tagged-struct-or-number": made(lambda: Dog("Rex"), Cat | Dog | int, YES),
    "compact-struct": made(lambda: Compact(1, NOON), Compact, YES),
    "struct-of-a-tuple": made(lambda: Loose((1,)), Loose, NO),
    "struct-of-a-set": made(lambda: Loose({1}), Loose, NO),
    "attrs": made(lambda: Seen(1, NOON), Seen, YES),
    "attrs-with-something-private": made(lambda: Attrs(1, NOON, "z"), Attrs, NO),
    "text-or-date-text": is_("2030-01-01", str | date, YES),
    "text-or-date-date": is_(date(2030, 1, 1), str | date, NO),
    "date-or-datetime": is_(NOON, date | datetime, YES),
    "new-type": is_(7, NewType("UserId", int), YES),
    "annotated": is_(NOON, typing.Annotated[datetime, "when"], YES),
    "annotated-union": made(lambda: Dog("Rex"), typing.Annotated[Cat | Dog, 1], YES),
}

MODELS: Final = {
    "model": made(lambda: Model(x=1, when=NOON), Model, YES),
    "model-or-nothing": made(lambda: Model(x=1), Model | None, YES),
    "model-or-number": made(lambda: Model(x=1), int | Model, YES),
    "number-or-model": is_(5, int | Model, YES),
    "model-or-dict": made(lambda: Model(x=1), dict[str, int] | Model, NO),
    "models": made(lambda: {"a": [Model(x=1, when=NOON)]}, dict[str, list[Model]], YES),
    "models-or-numbers": made(lambda: [Model(x=1), 2], list[Model | int], YES),
    "models-in-a-tuple": made(lambda: (Model(x=1), "a"), tuple[Model | int, str], YES),
    "model-of-models": made(
        lambda: Order(id=uuid.UUID(int=3), lines={"a": [Model(x=1)]}, total=Decimal("1.50"), tags=frozenset("ab")),
        Order,
        YES,
    ),
    "model-with-aliases": made(lambda: Aliased(theX=1), Aliased, YES),
    "strict-model": made(lambda: Strict(when=NOON, ids=(uuid.UUID(int=1),)), Strict, YES),
    "model-with-more": made(lambda: Open.model_validate({"x": 1, "more": [1, {"a": None}]}), Open, YES),
    "model-with-more-that-changes": made(lambda: Open.model_validate({"more": NOON}), Open, NO),
    "model-with-something-private": made(private, Secretive, NO),
    "model-with-a-secret": made(lambda: Password(password=pydantic.SecretStr("x")), Password, NO),
    "model-with-something-computed": made(lambda: Area(width=3), Area, YES),
    "lossy-model": made(lambda: Lossy(x=15), Lossy, NO),
    "model-of-bytes": made(lambda: Blob(data=b"\xff\0"), Blob),
    "model-of-a-tuple": made(lambda: Whatever(held=(1,)), Whatever, NO),
    "model-of-nan": made(lambda: Whatever(held=float("nan")), Whatever, NO),
    "model-of-a-huge-int": made(lambda: Whatever(held=2**70), Whatever, NO),
    "model-of-an-object": made(lambda: Whatever(held=object()), Whatever, NO),
    "model-of-naive": made(lambda: Model(x=1, when=NOON.replace(tzinfo=None)), Model, NO),
    "model-of-what-is-wrong": made(patched, Model, NO),
    "root-model": made(lambda: Names(["a"]), Names, YES),
    "generic-model": made(lambda: Page[Model](items=[Model(x=1)]), Page[Model], YES),
    "told-apart": made(Barking, Meowing | Barking, YES),
    "told-apart-in-a-list": made(lambda: [Barking(), Meowing()], list[Meowing | Barking], YES),
    "model-of-a-subclass": made(Wider, Base, NO),
    "pydantic-dataclass": made(lambda: Checked(Model(x=1), NOON), Checked, YES),
    "model-class": is_(Model, type[Model], NO),
    "false-model": made(Prop, Prop, NO),
}

OBJECTS: Final = {
    "object": made(object, object, NO),
    "class": is_(int, type, NO),
    "function": is_(len, Callable[..., object], NO),
    "lambda": is_(lambda: 1, None, NO),
    "partial": is_(partial(print, 1), None, NO),
    "generator": made(generator, None, NO),
    "iterator": made(lambda: iter([1]), None, NO),
    "module": is_(typing, None, NO),
    "range": is_(range(3), range, NO),
    "slice": is_(slice(1), slice, NO),
    "ellipsis": is_(..., None, NO),
    "not-implemented": is_(NotImplemented, None, NO),
    "exception": made(lambda: ValueError("no"), ValueError, NO),
    "exception-group": made(lambda: ExceptionGroup("g", [ValueError()]), None, NO),
    "lock": made(threading.Lock, None, NO),
    "field": is_(dataclasses.field(), None, NO),
    "bomb": made(Bomb, Bomb, NO),
    "mock": made(MagicMock, None, NO),
    "rude": made(Rude, Rude, NO),
    "nameless": made(Nameless, Nameless, NO),
    "class-raises": made(ClassRaises, ClassRaises, NO),
    "class-lies": made(ClassLies, dict, NO),
    "metaclass-raises": made(Smelted, None, NO),
    "weird-class": made(weird_class, None, NO),
}

VALUES: Final[dict[str, Hostile]] = {
    **NUMBERS,
    **TEXTS,
    **BYTES,
    **CONTAINERS,
    **TIMES,
    **NAMES,
    **RECORDS,
    **MODELS,
    **OBJECTS,
}


# ------------------------------------------------------------- the verdict


def picture(value: object) -> object:
    """*value* with the type of each part beside it, so that ``==`` tells all that can be told.

    Written without a look at what it is to judge.
    """
    kind = type(value)
    if isinstance(value, enum.Enum):
        return kind, value.name
    if isinstance(value, dict):
        return kind, [(picture(key), picture(item)) for key, item in sorted(value.items(), key=repr)]
    if isinstance(value, set | frozenset):
        return kind, sorted((picture(item) for item in value), key=repr)
    if isinstance(value, list | tuple):
        return kind, [picture(item) for item in value]
    fields = fields_of(value)
    return kind, {name: picture(part) for name, part in fields.items()} if fields else said(value)


def said(value: object) -> object:
    """The whole of a value without parts, as text or in another form that is equal to no other's."""
    if isinstance(value, memoryview):
        return value.tobytes(), value.format, value.readonly
    if isinstance(value, datetime):
        return value.astimezone(UTC) if 1 < value.year < 9999 else value.isoformat(), value.utcoffset()
    return repr(value)


def fields_of(value: object) -> dict[str, object]:
    if isinstance(value, pydantic.BaseModel):
        return dict(value) | (value.model_extra or {})
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.asdict(value)
    if dataclasses.is_dataclass(value) or attrs.has(type(value)):
        names = getattr(type(value), "__slots__", None) or vars(value)
        return {name: getattr(value, name) for name in names if name != "__weakref__"}
    return {}


def same(one: object, other: object) -> bool:
    """Whether two values are one in all that a program can see."""
    return type(one) is type(other) and picture(one) == picture(other)


# -------------------------------------------------------------- exceptions


class SaysNothing(Exception):
    def __str__(self) -> str:
        raise RuntimeError("even this")


class SaysWrong(Exception):
    def __str__(self) -> str:
        return 42  # type: ignore[return-value]  # noqa: PLE0307 - what it is about


class SaysLast(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt


class Slippery(str):
    """Text whose own methods fail."""

    __slots__ = ()

    def _no(self, *_: object) -> Any:
        raise ZeroDivisionError

    __len__ = __getitem__ = __str__ = __repr__ = __format__ = __eq__ = __add__ = encode = translate = lower = _no  # type: ignore[assignment]  # what it is about
    __hash__ = None  # type: ignore[assignment]  # as above


class SaysSlippery(Exception):
    def __str__(self) -> str:
        return Slippery("fish")


class Recursive(Exception):
    def __str__(self) -> str:
        return str(self)


class Loud(Exception):
    def __repr__(self) -> str:
        raise RuntimeError


class Closed(Exception):
    """Nothing of it can be asked."""

    def __getattribute__(self, _: str) -> Any:
        raise ZeroDivisionError


class Properties(Exception):
    @property
    def _no(self) -> Any:
        raise ZeroDivisionError

    __traceback__ = __cause__ = __context__ = __suppress_context__ = __notes__ = __dict__ = args = _no  # type: ignore[assignment]  # what it is about


class Disguised(Exception):
    @property  # type: ignore[misc]  # what it is about
    def __class__(self) -> type:
        raise ZeroDivisionError


class Hiding(type):
    def __getattribute__(cls, name: str) -> Any:
        raise ZeroDivisionError

    __hash__ = None  # type: ignore[assignment]  # as above

    def __eq__(cls, _: object) -> bool:
        raise ZeroDivisionError

    def __instancecheck__(cls, _: object) -> bool:
        raise ZeroDivisionError

    def __subclasscheck__(cls, _: object) -> bool:
        raise ZeroDivisionError


class Hidden(Exception, metaclass=Hiding):
    pass


class Unpicklable(Exception):
    def __init__(self, one: object, *, other: object) -> None:
        super().__init__("takes two", one, other)
        self.lock = threading.Lock()

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("cannot pickle")


class Rebuilt(Exception):
    """Fails when it is made anew."""

    def __reduce__(self) -> tuple[object, ...]:
        return eval, ("1/0",)


class Worst(BaseException):
    """Neither an ``Exception`` nor one that Python knows."""


class Members(ExceptionGroup[Exception]):
    @property
    def exceptions(self) -> Any:  # type: ignore[override]  # what it is about
        raise ZeroDivisionError


def circle() -> Exception:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    one.__context__, other.__context__ = other, one
    return one


def long_chain() -> Exception:
    error = ValueError("first")
    for _ in range(10_000):
        error, error.__cause__ = ValueError("later"), error
    return error


def groups(depth: int, width: int) -> Exception:
    error: Exception = ValueError("inside")
    for _ in range(depth):
        error = ExceptionGroup("around", [error] * width)
    return error


def group_of_itself() -> Exception:
    inside = ValueError("inside")
    group = ExceptionGroup("around", [inside])
    inside.__cause__ = group
    return group


def noted(*notes: object) -> Exception:
    error = ValueError("noted")
    error.__notes__ = list(notes)  # type: ignore[arg-type]  # what it is about
    return error


def noted_wrongly(notes: object) -> Exception:
    error = ValueError("noted")
    error.__notes__ = notes  # type: ignore[assignment]  # as above
    return error


def from_file(name: str) -> Callable[[], Exception]:
    """An error from code that says that it stands in *name*."""

    def make() -> Exception:
        try:
            exec(compile("1 / 0", "x", "exec").replace(co_filename=name))  # noqa: S102 - the text is ours
        except ZeroDivisionError as error:
            return error
        raise AssertionError

    return make


def deep_error() -> Exception:
    def down(levels: int) -> None:
        if levels:
            down(levels - 1)
        raise ValueError("at the bottom")

    try:
        down(400)
    except ValueError as error:
        return error
    raise AssertionError


ERRORS: Final[dict[str, Callable[[], BaseException]]] = {
    "says-nothing": SaysNothing,
    "says-wrong": SaysWrong,
    "says-last": SaysLast,
    "says-slippery": SaysSlippery,
    "slippery-argument": lambda: ValueError(Slippery("fish")),
    "recursive": Recursive,
    "loud": Loud,
    "closed": Closed,
    "properties": Properties,
    "disguised": Disguised,
    "hidden": Hidden,
    "unpicklable": lambda: Unpicklable(1, other=2),
    "rebuilt": Rebuilt,
    "base": lambda: Worst("worst"),
    "exit": lambda: SystemExit(object()),
    "interrupt": KeyboardInterrupt,
    "generator-exit": GeneratorExit,
    "stop-iteration": lambda: StopIteration(1),
    "key": lambda: KeyError("x" * MEGABYTE),
    "key-of-a-tuple": lambda: KeyError(("a", 1)),
    "file": lambda: FileNotFoundError(2, "no such file", "\ud800\0" * 100_000),
    "megabytes": lambda: ValueError("é" * 20 * MEGABYTE),
    "bytes": lambda: ValueError(b"\xff" * MEGABYTE),
    "huge-int": lambda: ValueError(10**5000),
    "huge-list": lambda: ValueError([1] * MEGABYTE),
    "huge-dict": lambda: ValueError(dict.fromkeys(range(10_000), "x" * 100), "more"),
    "doubled": lambda: ValueError(doubled(lambda inner: [inner, inner])),
    "itself": lambda: ValueError(itself()),
    "many-arguments": lambda: ValueError(*range(100_000)),
    "surrogate-and-nul": lambda: ValueError("\ud800 and \0"),
    "escapes": lambda: ValueError("\x1b[31mred\x1b]0;title\x07\r\x9b"),
    "right-to-left": lambda: ValueError("a\u202eb"),
    "unicode": lambda: UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
    "syntax": lambda: SyntaxError("bad", ("\0", 1, 1, "x" * MEGABYTE)),
    "name": lambda: NameError("name", name="\ud800"),
    "weird-module": type("Odd", (Exception,), {"__module__": "\ud800\0"}),
    "no-module": type("X" * 10_000, (Exception,), {"__module__": None}),
    "weird-name": type("Odd", (Exception,), {"__qualname__": "\ud800\0" * 10_000}),
    "circle": circle,
    "long-chain": long_chain,
    "deep-groups": lambda: groups(100, 1),
    "deep-and-doubled-groups": lambda: groups(100, 2),
    "wide-group": lambda: groups(1, 10_000),
    "deep-and-wide-groups": lambda: groups(5, 100),
    "group-of-itself": group_of_itself,
    "group-that-hides": lambda: Members("g", [ValueError()]),
    "base-group": lambda: BaseExceptionGroup(
        "many", [ValueError(str(n)) for n in range(1_000)] + [KeyboardInterrupt()]
    ),
    "huge-group": lambda: ExceptionGroup("x" * 20 * MEGABYTE, [ValueError("y" * MEGABYTE)] * 100),
    "notes": lambda: noted("a", "b" * MEGABYTE, "\ud800\0", Slippery("n"), 5, Rude(), *["n"] * 10_000),
    "notes-that-are-none": lambda: noted_wrongly(Rude()),
    "notes-that-never-end": lambda: noted_wrongly(Endless()),
    "notes-that-are-text": lambda: noted_wrongly("abc"),
    "from-a-device": from_file("/dev/zero"),
    "from-a-folder": from_file("/"),
    "from-nowhere": from_file("\ud800\0"),
    "from-a-prompt": from_file("<stdin>"),
    "from-a-long-name": from_file("x" * MEGABYTE),
    "deep": deep_error,
    "rude-argument": lambda: ValueError(Rude()),
    "refused": lambda: ValueError("password=hunter2"),
}


def tried(call: Callable[[], object]) -> tuple[object, str | None]:
    """What *call* gives, or the text of its refusal, which is a typed one. Anything else is let through."""
    try:
        return call(), None
    except (PayloadError, TypeError) as refusal:
        text = str(refusal)
        text.encode()
        return None, text
