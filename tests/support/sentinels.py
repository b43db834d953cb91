"""A primary with two replicas, and three Sentinels that watch over them: all on 127.0.0.1, gone without a trace."""

from contextlib import ExitStack
from typing import Final

import redis

from tests.support.redis import RedisServer, find_binary
from tests.support.server import Together
from tests.support.waiting import until

SERVICE: Final = "jobs"
DOWN_AFTER: Final = 500
"""Milliseconds of silence after which a Sentinel takes the primary for dead."""
STARTING: Final = 30.0


class Watcher(RedisServer):
    """One Sentinel, which watches the server at *port*; *enough* must take it for dead."""

    def __init__(self, version: str, port: int, password: str = "", enough: int = 2) -> None:
        """Make the data folder, with its configuration, which a Sentinel rewrites.

        Whoever asks it needs the *password*, as do the other Sentinels.
        """
        super().__init__(version)
        lines = [
            f"port {self.port}",
            "bind 127.0.0.1",
            f"dir {self.root}",
            f"pidfile {self.root}/redis.pid",
            f"sentinel monitor {SERVICE} 127.0.0.1 {port} {enough}",
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER}",
            f"sentinel failover-timeout {SERVICE} 2000",
            *([f"requirepass {password}", f"sentinel sentinel-pass {password}"] if password else []),
        ]
        (self.root / "sentinel.conf").write_text("\n".join(lines) + "\n")

    def command(self) -> list[str]:
        """See ``Server``."""
        return [str(find_binary(self.version)), str(self.root / "sentinel.conf"), "--sentinel"]


class Watched(Together):
    """The whole of it."""

    def __init__(self, version: str, password: str = "", **settings: str) -> None:
        """*settings* go to all three servers, and the *password* is the Sentinels'."""
        super().__init__()
        self._version = version
        self._password = password or None
        self._settings = settings
        self.servers: list[RedisServer] = []
        self.sentinels: list[Watcher] = []

    def begin(self, stack: ExitStack) -> None:
        """See ``Together``."""
        primary = stack.enter_context(RedisServer(self._version, **self._settings))
        port = self.reached(stack, primary)
        behind = {"replicaof": f"127.0.0.1 {port}", "repl_diskless_sync_delay": "0"} | self._settings
        self.servers = [primary, *(stack.enter_context(RedisServer(self._version, **behind)) for _ in range(2))]
        until(lambda: all(self._follows(server) for server in self.servers[1:]), patience=STARTING)
        password = self._password or ""
        self.sentinels = [stack.enter_context(Watcher(self._version, port, password)) for _ in range(3)]
        until(lambda: all(self._knows(sentinel) for sentinel in self.sentinels), patience=STARTING)

    def reached(self, stack: ExitStack, primary: RedisServer) -> int:  # noqa: ARG002 - others put something between
        """The port at which all others reach the first primary."""
        return primary.port

    def url(self, options: str = "") -> str:
        """The address of the service."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}/0{options}"

    def primary(self) -> RedisServer:
        """The server that a Sentinel takes for the primary."""
        with redis.Redis(port=self.sentinels[0].port, password=self._password) as client:
            port = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)[1]
        return next(server for server in self.servers if server.port == int(port))

    @staticmethod
    def _follows(server: RedisServer) -> bool:
        with redis.Redis(port=server.port) as client:
            return client.info("replication").get("master_link_status") == "up"

    def _knows(self, sentinel: Watcher) -> bool:
        with redis.Redis(port=sentinel.port, password=self._password, decode_responses=True) as client:
            state = client.sentinel_master(SERVICE)
        return state["num-other-sentinels"] == 2 and state["num-slaves"] == 2
