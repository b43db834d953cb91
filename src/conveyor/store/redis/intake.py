"""Jobs that an outbox forwards to a store on Redis: see ``store.outbox``."""

from collections.abc import Sequence
from functools import partial
from operator import itemgetter
from urllib.parse import urlsplit

from conveyor.core.errors import ConveyorError, OutcomeUnknown
from conveyor.core.model import NewJob
from conveyor.plan import Plan, Steps
from conveyor.store.outbox import Relayed
from conveyor.store.redis.plans import EACH, RedisOperations
from conveyor.store.redis.sharding import at, grouped, of_job


class RedisIntake:
    """See ``store.outbox.Intake``."""

    def __init__(self, operations: RedisOperations, shards: int, name: str) -> None:
        """*operations* are those of one shard."""
        self._operations, self._shards, self._name = operations, shards, name
        self._silent: set[int] = set()
        """Shards that did not answer the last time: they come last, for behind one of them all is over."""

    @property
    def name(self) -> str:
        """See ``Intake``."""
        return self._name

    def relayed(self, source: str, batches: Sequence[tuple[int, Sequence[NewJob]]]) -> Plan[Relayed]:
        """See ``Intake``. A shard that did not answer may have stored its part, and is asked again by its number."""
        most = max((len(jobs) for _, jobs in batches), default=0)
        return Plan(partial(self._relayed, source, batches), patience=most * EACH)

    def _relayed(self, source: str, batches: Sequence[tuple[int, Sequence[NewJob]]]) -> Steps[Relayed]:
        stored: set[bytes] = set()
        behind: set[int] = set()
        trouble: ConveyorError | None = None
        numbered = [(number, job) for number, jobs in batches for job in jobs]
        shares = grouped(numbered, lambda one: of_job(one[1], self._shards))
        for shard in sorted(shares, key=self._silent.__contains__):
            try:
                for number, part in grouped(shares[shard], itemgetter(0)).items():
                    jobs = [job for _, job in part]
                    if (yield from at(shard, self._operations.relayed_steps(source, number, jobs))):
                        stored.update(job.id for job in jobs)
                    else:
                        behind.add(number)
            except OutcomeUnknown as error:  # its answer may come yet, and must not be taken for another's
                self._silent.add(shard)
                trouble = error
                break
            except ConveyorError as error:  # nothing was done there, and the others need not wait for it
                trouble = error
            else:
                self._silent.discard(shard)
        if trouble is not None and not stored and not behind:
            raise trouble
        return Relayed(frozenset(stored), trouble, frozenset(behind))


def name_of(url: str, prefix: str) -> str:
    """What the store at *url* calls itself: not by its host, which has other names elsewhere."""
    number = urlsplit(url).path.rpartition("/")[2]
    return f"{prefix}/{int(number) if number.isdecimal() else 0}"
