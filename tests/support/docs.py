"""What the documents hold of the code's own making. ``python -m tests.support.docs`` writes it anew."""

import argparse
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from conveyor.cli import COMMANDS, module
from conveyor.core.lifecycle import MOVES, diagram
from tests.support.matrix import HEAD, matrix

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)
DOCUMENTS = [README, *PAGES]

_GENERATED = re.compile(r"(<!-- generated: ([\w-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_FENCE = re.compile(r"^```(\w*|{[\w-]+})\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """One piece of code in a document, and the line that it begins at."""

    language: str
    text: str
    line: int


def blocks(text: str) -> list[Block]:
    """All fenced blocks of a document."""
    return [Block(m[1], m[2], text.count("\n", 0, m.start()) + 2) for m in _FENCE.finditer(text)]


def generated() -> dict[str, str]:
    """What the code makes, by the name under which documents ask for it."""
    return {
        "lifecycle-diagram": f"```mermaid\n{diagram()}\n```\n",
        "lifecycle-moves": table(
            ("From", "Event", "To", "Meaning"),
            [(move.source or "", move.event, move.target, move.meaning) for move in MOVES],
        ),
        "transactions": table(HEAD, matrix()),
        "commands": "\n".join(command(name, summary) for name, summary in COMMANDS.items()),
    }


def asked(text: str) -> list[tuple[str, str]]:
    """Name and present text of each generated part of a document."""
    return [(m[2], m[3]) for m in _GENERATED.finditer(text)]


def renewed(text: str) -> str:
    """A document with its generated parts made anew."""
    made = generated()
    return _GENERATED.sub(lambda m: m[1] + made[m[2]] + m[4], text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |\n" for line in lines)


def parser(name: str) -> argparse.ArgumentParser:
    """The parser of one command, as the command line makes it."""
    made = argparse.ArgumentParser(prog=f"conveyor {name}", add_help=False)
    module(name).arguments(made)
    return made


def command(name: str, summary: str) -> str:
    """The section about one command."""
    rows = [(_words(action), _meaning(action)) for action in parser(name)._actions]
    return f"## conveyor {name}\n\n{summary.capitalize()}.\n\n{table(('Option', 'Meaning'), rows)}"


def _words(action: argparse.Action) -> str:
    choices = "|".join(action.choices) if action.choices else action.dest.upper()
    name = " ".join(action.metavar) if isinstance(action.metavar, tuple) else action.metavar or choices
    if not action.option_strings:
        return f"`{name}`" if action.required else f"`[{name}]`"
    value = "" if action.nargs == 0 else f" {name}"
    return ", ".join(f"`{option}{value}`" for option in action.option_strings)


def _meaning(action: argparse.Action) -> str:
    return str(action.help or "").replace("%%", "%")


if __name__ == "__main__":
    for document in DOCUMENTS:
        document.write_text(renewed(document.read_text("utf-8")), "utf-8")
