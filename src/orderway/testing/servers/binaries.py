"""Where the programs of the database servers are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

# Debian keeps servers where an ordinary user's PATH does not look.
_SYSTEM_FOLDERS = (
    "/usr/sbin",
    "/usr/local/sbin",
    "/usr/lib/postgresql/*/bin",
    "/usr/local/pgsql/bin",
    "/usr/lib/rabbitmq/bin",
)

# Debian's psql on PATH is Perl that looks for the newest one: ten times as slow as the program that it finds. Its
# rabbitmq-server runs the program elsewhere than it was started, with another account and other places for its output.
_WRAPPERS = ("pg_wrapper", "rabbitmq-script-wrapper")


class ServerUnavailable(Exception):
    """A server for tests cannot be had: its programs are missing, or it does not start. The text says what to do."""


def find_folder(programs: Sequence[str], *, package: str) -> Path:
    """The folder that has all of these programs: programs of one installation belong together.

    Raises:
        ServerUnavailable: there is none. The text names the Debian package.
    """
    for folder in _folders():
        if all(shutil.which(program, path=str(folder)) for program in programs):
            # A link leads to the real installation, whose other files the programs look for beside themselves.
            return (folder / programs[0]).resolve().parent
    raise ServerUnavailable(_missing(programs, package))


def find_program(*names: str, package: str) -> str:
    """The path of the first of these programs that exists.

    Raises:
        ServerUnavailable: there is none. The text names the Debian package.
    """
    for name in names:
        for folder in _folders():
            found = shutil.which(name, path=str(folder))
            if found and Path(found).resolve().name not in _WRAPPERS:
                return found
    raise ServerUnavailable(_missing(names[:1], package))


def _folders() -> list[Path]:
    """Newest version first where there are several of one server."""
    folders = [Path(folder) for folder in os.get_exec_path()]
    for pattern in _SYSTEM_FOLDERS:
        folders += sorted(Path("/").glob(pattern.lstrip("/")), key=_version, reverse=True)
    return folders


def _version(folder: Path) -> int:
    return int(folder.parent.name) if folder.parent.name.isdigit() else 0


def _missing(programs: Sequence[str], package: str) -> str:
    return (
        f"{' and '.join(programs)} not found on PATH, in /usr/sbin, or in /usr/lib/postgresql/*/bin. "
        f"Debian and Ubuntu have it in the package {package}: apt-get install --no-install-recommends {package}"
    )
