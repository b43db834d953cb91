"""Recording a failure cannot fail, whatever the exception does; and what is kept is bounded text."""

import subprocess
import sys
import traceback
from collections.abc import Callable

import msgspec
import pytest

from conveyor.core.failure import MESSAGE_LENGTH, TRACEBACK_LENGTH, Failure, describe, storable


class SaysNothing(Exception):
    def __str__(self) -> str:
        raise RuntimeError("even this")


class SaysWrong(Exception):
    def __str__(self) -> str:
        return 42  # type: ignore[return-value]  # noqa: PLE0307 - what the test is about


class SaysLast(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt


class Slippery(str):
    """Text whose own methods fail."""

    __slots__ = ()

    def __len__(self) -> int:
        raise ValueError

    def __getitem__(self, _: object) -> str:
        raise ValueError

    def encode(self, *_: object) -> bytes:
        raise ValueError


class SaysSlippery(Exception):
    def __str__(self) -> str:
        return Slippery("fish")


class HidesTraceback(Exception):
    @property
    def __traceback__(self) -> None:  # type: ignore[override]  # what the test is about
        raise RuntimeError


class Recursive(Exception):
    def __str__(self) -> str:
        return str(self)


class Loud(Exception):
    def __repr__(self) -> str:
        raise RuntimeError


def raised(error: BaseException) -> BaseException:
    """*error* with a traceback."""
    try:
        raise error  # noqa: TRY301 - here, and nowhere else
    except BaseException as caught:  # noqa: BLE001 - any kind
        return caught


def deep(levels: int) -> None:
    if levels:
        deep(levels - 1)
    raise ValueError("at the bottom")


def stored(failure: Failure) -> Failure:
    """As it comes back from a store."""
    return msgspec.json.decode(msgspec.json.encode(failure), type=Failure)


HOSTILE: list[Callable[[], BaseException]] = [
    SaysNothing,
    SaysWrong,
    SaysLast,
    SaysSlippery,
    HidesTraceback,
    Recursive,
    Loud,
    lambda: ValueError("\ud800 and \0"),
    lambda: ValueError("x" * 1_000_000),
    lambda: ValueError(b"\xff" * 1_000),
    lambda: UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
    type("Odd", (Exception,), {"__module__": "\ud800"}),
    type("X" * 10_000, (Exception,), {"__module__": None}),
    lambda: SystemExit(object()),
    KeyboardInterrupt,
    GeneratorExit,
    StopIteration,
    lambda: BaseExceptionGroup("many", [ValueError(str(n)) for n in range(1_000)] + [KeyboardInterrupt()]),
]


@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: getattr(make, "__name__", "?"))
def test_every_error_can_be_recorded_and_stored(make: Callable[[], BaseException]) -> None:
    failure = describe(raised(make()))
    assert stored(failure) == failure
    assert failure.type
    assert len(failure.message) <= MESSAGE_LENGTH * 6 + 1  # a lone surrogate is written in six characters
    assert len(failure.traceback) <= TRACEBACK_LENGTH * 6 + 1
    assert int(failure.fingerprint, 16) >= 0
    assert len(failure.fingerprint) == 16
    str(failure).encode()


def test_an_error_is_described_in_its_own_words() -> None:
    failure = describe(raised(ValueError("no tea")))
    assert str(failure) == "ValueError: no tea"
    assert "raise error" in failure.traceback
    assert "test_failure.py" in failure.traceback


def test_a_class_is_named_by_its_path_and_an_empty_message_left_out() -> None:
    assert str(describe(Loud())) == f"{__name__}.Loud"


def test_a_broken_str_is_said_to_be_broken() -> None:
    assert describe(SaysNothing()).message == "(its text cannot be shown: __str__ raised RuntimeError)"
    assert describe(SaysWrong()).message == "(its text cannot be shown: __str__ raised TypeError)"
    assert describe(SaysLast()).message == "(its text cannot be shown: __str__ raised KeyboardInterrupt)"


def test_a_long_message_keeps_its_beginning_and_a_long_traceback_its_end() -> None:
    failure = describe(raised(ValueError("begin" + "x" * 1_000_000)))
    assert failure.message.startswith("begin")
    assert failure.message.endswith("x…")
    assert len(failure.message) == MESSAGE_LENGTH + 1
    assert storable("ab" * 10, 4, keep_end=True) == "…abab"


def test_surrogates_are_written_as_escapes() -> None:
    assert describe(ValueError("a\ud800b")).message == "a\\ud800b"


def test_causes_that_go_in_circles_do_no_harm() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    one.__context__, other.__context__ = other, one
    assert describe(raised(one)).message == "one"


def test_a_long_chain_of_causes_does_no_harm() -> None:
    error = ValueError("first")
    for _ in range(10_000):
        error, error.__cause__ = ValueError("later"), error
    assert describe(error).message == "later"


def test_a_group_says_what_is_in_it() -> None:
    group = ExceptionGroup("unhandled errors in a TaskGroup", [raised(KeyError("tea")), ValueError("milk")])
    failure = describe(raised(group))
    assert failure.message == "unhandled errors in a TaskGroup (2 sub-exceptions)"
    assert "KeyError: 'tea'" in failure.traceback
    assert "ValueError: milk" in failure.traceback


def test_an_error_that_was_raised_from_another_shows_the_other() -> None:
    try:
        try:
            deep(0)
        except ValueError as cause:
            raise LookupError("on top") from cause
    except LookupError as error:
        failure = describe(error)
    assert "at the bottom" in failure.traceback


def test_a_group_in_groups_without_end_does_no_harm() -> None:
    error: Exception = ValueError("inside")
    for _ in range(2_000):
        error = ExceptionGroup("around", [error])
    assert describe(error).message == "around (1 sub-exception)"


def test_a_traceback_of_a_thousand_frames_keeps_the_innermost() -> None:
    with pytest.raises(ValueError, match="bottom") as caught:
        deep(sys.getrecursionlimit() // 2)
    failure = describe(caught.value)
    assert 'raise ValueError("at the bottom")' in failure.traceback
    assert len(failure.traceback) <= TRACEBACK_LENGTH + 1


def test_a_recursion_without_end_is_an_error_like_any_other() -> None:
    def forever() -> None:
        forever()

    with pytest.raises(RecursionError) as caught:
        forever()
    failure = describe(caught.value)
    assert failure.type == "RecursionError"
    assert failure.traceback.count("forever") <= 100


def test_a_source_file_that_is_not_what_it_was_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "the file has changed")

    monkeypatch.setattr(traceback, "extract_tb", broken)
    monkeypatch.setattr(traceback, "TracebackException", broken)
    assert "cannot be shown" in describe(raised(ValueError("no"))).traceback


# ------------------------------------------------------------ fingerprints


def here(error: Exception) -> str:
    return describe(raised(error)).fingerprint


def there(error: Exception) -> str:
    try:
        raise error  # noqa: TRY301 - here, and nowhere else
    except Exception as caught:  # noqa: BLE001 - any kind
        return describe(caught).fingerprint


def test_errors_of_one_class_from_one_place_share_a_fingerprint_whatever_they_say() -> None:
    assert len({here(ValueError(f"order {number}")) for number in range(5)}) == 1


def test_another_class_or_another_place_has_another() -> None:
    assert len({here(ValueError()), here(KeyError()), there(ValueError()), there(KeyError())}) == 4


def test_a_fingerprint_is_the_same_in_every_process() -> None:
    program = "from conveyor.core.failure import describe; print(describe(ValueError('no')).fingerprint)"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == describe(ValueError("yes")).fingerprint
