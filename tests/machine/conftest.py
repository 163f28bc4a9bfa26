"""Prints how often each rule of the machine was executed, at the end of the test run."""

from __future__ import annotations

from collections import Counter

import pytest

TABLES = pytest.StashKey[dict[str, Counter[str]]]()


@pytest.fixture
def tables(request: pytest.FixtureRequest) -> dict[str, Counter[str]]:
    """Where a run leaves its counts: by title, rule and number."""
    return request.config.stash.setdefault(TABLES, {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for title, counts in config.stash.get(TABLES, {}).items():
        terminalreporter.section(f"machine on {title}: {counts.total()} steps")
        for name, count in sorted(counts.items()):
            terminalreporter.line(f"{count:>8}  {name}")
