"""Who tells of the commits of what the user hands to ``within=``; recognised by its type's name, as in ``lend``."""

from collections.abc import Callable
from typing import Any, Final

from conveyor.core.errors import WrongStore
from conveyor.drivers.commits import Commits


def commits_of(connection: object) -> Commits:
    """Who tells of the commits of *connection*, by its type's name as in ``lend``.

    Raises ``WrongStore`` for one whose library tells nobody.
    """
    for kind in type(connection).__mro__:
        name = (kind.__module__.partition(".")[0], kind.__name__)
        if name in _TELLERS:
            return _TELLERS[name](connection)
    given = f"{type(connection).__module__}.{type(connection).__qualname__}"
    raise WrongStore(
        f"this app's store is on Redis, which joins no transaction, and {given} does not tell when it commits: lend a "
        "Session or AsyncSession of SQLAlchemy's or Django's connection, give the app an outbox (Conveyor(..., "
        "outbox='postgresql://...')), or enqueue after your commit"
    )


def _session(session: Any) -> Commits:
    from conveyor.drivers.commits_sqlalchemy import SessionCommits

    return SessionCommits(session)


def _async_session(session: Any) -> Commits:
    from conveyor.drivers.commits_sqlalchemy import SessionCommits

    return SessionCommits(session.sync_session, awaits=True)


def _scoped(proxy: Any) -> Commits:
    return commits_of(proxy.registry())


def _django(connection: Any) -> Commits:
    from conveyor.drivers.commits_django import DjangoCommits

    return DjangoCommits(connection)


_TELLERS: Final[dict[tuple[str, str], Callable[[Any], Commits]]] = {
    ("sqlalchemy", "Session"): _session,
    ("sqlalchemy", "AsyncSession"): _async_session,
    ("sqlalchemy", "scoped_session"): _scoped,
    ("sqlalchemy", "async_scoped_session"): _scoped,
    ("django", "ConnectionProxy"): _django,
    ("django", "BaseDatabaseWrapper"): _django,
}
