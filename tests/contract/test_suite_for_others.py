"""Our own stores pass the suite that others' stores are to pass."""

from collections.abc import Callable
from pathlib import Path

import pytest

from conveyor.store.contract import Store
from conveyor.testing.contract import StoreContract
from tests.support.stores import open_store, sqlite_url


class TestSqliteInMemory(StoreContract):
    shared = False

    @pytest.fixture
    def open_store(self) -> Callable[[], Store]:
        return lambda: open_store("sqlite:///:memory:")


class TestSqliteFile(StoreContract):
    @pytest.fixture
    def open_store(self, folder: Path) -> Callable[[], Store]:
        return lambda: open_store(sqlite_url(folder))


class TestPostgres(StoreContract):
    @pytest.fixture
    def open_store(self, postgres_url: str) -> Callable[[], Store]:
        return lambda: open_store(postgres_url)
