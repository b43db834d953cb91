"""What unit tests may ask for; and what only matters when one fails."""

import gc
from collections.abc import Generator, Iterator

import pytest

from conveyor import Conveyor


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Collect no garbage while pytest parses source for its report.

    A task that failed unheard logs its traceback when it is collected. Python 3.11 parses source for that too, and
    one parse within another ends as "SystemError: AST constructor recursion depth mismatch", with the whole run.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        return (yield)
    finally:
        if collecting:
            gc.enable()


@pytest.fixture
def app() -> Iterator[Conveyor]:
    """An app whose store is in memory."""
    made = Conveyor("sqlite:///:memory:")
    yield made
    made.close()
