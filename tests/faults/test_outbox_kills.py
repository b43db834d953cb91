"""Workers that forward from an outbox are killed with -9 in the middle of it, and so is Redis: I1, I2 for the outbox.

Every job whose transaction was committed is in the store once, and has run; of those that were rolled back, none.
"""

import json
import random
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from conveyor import Conveyor
from conveyor.core.lifecycle import FINAL, State
from conveyor.core.model import JobFilter, JobInfo
from conveyor.task import Task
from tests.support.redis import RedisServer, versions
from tests.support.waiting import until
from tests.support.yard import Process, Yard

KILLS, MANY_KILLS = 3, 40
PRODUCERS = 2
DRAIN = 60.0
"""Seconds within which all is done once nobody is killed any more."""
SHOP = """
import os
from pathlib import Path

from conveyor import Conveyor

app = Conveyor(os.environ["CONVEYOR_URL"], outbox={outbox!r})
ran = os.open({ran!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@app.task(name="sell")
async def sell(n: int) -> None:
    os.write(ran, f"{{n}}\\n".encode())
"""


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer(versions()[0], appendonly="yes", appendfsync="always") as started:
        yield started


class Shop:
    """Producers with transactions of their own, and workers that are killed."""

    def __init__(self, server: RedisServer, url: str, folder: Path) -> None:
        (folder / "shop.py").write_text(SHOP.format(outbox=url, ran=str(folder / "ran")), "utf-8")
        self.server, self.url, self.folder = server, url, folder
        self.app = Conveyor(f"{server.url()}?shards=3", outbox=url)
        self.task: Task[[int], None] = self.app.task(name="sell", max_attempts=100)(_sell)
        self.app.migrate()
        self.yard = Yard(f"{server.url()}?shards=3", folder)
        self.accepted: set[int] = set()
        self.over = threading.Event()

    def work(self) -> Process:
        return self.yard.start(
            *("conveyor", "worker", "--app", "shop:app", "--lease", "3", "-q", "default=100", "--log-level", "warning"),
            path=str(self.folder),
        )

    def produce(self, number: int) -> None:
        """Transactions of some jobs each, a fifth of which are rolled back."""
        dice = random.Random(number)
        mine = iter(range(number * 1_000_000, number * 1_000_000 + 1_000_000))
        with psycopg.connect(self.url) as connection, self.app.within(connection):
            while not self.over.wait(0.02):
                some = [next(mine) for _ in range(dice.randint(1, 40))]
                self.app.enqueue_many([self.task.bind(n) for n in some])
                if dice.random() < 0.2:
                    connection.rollback()
                else:
                    connection.commit()
                    self.accepted.update(some)

    def asked(self, text: bytes) -> int:
        with psycopg.connect(self.url, autocommit=True) as connection:
            row = connection.execute(text).fetchone()
            return int(row[0]) if row else 0

    def left(self) -> int:
        return self.asked(b"SELECT count(*) FROM conveyor_outbox")

    def jobs(self) -> list[JobInfo]:
        found: list[JobInfo] = []
        after = None
        while True:
            plan = self.app.store.operations.list(JobFilter(), limit=1_000, after=after, direction="oldest")
            page = self.app.store.run(plan)
            if not page:
                return found
            found += page
            after = _id(page[-1])

    def close(self) -> None:
        self.over.set()
        self.yard.close()
        self.app.close()


def _id(job: JobInfo) -> bytes:
    return bytes.fromhex(job.id.replace("-", ""))


def _sell(n: int) -> None:
    assert n


@pytest.fixture
def shop(server: RedisServer, postgres_url: str, tmp_path: Path) -> Iterator[Shop]:
    made = Shop(server, postgres_url, tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("kills", [KILLS, pytest.param(MANY_KILLS, marks=pytest.mark.soak)])
@pytest.mark.timeout(900)
def test_nothing_is_lost_or_doubled_on_the_way(shop: Shop, kills: int, capsys: pytest.CaptureFixture[str]) -> None:
    producers = [threading.Thread(target=shop.produce, args=(number,)) for number in range(1, PRODUCERS + 1)]
    for producer in producers:
        producer.start()
    dice = random.Random(kills)
    for number in range(kills):
        workers = [shop.work(), shop.work()]
        last = shop.asked(b"SELECT number FROM conveyor_relay")
        until(lambda: shop.asked(b"SELECT number FROM conveyor_relay") > last, patience=30)  # noqa: B023 - used at once
        threading.Event().wait(dice.random() * 0.1)
        if number % 3 == 2:
            shop.server.kill()
        for worker in workers:
            worker.kill()
        if number % 3 == 2:
            shop.server.start()
        # As if the ten seconds had passed after which somebody else goes on.
        shop.asked(b"UPDATE conveyor_relay SET owned_until = 0 RETURNING 1")
    shop.over.set()
    for producer in producers:
        producer.join()
    shop.work()
    until(lambda: shop.left() == 0, patience=DRAIN + 10 * kills)
    ended = JobFilter(states=tuple(FINAL))
    operations = shop.app.store.operations
    until(lambda: shop.app.store.run(operations.number(ended)) >= len(shop.accepted), patience=DRAIN + 10 * kills)
    states = Counter(job.state for job in shop.jobs())
    assert states.keys() == {State.SUCCEEDED}, states
    jobs = Counter(json.loads(job.payload)[0][0] for job in shop.jobs())
    assert jobs.keys() == shop.accepted
    assert max(jobs.values()) == 1, "a job was forwarded twice"
    ran = {int(line) for line in (shop.folder / "ran").read_text().split()}
    assert ran == shop.accepted
    with capsys.disabled():
        print(f"\noutbox: {kills} kills, {len(shop.accepted):,} accepted, lost 0, doubled 0", end=" ")  # noqa: T201 - a figure
