"""The commits of Django's connections, on whatever database."""

from collections.abc import Sequence

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

        It calls nobody behind one who raises. So what is kept within the same savepoints is sent together.
        """
        around = set(self._connection.savepoint_ids)
        for savepoints, hook, *_ in self._connection.run_on_commit:
            if isinstance(hook, _Sending) and hook.send is send and savepoints == around:
                hook.jobs += jobs
                return
        self._connection.on_commit(_Sending([*jobs], send))


class _Sending:
    """What Django calls after the commit."""

    def __init__(self, jobs: list[NewJob], send: Send) -> None:
        self.jobs, self.send = jobs, send

    def __call__(self) -> None:
        self.send.sent(self.jobs)
