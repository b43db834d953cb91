"""What stands between clients and a PostgreSQL server: ``conveyor chaos`` has it too."""

from conveyor.cli.chaos.between import LENGTH, PATIENCE, Between, Line, first, rest

__all__ = ["LENGTH", "PATIENCE", "Between", "Line", "first", "rest"]
