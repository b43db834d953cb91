"""Sentinels whose replicas hear late of what was written: the link to their primary is slow for them alone."""

import queue
import socket
import threading
import time
from contextlib import ExitStack

from tests.support.redis import RedisServer
from tests.support.sentinels import Watched
from tests.support.tls import Front

Late = queue.SimpleQueue[tuple[float, bytes]]


class Slow(Front):
    """Passes on to replicas what is written after *delay* seconds; and nothing of it, once the server is gone."""

    def __init__(self, delay: float) -> None:
        """See ``Front``."""
        super().__init__()
        self._delay = delay
        self._replicas: set[int] = set()

    def there(self, caller: socket.socket, server: socket.socket) -> None:
        """See ``Front``: a replica tells by what it asks for that it is one."""
        while said := caller.recv(65_536):
            if b"PSYNC" in said:
                self._replicas.add(id(caller))
            server.sendall(said)

    def back(self, server: socket.socket, caller: socket.socket) -> None:
        """See ``Front``."""
        late: Late = queue.SimpleQueue()
        over = threading.Event()
        threading.Thread(target=self._send, args=(late, caller, over), daemon=True).start()
        try:
            while said := server.recv(65_536):
                if id(caller) in self._replicas:
                    late.put((time.monotonic() + self._delay, said))
                else:
                    caller.sendall(said)
        finally:
            over.set()
            late.put((0.0, b""))

    @staticmethod
    def _send(late: Late, caller: socket.socket, over: threading.Event) -> None:
        while True:
            at, said = late.get()
            if over.wait(max(at - time.monotonic(), 0)):
                return
            try:
                caller.sendall(said)
            except OSError:
                return


class Lagging(Watched):
    """The whole of it; its first primary is ``servers[0]``."""

    def __init__(self, version: str, delay: float, **settings: str) -> None:
        """Replicas hear *delay* seconds late."""
        super().__init__(version, **settings)
        self._delay = delay

    def reached(self, stack: ExitStack, primary: RedisServer) -> int:
        """See ``Watched``."""
        front = stack.enter_context(Slow(self._delay))
        front.target = primary.port
        return front.port
