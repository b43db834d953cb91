"""Whether the caller is inside an event loop, where whoever blocks holds up everybody else."""

import asyncio


def loop_runs_here() -> bool:
    """Whether an event loop runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
