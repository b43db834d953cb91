"""Secrets are taken out of text, all of them and little else, in time that grows as the text does."""

import base64
import enum
import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conveyor.core import redact
from conveyor.core.redact import DEFAULT, HIDDEN, LEAVES, MARGIN, PATTERNS, Redactor, hidden, masked
from tests.support.hostile import Address, Link, Model, linked

SECRET = "hunter2"  # noqa: S105 - that is the point

# ---------------------------------------------------------------- patterns

SHAPES = {
    "url": "postgresql://app:hunter2@db:5432/x",
    "url-without-user": "redis://:hunter2@cache/0",
    "url-at-in-password": "amqp://u:hun@hunter2@host/",
    "url-slash-in-password": "postgres://u:pa/hunter2@host/db",
    "libpq": "host=db password=hunter2 user=app",
    "libpq-quoted": r"password = 'it\'s hunter2' user=app",
    "odbc": "Driver=x;PASSWORD=hunter2;Database=y",
    "pwd": "uid=app;pwd=hunter2",
    "key-value": "login failed (password=hunter2)",
    "with-an-ampersand": "password=a&hunter2 host=db",
    "with-a-comma": "password=a,hunter2, host=db",
    "with-a-bracket": "password=a)hunter2 host=db",
    "passwd": "passwd: hunter2",
    "passphrase": "passphrase=hunter2",
    "secret": "client_secret=hunter2",
    "token": "access_token=hunter2",
    "tokens": "refresh_tokens: ['a', 'hunter2']",
    "query": "GET /x?a=1&token=hunter2&b=2",
    "api-key": "api_key=hunter2",
    "api-key-in-one": "apikey='hunter2'",
    "header-of-its-own": "X-Api-Key: hunter2",
    "environment": "AWS_SECRET_ACCESS_KEY=hunter2",
    "private-key": "private_key = hunter2",
    "json": '{"user": "eve", "password": "hunter2", "n": 1}',
    "json-escaped": r'{"password": "a\"hunter2"}',
    "json-in-json": json.dumps(json.dumps({"password": "hunter2"})),
    "repr": repr({"password": "hunter2", "n": 1}),
    "repr-bytes": repr({"password": b"hunter2"}),
    "repr-pairs": repr([("password", "hunter2")]),
    "repr-list": repr({"secrets": ["a", "hunter2"]}),
    "repr-dict": repr({"secret": {"a": "hunter2"}}),
    "repr-object": "Config(user='eve', password='hunter2', n=1)",
    "repr-wrapped": "Config(password=SecretStr('hunter2'), n=1)",
    "source": "if password == 'hunter2':",
    "unterminated": 'password="hunter2',
    "arrow": "'password' => 'hunter2'",
    "authorization": "Authorization: Bearer hunter2",
    "authorization-basic": "Authorization: Basic aHVudGVyMg== hunter2",
    "authorization-digest": "authorization: Digest user=eve, response=hunter2",
    "authorization-repr": repr({"Authorization": "Bearer hunter2"}),
    "authorization-pairs": repr([(b"authorization", b"Bearer hunter2")]),
    "bearer": "sent Bearer abc.hunter2.xyz",
    "cookie": "Cookie: a=1; session=hunter2",
    "option": "mysql --password hunter2 db",
    "option-equals": "mysql --password=hunter2 db",
    "option-list": repr(["mysql", "--password", "hunter2", "db"]),
    "pem": "-----BEGIN RSA PRIVATE KEY-----\nhunter2\nhunter2\n-----END RSA PRIVATE KEY-----",
    "pem-cut": "-----BEGIN PRIVATE KEY-----\nhunter2\nhunter2",
    "pem-repr": repr("-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"),
}


@pytest.mark.parametrize("text", SHAPES.values(), ids=SHAPES)
def test_what_looks_like_a_secret_is_hidden_in_every_shape(text: str) -> None:
    clean = DEFAULT.text(f"before {text} ")
    assert SECRET not in clean
    assert HIDDEN in clean
    assert clean.startswith("before ")
    assert DEFAULT.text(clean) == clean


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (SHAPES["url"], "postgresql://app:[redacted]@db:5432/x"),
        (SHAPES["libpq"], "host=db password=[redacted] user=app"),
        (SHAPES["json"], '{"user": "eve", "password": [redacted], "n": 1}'),
        (SHAPES["repr-wrapped"], "Config(password=[redacted], n=1)"),
        (SHAPES["query"], "GET /x?a=1&token=[redacted]&b=2"),
        ("bad dsn 'password=hunter2' in 'foo'", "bad dsn 'password=[redacted]' in 'foo'"),
        ("Authorization: Bearer x\nHost: y", "Authorization: [redacted]\nHost: y"),
    ],
)
def test_the_rest_stays_readable(text: str, clean: str) -> None:
    assert DEFAULT.text(text) == clean


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no tea",
        "http://host:8080/users/@me",
        "https://host/a:b@c",
        "git@github.com:a/b",
        "missing 1 required positional argument: 'password'",
        "KeyError: 'token'",
        "max_tokens=100",
        "secretary: Bob",
        "Basic authentication is required",
        "Bearer authentication is required",
        "PWD=/home/eve",
        "the password was wrong",
        "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----",
        "password=",
    ],
)
def test_what_only_sounds_like_a_secret_is_left_alone(text: str) -> None:
    assert DEFAULT.text(text) == text


