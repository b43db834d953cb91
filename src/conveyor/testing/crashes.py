"""Whether a task may be run twice: it is crashed at every point, run again, and what it has done is compared."""

import copy
import difflib
import inspect
import pprint
import sqlite3
from collections.abc import Awaitable, Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar, cast

from conveyor.client.sending import new_job
from conveyor.core.errors import UsageError
from conveyor.core.judge import Stopped
from conveyor.core.options import number_in
from conveyor.task import Call
from conveyor.testing.crashing import Points, let_go
from conveyor.testing.home import no_loop_here
from conveyor.testing.looks import Looks
from conveyor.testing.rigged import ended, locked
from conveyor.worker.attempt import Written
from conveyor.worker.inline import Done, Inline
from conveyor.worker.surround import Surround

R = TypeVar("R")

LIMIT: Final = 1_000
"""Points of one task."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """Run the task; crash it, where *points* say so."""

    number: int
    points: Points | None


Step = Attempt | Callable[[], object]
"""What is to be done next; a function may be async."""
Steps = Generator[Step, object, R]


class Scenarios:
    """All that is done to one call. It performs nothing itself, so that it can be driven in both colours."""

    def __init__(
        self,
        rig: Looks,
        call: Call[object],
        observe: Callable[[], object] | None,
        reset: Callable[[], object] | None,
        check: Callable[[], object] | None,
        limit: int,
    ) -> None:
        """See ``Harness.assert_idempotent``."""
        self._rig = rig
        self._call = call
        self._observe = observe or (lambda: sorted(map(str, rig.enqueued())))
        self._reset = reset or _nothing
        self._check = check or _nothing
        self._limit = number_in("limit", limit, range(1, 1_000_001))
        self._job = new_job(call)
        if call.options.max_attempts == 1:
            raise UsageError(
                f"{call.definition.name} has max_attempts=1: it is run at most once, and so never again after a crash"
            )

    def steps(self, restore: Callable[[], None]) -> Steps[int]:
        """One scenario after the other; *restore* puts the store back. Gives the number of crashes."""
        clean = yield from self._scenario(restore, None)
        again = yield from self._scenario(restore, None)
        if again != clean:
            raise UsageError(
                f"two runs of {self._call.definition.name} without any crash have different effects, so crashes would "
                f"prove nothing; reset= must undo all that observe= can see:\n{_difference(clean, again)}"
            )
        for number in range(1, self._limit + 1):
            points = Points(number, self._call.definition.function)
            found = yield from self._scenario(restore, points)
            if not points.crashed:
                return number - 1
            if found != clean:
                raise AssertionError(
                    f"{self._call.definition.name} is not idempotent: after a crash {points.crashed}\n"
                    f"it has done when run again (+), and does without a crash (-):\n{_difference(clean, found)}"
                )
        raise UsageError(f"there are more than {self._limit:,} points; limit= is how many are tried")

    def attempted(self, attempt: Attempt) -> Done:
        """Run it from blocking code."""
        return self._inline(attempt.points).attempted(self._job, self._call, attempt.number)

    async def aattempted(self, attempt: Attempt) -> Done:
        """Run it in the running event loop."""
        return await self._inline(attempt.points).aattempted(self._job, self._call, attempt.number)

    def _inline(self, points: Points | None) -> Inline:
        def surround() -> Surround:
            usual = self._rig.surrounding()
            if points is None:
                return usual
            around = replace(
                usual.around,
                plain_wraps=[points.plain, *usual.around.plain_wraps],
                async_wraps=[points.awaited, *usual.around.async_wraps],
            )
            return replace(usual, around=around)

        return Inline(surround)

    def _scenario(self, restore: Callable[[], None], points: Points | None) -> Steps[object]:
        """From the same start: run it to its end, once, or twice if it crashes, and look."""
        restore()
        yield self._reset
        done = cast(Done, (yield Attempt(1, points)))
        where = points.crashed if points is not None else ""
        if where and self._to_run_again(done, where):
            let_go(done.attempt.error, self._locked)
            done = cast(Done, (yield Attempt(2, None)))
        if not done.succeeded and not isinstance(done.end, Stopped):
            error = done.error()
            if not where:
                raise error
            raise AssertionError(
                f"run again after a crash {where}\n{done.attempt.job.task} raises {error!r}"
            ) from error
        found = copy.deepcopy((yield self._observe))
        try:
            yield self._check
        except AssertionError as error:
            if where:
                error.add_note(f"after a crash {where}")
            raise
        return found

    def _to_run_again(self, done: Done, where: str) -> bool:
        """What has committed its own completion has ended, wherever it has crashed after that."""
        if isinstance(done.end, Written):
            return False
        if done.succeeded or isinstance(done.end, Stopped):
            raise AssertionError(
                f"{done.attempt.job.task} catches BaseException and goes on: a crash {where}\n"
                "did not end it, and neither would its timeout or the end of its worker; catch Exception"
            )
        return True

    def _locked(self) -> bool:
        return self._rig.in_a_file and locked(self._rig.path, 0.0) is not None


class Crashes(Looks):
    """The part of a harness that crashes tasks."""

    def assert_idempotent(
        self,
        call: Call[R],
        /,
        *,
        observe: Callable[[], object] | None = None,
        reset: Callable[[], object] | None = None,
        check: Callable[[], object] | None = None,
        limit: int = LIMIT,
    ) -> int:
        """Fail unless *call*, as ``charge.bind(42)``, may be cut off anywhere and run again with the same effect.

        It is run to its end once, and what *observe* gives is kept: by default all jobs in the store. Then from the
        same start again and again: each time it is crashed at another point, run once more to its end, and observed;
        that must be equal. *check*, if given, is called after each run, to assert what must hold. Gives the number of
        crashes.

        Points are: before each line of the file that defines the task, but for its first and those of ``finally``
        blocks; after each ``await``, in the task and in what it awaits; after each blocking call of the store; and
        after the task's end, before a worker could write that. A place that is passed often is crashed in its first
        two passages. ``UsageError`` when there are more points than *limit*.

        A crash is an exception below ``BaseException``: ``finally`` and ``with`` blocks run, unlike in a process that
        is killed. What a transactional task has committed ends it: it is not run again.

        Before each run *reset* is called to put back what the test can see, and the store is put back by itself: on
        SQLite its whole file, tables of the test's own included; on PostgreSQL new jobs are deleted. The job has the
        same id each time.
        """
        if call.definition.coroutine:
            no_loop_here("await harness.aassert_idempotent(...)")
        scenarios = Scenarios(self, cast(Call[object], call), observe, reset, check, limit)
        with self._restoring() as restore:
            return _drive(scenarios, restore)

    async def aassert_idempotent(
        self,
        call: Call[R],
        /,
        *,
        observe: Callable[[], object] | None = None,
        reset: Callable[[], object] | None = None,
        check: Callable[[], object] | None = None,
        limit: int = LIMIT,
    ) -> int:
        """``assert_idempotent`` in the running event loop; the functions may be async."""
        scenarios = Scenarios(self, cast(Call[object], call), observe, reset, check, limit)
        with self._restoring() as restore:
            return await _adrive(scenarios, restore)

    @contextmanager
    def _restoring(self) -> Generator[Callable[[], None]]:
        """How to put the store back to what it is now; done at the end, too."""
        if self.in_a_file:
            with closing(sqlite3.connect(":memory:")) as saved:
                with closing(sqlite3.connect(self.path)) as file:
                    file.backup(saved)
                try:
                    yield lambda: _copied(saved, self.path)
                finally:
                    _copied(saved, self.path)
            return
        known = {job.info.id for job in self.enqueued()}
        try:
            yield lambda: self._delete_others(known)
        finally:
            self._delete_others(known)

    def _delete_others(self, known: set[str]) -> None:
        others = [job.info.id for job in self.enqueued() if job.info.id not in known]
        if others:
            self.app.jobs.delete(*others)


def _drive(scenarios: Scenarios, restore: Callable[[], None]) -> int:
    steps = scenarios.steps(restore)
    try:
        step = next(steps)
        while True:
            try:
                given: object = scenarios.attempted(step) if isinstance(step, Attempt) else _blocking(step())
            except BaseException as error:  # noqa: BLE001 - the scenario knows what it means
                step = steps.throw(error)
            else:
                step = steps.send(given)
    except StopIteration as end:
        return cast(int, end.value)


async def _adrive(scenarios: Scenarios, restore: Callable[[], None]) -> int:
    steps = scenarios.steps(restore)
    try:
        step = next(steps)
        while True:
            try:
                if isinstance(step, Attempt):
                    given: object = await scenarios.aattempted(step)
                else:
                    given = step()
                    given = await cast(Awaitable[object], given) if inspect.isawaitable(given) else given
            except BaseException as error:  # noqa: BLE001 - as above
                step = steps.throw(error)
            else:
                step = steps.send(given)
    except StopIteration as end:
        return cast(int, end.value)


def _blocking(given: object) -> object:
    if inspect.iscoroutine(given):
        given.close()
        raise UsageError("observe=, reset= and check= may be async with `await harness.aassert_idempotent(...)` only")
    return given


def _copied(saved: sqlite3.Connection, path: Path) -> None:
    """Put *saved* into the file. sqlite3 itself would wait for a lock without end."""
    ended(path, "the store cannot be put back")
    with closing(sqlite3.connect(path)) as file:
        saved.backup(file)


def _nothing() -> None:
    """Of what was not asked for."""


def _difference(clean: object, found: object) -> str:
    before, after = (pprint.pformat(value, width=100).splitlines() for value in (clean, found))
    return "\n".join(f"  {line}" for line in difflib.ndiff(before, after) if not line.startswith("?"))
