"""What is modelled for the documents: the grid, and the runs of this machine that it must agree with."""

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import Final, TypedDict

from benchmarks.scaling.costs import COMMIT, CORES, flush, postgres_costs, redis_costs
from benchmarks.scaling.model import modelled
from benchmarks.scaling.run import Figures
from benchmarks.scaling.settings import Setting

WORKERS: Final = (10, 100, 1_000)
SHARDS: Final = (1, 2, 4, 8, 16, 32)
WAITED: Final = (1, 8, 32)
"""Numbers of shards that are modelled at low loads too."""
OFFERED: Final = (100.0, 1_000.0, 10_000.0)
HOT: Final = (0.0, 0.25, 0.5)
SLOW: Final = 1.0
"""Seconds that a job of the other kind runs."""
NEAR: Final = 0.0001
"""Seconds of a round trip on one machine."""
HOST: Final = 2
MANY: Final = 1_000


class Row(TypedDict):
    """One run of the model."""

    what: str
    store: str
    workers: int
    shards: int
    run_time: float
    offered: float
    hot: float
    ended: float
    p50: float
    p99: float
    busiest: float
    """The share of the time that the busiest server works."""
    hottest: float
    """The share of the jobs that the shard with the most of them has."""


Asked = tuple[str, str, Setting]


def modelled_all(figures: Figures) -> list[Row]:
    """Everything; a few minutes on two cores."""
    asked = [*_most(figures), *_waits(figures), *_skewed(figures), *_proof(figures)]
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(_row, asked, chunksize=1))


def _row(asked: Asked) -> Row:
    what, store, setting = asked
    found = modelled(setting)
    return Row(
        what=what,
        store=store,
        workers=setting.workers,
        shards=setting.shards,
        run_time=setting.run_time,
        offered=setting.offered,
        hot=setting.hot,
        ended=found.ended,
        p50=min(found.wait(0.5), 1e9),
        p99=min(found.wait(0.99), 1e9),
        busiest=max(found.busy),
        hottest=found.hottest,
    )


def _stores(figures: Figures, workers: int, shards: Sequence[int]) -> list[tuple[str, Setting]]:
    of_redis = Setting(redis_costs(figures), workers)
    of_postgres = Setting(postgres_costs(figures), workers, cores=CORES, commit=COMMIT, rings_one=False)
    return [*(("redis", replace(of_redis, shards=count)) for count in shards), ("postgresql", of_postgres)]


def _most(figures: Figures) -> list[Asked]:
    found: list[Asked] = []
    for workers in WORKERS:
        for store, setting in _stores(figures, workers, SHARDS):
            found.append(("most", store, _long(setting)))
            found.append(("most", store, replace(setting, run_time=SLOW, warm=2.0, seconds=2.0)))
    return found


def _long(setting: Setting) -> Setting:
    """So long that each worker has its turn at each shard, a few times: where few serve many, that is long."""
    if setting.workers < MANY:
        return setting
    seconds = max(8 / (setting.shards if setting.cores == 1 else setting.cores), 0.3)
    return replace(setting, warm=seconds, seconds=seconds)


def _waits(figures: Figures) -> list[Asked]:
    return [
        ("waits", store, replace(_long(setting), offered=offered))
        for workers in WORKERS
        for store, setting in _stores(figures, workers, WAITED)
        for offered in OFFERED
    ]


def _skewed(figures: Figures) -> list[Asked]:
    setting = Setting(redis_costs(figures), 100, shards=8)
    return [("skew", "redis", replace(setting, hot=hot, warm=2.0)) for hot in HOT]


def _proof(figures: Figures) -> list[Asked]:
    """One and two workers on this machine's cores, which all share: to be compared with what was measured."""
    # The producer is not at work then, and jobs do nothing.
    of_redis = replace(redis_costs(figures), enqueue=replace(redis_costs(figures).enqueue, each=0.0, job=0.0))
    of_postgres = replace(postgres_costs(figures), enqueue=of_redis.enqueue)
    common = {"slots": 200, "run_time": 0.0, "round_trip": NEAR, "host": HOST}
    disk = flush(figures["postgresql"])
    return [
        asked
        for workers in (1, 2)
        for asked in (
            ("proof", "redis", Setting(of_redis, workers, **common)),  # type: ignore[arg-type]  # mixed numbers
            ("proof", "postgresql", Setting(of_postgres, workers, cores=HOST, commit=disk, rings_one=False, **common)),  # type: ignore[arg-type]  # as above
        )
    ]
