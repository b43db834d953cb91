"""What of a job travels from one store to another one, and what a store says of itself meanwhile."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Literal, NamedTuple

import msgspec

from conveyor.core.lifecycle import STORED_RUNNING, STORED_WAITING


class Record(NamedTuple):
    """All that a store keeps of a job. Times are microseconds of UTC; the field order is that of the statements."""

    id: bytes
    token: int
    run_after: int
    enqueued_at: int
    started_at: int | None
    last_attempted_at: int | None
    finished_at: int | None
    run_time: int | None
    timeout: int | None
    runner: bytes | None
    priority: int
    attempt: int
    max_attempts: int
    crashes: int
    state: str
    """As it is stored: what is scheduled, ready or retryable is ``waiting``."""
    task: str
    queue: str
    args: bytes
    attempts: bytes | None
    result: bytes | None
    extras: str | None
    unique_key: str | None
    cancelled: str | None
    progress: bytes | None
    fingerprint: str | None
    delete_after: int | None
    expires_at: int | None
    keep: int | None
    until_start: bool

    @property
    def ended(self) -> bool:
        """Whether it has come to its end."""
        return self.state not in {STORED_WAITING, STORED_RUNNING}


class Mark(msgspec.Struct, frozen=True):
    """What a store has written down of the move that it is part of."""

    role: Literal["source", "target"]
    other: str
    """The other store's own id,"""
    url: str
    """and where it is, without password."""
    over: bool = False
    """Of a source: whether the other store has its jobs, and was found to."""
    copies: bool = False
    """Of a target: whether copies of the source's jobs may be in it."""
    left: tuple[str, ...] = ()
    """Of a source: the ids of jobs that the other one could not take."""
    partly: bool = False
    """Whether only some parts of the store are closed: to close it, or to open it, was cut off. Never written down."""

    @property
    def told(self) -> str:
        """What whoever comes to this store is told."""
        if self.role == "source":
            return f"this store is closed: conveyor move has taken its jobs to {self.url}; use that one"
        return f"this store is being filled from {self.url} by conveyor move, and opens once that has ended"


class Checksum:
    """Of records, in their order: equal ones are equal checksums, whatever kind of store they come from."""

    def __init__(self) -> None:
        """Of none."""
        self._hash = blake2b(digest_size=16)
        self.records = 0
        """How many there were."""

    def add(self, records: Iterable[Record]) -> None:
        """Take *records* in."""
        for record in records:
            self._hash.update(msgspec.msgpack.encode(record))
            self.records += 1

    @property
    def text(self) -> str:
        """The sum so far."""
        return self._hash.hexdigest()
