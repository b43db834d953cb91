"""The stores of the contract suite."""

from tests.contract.conftest import folder, opened, url

__all__ = ["folder", "opened", "url"]
