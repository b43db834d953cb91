"""What is logged of an attempt's end, and that each level has what is its own."""

import logging

import pytest

from conveyor.core.failure import Failure
from conveyor.core.judge import Ending, Interrupted, Raised, Returned, Stopped, judge
from conveyor.core.model import Claimed
from conveyor.worker.execute import _log, _seconds

RUNNER = bytes(16)
ERROR = Failure("ValueError", "no tea")
ENDINGS: dict[str, tuple[Ending, int, int, str]] = {
    "succeeded": (Returned(None), 1, logging.INFO, "succeeded in 0.250 s"),
    "released": (Interrupted(), 1, logging.INFO, "released, no attempt spent; it runs again"),
    "cancelled": (Stopped("enough"), 1, logging.INFO, "cancelled: enough"),
    "lost": (
        Interrupted(failure=ERROR),
        1,
        logging.WARNING,
        "its transaction was lost, so it runs again: ValueError: no tea",
    ),
    "again": (Raised(ERROR), 1, logging.WARNING, "failed: ValueError: no tea; again in 5 s"),
    "failed": (Raised(ERROR), 2, logging.ERROR, "failed: ValueError: no tea"),
}


@pytest.mark.parametrize(
    ("microseconds", "text"), [(200_000, "0.2"), (42_100, "0.042"), (4_371_200, "4.4"), (13_660_000, "14"), (0, "0")]
)
def test_a_short_pause_is_not_no_pause(microseconds: int, text: str) -> None:
    assert _seconds(microseconds) == text


@pytest.mark.parametrize("heard", [logging.INFO, logging.WARNING, logging.ERROR], ids=logging.getLevelName)
@pytest.mark.parametrize(("ending", "attempt", "level", "text"), ENDINGS.values(), ids=ENDINGS)
def test_an_end_is_logged_at_its_level(
    ending: Ending, attempt: int, level: int, text: str, heard: int, caplog: pytest.LogCaptureFixture
) -> None:
    job = Claimed(bytes(16), "send", "mail", 0, 0, attempt, 2, 0, 1, None, b"[[],{}]", None, 0)
    outcome = judge(job, RUNNER, ending, wait=5_000_000, run_time=250_000)
    caplog.set_level(heard, "conveyor.worker")
    _log(job, ending, outcome, 0.25)
    told = [(record.levelno, record.getMessage()) for record in caplog.records]
    assert told == ([(level, text)] if level >= heard else [])
