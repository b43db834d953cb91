"""``python -m conveyor`` is the command ``conveyor``."""

import sys

from conveyor.cli import main

sys.exit(main())
