"""``app.schedules``: rules that make jobs, from any process, and those that the code declares."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeVar, Unpack

from conveyor.client.desk import StoreDesk
from conveyor.client.sending import found
from conveyor.client.specs import Changes, Policies, Target, paused, readable, resumed, spec_of, updated
from conveyor.core.errors import ScheduleNotFound, StoreUnavailable, UsageError
from conveyor.core.options import number_in
from conveyor.core.schedules import Edit, Scheduled, Spec, read_spec
from conveyor.core.standing import Standing, standing
from conveyor.core.text import checked_name, is_a
from conveyor.core.values import kind_of
from conveyor.job import Job
from conveyor.schedule.info import ScheduleInfo, info_of, known_of
from conveyor.schedule.preview import Preview, previewed
from conveyor.schedule.rules import Rule
from conveyor.schedule.syncing import Difference, applied, compared, edit_of
from conveyor.schedule.words import Zone
from conveyor.store.contract import Store
from conveyor.store.rounds import Rounds, adrive, drive, step
from conveyor.task import Enqueueable

E = TypeVar("E", bound=Enqueueable[..., object])

TRIES: Final = 10
"""So often an edit is tried again when somebody else was quicker."""
PREVIEW: Final = range(1, 1_001)


class Schedules:
    """``app.schedules``."""

    def __init__(self, store: Callable[[], Store], desk: StoreDesk, tasks: Callable[[], Collection[str]]) -> None:
        """Made by the app; *tasks* gives the names of its tasks, and imports the modules that declare them."""
        self._store = store
        self._desk = desk
        self._tasks = tasks
        self._declared: dict[str, Spec] = {}

    @property
    def declared(self) -> Mapping[str, Spec]:
        """What the code declares, by name."""
        self._tasks()
        return MappingProxyType(self._declared)

    def declare(self, target: Target, name: str, rule: Rule | str, tz: Zone, policies: Policies) -> None:
        """One more of the code's. ``UsageError`` when its name is taken."""
        if name in self._declared:
            raise UsageError(f"a schedule named {name!r} is declared already; give one of the two another name=")
        self._declared[checked_name("schedule", name)] = spec_of(target, rule, tz, policies)

    def list(self) -> Sequence[ScheduleInfo]:
        """All schedules, by name."""
        return drive(self._store(), self._listed())

    async def alist(self) -> Sequence[ScheduleInfo]:
        """``list`` for async code."""
        return await adrive(self._store(), self._listed())

    def get(self, name: str) -> ScheduleInfo:
        """One. ``ScheduleNotFound`` when there is none of that name."""
        return drive(self._store(), self._got(name))

    async def aget(self, name: str) -> ScheduleInfo:
        """``get`` for async code."""
        return await adrive(self._store(), self._got(name))

    def add(
        self, name: str, call: Target, rule: Rule | str, *, tz: Zone = None, **policies: Unpack[Policies]
    ) -> ScheduleInfo:
        """Make a schedule: *call*, a task or ``task.bind(...)``, at each tick of *rule*, a cron text or a rule.

        Workers see it within 10 s. The same once more changes nothing; ``UsageError`` when there is another one of
        that name. See ``Policies``.
        """
        return drive(self._store(), self._added(name, spec_of(call, rule, tz, policies)))

    async def aadd(
        self, name: str, call: Target, rule: Rule | str, *, tz: Zone = None, **policies: Unpack[Policies]
    ) -> ScheduleInfo:
        """``add`` for async code."""
        return await adrive(self._store(), self._added(name, spec_of(call, rule, tz, policies)))

    def update(self, name: str, **changes: Unpack[Changes]) -> ScheduleInfo:
        """Change what is given, and leave the rest; see ``Changes``. With another rule it goes on from now.

        One that the code declares stays changed, also over deploys, until ``apply(reset=True)``.
        """
        return drive(self._store(), self._edited(name, lambda row: updated(row, changes)))

    async def aupdate(self, name: str, **changes: Unpack[Changes]) -> ScheduleInfo:
        """``update`` for async code."""
        return await adrive(self._store(), self._edited(name, lambda row: updated(row, changes)))

    def pause(self, name: str) -> ScheduleInfo:
        """Let it make no jobs until it is resumed; those that are there stay."""
        return drive(self._store(), self._edited(name, paused))

    async def apause(self, name: str) -> ScheduleInfo:
        """``pause`` for async code."""
        return await adrive(self._store(), self._edited(name, paused))

    def resume(self, name: str) -> ScheduleInfo:
        """Let it go on, from now: what it would have done meanwhile was meant not to be."""
        return drive(self._store(), self._edited(name, resumed))

    async def aresume(self, name: str) -> ScheduleInfo:
        """``resume`` for async code."""
        return await adrive(self._store(), self._edited(name, resumed))

    def remove(self, name: str) -> bool:
        """Have no such schedule any more; whether there was one. Its jobs stay.

        One that the code declares is there again when the next worker starts: pause it, or change the code.
        """
        return self._store().run(self._store().schedules.remove(checked_name("schedule", name)))

    async def aremove(self, name: str) -> bool:
        """``remove`` for async code."""
        return await self._store().arun(self._store().schedules.remove(checked_name("schedule", name)))

    def run_now(self, name: str) -> Job[object]:
        """Make one of its jobs now, whatever its rule says, also while it is paused; gives its handle."""
        return drive(self._store(), self._run(name))

    async def arun_now(self, name: str) -> Job[object]:
        """``run_now`` for async code."""
        return await adrive(self._store(), self._run(name))

    def preview(self, name: str, count: int = 10) -> Preview:
        """Its next *count* ticks, and those around the next change of its clocks, from what is stored.

        Of one that is not stored yet: from what the code declares.
        """
        return drive(self._store(), self._previewed(name, number_in("count", count, PREVIEW)))

    async def apreview(self, name: str, count: int = 10) -> Preview:
        """``preview`` for async code."""
        return await adrive(self._store(), self._previewed(name, number_in("count", count, PREVIEW)))

    def why(self, name: str) -> Standing:
        """The one thing that it waits for, or what is wrong with it, and what to do."""
        return drive(self._store(), self._explained(name))

    async def awhy(self, name: str) -> Standing:
        """``why`` for async code."""
        return await adrive(self._store(), self._explained(name))

    def plan(self) -> Sequence[Difference]:
        """What ``apply`` would do, by name: what the code declares, beside what is stored."""
        return drive(self._store(), self._planned())

    async def aplan(self) -> Sequence[Difference]:
        """``plan`` for async code."""
        return await adrive(self._store(), self._planned())

    def apply(self, *, reset: bool = False, remove_orphans: bool = False) -> Sequence[Difference]:
        """Have the store follow the code, as each worker does when it starts; gives what there was to do.

        *reset*: also where a schedule was edited at run time. *remove_orphans*: those that the code once declared, and
        does no more, are gone; not those whose task this app has not, for they may be another app's.
        """
        return drive(self._store(), self._applied(reset=reset, remove=remove_orphans))

    async def aapply(self, *, reset: bool = False, remove_orphans: bool = False) -> Sequence[Difference]:
        """``apply`` for async code."""
        return await adrive(self._store(), self._applied(reset=reset, remove=remove_orphans))

    def _listed(self) -> Rounds[Sequence[ScheduleInfo]]:
        return [info_of(row) for row in (yield from step(self._store().schedules.all()))]

    def _got(self, name: str) -> Rounds[ScheduleInfo]:
        return info_of((yield from self._row(name)))

    def _row(self, name: str) -> Rounds[Scheduled]:
        rows = yield from step(self._store().schedules.all([checked_name("schedule", name)]))
        if not rows:
            raise ScheduleNotFound(f"there is no schedule {name!r} in this store; conveyor schedules list")
        return rows[0]

    def _added(self, name: str, spec: Spec) -> Rounds[ScheduleInfo]:
        schedules = self._store().schedules
        now = (yield from step(schedules.coming(1))).now
        edit = edit_of(checked_name("schedule", name), spec, now, declared=None)
        yield from step(schedules.save([edit]))
        row = yield from self._row(name)
        if row.spec != edit.spec:
            raise UsageError(f"there is another schedule {name!r} already: app.schedules.update() changes it")
        return info_of(row)

    def _edited(self, name: str, change: Callable[[Scheduled], Edit | None]) -> Rounds[ScheduleInfo]:
        for _ in range(TRIES):
            row = yield from self._row(name)
            edit = change(row)
            if edit is None or (yield from step(self._store().schedules.save([edit]))):
                return info_of((yield from self._row(name)))
        raise StoreUnavailable(f"the schedule {name!r} is being changed by others all the time; try again")

    def _run(self, name: str) -> Rounds[Job[object]]:
        row = yield from self._row(name)
        with readable(name):
            job = read_spec(row.spec).job.at(row.name, row.now, 0)
        operations = self._store().operations
        holders = yield from step(operations.enqueue([job]))
        id_ = holders.get(job.id, job.id)
        return self._desk.known(found((yield from step(operations.get(id_))), id_))

    def _previewed(self, name: str, count: int) -> Rounds[Preview]:
        rows = yield from step(self._store().schedules.all([checked_name("schedule", name)]))
        if not rows and name in self.declared:
            return previewed(self.declared[name], time.time_ns() // 1_000, count)
        row = yield from self._row(name)
        with readable(name):
            return previewed(read_spec(row.spec), row.now, count if row.next_at is not None else 0, row.fired)

    def _explained(self, name: str) -> Rounds[Standing]:
        row = yield from self._row(name)
        return standing(known_of(row), (yield from step(self._store().operations.runners())))

    def _planned(self) -> Rounds[Sequence[Difference]]:
        return compared(self.declared, (yield from step(self._store().schedules.all())), self._tasks())

    def _applied(self, *, reset: bool, remove: bool) -> Rounds[Sequence[Difference]]:
        return applied(self._store().schedules, self.declared, self._tasks(), reset=reset, remove=remove)


class ScheduleMaker:
    """``@app.schedule``: a task, at each tick of a rule.

    *rule* is a cron text, or a rule: ``daily(at="02:00")``, ``every(minutes=15)``. *tz* names its time zone, "UTC" by
    default. *name* is the task's by default, and each schedule has another one. *args* and *kwargs* are the call's
    arguments. The rest is with ``Policies``. What is wrong is refused here: ``UsageError``, ``TypeError``, and
    ``ValueError`` with the place of the error for a rule or a time zone.
    """

    def __init__(self, schedules: Schedules) -> None:
        """Made by the app."""
        self._schedules = schedules

    def __call__(
        self,
        rule: Rule | str,
        *,
        tz: Zone = None,
        name: str | None = None,
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] = MappingProxyType({}),
        **policies: Unpack[Policies],
    ) -> Callable[[E], E]:
        """Above ``@app.task``; what it is put on stays what it is."""

        def declared(task: E) -> E:
            if not is_a(task, Enqueueable):
                raise TypeError(f"@app.schedule goes above @app.task, and was put on {kind_of(task)}")
            called = task.definition.name if name is None else name
            self._schedules.declare(task.bind(*args, **kwargs), called, rule, tz, policies)
            return task

        return declared
