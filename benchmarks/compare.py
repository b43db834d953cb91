"""Compares Conveyor with its peers on one server: ``python -m benchmarks.compare``, or ``make compare``.

PostgreSQL, or with ``--store redis`` Redis, each with the peers that use it.

Every round measures every peer, in another order each time, so that whatever else the machine does hits all alike.
Each measure has a fresh database. The figures go to a JSON file and to a Markdown one.
"""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import measures
from benchmarks.environments import CACHE, Missing, environment, find_python, version_of
from benchmarks.figures import Results, gather
from benchmarks.grounds import Ground, PostgresGround, RedisGround
from benchmarks.machine import Meter, about
from benchmarks.measures import Sizes
from benchmarks.place import Driver, Failed, Peer, Place
from benchmarks.report import Report, markdown

GROUNDS: Mapping[str, type[PostgresGround | RedisGround]] = {"postgres": PostgresGround, "redis": RedisGround}
PEERS = {
    "postgres": (
        Peer("conveyor", "Conveyor", pairs=True),
        Peer("pgqueuer", "PgQueuer", pairs=True),
        Peer("oban", "Oban", share=0.15),
        Peer("procrastinate", "Procrastinate", share=0.03),
        Peer("django_q2", "Django-Q2", share=0.015),
    ),
    "redis": (
        Peer("conveyor", "Conveyor"),
        Peer("huey", "Huey", share=0.3),
        Peer("taskiq", "TaskIQ", share=0.15),
        Peer("saq", "SAQ", share=0.08),
        Peer("arq", "arq", share=0.08),
        Peer("celery", "Celery", share=0.08),
        Peer("celery_late", "Celery, late acknowledgement", of="celery"),
        Peer("dramatiq", "Dramatiq", share=0.08),
        Peer("rq", "RQ", share=0.05),
    ),
}
"""By store."""
COMES_BACK = 60.0
"""Seconds after its worker's death within which a job should run again."""
MARGIN = 15.0
"""What is waited beyond that, to tell who is late from who never comes."""


class Comparison:
    """One server, and the peers that are measured on it."""

    def __init__(self, ground: Ground, drivers: Sequence[Driver], sizes: Sizes, folder: Path) -> None:
        self._ground = ground
        self._drivers = drivers
        self._sizes = sizes
        self._folder = folder
        self._made = 0

    def prepare(self) -> None:
        """Make each peer's tables once; every measure's database is a copy."""
        for driver in self._drivers:
            name = f"template_{driver.peer.name}"
            Place(driver, self._ground, self._ground.template(driver.peer.name), self._folder / name).setup()

    def round(self, number: int) -> Mapping[str, Mapping[str, float]]:
        """All measures of all peers; who comes first changes from round to round."""
        measured = [driver for driver in self._drivers if not driver.peer.of]
        turn = number % len(measured)
        return {driver.peer.name: self._figures(driver) for driver in (*measured[turn:], *measured[:turn])}

    def _figures(self, driver: Driver) -> Mapping[str, float]:
        found: dict[str, float] = {}
        for measure in self._measures(driver.peer):
            begun = time.monotonic()
            found |= measure(self._place(driver), self._ground, self._sizes)
            say(f"  {driver.peer.title:<14} {measure.__name__:<18} {time.monotonic() - begun:5.1f} s")
        return found

    def _measures(self, peer: Peer) -> Iterator[Callable[[Place, Meter, Sizes], Mapping[str, float]]]:
        yield measures.drain
        if peer.pairs:
            yield measures.drain_by_two
            yield measures.drain_as_it_comes
        yield measures.enqueue
        yield measures.latency

    def comes_back(self) -> dict[str, float | None]:
        """After how many seconds a killed worker's job runs again, with each peer; all wait at the same time."""
        say("kill -9 in the middle of a job")
        places = [self._place(driver) for driver in self._drivers]
        with ThreadPoolExecutor(len(places)) as threads:
            found = threads.map(lambda place: measures.comes_back(place, COMES_BACK + MARGIN), places)
            return {place.peer.name: seconds for place, seconds in zip(places, found, strict=True)}

    def _place(self, driver: Driver) -> Place:
        self._made += 1
        url = self._ground.fresh(driver.peer.name)
        return Place(driver, self._ground, url, self._folder / f"measure_{self._made}")


def compare(options: argparse.Namespace) -> Report:
    """Do it all."""
    python = options.python or find_python()
    make = GROUNDS[options.store]
    drivers = []
    for peer in chosen(options.store, options.peers):
        say(f"environment of {peer.title}")
        drivers.append(Driver(peer, environment(peer.requirements, python), make.nowhere))
    sizes = Sizes(jobs=options.jobs, seconds=options.seconds)
    with (
        tempfile.TemporaryDirectory(prefix="conveyor-compare-") as folder,
        contextlib.closing(make(options.server or make.VERSION)) as ground,
    ):
        comparison = Comparison(ground, drivers, sizes, Path(folder))
        comparison.prepare()
        results = rounds(comparison, options.rounds)
        back = comparison.comes_back() if options.kills else {}
        settings = ground.settings()
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": about(),
        "python": version_of(python),
        "store": make.name,
        "server": settings,
        "jobs": {driver.peer.name: sizes.drained(driver.peer) for driver in drivers},
        "rounds": options.rounds,
        "seconds": options.seconds,
        "titles": {driver.peer.name: driver.peer.title for driver in drivers},
        "about": {driver.peer.name: driver.about for driver in drivers},
        "results": results,
        "comes_back": back,
    }


def chosen(store: str, names: Sequence[str] | None) -> list[Peer]:
    """The peers of *store* that have these *names*, or all."""
    if unknown := set(names or ()) - {peer.name for peer in PEERS[store]}:
        raise Missing(f"no peer {', '.join(sorted(unknown))} on {store}")
    return [peer for peer in PEERS[store] if names is None or peer.name in names]


def rounds(comparison: Comparison, number: int) -> Results:
    """*number* rounds."""
    found = []
    for one in range(number):
        say(f"round {one + 1} of {number}")
        found.append(comparison.round(one))
    return gather(found)


def say(text: str) -> None:
    """A word about progress."""
    sys.stderr.write(f"{text}\n")


def arguments() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--store", choices=PEERS, default="postgres", help="what they all use (postgres)")
    names = "; ".join(f"{store}: {', '.join(peer.name for peer in peers)}" for store, peers in PEERS.items())
    parser.add_argument("--peers", nargs="+", metavar="PEER", help=names)
    parser.add_argument("--rounds", type=int, default=3, help="how often all is measured (3)")
    parser.add_argument("--jobs", type=int, default=40_000, help="jobs of a drain; slow peers get fewer (40000)")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each measure may take (5)")
    parser.add_argument("--no-kills", dest="kills", action="store_false", help="leave out the killed workers: 75 s")
    parser.add_argument("--server", help="version of the server (PostgreSQL 17, Redis 6.2)")
    parser.add_argument("--python", help="the Python of all peers (3.13 or 3.12 as found)")
    parser.add_argument("--out", type=Path, default=CACHE / "results", help="folder for the JSON and the Markdown")
    return parser


def main() -> int:
    """Compare, print the tables, and leave them in files."""
    options = arguments().parse_args()
    try:
        report = compare(options)
    except (Missing, Failed) as error:
        say(str(error))
        return 1
    name = f"compare-{options.store}"
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n")
    text = markdown(report)
    (options.out / f"{name}.md").write_text(text)
    sys.stdout.write(text)
    say(f"{name}.json and {name}.md are in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
