"""The worker of the latency measure: ``python -m conveyor.cli.bench.serve URL QUEUE``."""

import sys

from conveyor.app import Conveyor
from conveyor.cli.bench.measure import stamp_task


def main(url: str, queue: str) -> int:
    """Work until told to stop."""
    app = Conveyor(url)
    stamp_task(app)
    return app.run_worker({queue: 10})


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
