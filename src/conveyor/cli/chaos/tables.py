"""The database as it is, read with plain SQL, or with commands of Redis, and nothing of the rest of Conveyor."""

import contextlib
import json
import sqlite3
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit
from uuid import UUID

from conveyor.cli.chaos.keys import HOT, PAST, Cell, keys, on_redis
from conveyor.cli.chaos.keys import registered as registered_on_redis
from conveyor.core.errors import StoreUnavailable

if TYPE_CHECKING:  # it is an optional package
    from psycopg import Connection
    from psycopg.rows import TupleRow

    Connected = sqlite3.Connection | Connection[TupleRow]

OURS: Final = "conveyor chaos"
"""The application name of these sessions on a server."""
EFFECTS: Final = "conveyor_chaos_effect"
"""The table of effects. It has no constraint: whatever is done twice is there twice."""
_COLUMNS: Final = "id, state, attempt, max_attempts, token, attempts, task"
_FIELDS: Final = ("state", "attempt", "max_attempts", "token", "attempts", "task", "result")
"""The same, as Redis has them."""
_JOBS: Final = (
    f"SELECT {_COLUMNS}, NULL FROM conveyor_job",  # noqa: S608 - our own words
    f"SELECT {_COLUMNS}, result FROM conveyor_history",  # noqa: S608 - our own words
)


class Row(NamedTuple):
    """One job as the database has it, in either table."""

    job: str
    state: str
    attempt: int
    max_attempts: int
    token: int
    numbers: tuple[int, ...]
    """The attempts that its record names, but for those that were given back, and one that is there for its output."""
    task: str = ""
    result: bytes | None = None
    taken: Mapping[int, float] = MappingProxyType({})
    """The attempts that its record says were taken from who ran them, and when: seconds since 1970, by the database's
    clock."""
    unfit: bool = False
    """Whether its record says that some code did not take its arguments."""
    successes: tuple[int, ...] = ()
    """The attempts that its record says have succeeded; it has them only where there is more to say of them."""


class Tables(NamedTuple):
    """Both tables, read at one moment."""

    hot: Sequence[Row]
    past: Sequence[Row]


class Asking(Protocol):
    """A connection in autocommit."""

    def execute(self, text: str, /) -> Iterable[Sequence[object]]:
        """The rows that *text* gives."""
        ...


def sqlite(url: str) -> bool:
    """Whether the store at *url* is a file of SQLite's."""
    return urlsplit(url).scheme == "sqlite"


def sqlite_file(url: str) -> Path:
    """The file of a SQLite store; only for such URLs."""
    return Path(unquote(urlsplit(url).path[1:]))


