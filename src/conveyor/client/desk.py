"""Where a handle asks after its job, and has it changed."""

from collections.abc import Callable
from typing import NoReturn

from conveyor.client.changes import cancelled, deleted, revived
from conveyor.client.sending import found
from conveyor.core import ids
from conveyor.core.codec import Codec
from conveyor.core.errors import ConveyorError, DuplicateJob, OnItsWay, UnknownTask
from conveyor.core.lifecycle import State
from conveyor.core.model import JobFilter, JobInfo
from conveyor.core.unique import Unique, hold_of
from conveyor.job import Job
from conveyor.store.contract import Store
from conveyor.store.rounds import Rounds, adrive, drive, step
from conveyor.task import Definition


class StoreDesk:
    """A ``Desk`` over the app's store."""

    def __init__(
        self,
        store: Callable[[], Store],
        definitions: Callable[[str], Definition | None],
        unattended: Callable[[], str],
        outbox: Callable[[], Store | None] = lambda: None,
    ) -> None:
        """*store* opens at first use, as *outbox* does, where there is one.

        *definitions* looks a task up, to read its results; see ``unattended``.
        """
        self._store = store
        self._outbox = outbox
        self._definitions = definitions
        self._unattended = unattended

    def info(self, id_: bytes) -> JobInfo:
        """See ``Desk.info``."""
        store, outbox = self._store(), self._outbox()
        info = store.run(store.operations.get(id_))
        if info is None and outbox is not None:
            if outbox.run(outbox.outbox(store.intake.name).holds(id_)):
                raise _on_its_way(id_)
            info = store.run(store.operations.get(id_))  # it may have been forwarded just now
        return found(info, id_)

    async def ainfo(self, id_: bytes) -> JobInfo:
        """See ``Desk.ainfo``."""
        store, outbox = self._store(), self._outbox()
        info = await store.arun(store.operations.get(id_))
        if info is None and outbox is not None:
            if await outbox.arun(outbox.outbox(store.intake.name).holds(id_)):
                raise _on_its_way(id_)
            info = await store.arun(store.operations.get(id_))
        return found(info, id_)

    def cancel(self, id_: bytes, reason: str) -> JobInfo:
        """See ``Desk.cancel``."""
        drive(self._store(), cancelled(self._store(), _one(id_), reason, dry_run=False))
        return self.info(id_)

    async def acancel(self, id_: bytes, reason: str) -> JobInfo:
        """See ``Desk.acancel``."""
        await adrive(self._store(), cancelled(self._store(), _one(id_), reason, dry_run=False))
        return await self.ainfo(id_)

    def retry(self, id_: bytes) -> JobInfo:
        """See ``Desk.retry``."""
        drive(self._store(), self._revived(id_))
        return self.info(id_)

    async def aretry(self, id_: bytes) -> JobInfo:
        """See ``Desk.aretry``."""
        await adrive(self._store(), self._revived(id_))
        return await self.ainfo(id_)

    def delete(self, id_: bytes) -> None:
        """See ``Desk.delete``."""
        if not drive(self._store(), deleted(self._store(), _one(id_), dry_run=False)).jobs:
            _still(self.info(id_))

    async def adelete(self, id_: bytes) -> None:
        """See ``Desk.adelete``."""
        if not (await adrive(self._store(), deleted(self._store(), _one(id_), dry_run=False))).jobs:
            _still(await self.ainfo(id_))

    def unattended(self) -> str:
        """See ``Desk.unattended``."""
        return self._unattended()

    def known(self, info: JobInfo) -> Job[object]:
        """The handle of a job that was looked up."""
        definition = self._definitions(info.task)
        decode = definition.codec.decode_result if definition else _undecodable
        job: Job[object] = Job(ids.parse(info.id), info.task, self, decode)
        job.seen(info)
        return job

    def codec(self, task: str) -> Codec | None:
        """What reads the arguments of the task of that name; ``None`` when this app has none."""
        definition = self._definitions(task)
        return definition.codec if definition else None

    def _revived(self, id_: bytes) -> Rounds[None]:
        done = yield from revived(self._store(), _one(id_), dry_run=False)
        if done.left:
            holder = yield from self._holder(id_)
            raise DuplicateJob(f"job {ids.text(id_)} stays as it is: another job holds its unique key by now", holder)

    def _holder(self, id_: bytes) -> Rounds[str]:
        """The id of the job that holds the unique key of the job *id_*; nothing, if it has just ended."""
        operations = self._store().operations
        info = found((yield from step(operations.get(id_))), id_)
        key = hold_of(Unique(info.unique or None), info.task, info.payload).key
        holder = yield from step(operations.holder(key))
        return "" if holder is None else ids.text(holder)


def _on_its_way(id_: bytes) -> OnItsWay:
    return OnItsWay(f"job {ids.text(id_)} is in the outbox, and no worker of this app has forwarded it yet")


def _one(id_: bytes) -> JobFilter:
    return JobFilter(ids=(id_,))


def _still(info: JobInfo) -> NoReturn:
    """It is there still: it runs, or moved while we looked."""
    what = "cancel it first" if info.state is State.RUNNING else "it was just being written; try again"
    raise ConveyorError(f"job {info.id} is {info.state} and was not deleted; {what}")


def _undecodable(result: bytes | None) -> object:
    raise UnknownTask(f"this app does not know the job's task, so its result stays as it is: {result!r}")
