"""The history and the checker of ``conveyor chaos``, which the fault tests share."""

from conveyor.cli.chaos.checker import Report, check
from conveyor.cli.chaos.history import History, Kind, Record, Run, runs_of
from conveyor.cli.chaos.tables import Row, Tables, read_tables

__all__ = ["History", "Kind", "Record", "Report", "Row", "Run", "Tables", "check", "read_tables", "runs_of"]
