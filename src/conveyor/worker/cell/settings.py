"""How a runner keeps its cells."""

from dataclasses import dataclass
from typing import Final

from conveyor.core.errors import UsageError
from conveyor.core.options import number_in
from conveyor.worker.board import CELLS

MEGABYTE: Final = 1024**2
JOBS: Final = 100_000
MEMORY: Final = 512 * MEGABYTE
AGE: Final = 3_600.0
SPREAD: Final = 0.1
"""By so large a part the limits of cells differ, so that not all end at a time."""


@dataclass(frozen=True, slots=True)
class CellSettings:
    """The processes that a worker runs plain functions in."""

    argv: tuple[str, ...]
    """The command that starts one; the descriptors that it needs are added to it."""
    count: int | None = None
    """How many at most; as many as there are slots, unless given."""
    jobs: int = JOBS
    """After so many jobs one is replaced by a new one,"""
    memory: int = MEMORY
    """or when it holds more bytes than this once a job has ended,"""
    age: float = AGE
    """or after so many seconds."""
    idle: float = 60.0
    """Seconds that one which nobody needs stays; the last one stays for ever."""

    def __post_init__(self) -> None:
        """Refuse what could run nothing."""
        if self.count is not None:
            number_in("cells", self.count, range(1, CELLS + 1))
        if self.jobs < 1 or self.memory < 1 or not self.age > 0:
            raise UsageError(f"cells that end after {self.jobs} jobs, {self.memory} bytes or {self.age} s run nothing")
