"""What `make test` does about missing packages, where it may install nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

SCRIPT = (Path(__file__).parents[2] / ".ci" / "packages").read_text()
NOBODY = 65534
PROGRAMS = (
    *("initdb", "mariadbd", "redis-server", "rabbitmq-server", "psql", "mariadb"),
    *("pgbouncer", "openssl", "hledger", "promtool"),
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """All that is on somebody's PATH; whoever it is can read it."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "id").symlink_to("/usr/bin/id")
        yield folder


def write_program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)


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


@pytest.mark.parametrize("exit_code", [0, 100])
def test_what_is_missing_is_installed_without_starting_services(folder: Path, exit_code: int) -> None:
    # There is no other apt-get and no other sudo on PATH.
    policy = folder / "policy-rc.d"
    for program in ("env", "tee", "chmod", "rm", "cat", "true"):
        (folder / program).symlink_to(shutil.which(program) or "")
    for program in PROGRAMS[1:]:
        (folder / program).symlink_to("/bin/true")
    write_program(folder / "sudo", 'shift; exec "$@"')
    write_program(
        folder / "apt-get",
        f'echo "apt-get $*, $DEBIAN_FRONTEND, $("{policy}"; echo "services: $?")"\n'
        f'[ "$1" != install ] || exit {exit_code}',
    )
    (folder / "hledger").unlink()
    folder.chmod(0o777)
    result = run(folder, POLICY_RC_D=str(policy))
    assert result.returncode == 0
    assert "apt-get -qq update, , services: 101" in result.stdout
    assert "apt-get install --yes --no-install-recommends hledger -q, noninteractive, services: 101" in result.stdout
    assert not policy.exists(), "the machine decides again"
    assert ("could not be installed" in result.stderr) == bool(exit_code)


def test_nothing_is_said_where_all_is_there(folder: Path) -> None:
    for program in PROGRAMS:
        (folder / program).symlink_to("/bin/true")
    result = run(folder)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
