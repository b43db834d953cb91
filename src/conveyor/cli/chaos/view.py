"""The store of a scenario, as it is at this moment."""

from collections.abc import Collection, Sequence

from conveyor.cli.chaos.tables import Row, Tables, on_their_way, read_hot, read_tables, unfinished


class View:
    """Looks at one store."""

    url: str
    outbox: str | None = None
    """Where its outbox is, if it has one."""

    def left(self) -> int:
        """Jobs that have not ended. One that leaves the outbox is in the store by then."""
        return (on_their_way(self.outbox) if self.outbox else 0) + unfinished(self.url)

    def tables(self) -> Tables:
        """What the database holds now."""
        return read_tables(self.url)

    def hot(self) -> Sequence[Row]:
        """The jobs that have not ended."""
        return read_hot(self.url)

    def waits(self, jobs: Collection[str]) -> bool:
        """Whether any of *jobs* has not ended."""
        return any(row.job in jobs for row in self.hot())

    def over(self, jobs: Collection[str]) -> bool:
        """Whether all of them have."""
        return not self.waits(jobs)
