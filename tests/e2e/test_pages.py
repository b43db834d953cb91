"""Whoever follows the pages must see what is wrong in them, and say where."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.docs import blocks
from tests.support.pages import Reader, like, needs_database, reader, typed

APP = """
```python
# shop.py
from conveyor import Conveyor

app = Conveyor("sqlite:///shop.db")


@app.task
def ship(order: int) -> str:
    print(f"shipping {order}")
    return f"shipped {order}"
```
"""


def follow(text: str, folder: Path) -> Reader:
    """A page of that *text*, followed to its end."""
    with reader(Path("page.md"), folder) as follower:
        follower.follow(blocks(text))
    return follower


RIGHT = {
    "blocks share a program": "```python\na = 1\n```\n```python\nassert a == 1\n```\n",
    "a block's output": "```python\nprint(1, 2)\n```\n```output\n1 ...\n```\n",
    "await": "```python\nimport asyncio\nawait asyncio.sleep(0)\n```\n",
    "a file is imported": APP
    + "```python\nimport shop\nassert shop.ship(7) == 'shipped 7'\n```\n```output\nshipping 7\n```\n",
    "a file is rewritten": "".join(
        f"```python\n# one.py\nVALUE = {n}\n```\n```python\nfrom one import VALUE\nassert VALUE == {n}\n```\n"
        for n in (1, 2)
    ),
    "a file in a folder": "```python\n# shop/mail.py\nA = 1\n```\n```python\nfrom shop.mail import A\n```\n",
    "blocks and commands share files": APP
    + "```python\nimport shop\njob = shop.ship.enqueue(7)\n```\n"
    + "```console\n$ conveyor worker --app shop --burst --log-level warning\nshipping 7\n```\n"
    + "```python\nassert job.result(timeout=10) == 'shipped 7'\n```\n",
    "a worker that stays": APP
    + "```console\n$ conveyor worker --app shop\n... serves default=10\n```\n"
    + "```python\nimport shop\nprint(shop.ship.enqueue(7).result(timeout=30))\n```\n```output\nshipped 7\n```\n",
    "tests": APP + "```python\n# test_shop.py\nimport shop\n\ndef test_it():\n    assert shop.ship(7)\n```\n",
    "tests by a command": "```python\n# test_it.py\ndef test_it():\n    assert True\n```\n"
    "```console\n$ pytest -q\n...1 passed...\n```\n",
    "an environment": "```console\n$ export SHOP='a b'\n$ echo $SHOP\na b\n```\n"
    "```python\nimport os\nassert os.environ['SHOP'] == 'a b'\n```\n",
    "a long command": "```console\n$ echo a \\\n    b\na b\n```\n",
    "an error that is shown": "```console\n$ conveyor why 7 --store sqlite:///:memory:\nconveyor why: ...\n```\n",
    "statements in a file": APP
    + "```python\nimport shop\nshop.ship.enqueue(7)\n```\n"
    + "```sql\n-- shop.db\nSELECT * FROM conveyor_job;\n```\n",
    "settings": "```toml\n[a]\nb = 1\n```\n```ini\n[Service]\nEnvironment=A=1\nEnvironment=B=50%\n```\n"
    '```json\n{"a": 1}\n```\n```yaml\na: 1\n---\nb: 2\n```\n',
    "what is only shown": "```\nmake demo\n```\n```text\nwhatever\n```\n```mermaid\ngraph TD\n```\n",
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_page_passes(name: str, tmp_path: Path) -> None:
    follow(RIGHT[name], tmp_path)


WRONG = {
    "an error": ("\n\n```python\na = 1\nraise ValueError(a)\n```\n", 4, 'page.md", line 5, in <module>'),
    "a syntax error": ("```python\na = 1\nb = = 2\n```\n", 2, "invalid syntax"),
    "an exit": ("```python\nraise SystemExit\n```\n", 2, "SystemExit"),
    "the end": ("```python\nimport os\nos._exit(3)\n```\n", 2, "ends the program, with status 3"),
    "other output": ("```python\nprint(1)\n```\n```output\n2\n```\n", 2, "prints\n1\n"),
    "output unspoken": ("```python\nprint(1)\n```\n", 2, "prints\n1\n"),
    "a file that nothing runs": (
        "\n```python\n# one.py\nimport nothing_of_that_name\n```\n",
        3,
        "nothing_of_that_name",
    ),
    "a file that is replaced before it runs": (
        "```python\n# one.py\nimport nothing_of_that_name\n```\n```python\n# one.py\nA = 1\n```\n",
        2,
        "nothing_of_that_name",
    ),
    "a test that fails": ("```python\n# test_a.py\ndef test_a():\n    assert 1 == 2\n```\n", 2, "1 failed"),
    "a file of tests with no tests": ("```python\n# test_a.py\nA = 1\n```\n", 2, "no tests ran"),
    "a command's other output": ("```console\n$ echo 1\n1\n$ echo 2\n3\n```\n", 4, "$ echo 2\n2\n"),
    "a command that fails in silence": ("```console\n$ false\n```\n", 2, "status 1"),
    "a command that fails and ...": ("```console\n$ python -c 1/0\n...\n```\n", 2, "ZeroDivisionError"),
    "no command": ("```console\nready\n```\n", 2, "begins with a command"),
    "a worker that ends": ("```console\n$ conveyor worker --app nothing\n... serves ...\n```\n", 2, "nothing"),
    "statements": ("```sql\n-- a.db\nSELEKT 1;\n```\n", 2, "SELEKT"),
    "toml": ("```toml\na = \n```\n", 2, "this is no toml"),
    "ini": ("```ini\na = 1\n```\n", 2, "this is no ini"),
    "json": ("```json\n{\n```\n", 2, "this is no json"),
    "yaml": ("```yaml\n- [\n```\n", 2, "this is no yaml"),
    "a language": ("```fortran\nSTOP\n```\n", 2, "what is fortran?"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_page_fails_and_names_the_line(name: str, tmp_path: Path) -> None:
    text, line, message = WRONG[name]
    with pytest.raises(pytest.fail.Exception, match=re.escape(message)) as failed:
        follow(text, tmp_path)
    assert str(failed.value).startswith(f"page.md:{line}: ")


POSTGRES = """
```console
$ export CONVEYOR_URL=postgresql://localhost/shop
$ conveyor migrate
...
```
```sql
CREATE ROLE shopkeeper;
GRANT SELECT ON conveyor_job TO shopkeeper;
```
```python
import asyncpg
import psycopg
import sqlalchemy

from conveyor import Conveyor

assert Conveyor().jobs.counts()["ready"] == 0
ROLE = "SELECT count(*) FROM pg_roles WHERE rolname = 'shopkeeper'"
with psycopg.connect("dbname=shop") as connection:
    assert connection.execute(ROLE).fetchone() == (1,)
with sqlalchemy.create_engine("postgresql+psycopg://localhost/shop").connect() as connection:
    assert connection.execute(sqlalchemy.text(ROLE)).scalar() == 1
connection = await asyncpg.connect("postgresql://localhost/shop")
assert await connection.fetchval(ROLE) == 1
await connection.close()
```
"""


@pytest.mark.parametrize("time", ["once", "again"])
def test_every_driver_finds_postgresql_by_the_url_of_the_page(
    time: str, port_of_shop: Callable[[], int], tmp_path: Path
) -> None:
    with reader(Path("page.md"), tmp_path, port_of_shop()) as follower:
        follower.follow(blocks(POSTGRES))


def test_wrong_statements_are_named_by_their_line(port_of_shop: Callable[[], int], tmp_path: Path) -> None:
    with reader(Path("page.md"), tmp_path, port_of_shop()) as follower, pytest.raises(pytest.fail.Exception) as failed:
        follower.follow(blocks("\n```sql\nSELECT * FROM nothing_of_that_name;\n```\n"))
    assert str(failed.value).startswith('page.md:3: relation "nothing_of_that_name" does not exist')


def test_a_wrong_output_would_be_noticed() -> None:
    assert like("a ... b\n...", "a 1 b\nand more\n")
    assert not like("ready 1", "ready 2")
    assert not like("", "something")
    assert not like("a\n...\nb", "a\nc")


def test_commands_are_told_from_what_they_print() -> None:
    (block,) = blocks("```console\n$ a \\\n  b\nc\n$ d\n```\n")
    assert typed(block) == [("a \\\n  b", "c\n", 2), ("d", "", 5)]


def test_a_page_about_postgresql_has_a_database() -> None:
    assert needs_database(blocks("```console\n$ export CONVEYOR_URL=postgresql://localhost/shop\n```\n"))
    assert needs_database(blocks("```sql\nSELECT 1;\n```\n"))
    assert not needs_database(blocks("```sql\n-- jobs.db\nSELECT 1;\n```\n"))
    assert not needs_database(blocks("```text\npostgresql\n```\n"))
