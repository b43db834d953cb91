"""What ``conveyor dev`` says of itself. On standard error: what jobs print has standard output for itself."""

import sys


def tell(text: str) -> None:
    """One line."""
    sys.stderr.write(f"conveyor dev: {text}\n")
    sys.stderr.flush()
