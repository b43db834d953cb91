"""``conveyor move``."""

import argparse

from conveyor.app import Conveyor
from conveyor.cli.changing import INTERRUPTED
from conveyor.cli.lookup import check_there, in_memory, missing_file, whole_url
from conveyor.cli.output import clean, say, say_json
from conveyor.cli.progress import progress
from conveyor.cli.words import Nonsense, complain
from conveyor.client.moving import Moved, Mover, reopen
from conveyor.client.patience import PATIENCE, Away, Patience
from conveyor.core.errors import OutcomeUnknown, StoreUnavailable


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("source", metavar="SOURCE", help="the store's URL, as sqlite:///FILE")
    parser.add_argument("target", metavar="TARGET", nargs="?", help="the other store's, as postgresql://...")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be moved, and whether it can be")
    parser.add_argument(
        "--delete-source",
        action="store_true",
        help="delete everything from SOURCE once it is in TARGET; it stays closed",
    )
    parser.add_argument(
        "--reopen",
        action="store_true",
        help="open SOURCE again, which a move has closed; with TARGET, undo a move that is not over: delete the copies "
        "from there, and open both",
    )
    parser.add_argument("--yes", action="store_true", help="with --reopen: although jobs might then run in both stores")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(options: argparse.Namespace) -> int:
    """Move, or open again."""
    source, target = _app(options.source), _app(options.target) if options.target else None
    check_there(source)
    if options.reopen:
        if options.dry_run or options.delete_source:
            raise Nonsense("--reopen goes with TARGET and --yes only")
        return _reopen(source, target, options)
    if target is None:
        raise Nonsense("to which store? conveyor move SOURCE TARGET")
    if options.yes:
        raise Nonsense("--yes goes with --reopen only")
    return _look(source, target, options) if options.dry_run else _move(source, target, options)


def _app(url: str) -> Conveyor:
    app = Conveyor(url)
    if in_memory(app):
        raise Nonsense(f"{url} is gone with its process; name a file or a server")
    return app


def _look(source: Conveyor, target: Conveyor, options: argparse.Namespace) -> int:
    if file := missing_file(target):
        target = Conveyor("sqlite:///:memory:")  # as empty as that
    found = Mover(source.store, target.store).look()
    if options.json:
        say_json(_as_json(found, dry_run=True))
    else:
        say(f"would move {_what(found)}{f'; {file} would be made' if file else ''}")
    return 0


def _move(source: Conveyor, target: Conveyor, options: argparse.Namespace) -> int:
    mover = Mover(source.store, target.store, Patience(_waits))
    try:
        with progress("move", 2 * mover.number()) as advance:
            moved = mover.move(advance, delete_source=options.delete_source)
    except KeyboardInterrupt:
        complain("move", "interrupted; the same command does the rest")
        return INTERRUPTED
    except (StoreUnavailable, OutcomeUnknown) as error:
        if not mover.closed:
            raise
        complain("move", f"{error}; once that is mended, the same command does the rest")
        return 1
    for id_, why in moved.left.items():
        complain("move", f"job {id_} stays in {source.store.url}: {why}")
    if options.json:
        say_json(_as_json(moved, dry_run=False))
    else:
        _tell(moved, source, target)
    return 1 if moved.left else 0


def _waits(error: Away) -> None:
    complain("move", f"{error}; waiting for that to pass, up to {PATIENCE:.0f} s")


def _tell(moved: Moved, source: Conveyor, target: Conveyor) -> None:
    if moved.checksum:
        say(f"moved {_what(moved)} to {whole_url(target)}; both stores were read again: checksum {moved.checksum}")
    else:
        say(f"everything is in {whole_url(target)} already")
    deleted = f", and its {_count(moved.deleted, 'job')} deleted" if moved.deleted else ""
    say(f"{whole_url(source)} is closed{deleted}: give your programs the other URL")


def _reopen(source: Conveyor, target: Conveyor | None, options: argparse.Namespace) -> int:
    if target is None:
        reopen(source.store, force=options.yes)
    else:
        check_there(target)
        copies = Mover(source.store, target.store).undo(force=options.yes)
        say(clean(f"{whole_url(target)} is open, and {_count(copies, 'copy', 'copies')} deleted from there"))
    say(clean(f"{whole_url(source)} is open"))
    return 0


def _what(moved: Moved) -> str:
    parts = [_count(moved.jobs, "job"), _count(moved.schedules, "schedule"), _count(moved.paused, "paused queue")]
    return f"{', '.join(parts[:2])} and {parts[2]}"


def _count(number: int, what: str, many: str = "") -> str:
    return f"{number:,} {what if number == 1 else many or what + 's'}"


def _as_json(moved: Moved, *, dry_run: bool) -> dict[str, object]:
    return {
        "dry_run": dry_run,
        "jobs": moved.jobs,
        "checksum": moved.checksum or None,
        "schedules": moved.schedules,
        "paused_queues": moved.paused,
        "deleted": moved.deleted,
        "left": [{"id": id_, "why": why} for id_, why in moved.left.items()],
    }
