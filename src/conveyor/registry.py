"""The tasks of one app: those that it made, and those that it adopts from the modules that it includes."""

import importlib
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import cast

from conveyor.core.errors import ConveyorError, UsageError
from conveyor.loose import expected, loose_sender
from conveyor.task import Definition, Sender, Task


class Registry:
    """By name. Included modules are imported at first use, and not before: they may import the app's own module."""

    def __init__(self, include: Sequence[str], sender: Callable[[], Sender]) -> None:
        """Raises ``UsageError`` for what cannot be a module's name."""
        if isinstance(include, str) or not all(isinstance(name, str) for name in include):
            raise UsageError(f"include must be a list of module names, as include=['shop.tasks'], not {include!r}")
        self._pending = list(include)
        self._sender = sender
        self._tasks: dict[str, Task[..., object]] = {}
        self._loading = threading.RLock()
        if include:
            expected(self)

    @property
    def tasks(self) -> Mapping[str, Task[..., object]]:
        """All of them."""
        self.load()
        return MappingProxyType(self._tasks)

    def names(self) -> Collection[str]:
        """Their names."""
        return self.tasks.keys()

    def known(self) -> dict[str, Definition]:
        """What a worker needs to know of each of them."""
        return {name: task.definition for name, task in self.tasks.items()}

    def definition(self, name: str) -> Definition | None:
        """The task of that name; ``None`` when there is none."""
        if name not in self._tasks:
            self.load()
        task = self._tasks.get(name)
        return task.definition if task else None

    def add(self, task: Task[..., object]) -> None:
        """One more. ``ConveyorError`` when another has its name."""
        self._check_name(task)
        self._tasks[task.name] = task

    def adopt(self, task: Task[..., object]) -> None:
        """Take a task that ``@conveyor.task`` made."""
        loose = loose_sender(task)
        if loose is None:
            raise ConveyorError(
                f"{task!r} was made by an app, and belongs to it; only tasks of @conveyor.task are adopted"
            )
        self._check_name(task)
        loose.adopt(self._sender(), task.name)
        self._tasks[task.name] = task

    def _check_name(self, task: Task[..., object]) -> None:
        if self._tasks.get(task.name, task) is not task:
            raise ConveyorError(f"a task named {task.name!r} is registered already; give one of the two another name=")

    def _include(self, task: Task[..., object]) -> None:
        """A task of another app's, imported into the module, stays where it belongs."""
        if loose_sender(task) is not None:
            self.adopt(task)

    def load(self) -> None:
        """Import the included modules, and adopt the tasks in them. What their import raises comes out of here."""
        with self._loading:
            while self._pending:
                name = self._pending.pop(0)
                try:
                    module = importlib.import_module(name)
                except BaseException:
                    self._pending.insert(0, name)
                    raise
                for value in list(vars(module).values()):
                    if isinstance(value, Task):
                        self._include(cast(Task[..., object], value))
