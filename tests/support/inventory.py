"""What a database that all migrations were applied to is made of. ``python -m tests.support.inventory`` writes it down.

Run it after a migration was added: ``conveyor doctor`` compares databases with what is written there.
"""

import json
from pathlib import Path

import conveyor
from conveyor.store.postgres.checks.inventory import Thing
from conveyor.store.postgres.checks.look import Look
from conveyor.store.postgres.links import connect, dsn
from tests.support.postgres import PostgresServer, prepare

FILE = Path(conveyor.__file__).parent / "store" / "postgres" / "checks" / "inventory.json"


def things(url: str) -> list[Thing]:
    """What is there."""
    with Look(lambda: connect(dsn(url))) as look:
        return [Thing._make(row) for row in look.ask("things")]


def written(found: list[Thing]) -> str:
    """One line for each, so that a change of a migration is a readable change of the file."""
    lines = (json_line(thing) for thing in found)
    return "[\n" + ",\n".join(lines) + "\n]\n"


def json_line(thing: Thing) -> str:
    """One thing."""
    return json.dumps(thing[:4], ensure_ascii=False)


def main() -> None:
    """Write it down."""
    with PostgresServer("17") as server:
        prepare(server.url())
        FILE.write_text(written(things(server.url())), "utf-8")


if __name__ == "__main__":
    main()
