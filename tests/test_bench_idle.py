"""The measurement of an idle worker runs; its figures belong to the evidence, not to a test on a busy machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_what_an_idle_worker_asks_for_is_counted(tmp_path: Path) -> None:
    figures = tmp_path / "idle.json"
    command = [sys.executable, "-m", "bench.idle", "--on", "sqlite", "--tables", "2,8", "--seconds", "2"]
    subprocess.run([*command, "--json", str(figures)], cwd=Path(__file__).parents[1], check=True, timeout=120)
    few, many = json.loads(figures.read_text())["rows"]
    assert (few["tables"], many["tables"]) == (2, 8)
    assert few["a_second"] >= 2, "it looks twice a second at least"
    assert many["resident_mb"] > 10
