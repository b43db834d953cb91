"""The apps of a run's workers, as ``conveyor worker --app conveyor.cli.chaos.serve:app`` finds them."""

import os
from pathlib import Path
from typing import Final

from conveyor.cli.chaos.tasks import made
from conveyor.cli.chaos.tree import RUN

app: Final = made(os.environ["CONVEYOR_URL"], Path(os.environ[RUN])).app
old: Final = made(os.environ["CONVEYOR_URL"], Path(os.environ[RUN]), old=True).app
"""Of the version before, which lacks a task."""
