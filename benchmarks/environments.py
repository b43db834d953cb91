"""An environment for each peer, made once from its pinned requirements, below .cache/."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".cache" / "compare"
WANTED = ("3.13", "3.12")
"""The Pythons that will do, the best one first: one for all, and Oban wants 3.12 at least."""


class Missing(RuntimeError):
    """Something that the comparison needs is not here."""


def find_python() -> str:
    """The Python that all peers run on."""
    for version in WANTED:
        for candidate in candidates(version):
            if version_of(candidate) == version:
                return candidate
    raise Missing(f"no Python {' or '.join(WANTED)} here, and Oban needs one; name one with --python")


def candidates(version: str) -> Iterator[str]:
    """Where a Python of *version* may be: this one, on PATH, or of pyenv, whose shims may lead nowhere."""
    yield sys.executable
    if found := shutil.which(f"python{version}"):
        yield found
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from (str(path) for path in sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True))


def version_of(python: str) -> str:
    """Major and minor version of *python*; nothing if it does not run."""
    command = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def environment(peer: str, python: str) -> Path:
    """The Python of *peer*'s environment, which is made if it is not there or was made of other requirements."""
    requirements = ROOT / "benchmarks" / peer / "requirements.txt"
    made_of = f"{Path(python).resolve()}\n{requirements.read_text()}"
    folder = CACHE / f"{peer}-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        install(folder, python, requirements)
        (folder / "complete").touch()
    return folder / "bin" / "python"


def install(folder: Path, python: str, requirements: Path) -> None:
    """Make *folder* with uv where it is, else with venv and pip."""
    target = str(folder / "bin" / "python")
    if uv := shutil.which("uv"):
        steps = [
            [uv, "venv", "--quiet", "--python", python, str(folder)],
            [uv, "pip", "install", "--quiet", "--python", target, "-r", str(requirements)],
        ]
    else:
        pip = [sys.executable, "-m", "pip", "--python", target, "--disable-pip-version-check"]
        steps = [
            [python, "-m", "venv", "--without-pip", str(folder)],
            [*pip, "install", "--quiet", "-r", str(requirements)],
        ]
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Missing(f"{' '.join(step)} failed:\n{done.stderr}")
