"""What a forked child says."""

import os
from collections.abc import Callable


def forked(call: Callable[[], str]) -> str:
    """Make *call* in a forked child; what it gave, or the name and text of its error."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        said = ""
        try:
            said = call()
        except BaseException as error:  # noqa: BLE001 - the child says it, and ends
            said = f"{type(error).__name__}: {error}"
        finally:
            os.write(writer, said.encode())
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said
