"""The commits of SQLAlchemy's sessions, on whatever database.

A session tells of the commit of each savepoint too, and of a commit before its connection is free; and an error of
whoever hears it would leave the session half closed. So what is heard there is only noted, and jobs are sent at the
end of the outermost transaction, which comes next.
"""

import asyncio
import logging
from collections.abc import Awaitable, Mapping, Sequence
from typing import Final, NamedTuple, cast

from sqlalchemy import Connection, event
from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.util import await_only

from conveyor.core.errors import NotInTransaction, NotSent
from conveyor.core.model import NewJob
from conveyor.drivers.commits import Commits, Send

_OURS: Final = "conveyor"
"""Under which a session's own ``info`` has what it keeps: it goes with the session."""


class _Kept(NamedTuple):
    """Jobs, and the savepoint or transaction with which they go."""

    within: SessionTransaction
    jobs: Sequence[NewJob]
    send: Send
    awaits: bool


class _Session:
    """What one session keeps."""

    def __init__(self) -> None:
        self.kept: list[_Kept] = []
        self.committed: SessionTransaction | None = None

    def asked(self, session: Session) -> None:
        """About to commit: its connection may have got a transaction since, before the session's first statement."""
        if self.kept and _joins(session):
            raise NotInTransaction(
                "jobs were enqueued within this session, and its commit would not commit them: its connection is in a "
                "transaction that something else has begun since; roll back, and leave that to the session"
            )

    def heard(self, session: Session) -> None:
        """A commit: of a savepoint, whose jobs now go with what is around it, or of the whole transaction."""
        savepoint = session.get_nested_transaction()
        if savepoint is None:
            self.committed = session.get_transaction()
        elif savepoint.parent is not None:
            around = savepoint.parent
            self.kept = [one._replace(within=around) if one.within is savepoint else one for one in self.kept]

    def ended(self, _: Session, transaction: SessionTransaction) -> None:
        """Whatever has not gone on to what is around it was rolled back, unless this is the one that has committed."""
        mine = [one for one in self.kept if one.within is transaction]
        self.kept = [one for one in self.kept if one.within is not transaction]
        committed, self.committed = self.committed, None if transaction.parent is None else self.committed
        if committed is transaction:
            _send(mine)


def _joins(session: Session) -> bool:
    """Whether *session* is, or would be, part of a transaction that it has not begun: then its commit is not the end.

    What it has begun stands in an attribute that is not public, with whether its own commit commits that. Where it is
    told to control what others have begun, the two cannot be told apart.
    """
    bind = session.bind
    begun = cast("Mapping[object, tuple[object, ...]]", getattr(session.get_transaction(), "_connections", {}))
    if not isinstance(bind, Connection) or not bind.in_transaction():
        return False
    if bind not in begun or session.join_transaction_mode == "control_fully":
        return True
    _, transaction, commits, *_ = begun[bind]
    return not commits or transaction is not bind.get_transaction()


def _send(kept: Sequence[_Kept]) -> None:
    """Each app's together; one that cannot be reached keeps none of the others from being sent."""
    lost: list[NotSent] = []
    for send, awaits in dict.fromkeys((one.send, one.awaits) for one in kept):
        jobs = [job for one in kept if one.send is send and one.awaits is awaits for job in one.jobs]
        try:
            if awaits:
                await_only(_whole(send.asent(jobs)))
            else:
                send.sent(jobs)
        except NotSent as error:
            lost.append(error)
    if lost:
        raise NotSent("; ".join(map(str, lost)), [id_ for error in lost for id_ in error.job_ids])


async def _whole(sending: Awaitable[None]) -> None:
    """Await *sending* to its end, also when the caller is cancelled meanwhile: the transaction stands."""
    task = asyncio.ensure_future(sending)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            logging.getLogger("conveyor").error("%s", error)  # noqa: TRY400 - it is all that there is to be said
        raise


class SessionCommits(Commits):
    """Of a ``Session``, or of the one in an ``AsyncSession``."""

    def __init__(self, session: Session, *, awaits: bool = False) -> None:
        """*awaits*: it is committed by a coroutine, which sends the jobs, too."""
        self._session, self._awaits = session, awaits
        self.name = "sqlalchemy.ext.asyncio.AsyncSession" if awaits else "sqlalchemy.orm.Session"

    def check(self) -> None:
        """See ``Commits``."""
        if not self._session.is_active:
            raise self.refusal("is in one that has failed", "call its rollback() first")
        if self._session.get_transaction() is None and not self._session.autobegin:
            raise self.refusal("has autobegin=False and none begun", "call its begin() first")
        if _joins(self._session):
            raise self.refusal(
                "is bound to a connection that is in one already, which may be rolled back after the session's commit",
                "bind it to an engine, or leave the connection's transactions to the session",
            )

    def keep(self, jobs: Sequence[NewJob], send: Send) -> None:
        """See ``Commits``."""
        session = self._session
        within = session.get_nested_transaction() or session.get_transaction() or session.begin()
        watch = session.info.get(_OURS)
        if not isinstance(watch, _Session):
            watch = session.info[_OURS] = _Session()
            event.listen(session, "before_commit", watch.asked)
            event.listen(session, "after_commit", watch.heard)
            event.listen(session, "after_transaction_end", watch.ended)
        watch.kept.append(_Kept(within, jobs, send, self._awaits))
