"""Prometheus' own tool, which checks what we give it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def promtool(*words: str, given: str = "", folder: Path | None = None) -> None:
    """Run it; what it complains about fails the test."""
    command = shutil.which("promtool")
    if command is None:
        missing = "promtool is not installed (Debian, Ubuntu: apt-get install prometheus; .ci/run does it)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    run = subprocess.run([command, *words], input=given, capture_output=True, text=True, check=False, cwd=folder)
    assert run.returncode == 0, run.stdout + run.stderr
