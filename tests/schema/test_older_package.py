"""Version 0.1.0 on newer tables: it works on through steps that add, and is refused after one that takes away.

The wheel is 0.1.0 as it was built from its commit, which a clone need not have.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orderway.adapters import open_ports
from orderway.doctor import examine
from orderway.errors import SchemaTooNew
from orderway.sql import schema
from orderway.sql.dialects.sqlite.migrating import SqlitePlace
from orderway.sql.migrating import Migrated, Phase, migrate
from orderway.verify import verify

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
STEPS = HERE / "steps"


class Till:
    """A shop in a process of its own, on a package of its own; see ``till.py``."""

    def __init__(self, url: str, package: Path | None) -> None:
        path = {} if package is None else {"PYTHONPATH": str(package)}
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "till.py"), url],
            env=os.environ | path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.greeting = self._answer()

    def take(self, count: int) -> list[str]:
        ids: list[str] = self._ask(f"take {count}")["ids"]
        return ids

    def forward(self, ids: list[str]) -> set[str]:
        return set(self._ask(f"forward {' '.join(ids)}")["stages"])

    def close(self) -> None:
        self._process.communicate(timeout=30)

    def _ask(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with version 0.1.0."""
    (wheel,) = HERE.glob("*.whl")
    folder = tmp_path_factory.mktemp("older")
    zipfile.ZipFile(wheel).extractall(folder)
    code = "import orderway, orderway.sql.tables as tables; print(orderway.__file__, tables.SCHEMA_VERSION)"
    environment = os.environ | {"PYTHONPATH": str(folder)}
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.split() == [str(folder / "orderway" / "__init__.py"), "2"]
    return folder


@pytest.fixture
def tills(tmp_path: Path, older: Path) -> Iterator[Any]:
    """Opens tills on one file: of the older package, or of this one."""
    opened: list[Till] = []

    def open_till(*, is_older: bool) -> Till:
        opened.append(Till(f"sqlite:///{tmp_path}/orders.db", older if is_older else None))
        return opened[-1]

    yield open_till
    for till in opened:
        till.close()


async def step(folder: Path, phase: Phase) -> Migrated:
    (done,) = await migrate([SqlitePlace(folder / "orders.db")], phase=phase, versions=[STEPS])
    return done


async def findings(folder: Path) -> tuple[int, int]:
    """How many orders there are, and how many things are wrong with them and the books."""
    ports = await open_ports(f"sqlite:///{folder}/orders.db")
    try:
        report = await verify(ports.store, ports.ledger)
    finally:
        await ports.close()
    return report.orders, report.found


async def test_a_file_that_it_made_is_opened_without_a_migration(tmp_path: Path, tills: Any) -> None:
    was = tills(is_older=True)
    done, open_ones = was.take(3), was.take(4)
    assert was.forward(done) == {"finished"}
    was.close()

    now = tills(is_older=False)
    assert now.forward([*done, *open_ones]) == {"finished"}
    now.close()

    assert await findings(tmp_path) == (7, 0)
    (looked,) = await migrate([SqlitePlace(tmp_path / "orders.db")], look_only=True)
    assert looked.differences == ["table ow_letters is missing: run `orderway migrate`"], "for whoever wants that queue"
    assert looked.revision is None
    examined = await examine([f"sqlite:///{tmp_path}/orders.db"])
    assert all(finding.is_well for finding in examined), "nothing need be done before"
    assert {"workers", "orders"} < {finding.part for finding in examined}
    (migrated,) = await migrate([SqlitePlace(tmp_path / "orders.db")])
    assert migrated.is_well


async def test_it_works_on_through_the_steps_that_add(tmp_path: Path, tills: Any) -> None:
    was = tills(is_older=True)
    before = was.take(4)
    migrated = await step(tmp_path, "pre")  # beside the older package at work
    assert "added column gift to ow_orders_2" in migrated.done
    assert migrated.revision == "9001"
    assert [each[:4] for each in migrated.waiting["post"]] == ["9002"]

    assert was.forward(before[:2]) == {"finished"}
    between = was.take(3)
    now = tills(is_older=False)
    later = tills(is_older=True)  # it starts on the newer tables too
    assert now.forward([*before[2:], *between[:2]]) == {"finished"}
    after = now.take(2)
    assert later.forward([*between[2:], *after]) == {"finished"}
    for till in (was, now, later):
        till.close()

    assert await findings(tmp_path) == (9, 0)


async def test_it_is_refused_after_a_step_that_takes_away_and_nothing_is_lost(
    tmp_path: Path, tills: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    was = tills(is_older=True)
    orders = was.take(5)
    was.forward(orders[:3])
    was.close()
    migrated = await step(tmp_path, "post")
    assert migrated.revision == "9002"
    assert migrated.waiting == {}

    refused = tills(is_older=True)
    assert refused.greeting["error"] == "schema_too_new"
    with pytest.raises(SchemaTooNew, match="schema version 3, this package knows 2"):
        await open_ports(f"sqlite:///{tmp_path}/orders.db")

    monkeypatch.setattr(schema, "SCHEMA_VERSION", 3)  # a package that knows these steps: its checks let it in
    ports = await open_ports(f"sqlite:///{tmp_path}/orders.db")
    try:
        entries = [await ports.store.entries(order_id) for order_id in orders]
    finally:
        await ports.close()
    assert [len(journal) for journal in entries] == [len(entries[0])] * 3 + [len(entries[4])] * 2
    assert len(entries[0]) > len(entries[4]) >= 1
