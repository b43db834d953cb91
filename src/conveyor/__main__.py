"""``python -m conveyor`` is the command ``conveyor``."""

from conveyor.cli import entry

entry()
