"""Fixtures of the tests of metrics, traces and logs."""

from __future__ import annotations

import pytest
from observed_shop import Market


@pytest.fixture
def market() -> Market:
    return Market()
