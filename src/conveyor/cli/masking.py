"""A job's arguments and result as they may be shown: what its task said to redact is hidden."""

import json
from collections.abc import Sequence
from typing import cast

from conveyor.core.model import JobInfo
from conveyor.core.redact import HIDDEN, Redactor, hidden, masked


def shown_call(info: JobInfo) -> tuple[object, object]:
    """Arguments ``[[positional], {by name}]`` and result, read from JSON, without the redacted parameters' values."""
    arguments, result = _read(info.payload), None if info.result is None else _read(info.result)
    places = info.extras.redact
    if not places or not _is_call(arguments):
        return arguments, result
    positional, named = cast(tuple[Sequence[object], dict[str, object]], arguments)
    secrets = Redactor.of(hidden(positional, named, places))
    return list(masked(positional, named, places)), _without(result, secrets)


def _read(data: bytes) -> object:
    try:
        value: object = json.loads(data)
    except ValueError:
        return "(this is no JSON)"  # somebody else wrote it; the rest of the record matters as well
    return value


def _is_call(value: object) -> bool:
    if not isinstance(value, list):
        return False
    parts = cast(list[object], value)
    return [type(part) for part in parts] == [list, dict]


def _without(value: object, secrets: Redactor) -> object:
    """*value*, where it says one of the *secrets*, hidden: a task may return what it was given."""
    match value:
        case dict():
            return {name: _without(part, secrets) for name, part in cast(dict[str, object], value).items()}
        case list():
            return [_without(part, secrets) for part in cast(list[object], value)]
        case str():
            return secrets.text(value)
        case None | bool():
            return value
        case _:
            text = str(value)
            return value if secrets.text(text) == text else HIDDEN