def locked(file: Path) -> bool:
    """Whether somebody is writing to a file of SQLite's."""
    with contextlib.closing(sqlite3.connect(file, timeout=1.0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        connection.execute("ROLLBACK")
    return False


@contextmanager
def asking(url: str) -> Generator[Asking]:
    """A connection to ask the store at *url*, with no word of Conveyor's. ``StoreUnavailable`` if there is none."""
    with connected(url) as connection:
        yield asked(connection)


@contextmanager
def connected(url: str) -> "Generator[Connected]":
    """A connection of its library's, in autocommit. ``StoreUnavailable`` if there is none."""
    if sqlite(url):
        with contextlib.closing(sqlite3.connect(sqlite_file(url), timeout=30, isolation_level=None)) as file:
            yield file
        return
    import psycopg

    try:
        server = psycopg.connect(url, autocommit=True, application_name=OURS)
    except psycopg.OperationalError as error:
        raise StoreUnavailable(str(error)) from None
    with server:
        yield server


def asked(connection: "Connected") -> Asking:
    """*connection*, to ask any text."""
    return connection if isinstance(connection, sqlite3.Connection) else _Server(connection)


def begin(connection: "Connected") -> str:
    """What begins a transaction there that is going to write."""
    return "BEGIN IMMEDIATE" if isinstance(connection, sqlite3.Connection) else "BEGIN"


class _Server:
    """A connection of psycopg's, as ``Asking``."""

    def __init__(self, connection: "Connection[TupleRow]") -> None:
        self._connection = connection

    def execute(self, text: str, /) -> Iterable[Sequence[object]]:
        cursor = self._connection.execute(text.encode())
        return cursor.fetchall() if cursor.description else ()


def read_tables(url: str) -> Tables:
    """What the database holds."""
    if on_redis(url):
        with keys(url) as here:
            rows = here.look((*HOT, *PAST), *_FIELDS)
        return Tables(*[[_of(row) for index, row in rows if (index in HOT) == hot] for hot in (True, False)])
    with asking(url) as connection:
        connection.execute("BEGIN" if sqlite(url) else "BEGIN ISOLATION LEVEL REPEATABLE READ")
        tables = Tables(*[[_row(*row) for row in connection.execute(text)] for text in _JOBS])
        connection.execute("COMMIT")
        return tables


def read_hot(url: str) -> Sequence[Row]:
    """The jobs that have not ended; all that have are many, and take long to read."""
    if on_redis(url):
        with keys(url) as here:
            return [_of(row) for _, row in here.look(HOT, *_FIELDS)]
    with asking(url) as connection:
        return [_row(*row) for row in connection.execute(_JOBS[0])]


def make_effects(url: str) -> None:
    """Make the table of effects. On Redis there is none: it has no transactions to share with a user's own data."""
    if on_redis(url):
        return
    with asking(url) as connection:
        connection.execute(f"CREATE TABLE {EFFECTS} (job text, token bigint)")


def read_effects(url: str) -> Mapping[str, Sequence[int]]:
    """The tokens of the effects of each job."""
    found: dict[str, list[int]] = {}
    if on_redis(url):
        return found
    with asking(url) as connection:
        for job, token in connection.execute(f"SELECT job, token FROM {EFFECTS}"):  # noqa: S608 - our own words
            found.setdefault(str(job), []).append(int(str(token)))
    return found


def registered(url: str) -> set[int]:
    """The processes that are known as runners, dead or alive."""
    if on_redis(url):
        with keys(url) as here:
            return registered_on_redis(here)
    with asking(url) as connection:
        infos = [row[0] for row in connection.execute("SELECT info FROM conveyor_runner")]
    return {json.loads(info)["pid"] for info in infos if isinstance(info, bytes)}


def unfinished(url: str) -> int:
    """How many jobs have not ended."""
    if on_redis(url):
        with keys(url) as here:
            return sum(int(str(size)) for size in here.call("ZCARD", HOT[0]))
    with asking(url) as connection:
        return int(str(next(iter(connection.execute("SELECT count(*) FROM conveyor_job")))[0]))


def on_their_way(url: str) -> int:
    """How many jobs are in the outbox at *url*."""
    with asking(url) as connection:
        return int(str(next(iter(connection.execute("SELECT count(*) FROM conveyor_outbox")))[0]))


def _of(row: Sequence[Cell]) -> Row:
    """A job on Redis; one whose hash is gone has no state."""
    id_, state, attempt, limit, token, record, task, result = row
    numbers = (int(cell or 0) for cell in (attempt, limit, token))
    return _row(bytes.fromhex((id_ or b"").decode()), _text(state), *numbers, record, _text(task), result)


def _text(cell: Cell) -> str:
    return (cell or b"").decode("utf-8", "replace")


def _row(*columns: object) -> Row:
    id_, state, attempt, limit, token, record, task, result = columns
    job = str(id_ if isinstance(id_, UUID) else UUID(bytes=id_ if isinstance(id_, bytes) else b""))
    kept = json.loads(record if isinstance(record, bytes) else b"[]")
    taken = [entry for entry in kept if entry["event"] in {"rescue", "lose", "quarantine"}]
    return Row(
        job,
        str(state),
        int(str(attempt)),
        int(str(limit)),
        int(str(token)),
        tuple(entry["number"] for entry in kept if entry["event"] not in {"release", "snooze", "succeed"}),
        str(task),
        result if isinstance(result, bytes) else None,
        {entry["number"]: entry["finished_at"] / 1_000_000 for entry in taken},
        isinstance(record, bytes) and b"UnfitArguments" in record,
        tuple(entry["number"] for entry in kept if entry["event"] == "succeed"),
    )
