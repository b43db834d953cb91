"""``Harness``: an app under test."""

from conveyor.testing.crashes import Crashes
from conveyor.testing.drains import Drains
from conveyor.testing.performs import Performs
from conveyor.testing.waits import Waits


class Harness(Drains, Performs, Waits, Crashes):
    """``with Harness(app) as harness:`` gives *app* a store of its own for the block, and the test a hand in it.

    Without *url* that is a fresh SQLite file, in memory where the system has a file system there, whatever the app's
    own store is; it is gone after the block. *url* names any other, as PostgreSQL's for tests: its tables are made,
    and the jobs in it stay. The app's own store is not touched, be it in use already or not.

    *now* is where ``harness.clock`` starts, on SQLite; then only the test moves it.

    ``async with`` does the same. Blocks of several harnesses may stand in each other; the innermost one counts.
    """
