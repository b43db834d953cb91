"""``app.jobs``: looking at jobs, and changing what waits or has ended, from any process."""

from collections.abc import Callable, Sequence
from typing import Final, Unpack
from uuid import UUID

from conveyor.client.changes import Affected, cancelled, chosen, deleted, pruned, revived
from conveyor.client.deploys import LOOKED_AT, Lasting, looked_through
from conveyor.client.desk import StoreDesk
from conveyor.client.filters import Filters, job_filter, parsed
from conveyor.core.deploy import DeployCheck
from conveyor.core.errors import UsageError
from conveyor.core.lifecycle import State
from conveyor.core.model import Counts, FailureGroup, JobFilter, JobInfo, Runner
from conveyor.core.options import Duration
from conveyor.core.text import free_text
from conveyor.core.why import AHEAD_COUNTED, explain
from conveyor.job import REASON_LENGTH, Job
from conveyor.plan import Plan
from conveyor.store.answers import Pass
from conveyor.store.contract import Store
from conveyor.store.rounds import Rounds, adrive, drive, overheard, step

Advance = Callable[[int], None]
"""Hears how many more jobs are done."""
PAGE: Final = 1_000
GROUPS: Final = 100


class Jobs:
    """``app.jobs``.

    Filters are those of ``list``. What changes jobs takes ids, or filters, or ``everything=True``; with
    ``dry_run=True`` it changes nothing and says how many it would. It works in passes of a thousand jobs, each a
    transaction: *progress* hears after each how many more are done, and what is interrupted stays whole.
    """

    def __init__(self, store: Callable[[], Store], desk: StoreDesk, lasting: Lasting) -> None:
        """Made by the app; *lasting* looks which schedules it could not serve."""
        self._store = store
        self._desk = desk
        self._lasting = lasting

    def get(self, id_: str | UUID) -> Job[object]:
        """The job of that id, looked up now. ``JobNotFound`` when there is none."""
        return self._desk.known(self._desk.info(parsed(id_)))

    async def aget(self, id_: str | UUID) -> Job[object]:
        """``get`` for async code."""
        return self._desk.known(await self._desk.ainfo(parsed(id_)))

    def list(
        self, *, limit: int = 50, after: str | None = None, oldest_first: bool = False, **filters: Unpack[Filters]
    ) -> Sequence[JobInfo]:
        """Up to *limit* (at most 1,000) jobs, newest first.

        Filters: *state* (one or several), *queue*, *task* (its name), *tag*, *error* (a fingerprint, as ``failures``
        gives it), *enqueued_after* and *enqueued_before*, *finished_before* (aware datetimes). The next page is what
        comes *after* the id of this page's last job.
        """
        return self._store().run(self._page(job_filter(**filters), limit, after, oldest_first=oldest_first))

    async def alist(
        self, *, limit: int = 50, after: str | None = None, oldest_first: bool = False, **filters: Unpack[Filters]
    ) -> Sequence[JobInfo]:
        """``list`` for async code."""
        return await self._store().arun(self._page(job_filter(**filters), limit, after, oldest_first=oldest_first))

    def counts(self, **filters: Unpack[Filters]) -> Counts:
        """How many jobs are in each state; exact up to 10,000, and 10,001 stands for more."""
        return self._store().run(self._store().operations.counts(job_filter(**filters)))

    async def acounts(self, **filters: Unpack[Filters]) -> Counts:
        """``counts`` for async code."""
        return await self._store().arun(self._store().operations.counts(job_filter(**filters)))

    def failures(self, *, limit: int = GROUPS, **filters: Unpack[Filters]) -> Sequence[FailureGroup]:
        """The dead letters, sorted: jobs that ended with an error, grouped by its fingerprint, the largest first."""
        return self._store().run(self._store().operations.failures(job_filter(**filters), _limit(limit)))

    async def afailures(self, *, limit: int = GROUPS, **filters: Unpack[Filters]) -> Sequence[FailureGroup]:
        """``failures`` for async code."""
        return await self._store().arun(self._store().operations.failures(job_filter(**filters), _limit(limit)))

    def cancel(
        self,
        *given: str | UUID,
        reason: str = "cancelled by hand",
        dry_run: bool = False,
        everything: bool = False,
        progress: Advance | None = None,
        **filters: Unpack[Filters],
    ) -> Affected:
        """Cancel waiting jobs, and ask running ones to stop.

        A running ``async`` task is cancelled, a plain one sees ``ctx.cancelled``; either ends as cancelled, unless it
        ends by itself before it hears of it. *reason* is kept with the job.
        """
        where = chosen(given, everything=everything, **filters)
        free_text("reason", reason, REASON_LENGTH)
        rounds = cancelled(self._store(), where, reason, dry_run=dry_run)
        return drive(self._store(), _told(rounds, None if dry_run else progress))

    async def acancel(
        self,
        *given: str | UUID,
        reason: str = "cancelled by hand",
        dry_run: bool = False,
        everything: bool = False,
        progress: Advance | None = None,
        **filters: Unpack[Filters],
    ) -> Affected:
        """``cancel`` for async code."""
        where = chosen(given, everything=everything, **filters)
        free_text("reason", reason, REASON_LENGTH)
        rounds = cancelled(self._store(), where, reason, dry_run=dry_run)
        return await adrive(self._store(), _told(rounds, None if dry_run else progress))

    def retry(
        self,
        *given: str | UUID,
        dry_run: bool = False,
        everything: bool = False,
        progress: Advance | None = None,
        **filters: Unpack[Filters],
    ) -> Affected:
        """Run jobs now: ended ones once more, with at least one more attempt, and waiting ones before their time.

        By ids or states: whatever they name. By other filters: failed and quarantined jobs only. A job whose unique
        key another one holds by now is left as it is.
        """
        where = chosen(given, everything=everything, **filters)
        rounds = revived(self._store(), where, dry_run=dry_run)
        return drive(self._store(), _told(rounds, None if dry_run else progress))

    async def aretry(
        self,
        *given: str | UUID,
        dry_run: bool = False,
        everything: bool = False,
        progress: Advance | None = None,
        **filters: Unpack[Filters],
    ) -> Affected:
        """``retry`` for async code."""
        where = chosen(given, everything=everything, **filters)
        rounds = revived(self._store(), where, dry_run=dry_run)
        return await adrive(self._store(), _told(rounds, None if dry_run else progress))

    def delete(
        self,
        *given: str | UUID,
        dry_run: bool = False,
        everything: bool = False,
        progress: Advance | None = None,
        **filters: Unpack[Filters],
    ) -> Affected:
        """Delete jobs, waiting or ended, and all that is known of them. Running ones stay: cancel them first."""
        where = chosen(given, everything=everything, **filters)
        rounds = deleted(self._store(), where, dry_run=dry_run)
        return drive(self._store(), _told(rounds, None if dry_run else progress))

    async def adelete(
        self,
        *given: str | UUID,
        dry_run: bool = False,
        everything: bool = False,
        progress: Advance | None = None,
        **filters: Unpack[Filters],
    ) -> Affected:
        """``delete`` for async code."""
        where = chosen(given, everything=everything, **filters)
        rounds = deleted(self._store(), where, dry_run=dry_run)
        return await adrive(self._store(), _told(rounds, None if dry_run else progress))

    def prune(
        self,
        older_than: Duration | None = None,
        *,
        dry_run: bool = False,
        progress: Advance | None = None,
        **filters: Unpack[Filters],
    ) -> Affected:
        """Delete ended jobs whose time to stay (``keep``) is over; workers do this by themselves.

        With *older_than* (seconds or ``timedelta``): those that ended longer ago than that, whatever their ``keep``.
        """
        rounds = pruned(self._store(), older_than, dry_run=dry_run, **filters)
        return drive(self._store(), _told(rounds, None if dry_run else progress))

    async def aprune(
        self,
        older_than: Duration | None = None,
        *,
        dry_run: bool = False,
        progress: Advance | None = None,
        **filters: Unpack[Filters],
    ) -> Affected:
        """``prune`` for async code."""
        rounds = pruned(self._store(), older_than, dry_run=dry_run, **filters)
        return await adrive(self._store(), _told(rounds, None if dry_run else progress))

    def why(self, job: str | UUID | JobInfo) -> str:
        """The one thing that the job waits for, or what became of it. ``JobNotFound`` when there is none.

        *job* is an id, or a record that was just read.
        """
        info = job if isinstance(job, JobInfo) else self._desk.info(parsed(job))
        return drive(self._store(), self._explained(info))

    async def awhy(self, job: str | UUID | JobInfo) -> str:
        """``why`` for async code."""
        info = job if isinstance(job, JobInfo) else await self._desk.ainfo(parsed(job))
        return await adrive(self._store(), self._explained(info))

    def _explained(self, info: JobInfo) -> Rounds[str]:
        operations = self._store().operations
        runners: Sequence[Runner] = []
        queue, ahead = None, 0
        if not info.state.final:
            runners = yield from step(operations.runners())
        if info.state is State.READY:
            ahead = yield from step(operations.ahead(info, AHEAD_COUNTED + 1))
            slots = sum(runner.info.queues.get(info.queue, 0) for runner in runners if runner.alive)
            queue = yield from step(operations.queue(info.queue, 0 if ahead else slots))
        return explain(info, runners, ahead, queue)

    def unrunnable(self, *, queue: str | None = None, limit: int = LOOKED_AT) -> DeployCheck:
        """Waiting jobs that this app could not run: it does not know their task, or their arguments do not fit it.

        Looks at up to *limit* of them, half of these the oldest and half the newest; nothing is changed. Looks at all
        schedules, too, for those that would make such jobs: paused ones as well, but none that has ended, or that the
        next worker with this code brings into step with it.
        """
        return drive(self._store(), self._looked(queue, limit))

    async def aunrunnable(self, *, queue: str | None = None, limit: int = LOOKED_AT) -> DeployCheck:
        """``unrunnable`` for async code."""
        return await adrive(self._store(), self._looked(queue, limit))

    def runners(self) -> Sequence[Runner]:
        """The workers that have registered: those alive, and dead ones whose jobs may not all be taken back yet."""
        return self._store().run(self._store().operations.runners())

    def _looked(self, queue: str | None, limit: int) -> Rounds[DeployCheck]:
        return looked_through(self._store(), self._desk.codec, self._lasting, queue, limit)

    def _page(self, where: JobFilter, limit: int, after: str | None, *, oldest_first: bool) -> Plan[Sequence[JobInfo]]:
        return self._store().operations.list(
            where,
            limit=_limit(limit),
            after=None if after is None else parsed(after),
            direction="oldest" if oldest_first else "newest",
        )


def _told(rounds: Rounds[Affected], progress: Advance | None) -> Rounds[Affected]:
    if progress is None:
        return rounds

    def hear(given: object) -> None:
        if isinstance(given, Pass):
            progress(given.changed)
        elif isinstance(given, int):  # what a pass of prune gives
            progress(given)

    return overheard(rounds, hear)


def _limit(limit: object) -> int:
    if not isinstance(limit, int) or isinstance(limit, bool):
        raise TypeError(f"limit must be an int, not {type(limit).__name__}")
    if not 0 < limit <= PAGE:
        raise UsageError(f"limit={limit} must lie between 1 and {PAGE:,}; ask for the next page with after=")
    return limit
