"""Prints at the end of the run what long explorations have counted, wherever they ran (pytest-xdist included)."""

from __future__ import annotations

import gc
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest

pytest_plugins = ["orderway.testing.servers.fixtures"]

PROPERTY = "summary"

# What `make check` leaves out, for it must stay under a minute: whole explorations, races between processes, hours of
# virtual time, the longest of the generated examples, and the SQLite suites over three shards (one shard stays in).
# `make test` runs everything.
SLOW = (
    *("tests/demo/", "tests/explorer/", "tests/faults/", "tests/fleet/"),
    *("tests/kill/", "tests/machine/", "tests/simulation/"),
    *("tests/races/", "tests/sql/test_sharing.py", "tests/engine/test_odd_payments.py", "tests/test_bench.py"),
    *("tests/channels/test_scripted_http.py", "tests/test_example.py", "processes"),
    *(
        "tests/conformance/test_queue_store.py",
        "tests/observe/test_canary.py",
        "tests/cli/test_doctor.py::test_a_server",
    ),
    *("tests/conformance/test_channels.py", "tests/config/test_apollo.py", "tests/config/test_sources.py"),
    *("tests/core/test_allocation.py", "tests/sql/test_refusals.py", "tests/test_verify_money.py"),
    *("tests/export/test_export_tables.py", "tests/engine/test_stuck.py"),
    *("tests/engine/test_forks_and_exits.py", "test_a_hint_that_is_too_old_is_not_tried_again"),
    *("tests/servers/", "tests/mysql/", "tests/postgresql/", "tests/with_redis/test_redis_faults.py"),
    *("test_find_and_overview", "test_every_hold_goes_back_if", "test_a_late_part_counts_for_what_was_asked"),
    *("test_a_short_balance_that_is_never_topped_up", "test_an_unpaid_order_of_ones_own_gateway_closes"),
    *("test_data_that_cannot_be_stored_is_a_failed_attempt", "test_what_was_refused_is_refundable_again"),
    *("test_what_can_never_be_closed_ends", "test_no_fact_asks_for_less_than_nothing"),
    *("tests/engine/test_payment_details.py", "test_resume_with_corrected_data", "test_a_failing_delivery_backs_off"),
    *("test_a_refund_past_its_deadline", "test_take_back_that_fails_ends", "test_resuming_a_failed_take_back"),
    *("test_partial_refunds_end_with_exactly", "test_in_reverse_a_leg_gives_only", "test_in_ratio_each_leg"),
    *("test_an_export_interrupted_at_any_sync", "test_nobody_can_forge_a_line", "test_hledger_comes_to_the_same"),
)
SERVERS = {"postgresql_server", "mariadb_server", "redis_server", "pulsar_server", "rabbitmq_server", "own_server"}
"""The fixtures of database servers: whatever needs one is slow."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """What is left out as a whole is not even imported, which takes each worker seconds."""
    place = collection_path.relative_to(config.rootpath).as_posix()
    is_left_out = place in SLOW or f"{place}/" in SLOW
    return True if config.option.markexpr == "not slow" and is_left_out else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        over_three_shards = item.nodeid.startswith("tests/conformance/test_sqlite.py") and "3-shards" in item.nodeid
        needs_server = isinstance(item, pytest.Function) and not SERVERS.isdisjoint(item.fixturenames)
        if over_three_shards or needs_server or any(part in item.nodeid for part in SLOW):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    # Thousands of collected tests live as long as the run: looking through them at each collection takes a tenth of it.
    gc.collect()
    gc.freeze()


class Certificate(NamedTuple):
    """A certificate for 127.0.0.1, signed by itself, and its key: files of PEM that every server's account can read."""

    path: Path
    key: Path


@pytest.fixture(scope="session")
def certificate() -> Iterator[Certificate]:
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        made = Certificate(Path(name) / "certificate.pem", Path(name) / "key.pem")
        make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test"]
        make += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(made.path), "-keyout", str(made.key)]
        subprocess.run(make, check=True, capture_output=True)
        made.key.chmod(0o644)
        yield made


@pytest.fixture
def open_sockets() -> Callable[[], int]:
    """How many sockets this process has open."""
    return lambda: sum(each.is_socket() for each in Path("/proc/self/fd").iterdir())


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
