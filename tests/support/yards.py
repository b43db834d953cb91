"""The fixture ``yard``, for conftest.py to name."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stores import SHARED, sqlite_url
from tests.support.yard import Yard


@pytest.fixture(params=SHARED)
def yard(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Yard]:
    """A new, empty store, one that two processes can share, and the processes that work on it."""
    server = request.param in {"postgres", "redis"}
    made = Yard(request.getfixturevalue(f"{request.param}_url") if server else sqlite_url(tmp_path), tmp_path)
    yield made
    made.close()
