"""Transactions that are open here, seen without having been lent: of a library that keeps its connections by thread."""

import os
import sys
from pathlib import Path
from typing import Any, cast


def open_in_django(file: Path) -> bool:
    """Whether a connection of Django's in this thread has a transaction open on the SQLite database *file*."""
    database: Any = sys.modules.get("django.db")
    if database is None or not cast(Any, sys.modules["django.conf"]).settings.configured:
        return False
    return any(
        wrapper.vendor == "sqlite"
        and wrapper.connection is not None
        and wrapper.connection.in_transaction
        and os.path.realpath(wrapper.settings_dict["NAME"]) == str(file)
        for wrapper in database.connections.all(initialized_only=True)
    )
