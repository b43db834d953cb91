"""``@conveyor.task``: tasks of a module that knows no app, until one adopts them."""

import weakref
from typing import Final, Protocol, TypeVar

from conveyor.core.errors import ConveyorError
from conveyor.declare import TaskMaker
from conveyor.job import Job
from conveyor.task import Call, Sender, Task

R = TypeVar("R")


class Adopter(Protocol):
    """An app that may yet import the modules that it includes."""

    def load(self) -> None:
        """Import them, and adopt their tasks."""
        ...


_adopters: Final[weakref.WeakSet[Adopter]] = weakref.WeakSet()


class LooseSender:
    """Sends through the app that has adopted the task."""

    def __init__(self) -> None:
        """Belongs to nobody."""
        self._home: weakref.ref[Sender] | None = None

    def adopt(self, sender: Sender, name: str) -> None:
        """Send through *sender* from now on. ``ConveyorError`` when another app has the task."""
        if self.home not in (None, sender):
            raise ConveyorError(f"the task {name} belongs to another app already; a task has one app")
        self._home = weakref.ref(sender)

    @property
    def home(self) -> Sender | None:
        """Who has adopted it."""
        return None if self._home is None else self._home()

    def send(self, call: Call[R]) -> Job[R]:
        """See ``Sender``."""
        return self._found(call).send(call)

    async def asend(self, call: Call[R]) -> Job[R]:
        """See ``Sender``."""
        return await self._found(call).asend(call)

    def _found(self, call: Call[R]) -> Sender:
        if self.home is None:
            for adopter in list(_adopters):
                adopter.load()
        if self.home is None:
            name = call.definition.name
            raise ConveyorError(
                f"the task {name} belongs to no app yet; name its module in Conveyor(include=[...]), or app.adopt(it)"
            )
        return self.home


def expected(adopter: Adopter) -> None:
    """*adopter* may adopt tasks that are enqueued before it has looked for them."""
    _adopters.add(adopter)


def loose_sender(task: Task[..., object]) -> LooseSender | None:
    """The sender of a task that ``@conveyor.task`` made; ``None`` for a task of an app's own."""
    sender = task.sender
    return sender if isinstance(sender, LooseSender) else None


def _nowhere(_: Task[..., object]) -> None:
    """A task that belongs to nobody is kept by its module alone."""


task: Final = TaskMaker(LooseSender, _nowhere)
