"""The stores of the contract suite, and a yard of processes on each that they can share."""

from tests.contract.conftest import app, folder, opened, url
from tests.support.yards import yard

__all__ = ["app", "folder", "opened", "url", "yard"]
