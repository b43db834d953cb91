"""Reads the words of a command line; errors are one line, and guess what was meant."""

import argparse
import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import NoReturn

from conveyor.cli.output import clean
from conveyor.core.errors import UsageError


class Nonsense(UsageError):
    """Words that make no sense together: the exit status is 2, as for those that make none alone."""


class Parser(argparse.ArgumentParser):
    """An ``ArgumentParser`` whose errors are one line."""

    @property
    def actions(self) -> Sequence[argparse.Action]:
        """All that it can read, in the order in which it was added."""
        return self._actions

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and where help is."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")

    def gather(self, options: argparse.Namespace, words: Sequence[str]) -> None:
        """Give *words* that are left over to who takes any number of them; refuse them where nobody does.

        argparse gives such an action only the words before the next option.
        """
        takes = next((action for action in self.actions if action.nargs == "*" and not action.option_strings), None)
        if takes is None or takes.choices or any(word.startswith("-") for word in words):
            self.refuse(words)
        setattr(options, takes.dest, [*getattr(options, takes.dest), *words])

    def refuse(self, words: Sequence[str]) -> NoReturn:
        """Say that it knows nothing of *words*."""
        options = [option for action in self.actions for option in action.option_strings]
        first = next((word.partition("=")[0] for word in words if word.startswith("--")), "")
        guess = meant(first, options)
        self.error(f"there is no option {first}{guess}" if guess else f"unrecognized arguments: {' '.join(words)}")

    def _check_value(self, action: argparse.Action, value: object) -> None:
        """Say it in the same words on every Python; and take no words where any number will do."""
        if action.choices is None or value == [] or value in action.choices:
            return
        choices = [str(choice) for choice in action.choices]
        guess = meant(str(value), choices) or f"; choose from {', '.join(map(repr, choices))}"
        raise argparse.ArgumentError(action, f"there is no {value!r}{guess}")


def complain(command: str, message: str) -> None:
    """One line on standard error, in the command's name."""
    sys.stderr.write(f"conveyor {command}: {clean(' '.join(message.split()))}\n")


def meant(word: str, known: Iterable[str]) -> str:
    """The question whether one of *known* was meant; empty when none is like *word*."""
    return did_you_mean(get_close_matches(word.lower(), known, n=1))


def did_you_mean(close: Sequence[str]) -> str:
    """The question, for the first of *close*; empty when there is none."""
    return f"; did you mean {close[0]!r}?" if close else ""
