"""Fixtures for pytest: ``conveyor_harness`` and what it is made of.

A package of its own, for pytest imports it in every run, and a module of ``conveyor`` would bring all of that along.
Nothing of it is imported before a test asks for a fixture.
"""

from argparse import Namespace
from collections.abc import Generator
from contextlib import ExitStack
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from conveyor import Conveyor
    from conveyor.testing import Harness

pytest.register_assert_rewrite("conveyor.testing.contract")

INI = "conveyor_app"


class Harnesses(Protocol):
    """What the fixture ``conveyor_harness_of`` gives."""

    def __call__(self, app: "Conveyor", url: str | None = None, *, now: datetime | None = None) -> "Harness":
        """A harness of *app*, in use until the test ends; see ``conveyor.testing.Harness``."""
        ...


def pytest_addoption(parser: pytest.Parser) -> None:
    """``conveyor_app = shop.jobs:app`` in pytest's own settings."""
    parser.addini(INI, "the app under test, as module:attr; else as the command line of Conveyor finds it")


@pytest.fixture
def conveyor_app(pytestconfig: pytest.Config) -> "Conveyor":
    """The app under test. A fixture of this name in ``conftest.py`` gives another."""
    from conveyor import UsageError
    from conveyor.cli.lookup import find_app

    try:
        return find_app(Namespace(app=pytestconfig.getini(INI) or None, store=None))
    except UsageError as error:
        pytest.fail(
            f"{error}\nIn tests: write {INI} = module:attr into pytest's settings, or define a fixture "
            f"{INI} in conftest.py that returns your app",
            pytrace=False,
        )


@pytest.fixture
def conveyor_harness(conveyor_app: "Conveyor") -> "Generator[Harness]":
    """A ``conveyor.testing.Harness`` of ``conveyor_app``, with a fresh store on SQLite for each test."""
    from conveyor.testing import Harness

    with Harness(conveyor_app) as harness:
        yield harness


@pytest.fixture
def conveyor_harness_of() -> Generator[Harnesses]:
    """Makes harnesses of other apps, or on other stores: ``conveyor_harness_of(app, url="postgresql://...")``."""
    from conveyor.testing import Harness

    with ExitStack() as stack:

        def made(app: "Conveyor", url: str | None = None, *, now: datetime | None = None) -> Harness:
            return stack.enter_context(Harness(app, url, now=now))

        yield made
