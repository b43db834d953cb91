"""The commits of Django's connections, on whatever database."""

from collections.abc import Sequence
from weakref import WeakSet

from conveyor.core import ids
from conveyor.core.errors import NotSent
from conveyor.core.model import NewJob
from conveyor.drivers.commits import Commits, Send
from conveyor.drivers.django import Wrapper, resolved
from conveyor.drivers.lent import failed


class DjangoCommits(Commits):
    """Of ``django.db.connection``, or of ``connections[alias]``."""

    def __init__(self, connection: object) -> None:
        """A proxy is resolved now, to the connection of this thread."""
        self._connection: Wrapper = resolved(connection)
        self.name = f"Django's connection {self._connection.alias!r}"

    def check(self) -> None:
        """See ``Commits``."""
        atomic = f"transaction.atomic(using={self._connection.alias!r})"
        if not self._connection.in_atomic_block:
            raise self.refusal("has none", f"wrap the call in {atomic}")
        if self._connection.needs_rollback or failed(self._connection.connection):
            raise self.refusal("is in one that has failed", f"let the error leave its {atomic} block")

    def keep(self, jobs: Sequence[NewJob], send: Send) -> None:
        """See ``Commits``: Django itself forgets what was kept within a savepoint that is rolled back.

        What is kept within the same savepoints is sent together: it calls nobody behind one who raises. With
        ``robust=True`` it would, but whoever commits would never hear of what is lost.
        """
        around = set(self._connection.savepoint_ids)
        of = _Transaction()
        for savepoints, hook, *_ in self._connection.run_on_commit:
            if isinstance(hook, _Sending):
                of = hook.of
                if hook.send is send and savepoints == around:
                    hook.jobs += jobs
                    return
        self._connection.on_commit(_Sending([*jobs], send, of))


class _Transaction:
    """Knows what is to be sent after one commit, in its order, for as long as Django keeps it."""

    def __init__(self) -> None:
        self.kept: WeakSet[_Sending] = WeakSet()
        self._last = 0

    def place(self) -> int:
        """The next place in the order."""
        self._last += 1
        return self._last


class _Sending:
    """What Django calls after the commit."""

    def __init__(self, jobs: list[NewJob], send: Send, of: _Transaction) -> None:
        self.jobs, self.send, self.of, self.place = jobs, send, of, of.place()
        of.kept.add(self)

    def __call__(self) -> None:
        try:
            self.send.sent(self.jobs)
        except NotSent as error:
            if not (behind := self._behind()):
                raise
            raise NotSent(
                f"{error}. Django calls nobody behind this, and so {len(behind):,} more are not sent",
                [*error.job_ids, *behind],
            ) from error

    def _behind(self) -> list[str]:
        """The jobs that were kept later. What went with a savepoint Django has forgotten, and so nobody holds it."""
        later = sorted((one for one in self.of.kept if one.place > self.place), key=lambda one: one.place)
        return [ids.text(job.id) for one in later for job in one.jobs]
