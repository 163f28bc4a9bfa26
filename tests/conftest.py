"""Prints at the end of the run what long explorations have counted, wherever they ran (pytest-xdist included)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest_plugins = ["orderway.testing.servers.fixtures"]

PROPERTY = "summary"

# What `make check` leaves out, for it must stay under a minute: whole explorations, races between processes, what
# needs a database server, and the SQLite suites over three shards (one shard stays in). `make test` runs everything.
SLOW = (
    *(
        "tests/demo/",
        "tests/explorer/",
        "tests/faults/",
        "tests/kill/",
        "tests/machine/",
        "tests/simulation/",
        "tests/servers/",
    ),
    *("tests/races/", "tests/sql/test_sharing.py", "tests/engine/test_odd_payments.py", "tests/test_bench.py"),
    *("tests/channels/test_scripted_http.py", "tests/test_example.py", "processes"),
    *("tests/mysql/", "tests/postgresql/", "tests/conformance/test_mariadb.py", "tests/conformance/test_postgresql.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        over_three_shards = item.nodeid.startswith("tests/conformance/test_sqlite.py") and "3-shards" in item.nodeid
        if over_three_shards or any(part in item.nodeid for part in SLOW):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def summarize(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Has a text printed under a title at the end of the test run. It travels with the test's report."""

    def note(title: str, text: str) -> None:
        request.node.user_properties.append((PROPERTY, (title, text)))

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    sections: dict[str, list[str]] = {}
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            for name, value in getattr(report, "user_properties", ()):
                if name == PROPERTY:
                    sections.setdefault(value[0], []).append(value[1])
    for title, texts in sorted(sections.items()):
        terminalreporter.section(title)
        for text in sorted(texts):
            terminalreporter.write_line(text)
