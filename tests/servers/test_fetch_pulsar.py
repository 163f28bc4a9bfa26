"""How Apache Pulsar is fetched for the tests, as far as that shows without fetching it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from orderway.testing.servers import ServerUnavailable
from orderway.testing.servers.pulsar import PulsarLiteServer, best_pulsar, fetched_pulsar

ROOT = Path(__file__).parents[2]
FETCH = ROOT / ".ci" / "pulsar" / "fetch"
VERSION = re.findall(r"<pulsar.version>(.+)</pulsar.version>", (FETCH.parent / "pom.xml").read_text())[0]


def fetch(cache: Path, *arguments: str, programs: tuple[str, ...] = (), **environment: str) -> tuple[int, str]:
    """Runs the script with these programs only; returns its exit code and what it said."""
    path = cache / "programs"
    path.mkdir(parents=True, exist_ok=True)
    for program in ("bash", "dirname", "sed", *programs):
        (path / program).symlink_to(shutil.which(program) or f"/bin/{program}")
    result = subprocess.run(
        [shutil.which("bash") or "/bin/bash", str(FETCH), *arguments],
        env={"PATH": str(path), "XDG_CACHE_HOME": str(cache), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return result.returncode, result.stdout + result.stderr


@pytest.mark.parametrize(("arguments", "code"), [((), 1), (("--optional",), 0)])
def test_without_java_it_says_what_is_needed(tmp_path: Path, arguments: tuple[str, ...], code: int) -> None:
    ended, said = fetch(tmp_path, *arguments)
    assert ended == code
    assert "Java 17 or newer, and Maven" in said


def test_what_was_fetched_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "orderway" / f"pulsar-{VERSION}").mkdir(parents=True)
    assert fetch(tmp_path) == (0, "")


def test_with_a_running_pulsar_nothing_is_fetched(tmp_path: Path) -> None:
    assert fetch(tmp_path, ORDERWAY_TEST_PULSAR_URL="pulsar://host") == (0, "")


def test_the_newest_that_was_fetched_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ServerUnavailable, match="make pulsar"):
        fetched_pulsar()
    assert best_pulsar() is PulsarLiteServer
    for name in ("pulsar-4.0.7", "pulsar-4.0.10", "pulsar-4.0.11.part"):
        (tmp_path / "orderway" / name).mkdir(parents=True)
    assert fetched_pulsar().name == "pulsar-4.0.10"


def test_the_page_of_queues_names_the_version_that_is_fetched() -> None:
    assert f"Apache Pulsar {VERSION} LTS" in (ROOT / "docs" / "backends.md").read_text()
