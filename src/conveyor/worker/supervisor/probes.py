"""Answers probes: over HTTP for orchestrators, and over a socket file for ``conveyor health``.

In threads of their own: a probe must be answered, or fail, whatever the supervisor is at.
"""

import contextlib
import logging
import os
import socket
import socketserver
import sys
import tempfile
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Final, Protocol, cast

import msgspec

from conveyor.worker.supervisor.state import WorkerState

logger = logging.getLogger("conveyor.worker")

PATIENCE: Final = 5.0
"""Seconds that somebody who asks gets to say what."""
NEVER: Final = 3600.0
"""Seconds between looks whether it should end, which it should not."""
SUFFIX: Final = ".sock"

See = Callable[[], WorkerState]


def folder() -> Path:
    """Where the workers of this user on this machine can be asked how they are."""
    return Path(tempfile.gettempdir()) / f"conveyor-{os.getuid()}"


class Page(Protocol):
    """One more page, of a worker's state."""

    @property
    def kind(self) -> str:
        """Its content type."""
        ...

    def page(self, state: WorkerState) -> bytes:
        """The page."""
        ...


class _Handler(BaseHTTPRequestHandler):
    """``/healthz``: need not be restarted; ``/readyz``: makes progress. 200 or 503, and the state as JSON.

    And whatever other page there is, as ``/metrics``.
    """

    timeout = PATIENCE
    server_version = "conveyor"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer."""
        good: dict[str, Callable[[WorkerState], bool]] = {
            "/healthz": lambda state: state.live,
            "/readyz": lambda state: state.ready,
        }
        path = self.path.partition("?")[0]
        server = cast(_Answering, self.server)
        if path == "/metrics" and server.metrics is not None:
            self._answer(HTTPStatus.OK, server.metrics.page(server.see()), server.metrics.kind)
            return
        if path not in good:
            self._answer(HTTPStatus.NOT_FOUND, b'{"error": "ask for /healthz or /readyz"}')
            return
        state = server.see()
        self._answer(HTTPStatus.OK if good[path](state) else HTTPStatus.SERVICE_UNAVAILABLE, msgspec.json.encode(state))

    def _answer(self, status: HTTPStatus, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the library has it
        """Probes come every few seconds, and are no news."""

    def address_string(self) -> str:
        """A socket file has no address."""
        return "probe"


class _Answering(socketserver.ThreadingMixIn):
    """A server that answers each in a thread, and knows what to answer."""

    daemon_threads = True
    see: See
    metrics: "Page | None"

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - as the library has it
        """Who asks and goes away before the answer is no concern of ours."""
        logger.debug("a probe went away: %s", sys.exception())


class _HttpServer(_Answering, HTTPServer):
    pass


class _Http6Server(_HttpServer):
    address_family = socket.AF_INET6


class _FileServer(_Answering, socketserver.UnixStreamServer):
    pass


class Probes:
    """Both doors."""

    def __init__(self, see: See, address: tuple[str, int] | None, metrics: Page | None) -> None:
        """Opens nothing yet; *address* is where to answer HTTP, if at all, and *metrics* what to answer there too."""
        self._metrics = metrics
        self._see = see
        self._address = address
        self._file: Path | None = None
        self._servers: list[_HttpServer | _FileServer] = []

    def open(self) -> None:
        """Begin to answer. ``OSError`` when the address is taken; without a socket file one can do."""
        if self._address is not None:
            try:
                kind = _Http6Server if ":" in self._address[0] else _HttpServer
                server = kind(self._address, _Handler)
                logger.info("answers probes on http://%s:%d", *server.server_address[:2])
                self._serve(server)
            except OSError as error:
                host, port = self._address
                raise OSError(error.errno, f"probes cannot be answered on {host}:{port}: {error.strerror}") from None
        try:
            self._file = folder() / f"{os.getpid()}{SUFFIX}"
            self._file.parent.mkdir(mode=0o700, exist_ok=True)
            self._file.unlink(missing_ok=True)
            self._serve(_FileServer(str(self._file), _Handler))
        except OSError as error:  # there may be no folder to write to
            logger.warning("`conveyor health` will not find this worker: %s", error)

    def close(self) -> None:
        """Be found no more. The threads end with the process: to end before, they would have to wake now and then."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.unlink(missing_ok=True)

    def _serve(self, server: "_HttpServer | _FileServer") -> None:
        server.see, server.metrics = self._see, self._metrics
        self._servers.append(server)
        serve = threading.Thread(target=server.serve_forever, args=[NEVER], daemon=True)
        serve.name = "conveyor-probes"
        serve.start()


def ask(file: Path, path: str, seconds: float) -> tuple[int, WorkerState]:
    """The status and the state that the worker behind *file* answers. ``OSError`` when it does not, in time."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(seconds)
        connection.connect(str(file))
        connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        data = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, body = data.partition(b"\r\n\r\n")
    try:
        return int(head.split()[1]), msgspec.json.decode(body, type=WorkerState)
    except (IndexError, ValueError, msgspec.MsgspecError) as error:
        raise OSError(f"{file} gave no answer that can be read: {error}") from error
