"""How a worker hears that something may be due."""

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from conveyor.plan import Ring
from conveyor.store.sight import Sight


class Listener(Protocol):
    """How a worker hears that something may be due. Never the only wake-up: polling is the floor."""

    @property
    def sight(self) -> Sight:
        """How far the worker has seen, to be given to its claims; what is heard of may move it back."""
        ...

    @property
    def hears(self) -> bool:
        """Whether it has proof that a ring would reach it; else the worker polls more often."""
        ...

    @property
    def next_look(self) -> float:
        """Seconds until it is worth to look although nobody rings; infinite when there is no reason to."""
        ...

    async def listen(self, heard: Callable[[Ring], None]) -> None:
        """Call *heard* whenever something may be due or to be cancelled, until cancelled; mends its own troubles."""
        ...

    async def decline(self, queues: Collection[str]) -> None:
        """Have others rung for what we were rung for, but of *queues*, for which there is room."""
        ...

    async def leave(self, queues: Sequence[str]) -> None:
        """Be rung no more for these."""
        ...

    async def idle(self, seconds: float) -> bool:
        """Ask enqueuers to ring for the next *seconds*; whether one more look is needed after that."""
        ...

    async def changed(self) -> bool:
        """Whether the store may have changed since the last call; ``True`` when that cannot be told cheaply."""
        ...


class HearsAll:
    """Of a listener that is rung whenever something may be due, and so stands in for nobody."""

    async def decline(self, queues: Collection[str]) -> None:
        """See ``Listener``: others were rung as well."""

    async def leave(self, queues: Sequence[str]) -> None:
        """See ``Listener``: nobody counts on it."""
