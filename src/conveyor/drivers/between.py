"""What the libraries of a user's own connections want done between two jobs, as between two requests."""

import logging
import sys
from collections.abc import Callable
from typing import Any, TypeVar

logger = logging.getLogger("conveyor.worker")

R = TypeVar("R")


def tidied(call: Callable[[], R]) -> R:
    """*call*, with what Django does around each request: a connection may have gone stale since the last job."""
    tidy()
    try:
        return call()
    finally:
        tidy()


class Sessions:
    """SQLAlchemy's, where one job runs at a time: what it has opened, and left open, is closed behind it.

    What was not committed is rolled back, and connections go back to their pools. Sessions that were there before are
    the app's own, and are let be.
    """

    def __init__(self) -> None:
        """Knows of none."""
        self._before: frozenset[int] = frozenset()

    def begin(self) -> None:
        """A job is about to run."""
        self._before = frozenset(self._all())

    def close(self) -> None:
        """It has ended. Its server may not answer, so who calls must be able to wait."""
        for key, session in self._all().items():
            if key not in self._before:
                try:
                    session.close()
                except Exception as error:  # noqa: BLE001 - as below; one that is awaited cannot be closed here
                    logger.warning("a session that a job has left open cannot be closed: %s", type(error).__name__)

    @staticmethod
    def _all() -> dict[int, Any]:
        """By the numbers that SQLAlchemy gives them."""
        module = sys.modules.get("sqlalchemy.orm.session")
        return dict(getattr(module, "_sessions", ()))


def tidy() -> None:
    """Close this thread's connections of Django's that are too old or broken, where Django is in use."""
    django: Any = sys.modules.get("django.db")
    if django is None or not sys.modules["django.conf"].settings.configured:
        return
    try:
        django.reset_queries()
        django.close_old_connections()
    except Exception as error:  # noqa: BLE001 - whatever its database says, this is no job's fault
        logger.warning("Django's connections could not be looked after: %s", type(error).__name__)
