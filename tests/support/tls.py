"""TLS before servers that speak none, as those of the wheels. What comes without TLS goes through as it is."""

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_HANDSHAKE: Final = b"\x16"
"""What a client that speaks TLS says first."""


class Certificate:
    """A certificate for 127.0.0.1 that has signed itself, as files in a folder."""

    def __init__(self, folder: Path) -> None:
        """Make it."""
        self.file, self.key = folder / "certificate.pem", folder / "key.pem"
        subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
        made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
        subprocess.run([*made, "-keyout", self.key, "-out", self.file], check=True, capture_output=True)


class Front:
    """Listens on 127.0.0.1, and passes all on to a port that may be named later."""

    def __init__(self, certificate: Certificate | None = None) -> None:
        """It listens at once."""
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if certificate is not None:
            self._context.load_cert_chain(certificate.file, certificate.key)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=50)
        self._sockets: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]
        self.target = 0
        self.encrypted = 0
        """Connections with TLS so far."""

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in (self._listener, *self._sockets):
            _shut(one)

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:  # it is closed
                return
            threading.Thread(target=self._serve, args=(caller,), daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        try:
            if caller.recv(1, socket.MSG_PEEK) == _HANDSHAKE:
                caller = self._context.wrap_socket(caller, server_side=True)
                self.encrypted += 1
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            _shut(caller)
            return
        self._sockets += [caller, server]
        for carry, source, sink in ((self.there, caller, server), (self.back, server, caller)):
            threading.Thread(target=self._carry, args=(carry, source, sink), daemon=True).start()

    @staticmethod
    def _carry(
        carry: Callable[[socket.socket, socket.socket], None], source: socket.socket, sink: socket.socket
    ) -> None:
        try:
            carry(source, sink)
        except OSError:
            pass
        finally:
            _shut(source)
            _shut(sink)

    def there(self, caller: socket.socket, server: socket.socket) -> None:
        """Pass on what the caller says, until it says no more."""
        while said := caller.recv(65_536):
            server.sendall(said)

    def back(self, server: socket.socket, caller: socket.socket) -> None:
        """Pass on what is answered."""
        self.there(server, caller)


def _shut(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
