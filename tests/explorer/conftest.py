"""Fixtures of the crash explorer's tests."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from orderway.testing.report import Report


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Thousands of workers die here, and nobody wants to read of each."""
    caplog.set_level(logging.CRITICAL, logger="orderway")


@pytest.fixture
def explored(summarize: Callable[[str, str], None]) -> Callable[[Report], None]:
    """Has a report's line printed at the end, prints its table, and fails if anything went wrong."""

    def judge(report: Report) -> None:
        summarize("crash explorer", report.summary())
        print(report.table())  # noqa: T201 - pytest shows it with a failure, or with -s
        report.check()

    return judge
