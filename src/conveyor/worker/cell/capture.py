"""What a job prints and logs goes where it always went, and to the notes besides."""

import contextlib
import io
import logging
import sys
from collections.abc import Iterable
from typing import Final, TextIO, cast

from conveyor.worker.cell.notes import Notes

PIECE: Final = 64 * 1024
"""Characters that are written at once. A file takes one write at a time: the runner's, which logs to the same one and
may not wait, come in between."""


class Tee(io.TextIOBase):
    """Stands for standard output or error. What is written below Python, to the descriptor, passes it by."""

    def __init__(self, stream: TextIO, notes: Notes) -> None:
        """All but what is written is *stream*'s business."""
        self._stream = stream
        self._notes = notes

    def write(self, text: str, /) -> int:
        """To both. Nobody's broken terminal is a job's fault, but for what is no text."""
        if not isinstance(text, str):
            raise TypeError(f"write() takes text, not {type(text).__name__}")
        for start in range(0, len(text), PIECE):
            piece = text[start : start + PIECE]
            self._notes.write(piece.encode("utf-8", "backslashreplace"))
            with contextlib.suppress(OSError):  # its disk is full, or nobody reads the other end
                self._stream.write(piece)
        return len(text)

    def writelines(self, lines: Iterable[str], /) -> None:  # type: ignore[override]  # typeshed says bytes here, of text too
        """To both."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """As the stream, with as little blame for the job."""
        with contextlib.suppress(OSError):
            self._stream.flush()

    def fileno(self) -> int:
        """As the stream."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """As the stream."""
        return self._stream.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]  # of a stream that is another's it can be read only
        """As the stream; like the two below, ``TextIOBase`` has one of its own, which says nothing."""
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]  # as above
        """As the stream."""
        return self._stream.errors

    @property
    def newlines(self) -> str | tuple[str, ...] | None:  # type: ignore[override]  # as above
        """As the stream."""
        newlines: str | tuple[str, ...] | None = self._stream.newlines
        return newlines

    def writable(self) -> bool:
        """It is."""
        return True

    def __getattr__(self, name: str) -> object:
        """``buffer``, ``mode``, ``reconfigure`` ..."""
        value: object = getattr(self._stream, name)
        return value


class NotesHandler(logging.Handler):
    """Writes log lines down, without time and labels: the record of the attempt has these."""

    def __init__(self, notes: Notes) -> None:
        """For the root logger."""
        super().__init__()
        self._notes = notes
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """One line, and its traceback."""
        try:
            self._notes.write((self.format(record) + "\n").encode("utf-8", "backslashreplace"))
        except Exception:  # noqa: BLE001 - logging's own way to say that arguments do not fit
            self.handleError(record)


def capture_streams(notes: Notes) -> None:
    """Put both streams in; a line is seen when it is written, not when the buffer is full."""
    for name in ("stdout", "stderr"):
        stream = cast(TextIO | None, getattr(sys, name))
        if stream is None:
            continue  # the worker was started without
        tee = Tee(stream, notes)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
        setattr(sys, name, tee)


def capture_logs(notes: Notes) -> None:
    """Hear all that is logged, unless the app has its lines written to a stream that is heard already."""
    root = logging.getLogger()
    if not any(isinstance(getattr(handler, "stream", None), Tee) for handler in root.handlers):
        root.addHandler(NotesHandler(notes))
