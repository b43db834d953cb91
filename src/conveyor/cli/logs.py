"""Log lines: for people, or one JSON object each; all that is logged during an attempt says which."""

import json
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from conveyor.cli.outlet import Outlet
from conveyor.context import running

LABELS: Final = ("job", "task", "attempt")

_OWN: Final = {*vars(logging.makeLogRecord({})), "message", "asctime", *LABELS}
"""What a record has by itself; the rest came through ``extra=``."""
_LONE: Final = re.compile("[\ud800-\udfff]")


def log_to_stderr(level: str, form: str, handler: logging.Handler | None = None) -> None:
    """Send the log lines of *level* and above to standard error, as ``text`` or ``json``, by *handler* or an outlet."""
    handler = handler or Outlet()
    handler.addFilter(Labels())
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class Labels(logging.Filter):
    """Names job, task and attempt on each line that is logged during one, by whatever logger.

    Belongs on a handler: a logger's filter does not see what its children log.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add what the line does not say by itself."""
        context = running.get(None)
        if context is not None:
            for name, value in context.labels().items():
                record.__dict__.setdefault(name, value)
        return True


class TextFormatter(logging.Formatter):
    """One line: time, level, message, and what identifies the attempt."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and below it the traceback."""
        moment = datetime.fromtimestamp(record.created, UTC)
        labels = "".join(f" {name}={_text(getattr(record, name))}" for name in LABELS if hasattr(record, name))
        line = f"{moment:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + f"Z {record.levelname:<7} {_message(record)}{labels}"
        return "\n".join([line, *_traces(self, record).values()])


class JsonFormatter(logging.Formatter):
    """One JSON object a line, with the same facts and what of ``extra=`` JSON can hold."""

    def format(self, record: logging.LogRecord) -> str:
        """The object; in ASCII, so that no encoding of the stream can break it."""
        facts: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        values = vars(record)
        facts |= {name: _plain(values[name], _text(values[name])) for name in LABELS if name in values}
        facts |= _traces(self, record)
        extra = {name: _plain(value, _UNFIT) for name, value in values.items() if name not in _OWN | facts.keys()}
        facts |= {name: value for name, value in extra.items() if value is not _UNFIT}
        line = json.dumps(facts)
        if "\\ud" in line:  # half a character, which strict readers refuse; or a whole one, which stays
            line = json.dumps(json.loads(_LONE.sub("\ufffd", json.dumps(facts, ensure_ascii=False))))
        return line


_UNFIT: Final = object()


def _plain(value: object, otherwise: object) -> object:
    """*value* as JSON gives it back; *otherwise* when JSON cannot hold it."""
    try:
        plain: object = json.loads(json.dumps(value, allow_nan=False))
    except Exception:  # noqa: BLE001 - a value of the user's: its methods may raise anything
        return otherwise
    return plain


def _message(record: logging.LogRecord) -> str:
    """What was logged; arguments that do not fit their format must not cost the line."""
    try:
        return str.__str__(record.getMessage())
    except Exception as error:  # noqa: BLE001 - as above
        return f"{_text(record.msg)} (its arguments do not fit: {type(error).__name__}: {_text(error)})"


def _text(value: object) -> str:
    try:
        return str.__str__(str(value))
    except Exception as error:  # noqa: BLE001 - as above
        return f"<{type(value).__name__} whose __str__ raised {type(error).__name__}>"


def _traces(formatter: logging.Formatter, record: logging.LogRecord) -> Mapping[str, str]:
    """The traceback of what was raised, and the stack where it was logged, as far as asked for."""
    traces: dict[str, str] = {}
    if record.exc_info:
        try:
            traces["exception"] = formatter.formatException(record.exc_info)
        except Exception as error:  # noqa: BLE001 - as above
            traces["exception"] = f"{_text(record.exc_info[1])} (its traceback cannot be shown: {_text(error)})"
    if record.stack_info:
        traces["stack"] = record.stack_info
    return traces
