"""Where a database file lies, and whether it may lie there."""

import os
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from conveyor.core.errors import UsageError

NETWORKED = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "fuse.sshfs", "fuse.glusterfs", "9p"})
SYNCHRONOUS = frozenset({"FULL", "NORMAL"})


class Place:
    """What a ``sqlite://`` URL says: three slashes for a path from here, four for one from the root."""

    def __init__(self, url: str) -> None:
        """Raises ``UsageError`` for a URL that means nothing."""
        parts = urlsplit(url)
        path = unquote(parts.path.removeprefix("/")) or unquote(parts.netloc)
        self.memory = path == ":memory:"
        if not path or (parts.netloc and not self.memory):
            raise UsageError(f"{url} names no file; write sqlite:///jobs.db, or sqlite:////var/lib/app/jobs.db")
        # The one true name: leases and locks lie beside the file, and two names of it would be two sets of them; and a
        # process that changes its folder must go on with the same file.
        self.file = Path(os.path.realpath(path))
        options = dict(parse_qsl(parts.query))
        self.synchronous = options.pop("synchronous", "FULL").upper()
        if self.synchronous not in SYNCHRONOUS:
            raise UsageError(f"synchronous={self.synchronous} would lose jobs; it must be FULL or NORMAL")
        if options:
            raise UsageError(f"{url}: unknown option {', '.join(options)}; there is only synchronous=")

    @property
    def folder(self) -> Path:
        """The side folder: leases, doorbells and the writers' ticket."""
        return self.file.with_name(self.file.name + "-conveyor")

    def check(self) -> None:
        """Raises ``UsageError`` when the file cannot be, or must not be, where it is said to be."""
        parent = self.file.absolute().parent
        if not parent.is_dir():
            raise UsageError(f"there is no folder {parent} for the database {self.file}; make it first")
        kind = _filesystem(parent)
        if kind in NETWORKED:
            raise UsageError(
                f"{self.file} lies on a network file system ({kind}), where SQLite's locks cannot be trusted; "
                "use a local disk, or PostgreSQL"
            )


def _filesystem(folder: Path) -> str:
    """The type of the file system that *folder* is on; empty where the system does not tell."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8")
    except OSError:
        return ""
    best = ("", "")
    real = os.path.realpath(folder)
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        point = left.split()[4].encode().decode("unicode_escape")
        if (real == point or real.startswith(point.rstrip("/") + "/")) and len(point) >= len(best[0]):
            best = (point, right.split()[0])
    return best[1]
