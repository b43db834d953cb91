"""A worker whose times are short: ``python -m tests.support.worker --lease 1.5 --beat 0.3 --rescue 0.3``.

Without the command line's signals: it is for those who kill it.
"""

import argparse
import asyncio
import faulthandler
import logging
import signal
import sys

from conveyor.worker.cell.settings import CellSettings
from conveyor.worker.runner import Settings
from tests.faults.tasks import app


async def work(options: argparse.Namespace) -> int:
    argv = (sys.executable, "-m", "conveyor.cli.cell", "--app", "tests.faults.tasks:app")
    logs = ("--log-level", "info", "--log-format", "text")
    settings = Settings(
        {"default": options.slots},
        lease=options.lease,
        beat=options.beat,
        sweep=0.1,
        rescue=options.rescue,
        grace=options.grace,
        cells=CellSettings((*argv, *logs)) if options.cells else None,
    )
    return await app.worker(settings).run()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--slots", type=int, default=10)
    parser.add_argument("--lease", type=float, default=1.5)
    parser.add_argument("--beat", type=float, default=0.3)
    parser.add_argument("--grace", type=float, default=30.0)
    parser.add_argument("--rescue", type=float, default=0.3)
    parser.add_argument("--cells", action="store_true", help="run plain functions in processes")
    faulthandler.register(signal.SIGUSR1)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    return asyncio.run(work(parser.parse_args()))


if __name__ == "__main__":
    raise SystemExit(main())
