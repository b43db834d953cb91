"""Whether the store is fit to be worked on, asked once before anything is claimed."""

import asyncio
import logging
from collections.abc import Sequence

from conveyor.core.errors import SchemaOutdated, StoreUnavailable
from conveyor.core.health import Finding, Severity
from conveyor.store.contract import Store
from conveyor.worker.duty import logged

logger = logging.getLogger("conveyor.worker")


async def check_fit(store: Store) -> None:
    """Raises ``SchemaOutdated`` or ``StoreUnavailable`` when no job could be run; what only makes it slow is logged."""
    try:
        there = await store.arun(store.operations.schema())
    except SchemaOutdated as error:  # or they are where we do not look
        for finding in await _amiss(store):
            raise SchemaOutdated(f"{finding.text}; {finding.fix}") from error
        raise
    if there < store.migrations:
        raise SchemaOutdated(
            f"the store is at migration {there} and this version needs {store.migrations}; run `conveyor migrate`"
        )
    for finding in await _amiss(store):
        if finding.check == "rights":
            raise StoreUnavailable(f"{finding.text}; {finding.fix}")
        logger.warning("%s; %s", finding.text, finding.fix)


async def _amiss(store: Store) -> Sequence[Finding]:
    """The troubles alone."""
    found: Sequence[Finding] = ()
    with logged("whether the store's tables are whole could not be looked at"):
        found = await asyncio.to_thread(store.amiss)
    return [finding for finding in found if finding.severity is Severity.TROUBLE]
