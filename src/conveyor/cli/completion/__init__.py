"""``conveyor completion``: a script for the shell, made from what the commands themselves say they take."""

import argparse
from collections.abc import Callable, Sequence
from typing import Final

from conveyor.cli import COMMANDS, build
from conveyor.cli.completion import bash, fish, zsh
from conveyor.cli.completion.spec import Command, read
from conveyor.cli.output import say

SHELLS: Final[dict[str, Callable[[Command, Sequence[Command]], str]]] = {
    "bash": bash.script,
    "zsh": zsh.script,
    "fish": fish.script,
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("shell", choices=list(SHELLS), metavar="SHELL", help=f"{', '.join(SHELLS)}")


def run(options: argparse.Namespace) -> int:
    """Print the script."""
    say(script(options.shell))
    return 0


def script(shell: str) -> str:
    """The script for *shell*."""
    parser, commands = build(COMMANDS)
    named = [read(name, COMMANDS[name], commands[name].actions) for name in COMMANDS]
    return SHELLS[shell](read("conveyor", "", parser.actions), named)
