"""Job ids: UUIDv7 (RFC 9562), made by the caller's process and kept as 16 bytes inside."""

import os
import time
from uuid import UUID

_FIXED = 0x7 << 76 | 0b10 << 62
"""Version and variant."""
_RANDOM = (1 << 80) - 1 & ~(0xF << 76 | 0b11 << 62)


def new() -> bytes:
    """A fresh id: 48 bits of Unix milliseconds and 74 random bits.

    The random bits come from the kernel each time. A counter or a seeded generator would survive ``fork`` and
    give two children the same ids.
    """
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big") & _RANDOM
    return (milliseconds << 80 | _FIXED | random).to_bytes(16, "big")


def text(id_: bytes) -> str:
    """The id as people write it: 36 characters with dashes."""
    digits = id_.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def parse(id_: str | UUID) -> bytes:
    """The 16 bytes of an id that somebody wrote; ``ValueError`` when it is none."""
    return id_.bytes if isinstance(id_, UUID) else UUID(id_).bytes
