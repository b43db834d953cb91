"""What is enqueued, and whether that is what was meant."""

from collections.abc import Sequence
from typing import Final, TypeVar, Unpack, cast

from conveyor.core import ids
from conveyor.core.errors import UsageError
from conveyor.core.model import JobFilter, JobInfo
from conveyor.core.options import Options
from conveyor.job import Job
from conveyor.task import Call, Definition, Enqueueable
from conveyor.testing.enqueued import Enqueued, read_call
from conveyor.testing.rigged import Rigged
from conveyor.testing.wanted import Like, Wanted, What, checked

R = TypeVar("R")

PAGE: Final = 1_000
SHOWN: Final = 10
"""Jobs that a message lists."""


class Looks(Rigged):
    """The part of a harness that looks at what is enqueued.

    *what* is a task, one with options (``welcome.using(queue="mail")``), or a call (``welcome.bind(42)``): the options
    that it has otherwise than its task, and its arguments, are wanted. More is said by name; see ``Like``.
    """

    def enqueued(self, what: What | None = None, /, **like: Unpack[Like]) -> list[Enqueued]:
        """The jobs in the store that are like this, whatever has become of them since; the oldest first.

        Jobs of a transaction that is still open are not there yet.
        """
        return self._like(self._wanted(what, like))

    def assert_enqueued(
        self, what: Enqueueable[..., R] | Call[R], /, *, count: int | None = None, **like: Unpack[Like]
    ) -> Job[R]:
        """Fail unless a job like this was enqueued, or as many as *count* says; gives the oldest one's handle.

        ``assert_enqueued(welcome, args=(42,), kwargs={"plan": "pro"}, queue="mail")``, or, with types,
        ``assert_enqueued(welcome.using(queue="mail").bind(42, plan="pro"))``. The message lists what there is instead.
        """
        if count is not None and count < 1:
            raise UsageError(f"count={count}; that there is none is what assert_not_enqueued() says")
        wanted = self._wanted(what, like)
        found = self._like(wanted)
        if not found:
            raise AssertionError(f"no such job is enqueued: {wanted}\n{self._instead(wanted)}")
        if count is not None and len(found) != count:
            raise AssertionError(f"{_such(found)} enqueued, not {count}: {wanted}\n{_listed(found)}")
        return cast(Job[R], self.handle(found[0].info))

    def assert_not_enqueued(self, what: What | None = None, /, **like: Unpack[Like]) -> None:
        """Fail if a job like this was enqueued; without arguments, if any was."""
        wanted = self._wanted(what, like)
        found = self._like(wanted)
        if found:
            raise AssertionError(f"{_such(found)} enqueued, and none was to be: {wanted}\n{_listed(found)}")

    def _wanted(self, what: What | None, like: Like) -> Wanted:
        task = None if what is None else self.app.tasks.get(checked(what).definition.name)
        if what is not None and (task is None or task.definition is not what.definition):
            raise UsageError(f"{what.definition.name} is no task of {self.app!r}, whose jobs are looked at here")
        return Wanted(what, Options() if task is None else task.options, **like)

    def _like(self, wanted: Wanted) -> list[Enqueued]:
        return [job for job in self._jobs(wanted.task) if not wanted.differences(job)]

    def _jobs(self, task: str | None) -> list[Enqueued]:
        """All, in the order in which they came: ids of one millisecond have none."""
        found: list[JobInfo] = []
        after: bytes | None = None
        while True:
            plan = self.store.operations.list(JobFilter(task=task), limit=PAGE, after=after, direction="oldest")
            page = self.store.run(plan)
            found += page
            if len(page) < PAGE:
                break
            after = ids.parse(page[-1].id)
        found.sort(key=lambda info: (info.enqueued_at, info.run_after))
        return [read_call(info, self._definition(info.task)) for info in found]

    def _definition(self, name: str) -> Definition | None:
        task = self.app.tasks.get(name)
        return None if task is None else task.definition

    def _instead(self, wanted: Wanted) -> str:
        jobs = self._jobs(None)
        if not jobs:
            hint = "; inline() stores none" if self.at_once else ""
            return f"none is enqueued at all, in a transaction that is committed{hint}"
        told = [(wanted.differences(job), job) for job in jobs]
        told.sort(key=lambda one: (one[1].info.task != wanted.task, len(one[0])))
        lines = ["enqueued are, the nearest first:"]
        for differences, job in told[:SHOWN]:
            lines += [f"  {job}", *(f"    {difference}" for difference in differences)]
        return "\n".join([*lines, *_more(jobs)])


def _such(jobs: Sequence[Enqueued]) -> str:
    return "1 such job is" if len(jobs) == 1 else f"{len(jobs)} such jobs are"


def _listed(jobs: Sequence[Enqueued]) -> str:
    return "\n".join([*(f"  {job}" for job in jobs[:SHOWN]), *_more(jobs)])


def _more(jobs: Sequence[Enqueued]) -> list[str]:
    return [f"  and {len(jobs) - SHOWN:,} more"] if len(jobs) > SHOWN else []
