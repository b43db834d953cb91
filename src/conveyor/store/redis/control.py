"""What people and upkeep do to jobs on Redis; ``store.contract.Control`` says what each operation owes."""

from collections.abc import Sequence
from functools import partial
from typing import Final, cast

from conveyor.core.judge import EXPIRED
from conveyor.core.model import JobFilter
from conveyor.plan import Plan, Steps
from conveyor.store.answers import Arranged, Mended, Pass
from conveyor.store.reading import SEEN
from conveyor.store.redis.mending import mended
from conveyor.store.redis.reads import filtered, indexes
from conveyor.store.redis.scripts import MOST, Argument, call

NOTHING: Final = Pass(0, 0, frozenset(), None)
_OF_ENDED: Final = frozenset({"revive", "delete_ended"})
_ENDED: Final = tuple(state for state in SEEN if state.final)
_UNFINISHED: Final = tuple(state for state in SEEN if not state.final)


class RedisControl:
    """See ``store.contract.Control``. The scripts ring the bell themselves."""

    def cancel(self, where: JobFilter, reason: str, limit: int, after: bytes | None) -> Plan[Pass]:
        """See ``Control.cancel``."""
        return Plan(partial(_pass, "cancel", where, limit, after, reason))

    def ask(self, where: JobFilter, reason: str, limit: int, after: bytes | None) -> Plan[Pass]:
        """See ``Control.ask``."""
        return Plan(partial(_pass, "ask", where, limit, after, reason))

    def call_off(self, where: JobFilter, reason: str, limit: int, after: bytes | None) -> Plan[Pass]:
        """See ``Control.call_off``."""
        return Plan(partial(_pass, "call_off", where, limit, after, reason))

    def revive(self, where: JobFilter, limit: int, after: bytes | None) -> Plan[Pass]:
        """See ``Control.revive``."""
        return Plan(partial(_pass, "revive", where, limit, after))

    def hasten(self, where: JobFilter, limit: int, after: bytes | None) -> Plan[Pass]:
        """See ``Control.hasten``."""
        return Plan(partial(_pass, "hasten", where, limit, after))

    def delete_waiting(self, where: JobFilter, limit: int, after: bytes | None) -> Plan[Pass]:
        """See ``Control.delete_waiting``."""
        return Plan(partial(_pass, "delete_waiting", where, limit, after))

    def delete_ended(self, where: JobFilter, limit: int, after: bytes | None) -> Plan[Pass]:
        """See ``Control.delete_ended``."""
        return Plan(partial(_pass, "delete_ended", where, limit, after))

    def expire(self, limit: int) -> Plan[Pass]:
        """See ``Control.expire``."""

        def steps() -> "Steps[Pass]":
            done, more = NOTHING, True
            while more and done.picked < limit:
                most = min(limit - done.picked, MOST)
                jobs, last, *queues = cast("list[bytes]", (yield call("expire", most, EXPIRED)).rows[0][0])
                number, more = int(jobs), int(jobs) == most
                done = joined(done, Pass(number, number, frozenset(queues), bytes.fromhex(last.decode()) or None))
            return done

        return Plan(steps)

    def prune(self, limit: int) -> Plan[int]:
        """See ``Control.prune``."""

        def steps() -> "Steps[int]":
            gone, more = 0, True
            while more and gone < limit:
                most = min(limit - gone, MOST)
                number = cast(int, (yield call("prune", most)).rows[0][0])
                gone, more = gone + number, number == most
            return gone

        return Plan(steps)

    def arrange(self) -> Plan[Arranged]:
        """See ``Control.arrange``: there are no parts."""

        def steps() -> "Steps[Arranged]":
            yield from ()
            return Arranged()

        return Plan(steps, writes=False)

    def mend(self) -> Plan[Mended]:
        """See ``Control.mend``."""
        return Plan(mended)

    def pause(self, queue: str) -> Plan[None]:
        """See ``Control.pause``."""
        return Plan(partial(_set, queue, "pause"))

    def resume(self, queue: str) -> Plan[None]:
        """See ``Control.resume``."""
        return Plan(partial(_set, queue, "resume"))


def _set(queue: str, what: str) -> Steps[None]:
    yield call("pause", queue, what)


def _pass(what: str, where: JobFilter, limit: int, after: bytes | None, reason: str = "") -> Steps[Pass]:
    """Look at jobs, a part in each call, until *limit* are picked or there are no more."""
    done = NOTHING
    for place in indexes(where, after, "oldest", _ENDED if what in _OF_ENDED else _UNFINISHED):
        last: Argument = after.hex() if after else ""
        over = False
        while not over and done.picked < limit:
            answer = yield call("change", what, limit - done.picked, last, reason, *filtered(where), *place)
            last, all_, part = _read(cast("list[bytes | int]", answer.rows[0][0]))
            over, done = bool(all_), joined(done, part)
    return done


def _read(answer: Sequence[bytes | int]) -> tuple[bytes, int, Pass]:
    last, all_, picked_last, picked, changed, asked, *queues = answer
    highest = bytes.fromhex(cast(bytes, picked_last).decode()) or None
    labels = frozenset(cast("list[bytes]", queues))
    return cast(bytes, last), cast(int, all_), Pass(int(picked), int(changed), labels, highest, int(asked))


def joined(one: Pass, more: Pass) -> Pass:
    """Two parts of a pass, *more* being the later one."""
    counts = (one.picked + more.picked, one.changed + more.changed)
    return Pass(*counts, one.labels | more.labels, more.last or one.last, one.asked + more.asked)
