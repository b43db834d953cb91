"""What a worker serves: its queues, their slots, and its store."""

import argparse
import logging
from collections.abc import Iterable

from conveyor.app import Conveyor
from conveyor.cli.lookup import missing_file, store_file, whole_url
from conveyor.cli.words import meant
from conveyor.core.errors import UsageError
from conveyor.core.text import checked_name
from conveyor.worker.runner import MOST_SLOTS

logger = logging.getLogger("conveyor.worker")


def served_queues(app: Conveyor, options: argparse.Namespace) -> dict[str, int]:
    """The queues that the user means, and their slots. ``UsageError`` when *app* has nothing to run in them."""
    if not app.tasks:
        raise UsageError("the app has no tasks; does the module that defines them get imported?")
    return parse_queues(options.queues) if options.queues else app.default_queues()


def name_store(app: Conveyor) -> None:
    """Say which file the store is, once it can be used; one that is not there is made, and that is said."""
    if store_file(app) is None:
        return
    missing = missing_file(app)
    app.migrate()
    if missing:
        logger.info("made %s", missing)
    logger.info("the store is %s", whole_url(app))


def tell_unnamed(app: Conveyor, queues: Iterable[str]) -> None:
    """Say which of *queues* no task names. Others may enqueue there: only what looks mistyped is a warning."""
    known = app.default_queues()
    for name in queues:
        if name not in known:
            guess = meant(name, known)
            logger.log(logging.WARNING if guess else logging.INFO, "no task of the app names queue %r%s", name, guess)


def parse_queues(texts: list[str]) -> dict[str, int]:
    """``mail=2,default=10`` as a mapping; a queue without a number has 10 slots."""
    queues: dict[str, int] = {}
    for part in ",".join(texts).split(","):
        name, given, slots = part.strip().partition("=")
        slots = slots if given else "10"
        if not slots.isdecimal() or not 0 < int(slots) <= MOST_SLOTS:
            raise UsageError(f"-q {part}: write NAME=SLOTS, with 1 to {MOST_SLOTS:,} slots, as in -q mail=2,default=10")
        if checked_name("queue", name) in queues:
            raise UsageError(f"-q {part}: queue {name!r} has its slots already; name it once")
        queues[name] = int(slots)
    return queues
