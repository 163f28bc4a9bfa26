"""Suites of the ports: what must hold on any machine, however busy it is."""

from __future__ import annotations

import pytest

from orderway.sql import cluster


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """No database is left out for being slow: what a silent one does to the others is tested elsewhere."""
    monkeypatch.setattr(cluster, "PATIENCE_S", 60.0)
