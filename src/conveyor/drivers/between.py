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


def tidy_alone() -> None:
    """``tidy`` where one job runs at a time, so that SQLAlchemy's open sessions can only be the last one's: closed.

    What they had not committed is rolled back, and their connections go back to their pools.
    """
    tidy()
    orm: Any = sys.modules.get("sqlalchemy.orm.session")
    if orm is None:
        return
    try:
        orm.close_all_sessions()
    except Exception as error:  # noqa: BLE001 - as below; one that is awaited cannot be closed here
        logger.warning("a session of SQLAlchemy's that a job has left open cannot be closed: %s", type(error).__name__)


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
