"""What somebody else has written into a column is read as data, or not at all: never does it end a reader or run."""

import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conveyor.core.codec import Codec
from conveyor.core.errors import PayloadError
from conveyor.core.extras import decoded
from conveyor.core.model import Attempt, appended, read_attempts
from tests.support.audited import CALLS, CRAFTED, READERS, samples


@pytest.mark.parametrize("reader", READERS)
def test_ten_thousand_spoilt_values_end_no_reader(reader: str) -> None:
    for data in samples(seed=1, count=10_000):
        READERS[reader](data)


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=50, deadline=None)
@given(
    st.binary(max_size=50)
    | st.text(max_size=20).map(str.encode)
    | st.recursive(st.none() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])), st.lists).map(
        lambda value: json.dumps(value).encode()
    )
)
def test_nor_does_what_a_machine_makes_up(reader: str, data: bytes) -> None:
    READERS[reader](data)


def test_no_stored_byte_makes_python_import_run_open_or_start_anything() -> None:
    program = [sys.executable, "-m", "tests.support.audited", "7", "2000"]
    done = subprocess.run(program, capture_output=True, text=True, check=True, timeout=50)
    assert json.loads(done.stdout) == {"samples": 2000, "asked": []}


def test_the_audit_would_notice() -> None:
    program = (
        "import sys; from tests.support import audited;"
        "audited.READERS['eval'] = lambda data: eval('1');"
        "print({event for event, _ in audited.audit([b''])})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=50)
    assert {"compile", "exec"} <= eval(done.stdout)  # noqa: S307 - we have printed it ourselves


@pytest.mark.parametrize(
    "data", [b"\xff", b"[" * 10**5, b'{"a":1}', b"9" * 10**5], ids=["no-utf8", "deep", "object", "number"]
)
def test_an_unreadable_past_does_not_keep_an_attempt_from_being_recorded(data: bytes) -> None:
    attempt = Attempt(3, "fail", 1, 2)
    assert read_attempts(appended(data, attempt)) == (attempt,)


def test_columns_of_another_type_are_nothing_either() -> None:
    assert read_attempts(5) == ()  # type: ignore[arg-type]  # what it is about
    assert decoded(5).tag_list == ()  # type: ignore[arg-type]  # as above
    with pytest.raises(PayloadError, match=r"^t: its stored arguments cannot be read"):
        Codec(print, "t").decode(5)  # type: ignore[arg-type]  # as above


def test_the_samples_are_hostile_enough() -> None:
    assert len(samples(1, 10_000)) == len(CALLS) + len(CRAFTED) + 10_000
    readable = sum(1 for data in samples(1, 10_000) if not isinstance(READERS["bare call"](data), bytes))
    assert 100 < readable < 5_000
