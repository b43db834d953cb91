"""A pgbouncer in front of a test's server, in transaction mode: where nothing of a session may be relied on.

Its binary is Debian's: the one that is installed, or else its package, fetched and unpacked into a cache folder, for
which nobody need be root.
"""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psycopg

from tests.support.postgres import NOBODY, SUPERUSER, world_folder
from tests.support.server import Server, ServerError, Surroundings

PACKAGES: Final = ("pgbouncer", "libevent-2.1-7", "libc-ares2")
"""What it needs beyond what any Debian has."""
SETTINGS: Final = {
    "pool_mode": "transaction",
    "auth_type": "any",
    "default_pool_size": "10",
    "max_client_conn": "500",
    "server_reset_query": "DISCARD ALL",
    "server_reset_query_always": "1",
    "ignore_startup_parameters": "extra_float_digits",
    "server_idle_timeout": "5",
    "unix_socket_dir": "",
    "logfile": "",
}


_behind: dict[int, int | None] = {}
"""The servers' ports by those of poolers."""


class PgBouncer(Server):
    """One pgbouncer on 127.0.0.1, which leads to every database of the server that *url* is of.

    *settings* go to its file.
    """

    def __init__(self, url: str, **settings: str) -> None:
        """Write its file; start() starts it."""
        where = urlsplit(url)
        super().__init__("pgbouncer", world_folder("conveyor-pgbouncer-"))
        try:
            self._binary = _usable(find_binary(), self.root)
            settings = SETTINGS | {"listen_addr": "127.0.0.1", "listen_port": str(self.port)} | settings
            settings |= {"pidfile": str(self.root / "pgbouncer.pid")}
            lines = [f"{name} = {value}" for name, value in settings.items()]
            user = where.username or SUPERUSER
            databases = f"* = host={where.hostname} port={where.port} user={user}"
            text = "\n".join(["[databases]", databases, "[pgbouncer]", *lines, ""])
            self._file.write_text(text)
            if os.geteuid() == 0:
                os.chown(self.root, NOBODY, NOBODY)
        except BaseException:
            self.close()
            raise

    def url(self, url: str) -> str:
        """The database at *url*, a server's, through here."""
        where = urlsplit(url)
        _behind[self.port] = where.port
        return where._replace(netloc=f"{where.username}@127.0.0.1:{self.port}").geturl()

    def command(self) -> list[str]:
        """See ``Server``."""
        owner = ["-u", "nobody"] if os.geteuid() == 0 else []
        return [str(self._binary), *owner, str(self._file)]

    def surroundings(self) -> Surroundings:
        """See ``Server``."""
        return {**super().surroundings(), "env": {**os.environ, "LD_LIBRARY_PATH": str(self._binary.parent)}}

    def answers(self) -> bool:
        """See ``Server``."""
        try:
            psycopg.connect(self.url(f"postgresql://{SUPERUSER}@h/postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    @property
    def _file(self) -> Path:
        return self.root / "pgbouncer.ini"


def past(url: str) -> str | None:
    """The server's own address, if *url* leads through a pooler of this process."""
    port = next((port for port in _behind if f":{port}/" in url), None)
    return None if port is None else url.replace(f":{port}/", f":{_behind[port]}/")


def find_binary() -> Path:
    """Return the pgbouncer that is installed, or one from the cache, fetched if need be."""
    installed = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if installed:
        return Path(installed)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "conveyor-tests" / "pgbouncer"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes start side by side
        binary = cache / "unpacked" / "usr" / "sbin" / "pgbouncer"
        if not binary.exists():
            _fetch(cache)
        return binary


def _fetch(cache: Path) -> None:
    """Unpack what Debian's packages hold; nothing is installed."""
    try:
        if os.geteuid() == 0:  # a bare container has no lists of packages
            subprocess.run(["apt-get", "update", "-qq"], capture_output=True, check=False)
        _run(cache, "apt-get", "download", *PACKAGES)
        for package in cache.glob("*.deb"):
            _run(cache, "dpkg", "-x", package.name, "new")
    except FileNotFoundError:
        raise ServerError("no pgbouncer, and no apt-get to fetch it with; install it") from None
    (cache / "new").rename(cache / "unpacked")


def _run(folder: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        what = f"{' '.join(command)}: {done.stderr.strip()}"
        raise ServerError(f"no pgbouncer, and it cannot be fetched; on Debian: apt-get install pgbouncer ({what})")


def _usable(binary: Path, root: Path) -> Path:
    """A copy below *root*, where the user that it runs as may read it, with its libraries beside it."""
    copy = root / "bin"
    copy.mkdir(mode=0o755)
    libraries = [
        *binary.parents[2].glob("usr/lib/*/libevent-2.1.so*"),
        *binary.parents[2].glob("usr/lib/*/libcares.so*"),
    ]
    for file in (binary, *libraries):
        shutil.copy(file, copy)
        (copy / file.name).chmod(0o755)
    return copy / binary.name
