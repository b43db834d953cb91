"""What tests of a program with jobs need: see ``Harness``.

With pytest the fixture ``conveyor_harness`` gives one. Not part of this module, for it needs pytest: the contract that
every store must pass, ``conveyor.testing.contract``.
"""

from conveyor.testing.clock import MovableClock
from conveyor.testing.drains import Ran, TaskFailed
from conveyor.testing.enqueued import Enqueued
from conveyor.testing.harness import Harness
from conveyor.testing.log import Happened

__all__ = ["Enqueued", "Happened", "Harness", "MovableClock", "Ran", "TaskFailed"]
