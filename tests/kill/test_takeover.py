"""The measurement of take-over runs; its figures belong to the evidence, not to a test on a busy machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = 40 if os.environ.get("ORDERWAY_LONG") else 2


@pytest.mark.slow
def test_orders_of_a_killed_process_are_taken_up(tmp_path: Path) -> None:
    figures = tmp_path / "takeover.json"
    command = [sys.executable, "-m", "bench.takeover", "--kills", str(KILLS), "--orders", "5", "--json", str(figures)]
    subprocess.run(command, cwd=Path(__file__).parents[2], check=True, timeout=60 * KILLS)
    result = json.loads(figures.read_text())
    assert result["taken_up"] == KILLS * 5
    assert 0 < result["min_s"] <= result["p50_s"] <= result["p99_s"] <= result["max_s"]
