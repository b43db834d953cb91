"""The job that a person means who types the beginning of its id."""

import re
from typing import Final
from uuid import UUID

from conveyor.app import Conveyor
from conveyor.core.errors import JobNotFound
from conveyor.core.model import JobInfo

ENOUGH: Final = 8
"""Digits. Ids begin with the time: these are the same for all jobs of about a minute."""
_BEGINNING: Final = re.compile(rf"[0-9a-f]{{{ENOUGH},31}}")


def find_job(app: Conveyor, text: str) -> JobInfo:
    """The job whose id is *text*, or begins so, when no other does. ``JobNotFound`` otherwise.

    One look-up in the order of ids, which is as quick as one by the whole id.
    """
    digits = text.lower().replace("-", "")
    if not _BEGINNING.fullmatch(digits):
        job = app.jobs.get(text)
        return job.info or job.refresh()
    before = int(digits.ljust(32, "0"), 16) - 1
    after = str(UUID(int=max(before, 0)))
    found = app.jobs.list(limit=2, after=after, oldest_first=True)
    meant = [info for info in found if info.id.replace("-", "").startswith(digits)]
    if not meant:
        raise JobNotFound(f"there is no job {text}... in this store")
    if len(meant) > 1:
        raise JobNotFound(f"{text} begins several ids, {meant[0].id} and {meant[1].id} first; write more of it")
    return meant[0]
