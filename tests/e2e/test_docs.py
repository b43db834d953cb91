"""Every program and command of the documents is run, and what it prints is what the document says.

The conventions are in CONTRIBUTING.md, and what keeps them in ``tests/support/pages.py``.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.docs import DOCUMENTS, ROOT, blocks
from tests.support.pages import RUN, needs_database, reader

REDIS = "localhost:6379"
"""Where the pages have their Redis; ours is at another port."""
EXECUTED = [path for path in DOCUMENTS if any(block.language in RUN for block in blocks(path.read_text("utf-8")))]


@pytest.mark.timeout(240)  # a page may start a dozen processes, each of which a busy machine draws out
@pytest.mark.parametrize("page", EXECUTED, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_does_what_it_says(
    page: Path, port_of_shop: Callable[[], int], port_of_redis: Callable[[], int], tmp_path: Path
) -> None:
    found = blocks(page.read_text("utf-8"))
    if any(REDIS in block.text for block in found if block.language in RUN):
        address = f"localhost:{port_of_redis()}"
        found = [block._replace(text=block.text.replace(REDIS, address)) for block in found]
    port = port_of_shop() if needs_database(found) else None
    with reader(page.relative_to(ROOT), tmp_path, port) as follower:
        follower.follow(found)
