"""Prints what the crash explorer has tried, at the end of the test run."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from orderway.testing.report import Report

_EXPLORED = pytest.StashKey[list[str]]()


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Thousands of workers die here, and nobody wants to read of each."""
    caplog.set_level(logging.CRITICAL, logger="orderway")


@pytest.fixture
def explored(request: pytest.FixtureRequest) -> Callable[[Report], None]:
    """Has a report's line printed at the end, prints its table, and fails if anything went wrong."""

    def judge(report: Report) -> None:
        request.config.stash.setdefault(_EXPLORED, []).append(report.summary())
        print(report.table())  # noqa: T201 - pytest shows it with a failure, or with -s
        report.check()

    return judge


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = terminalreporter.config.stash.get(_EXPLORED, [])
    if lines:
        terminalreporter.section("crash explorer")
        for line in lines:
            terminalreporter.write_line(line)
