"""What `make test` does about missing packages, where it may install nothing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

SCRIPT = (Path(__file__).parents[2] / ".ci" / "packages").read_text()
NOBODY = 65534
PROGRAMS = ("initdb", "mariadbd", "redis-server", "psql", "mariadb", "hledger")


@pytest.fixture
def folder() -> Iterator[Path]:
    """All that is on somebody's PATH; whoever it is can read it."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "id").symlink_to("/usr/bin/id")
        yield folder


def run(path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the script as somebody who is not root and has no sudo."""
    is_root = os.geteuid() == 0
    return subprocess.run(
        ["/bin/bash", "-s"],
        input=SCRIPT,
        env={"PATH": str(path), **environment},
        cwd="/",
        user=NOBODY if is_root else None,
        group=NOBODY if is_root else None,
        extra_groups=[] if is_root else None,
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_may_not_be_installed_is_named_with_the_command(folder: Path) -> None:
    result = run(folder)
    assert result.returncode == 0
    (command,) = (line for line in result.stderr.splitlines() if line.startswith("  "))
    assert command.startswith("  sudo apt-get update && sudo apt-get install --yes --no-install-recommends ")
    assert {"redis-server", "mariadb-client", "hledger"} <= set(command.split())
    assert "compose.yaml" in result.stderr


def test_a_server_that_runs_elsewhere_is_not_missing(folder: Path) -> None:
    result = run(folder, ORDERWAY_TEST_REDIS_URL="redis://elsewhere/")
    assert "redis-server" not in result.stdout + result.stderr
    assert "mariadb-client" in result.stdout, "databases are made there with it"


def test_nothing_is_said_where_all_is_there(folder: Path) -> None:
    for program in PROGRAMS:
        (folder / program).symlink_to("/bin/true")
    result = run(folder)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