# ------------------------------------------------------------ known secrets


class Card(enum.Enum):
    MINE = "4111-1111"


def forms(value: object) -> list[str]:
    return [str(value), repr(value), msgspec.json.encode(value, enc_hook=str).decode()]


@pytest.mark.parametrize(
    "value",
    [
        "open sesame",
        "qu\"ote'd \\ ünï\n",
        41111111,
        Decimal("1234.50"),
        12.375,
        UUID(int=7),
        datetime(2030, 1, 1, 12, tzinfo=UTC),
        b"\0\xff binary",
        Path("/etc/shadow"),
        Card.MINE,
    ],
    ids=repr,
)
def test_a_known_value_is_hidden_in_each_form(value: object) -> None:
    redactor = Redactor.of([value])
    for form in forms(value):
        inner = form.strip("\"'") if isinstance(value, str) else form
        assert inner not in redactor.text(f"before {form} after")
        assert redactor.text(f"before {form} after").startswith("before ")
        assert inner not in redactor.text(f"x{form}y")


def test_text_is_also_found_quoted_encoded_and_stripped() -> None:
    redactor = Redactor.of([" a/b c+d\n", b"bytes!"])
    for form in (quote("a/b c+d", safe=""), "a/b c+d", "bytes!", base64.b64encode(b"bytes!").decode(), b"bytes!".hex()):
        assert redactor.text(form) == HIDDEN


def test_what_a_value_holds_is_hidden_too_but_not_its_keys() -> None:
    values = [{"number": "4111-1111", "list": [("deep-1",), {"set-1"}]}, Address("Elm Street", tags=["tag-1"])]
    clean = Redactor.of([*values, Model(x=98765)]).text(repr(values) + " 98765 number")
    assert not [word for word in ("4111", "deep-1", "set-1", "Elm", "tag-1", "98765") if word in clean]
    assert "number" in clean


def test_a_short_value_is_hidden_only_where_it_stands_alone() -> None:
    redactor = Redactor.of([1, "ab"])
    assert redactor.text("1 of 12, x1, '1', ab, cab, ab_c, (ab)") == (
        f"{HIDDEN} of 12, x1, '{HIDDEN}', {HIDDEN}, cab, ab_c, ({HIDDEN})"
    )


def test_nothing_true_and_false_are_no_secrets() -> None:
    text = "None True False null true false"
    assert Redactor.of([None, True, False, "", "  "]).text(text) == text


def test_a_value_that_somebody_has_cut_short_is_hidden_as_far_as_it_goes() -> None:
    secret = "".join(map(chr, range(33, 127))) * 5
    assert Redactor.of([secret]).text(f"invalid: {secret[:200]}...") == f"invalid: {HIDDEN}..."


def test_overlapping_secrets_leave_nothing_between_them() -> None:
    redactor = Redactor.of(["abcdef", "defghi", "password"])
    assert redactor.text("-abcdefghi password=abcdef-") == f"-{HIDDEN} {HIDDEN}={HIDDEN}"


def test_more_values_than_can_be_looked_for_hide_everything() -> None:
    assert Redactor.of([[f"value-{n}" for n in range(LEAVES + 1)]]).text("something else") == HIDDEN
    assert Redactor.of([[f"value-{n}" for n in range(LEAVES)]]).text("something else") == "something else"


class Mute:
    def __str__(self) -> str:
        raise ZeroDivisionError

    __repr__ = __str__


def holding_itself() -> list[object]:
    value: list[object] = ["hunter2"]
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value", [Mute(), holding_itself(), linked(5, circular=True), [[["hunter2"]]] * 10], ids=lambda v: type(v).__name__
)
def test_no_value_keeps_a_redactor_from_being_made(value: object) -> None:
    assert isinstance(value, Mute | Link) or SECRET not in Redactor.of([value]).text("so hunter2 it is")
    Redactor.of([value]).text("anything")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(min_size=4) | st.integers(min_value=1000), min_size=1, max_size=4), st.text(), st.text())
def test_no_known_value_is_left_anywhere(values: list[object], before: str, after: str) -> None:
    redactor = Redactor.of(values)
    clean = redactor.text(before + "".join(map(str, values)) + after)
    left = clean.replace(HIDDEN, "\0")
    assert not [value for value in map(str, values) if value.strip() and value in left]


# ------------------------------------------------------------------ cutting


