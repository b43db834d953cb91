"""The stores of the contract suite, a yard of processes on each that they can share, and a Cluster."""

from collections.abc import Iterator

import pytest

from tests.contract.conftest import app, folder, opened, url
from tests.support.cluster import Clustered
from tests.support.redis import versions
from tests.support.yards import yard

__all__ = ["app", "folder", "opened", "url", "yard"]


@pytest.fixture(scope="module")
def whole() -> Iterator[Clustered]:
    """Three primaries with replicas."""
    with Clustered(versions()[0], appendonly="yes") as made:
        yield made
