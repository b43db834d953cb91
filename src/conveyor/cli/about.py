"""What figures depend on, whatever was measured."""

import os
import platform
from datetime import UTC, datetime

from conveyor.core.version import __version__


def here() -> dict[str, object]:
    """The versions, the machine and the time, as JSON names them."""
    return {
        "conveyor": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
