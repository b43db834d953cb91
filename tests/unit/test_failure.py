"""Recording a failure cannot fail, whatever the exception does; and what is kept is bounded text."""

import linecache
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from conveyor.core import trace
from conveyor.core.failure import MESSAGE_LENGTH, TRACEBACK_LENGTH, Failure, describe, storable
from conveyor.core.redact import DEFAULT, HIDDEN, Redactor
from tests.support.hostile import ERRORS, VALUES, Loud, SaysLast, SaysNothing, SaysWrong, Worst, from_file, groups


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


MEMORY = 4 * 2**20
"""Bytes that describing an error may take, however large the error is."""


def checked(error: BaseException) -> Failure:
    """What is stored of *error*, which must be fit to be stored and shown."""
    failure = describe(error)
    assert stored(failure) == failure
    assert failure.type
    assert len(failure.message) <= MESSAGE_LENGTH * 6 + 1  # a lone surrogate is written in six characters
    assert len(failure.traceback) <= TRACEBACK_LENGTH * 6 + 1
    assert int(failure.fingerprint, 16) >= 0
    assert len(failure.fingerprint) == 16
    for text in (failure.type, failure.message, failure.traceback):
        text.encode()
        assert all(character.isprintable() or character in "\n\t" or ord(character) > 159 for character in text)
    str(failure).encode()
    return failure


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_can_be_recorded_and_stored(name: str) -> None:
    checked(ERRORS[name]())
    checked(raised(ERRORS[name]()))


@pytest.mark.parametrize("name", VALUES)
def test_so_can_one_that_bears_any_value(name: str) -> None:
    checked(raised(ValueError(VALUES[name].make())))
    checked(raised(Worst("and", VALUES[name].make())))


@pytest.mark.parametrize("name", [name for name in ERRORS if name not in {"says-last", "recursive"}])
def test_no_error_takes_much_memory_to_describe(name: str) -> None:
    error = raised(ERRORS[name]())
    tracemalloc.start()
    try:
        describe(error)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEMORY


def test_a_cause_and_a_note_of_a_group_count_against_one_bound() -> None:
    """However it is wound, an error is told in so many lines."""
    group = groups(4, 5)
    for at in range(200):
        cause = ExceptionGroup(str(at), [raised(ValueError(str(n))) for n in range(10)])
        cause.__cause__ = group
        group = cause
    lines = list(trace.Teller(DEFAULT.clipped).tell(group))
    assert len(lines) <= trace.ERRORS * (2 * trace.FRAMES + 20)


def test_an_error_is_described_in_its_own_words() -> None:
    failure = describe(raised(ValueError("no tea")))
    assert str(failure) == "ValueError: no tea"
    assert "raise error" in failure.traceback
    assert "test_failure.py" in failure.traceback


def test_a_class_is_named_by_its_path_and_an_empty_message_left_out() -> None:
    assert str(describe(Loud())) == "tests.support.hostile.Loud"


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

    monkeypatch.setattr(trace, "linecache", SimpleNamespace(cache={}, getline=broken))
    assert "cannot be shown" in describe(raised(ValueError("no"))).traceback


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[str]:
    """A file that nobody ever writes to: who opens it waits for ever."""
    name = tmp_path / "pipe"
    os.mkfifo(name)
    yield str(name)
    linecache.checkcache(str(name))


def test_no_file_is_waited_for(pipe: str) -> None:
    error = from_file(pipe)()
    assert f'File "{pipe}", line 1, in <module>' in describe(error).traceback


def test_no_large_file_is_read_for_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "large.py"
    source.write_text("1 / 0  # first\n" + "x" * 1000)
    error = from_file(str(source))()
    monkeypatch.setattr(trace, "SOURCE", 1000)
    assert "# first" not in describe(error).traceback
    monkeypatch.undo()
    assert "    1 / 0  # first" in describe(error).traceback


# ---------------------------------------------------------------- secrets


def test_no_secret_is_stored_in_message_cause_note_or_source() -> None:
    try:
        try:
            raise KeyError("token=hunter2")  # noqa: TRY301 - here, and nowhere else
        except KeyError as cause:
            error = ValueError("postgresql://app:hunter2@db/x")
            error.add_note("password: hunter2")
            raise error from cause
    except ValueError as caught:
        failure = describe(caught)
    assert failure.message == f"postgresql://app:{HIDDEN}@db/x"
    assert "hunter2" not in failure.traceback
    assert failure.traceback.count(HIDDEN) == 4


def test_nor_a_value_that_is_known_as_one() -> None:
    card = "4111 1111"
    failure = describe(raised(ExceptionGroup(f"card {card}", [LookupError(card)])), Redactor.of([{"card": card}]))
    assert "4111" not in failure.message + failure.traceback
    assert failure.message == f"card {HIDDEN} (1 sub-exception)"


def test_no_variable_is_stored() -> None:
    def pay(card: str) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no") as caught:
        pay(str(41110000 + 1111))
    assert "41111111" not in stored(describe(caught.value)).traceback


@pytest.mark.parametrize("make", [str, KeyError, lambda text: ["", text]], ids=["text", "key", "list"])
@pytest.mark.parametrize("length", [trace.LINE, trace.PIECE, MESSAGE_LENGTH, trace.TEXT])
def test_a_secret_cut_in_half_does_not_show(make: Callable[[str], object], length: int) -> None:
    """Also where others before it have made the text shorter, so that what was behind the cut comes into sight."""
    fish = "swordfish" + "-" * 91
    redactor = Redactor.of([fish])
    for end in (length, length + trace.BEYOND - 1, length + trace.BEYOND):
        for begin in range(end - 10, end + 1):
            text = (fish * (begin // 100)).ljust(begin) + fish + "y" * 10_000
            made = make(text)
            error = made if isinstance(made, KeyError) else ValueError(made)
            error.add_note(text)
            failure = describe(raised(error), redactor)
            assert "swor" not in failure.message
            assert "swor" not in failure.traceback


def test_the_fingerprint_does_not_depend_on_what_is_hidden() -> None:
    error = raised(ValueError("swordfish"))
    assert describe(error).fingerprint == describe(error, Redactor.of(["swordfish", "raised"])).fingerprint


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


def test_a_recursion_has_one_fingerprint_however_deep_it_went() -> None:
    def fingerprint(levels: int) -> str:
        with pytest.raises(ValueError, match="bottom") as caught:
            deep(levels)
        return describe(caught.value).fingerprint

    assert fingerprint(3) == fingerprint(300)


def test_a_fingerprint_is_the_same_in_every_process() -> None:
    program = "from conveyor.core.failure import describe; print(describe(ValueError('no')).fingerprint)"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == describe(ValueError("yes")).fingerprint
