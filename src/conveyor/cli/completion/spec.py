"""What there is to complete, read from the parsers."""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

Kind = Literal["choice", "store", "folder", "any"]
"""What a value is: one of some words, a store's URL, a folder, or what only the user knows. Never just any file."""

KINDS: Final[dict[str, Kind]] = {"URL": "store", "FOLDER": "folder"}
"""By the name under which the help speaks of the value."""

STORES: Final = ("sqlite:///", "postgresql://")
FILE_STORE: Final = STORES[0]
"""What a file's path is appended to."""


class Value(NamedTuple):
    """What an option, or a word without one, takes."""

    name: str
    kind: Kind
    choices: Sequence[str]
    many: bool


class Option(NamedTuple):
    """One option, by all its names; without a *value* it is a switch."""

    names: Sequence[str]
    help: str
    value: Value | None
    many: bool


class Command(NamedTuple):
    """One command; *words* are what it takes besides options."""

    name: str
    summary: str
    options: Sequence[Option]
    words: Sequence[tuple[Value, str]]


def read(name: str, summary: str, actions: Iterable[argparse.Action]) -> Command:
    """A command by what its parser reads."""
    listed = [action for action in actions if action.help != argparse.SUPPRESS]
    options = [_option(action) for action in listed if action.option_strings]
    words = [
        (_value(action), _help(action))
        for action in listed
        if not action.option_strings and action.nargs != argparse.PARSER
    ]
    return Command(name, summary, options, words)


def filled(text: str, parts: Mapping[str, str]) -> str:
    """*text* with each mark of *parts* replaced."""
    for mark, part in parts.items():
        text = text.replace(mark, part)
    return text.rstrip("\n")


def _option(action: argparse.Action) -> Option:
    # argparse tells only by class what may be repeated; nargs 0 is a switch
    many = type(action).__name__ == "_AppendAction"
    return Option(action.option_strings, _help(action), None if action.nargs == 0 else _value(action), many)


def _value(action: argparse.Action) -> Value:
    name = " ".join(action.metavar) if isinstance(action.metavar, tuple) else action.metavar or action.dest.upper()
    choices = [str(choice) for choice in action.choices or ()]
    kind = "choice" if choices else KINDS.get(name, "any")
    return Value(name, kind, choices, action.nargs in {"*", "+"})


def _help(action: argparse.Action) -> str:
    return (action.help or "").replace("%%", "%")
