"""``python -m conveyor.cli.dev FD OPTIONS`` is the worker of ``conveyor dev``."""

from conveyor.cli import leave
from conveyor.cli.dev.child import main

leave(main())
