"""How PostgreSQL carries out the very statements of a plan: which way it goes, and how many pages it touches."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar, cast

from psycopg import Connection
from psycopg.rows import TupleRow

from conveyor.drivers.postgres import carry
from conveyor.plan import Answer, Plan, Statement, run
from conveyor.store.sqlfiles import sql

T = TypeVar("T")
_BY_ID = re.compile(r"(WHERE|AND) (\w+\.)?(id|unique_key) (= |IN )|ON CONFLICT|{where}")
Node = dict[str, Any]

FETCHED = """
    SELECT coalesce(sum(pg_stat_get_xact_blocks_fetched(oid)), 0)::bigint FROM pg_class
    WHERE relname LIKE 'conveyor%' OR oid IN (SELECT reltoastrelid FROM pg_class WHERE relname LIKE 'conveyor%')
"""


@dataclass(frozen=True)
class Explained:
    """One statement as it was carried out."""

    name: str
    pages: int
    """Pages of our tables and indexes that it asked for, one counted as often as it was asked for.

    Without those that the planner asks for, once for a statement: to learn where an index ends it looks at up to 100.
    """
    nodes: tuple[str, ...]
    """The steps that it took, with the table or index where there is one."""


@dataclass
class Explainer:
    """Carries plans over *connection*, explains each statement, and takes everything back."""

    connection: Connection[TupleRow]
    seen: list[Explained] = field(default_factory=list)

    def run(self, plan: Plan[T]) -> T:
        """What *plan* gives; nothing of it stays."""
        with self.connection.transaction(force_rollback=True):
            return run(plan, self._carry)

    def _carry(self, statement: Statement) -> Answer:
        carried = carry(self.connection)
        explain = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement.text}"
        with self.connection.transaction(force_rollback=True):
            ((output,),) = carried(Statement(explain, statement.params)).rows
        nodes = tuple(_nodes(_plan(output)))
        begin = self._fetched()
        carried(Statement(f"EXPLAIN {statement.text}", statement.params))
        planned = self._fetched()
        answer = carried(statement)
        pages = self._fetched() - planned - (planned - begin)
        self.seen.append(Explained(_name(statement.text), max(pages, 0), nodes))
        return answer

    def _fetched(self) -> int:
        """EXPLAIN's own sum leaves out the writing CTEs that run after the statement's last row."""
        row = self.connection.execute(FETCHED).fetchone()
        assert row is not None
        return int(row[0])


def _plan(output: object) -> Node:
    tree = json.loads(output) if isinstance(output, str | bytes) else output
    return cast("Node", cast("list[Node]", tree)[0]["Plan"])


def steps_of(connection: Connection[TupleRow], plan: Plan[T]) -> list[Node]:
    """Each step of each statement of *plan*, as PostgreSQL describes it; nothing of it stays."""
    carried, steps = carry(connection), list[Node]()

    def explaining(statement: Statement) -> Answer:
        explain = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement.text}"
        with connection.transaction(force_rollback=True):
            ((output,),) = carried(Statement(explain, statement.params)).rows
        steps.extend(_all(_plan(output)))
        return carried(statement)

    with connection.transaction(force_rollback=True):
        run(plan, explaining)
    return steps


def _all(node: Node) -> Iterator[Node]:
    yield node
    for part in node.get("Plans", ()):
        yield from _all(part)


def _nodes(node: Node) -> Iterator[str]:
    where = node.get("Index Name") or node.get("Relation Name") or node.get("CTE Name") or ""
    if node["Actual Loops"]:
        yield f"{node['Node Type']} {where}".strip()
    for part in node.get("Plans", ()):
        yield from _nodes(part)


@cache
def _names() -> dict[str, str]:
    folder = files("conveyor.store").joinpath("postgres")
    names = [entry.name.removesuffix(".sql") for entry in folder.iterdir() if entry.name.endswith(".sql")]
    return {sql("postgres", name): name for name in names}


@cache
def _name(text: str) -> str:
    """The file that *text* is from, its ``{where}`` filled in or not."""
    for template, name in _names().items():
        if re.fullmatch(re.escape(template).replace(re.escape("{where}"), ".*"), text):
            return name
    return "get" if "WHERE id = :id UNION ALL" in text else text[:30]


def by_id() -> set[str]:
    """The statements that look something up by an id or a unique key, or may be told to."""
    return {name for text, name in _names().items() if _BY_ID.search(text)}
