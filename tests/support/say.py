"""Figures that a test prints."""

import sys
from collections.abc import Callable

import pytest

Say = Callable[[str], None]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Print a figure, also when the test passes."""

    def said(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{text} ")

    return said
