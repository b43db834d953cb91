"""What commands print: tables for people, JSON for programs, log lines for both."""

import json
import logging
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from conveyor.core.model import COUNTED, JobInfo

LABELS: Final = ("job", "task", "attempt")


def say(text: str = "") -> None:
    """One line on standard output."""
    sys.stdout.write(text + "\n")


def say_json(value: object) -> None:
    """*value* as JSON on standard output."""
    say(json.dumps(value, indent=2, ensure_ascii=False))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns as wide as their widest cell."""
    lines = [tuple(head), *map(tuple, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def counted(number: int) -> str:
    """A count as people read it; counts end at 10,000."""
    return f"{number:,}" if number <= COUNTED else f"{COUNTED:,}+"


def age(moment: datetime) -> str:
    """How long ago, in one unit."""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def job_json(info: JobInfo) -> dict[str, object]:
    """A job's record for programs; times in ISO 8601, durations in seconds."""
    moments = {
        "enqueued_at": info.enqueued_at,
        "run_after": info.run_after,
        "started_at": info.started_at,
        "last_attempted_at": info.last_attempted_at,
        "finished_at": info.finished_at,
    }
    return {
        "id": info.id,
        "task": info.task,
        "queue": info.queue,
        "priority": info.priority,
        "state": info.state,
        "attempt": info.attempt,
        "max_attempts": info.max_attempts,
        "crashes": info.crashes,
        **{name: moment.isoformat() if moment else None for name, moment in moments.items()},
        "run_time": info.run_time.total_seconds() if info.run_time else None,
        "error": str(info.error) if info.error else None,
        "arguments": json.loads(info.payload),
        "result": json.loads(info.result) if info.result else None,
    }


class TextFormatter(logging.Formatter):
    """One line: time, level, message, and what identifies the attempt."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        moment = datetime.fromtimestamp(record.created, UTC)
        labels = "".join(f" {name}={getattr(record, name)}" for name in LABELS if hasattr(record, name))
        line = f"{moment:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + f"Z {record.levelname:<7} {record.getMessage()}{labels}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line, with the same facts."""

    def format(self, record: logging.LogRecord) -> str:
        """The object."""
        moment = datetime.fromtimestamp(record.created, UTC)
        facts: dict[str, object] = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        facts |= {name: getattr(record, name) for name in LABELS if hasattr(record, name)}
        if record.exc_info:
            facts["exception"] = self.formatException(record.exc_info)
        return json.dumps(facts, ensure_ascii=False)


def log_to_stderr(level: str, form: str) -> None:
    """Send the log lines of *level* and above to standard error, as ``text`` or ``json``."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