@pytest.mark.parametrize("at", range(0, 40, 3))
def test_a_secret_cut_in_half_does_not_show_its_half(at: int) -> None:
    """Also where others before it have made the text shorter, so that what was behind the cut comes into sight."""
    fish = "swordfish" + "-" * 91
    redactor = Redactor.of([fish])
    for length in (100, 100 + MARGIN):
        text = (fish * (length // 100 - 1)).ljust(length - at, "x") + fish + "y" * 10_000
        clean = redactor.clipped(text, 100)
        assert "sword" not in clean
        assert len(clean) <= 101


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("cut", ["length", "margin"])
def test_nor_does_one_that_only_looks_like_it(shape: str, cut: str) -> None:
    length = 100
    end = length if cut == "length" else length + MARGIN
    for at in range(1, len(shape) + 1):
        text = "secret='...'; " * ((end - at - 1) // 14) + " " * ((end - at - 1) % 14 + 1) + shape + "." * 10_000
        assert "hunter" not in DEFAULT.clipped(text, length)


def test_nor_does_a_very_long_password_of_a_url() -> None:
    text = "x" * 80 + " postgres://app:" + "hunter2" * 1000 + "@db/x"
    assert "hunter" not in DEFAULT.clipped(text, 100)


def test_a_text_that_fits_is_whole_and_a_longer_one_says_that_it_is_not() -> None:
    assert DEFAULT.clipped("x" * 100, 100) == "x" * 100
    assert DEFAULT.clipped("x" * 101, 100) == "x" * 100 + "…"
    assert DEFAULT.clipped("x" * 10**6, 100) == "x" * 100 + "…"


class Slippery(str):
    __slots__ = ()

    def __getitem__(self, _: object) -> str:
        raise ValueError

    __len__ = lower = find = __getitem__  # type: ignore[assignment]  # what it is about


def test_the_methods_of_text_are_not_the_users() -> None:
    assert DEFAULT.clipped(Slippery("password=hunter2"), 100) == f"password={HIDDEN}"


# --------------------------------------------------------------- cost


def unbounded(tree: object) -> Iterator[str]:
    """The repetitions of a parsed pattern that have no bound, and may give back what they took."""
    parser = sys.modules["re._parser"]
    for operator, argument in tree:  # type: ignore[attr-defined]  # a parsed pattern
        if operator in (parser.MAX_REPEAT, parser.MIN_REPEAT) and argument[1] is parser.MAXREPEAT:
            yield str(argument)
        inner = argument if isinstance(argument, tuple | list) else [argument]
        for part in inner:
            if isinstance(part, parser.SubPattern):
                yield from unbounded(part)
            elif isinstance(part, list):
                for one in part:
                    if isinstance(one, parser.SubPattern):
                        yield from unbounded(one)


def test_no_pattern_can_go_back_without_a_bound() -> None:
    patterns = [value for value in vars(redact).values() if isinstance(value, re.Pattern)]
    assert len(patterns) >= 4
    parser = sys.modules["re._parser"]
    assert list(unbounded(parser.parse("a*"))) != []
    assert list(unbounded(parser.parse("(?:x|(?:a*)++)"))) != []
    for pattern in patterns:
        assert list(unbounded(parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE))) == []


ADVERSARIAL = [
    "password=", "password='", 'password="', "password=\\", "password=a,", "password=(", "password=[a", "password=S(",
    "token ", "://", "://a:", "://a:b/", "://a@", "-----BEGIN PRIVATE KEY-----", "-", " --a-", "'", '\\"',
    "Authorization: ", "Bearer ", "Bearer aaaaaaaa", "Basic aaaaaaa", "secret=,,,", "password=a=", "\0", "cookie: \n",
    "password          ", "pass", "a", "é",
]  # fmt: skip


@pytest.mark.parametrize("piece", ADVERSARIAL)
def test_hostile_text_of_a_megabyte_gives_few_spans_and_each_place_at_most_once(piece: str) -> None:
    """What is looked at again and again would be found again and again: spans of one pattern never overlap."""
    text = (piece * (2**20 // len(piece) + 1))[: 2**20]
    for pattern in PATTERNS:
        end = 0
        for start, stop in pattern(text):
            assert end <= start <= stop
            end = stop
        assert end <= len(text)


# ------------------------------------------------------------------ masking


def test_arguments_are_masked_by_place_and_by_name() -> None:
    card = {"number": "4111"}
    args, kwargs = masked([1, card, "x"], {"cvc": 123, "plan": "pro"}, {1, "cvc"})
    assert (args, kwargs) == ([1, HIDDEN, "x"], {"cvc": HIDDEN, "plan": "pro"})
    assert card == {"number": "4111"}


def test_a_star_hides_the_rest() -> None:
    args, kwargs = [1, 2, 3], {"a": 4, "b": 5}
    assert masked(args, kwargs, {~1}) == ([1, HIDDEN, HIDDEN], kwargs)
    assert masked(args, kwargs, {"**"}) == (args, {"a": HIDDEN, "b": HIDDEN})
    assert list(hidden(args, kwargs, {0, ~2, "b"})) == [1, 3, 5]
    assert list(hidden(args, kwargs, ())) == []
