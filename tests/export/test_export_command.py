"""The command: an export that is killed anywhere goes on, and ends byte for byte as one that was left alone."""

from __future__ import annotations

import asyncio
import csv
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from filling import fill_ledger, fill_orders

from orderway.adapters import open_ports
from orderway.cli.commands import orderway
from orderway.errors import InvalidValue, Unavailable
from orderway.export import Chunk, ExportFile

STOPPED = """
import os, sys
left, sync = int(sys.argv.pop(1)), os.fsync


def stop_after(file):
    global left
    sync(file)
    left -= 1
    if left == 0:
        print("stopped", flush=True)
        sys.stdin.read()


os.fsync = stop_after
from orderway.cli import main
main()
"""
"""The command, which says so and waits after so many syncs of files to the disk."""

KINDS = {
    "orders": ("orders", "--format", "csv", "--with-private"),
    "journal": ("journal", "--format", "jsonl"),
    "ledger": ("ledger",),
}
every_kind = pytest.mark.parametrize("words", KINDS.values(), ids=KINDS)


@dataclass
class Shop:
    """A folder with a filled ``orders.db``, which is the current folder."""

    folder: Path

    def run(self, *words: str) -> Result:
        """Run a command line in this process."""
        return CliRunner().invoke(orderway, words)

    def export(self, *words: str) -> Path:
        """The output of an export that nobody disturbs."""
        path = self.folder / f"{words[0]}.whole"
        result = self.run("export", *words, "--page", "14", "--output", str(path))
        assert result.exit_code == 0, result.output
        return path

    def fail(self, syncs: int, *words: str) -> Result:
        """Run an export whose disk is full after so many syncs."""
        sync, left = os.fsync, syncs

        def full(file: int) -> None:
            nonlocal left
            sync(file)
            left -= 1
            if left == 0:
                raise OSError(errno.ENOSPC, "No space left on device")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fsync", full)
            return self.run("export", *words)

    def kill(self, syncs: int, *words: str) -> bool:
        """Run an export in a process of its own, and kill it after so many syncs; False if it came to its end."""
        with subprocess.Popen(
            [sys.executable, "-c", STOPPED, str(syncs), "export", *words],
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            if process.stdout.readline() != "stopped\n":
                return False
            process.send_signal(signal.SIGKILL)
        return True


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database that every test gets a copy of."""
    path = tmp_path_factory.mktemp("filled") / "orders.db"

    async def fill() -> None:
        ports = await open_ports(f"sqlite:///{path}")
        await fill_orders(ports)
        await fill_ledger(ports, ("ann", "bob\n2026-01-01 x"))
        await ports.close()

    asyncio.run(fill())
    return path


@pytest.fixture
def shop(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    shutil.copy(filled, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ORDERWAY_URL", raising=False)
    monkeypatch.delenv("ORDERWAY_APP", raising=False)
    return Shop(tmp_path)


@pytest.mark.slow
@every_kind
def test_an_export_killed_again_and_again_is_as_one_left_alone(words: tuple[str, ...], shop: Shop) -> None:
    whole, path, side = (shop.folder / name for name in ("whole", "cut", "cut.cursor"))
    assert not shop.kill(0, *words, "--page", "14", "--output", "whole")
    assert shop.kill(4, *words, "--page", "14", "--output", "cut")  # begun, and nothing is written
    going_on = (words[0], "--page", "14", "--output", "cut", "--resume")
    assert shop.kill(1, *going_on)
    assert path.stat().st_size > json.loads(side.read_text())["bytes"] == 0  # a page that nothing vouches for
    assert shop.kill(4, *going_on)
    assert path.stat().st_size > json.loads(side.read_text())["bytes"] > 0
    with path.open("ab") as file:
        file.write(b"\0torn")
    assert shop.kill(2, *going_on)
    assert not shop.kill(0, *going_on)
    assert path.read_bytes() == whole.read_bytes() != b""
    assert not side.exists()


@every_kind
def test_an_export_interrupted_at_any_sync_goes_on(words: tuple[str, ...], shop: Shop) -> None:
    whole = shop.export(*words)
    path, side, syncs = shop.folder / "cut", shop.folder / "cut.cursor", 1
    while (result := shop.fail(syncs, *words, "--page", "14", "--output", "cut")).exit_code:
        assert result.exit_code == 2
        assert "cut cannot be written: No space left on device" in result.stderr
        resumed = shop.run("export", words[0], "--page", "14", "--output", "cut", "--resume")
        if syncs == 1:  # nothing was begun
            assert resumed.exit_code == 2
            assert not path.exists()
        else:
            assert resumed.exit_code == 0, resumed.output
            assert path.read_bytes() == whole.read_bytes()
            path.unlink()
        assert not side.exists()
        syncs += 1
    assert syncs > 10


def test_what_is_exported_to_standard_output_is_what_a_file_holds(shop: Shop) -> None:
    for words in KINDS.values():
        whole = shop.export(*words)
        assert shop.run("export", *words).stdout_bytes == whole.read_bytes()


def test_options_choose_orders_and_are_kept_for_going_on(shop: Shop) -> None:
    chosen = ("orders", "--status", "3", "--type", "0", "--until", "2027-01-01")
    whole = shop.export(*chosen)
    documents = [json.loads(line) for line in whole.read_text().splitlines()]
    assert {(document["status"], document["type"]) for document in documents} == {(3, 0)}
    assert shop.fail(8, *chosen, "--page", "1", "--output", "cut").exit_code == 2
    assert shop.run("export", "orders", "--output", "cut", "--resume").exit_code == 0
    assert (shop.folder / "cut").read_bytes() == whole.read_bytes()


def test_how_long_ago_is_kept_for_going_on(shop: Shop) -> None:
    whole = shop.export("orders")
    chosen = ("orders", "--since", "1000w", "--until", "1s")
    assert shop.run("export", *chosen).stdout_bytes == whole.read_bytes()
    assert shop.run("export", "orders", "--until", "1000w").stdout_bytes == b""
    assert shop.fail(8, *chosen, "--page", "14", "--output", "cut").exit_code == 2
    begun = json.loads((shop.folder / "cut.cursor").read_text())["what"]
    refused = shop.run("export", "orders", "--since", "1h", "--output", "cut", "--resume")
    assert refused.exit_code == 2
    assert "leave the option out to go on as it was begun" in refused.output
    assert shop.fail(1, *chosen, "--page", "14", "--output", "cut", "--resume").exit_code == 2
    assert json.loads((shop.folder / "cut.cursor").read_text())["what"] == begun
    assert shop.run("export", *chosen, "--output", "cut", "--resume").exit_code == 0
    assert (shop.folder / "cut").read_bytes() == whole.read_bytes()


def test_the_summary_as_a_document(shop: Shop) -> None:
    result = shop.run("export", "orders", "--output", "o.csv", "--format", "csv", "--json")
    assert json.loads(result.stdout) == {"export": "orders", "path": "o.csv", "records": 40}
    with (shop.folder / "o.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.reader(file))) == 41


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("orders", "--resume"), "--resume and --json need --output FILE"),
        (("orders", "--json"), "--resume and --json need --output FILE"),
        (("orders", "--output", "new", "--resume"), "nothing to resume: there is no new"),
        (("orders", "--output", "orders.db", "--resume"), "nothing to resume: orders.db is complete, or no export"),
        (("journal", "--output", "cut", "--resume"), "cut was begun with kind = 'orders', not 'journal'"),
        (("orders", "--output", "cut", "--resume", "--uid", "x"), "cut was begun with uid = None, not 'x'"),
        (("orders", "--output", "short", "--resume"), "short has 1 bytes, and"),
        (("orders", "--output", "odd", "--resume"), "odd.cursor is no cursor file of this version of Orderway"),
        (("orders", "--output", "/dev/null"), "/dev/null is no regular file"),
        (("orders", "--output", "nowhere/o.csv"), "nowhere/o.csv cannot be written: No such file or directory"),
        (("orders", "--format", "xml"), "'xml' is not one of 'jsonl', 'csv'"),
        (("ledger", "--format", "csv"), "No such option"),
    ],
)
def test_what_cannot_be_is_refused(words: tuple[str, ...], says: str, shop: Shop) -> None:
    assert shop.fail(8, "orders", "--page", "14", "--output", "cut").exit_code == 2
    kept = (shop.folder / "cut").read_bytes()
    (shop.folder / "short").write_bytes(b"x")
    (shop.folder / "short.cursor").write_text((shop.folder / "cut.cursor").read_text())
    (shop.folder / "odd").write_bytes(b"x")
    (shop.folder / "odd.cursor").write_text("[]")
    result = shop.run("export", *words)
    assert result.exit_code == 2
    assert says in result.stderr or says in result.stdout
    assert (shop.folder / "cut").read_bytes() == kept


def test_without_a_database_an_older_export_stays(shop: Shop) -> None:
    whole = shop.export("orders")
    before = whole.read_bytes()
    assert shop.run("export", "orders", "--url", "sqlite:///none.db", "--output", str(whole)).exit_code == 4
    assert whole.read_bytes() == before
    assert not whole.with_name("orders.whole.cursor").exists()


@pytest.fixture
def unfinished(tmp_path: Path) -> Iterator[ExportFile]:
    with ExportFile.begin(tmp_path / "file", {}) as file:
        yield file


async def test_two_exports_do_not_write_one_file(unfinished: ExportFile) -> None:
    await unfinished.write(Chunk("one\n", 1, "1"))
    for opening in (ExportFile.begin, ExportFile.resume):
        with pytest.raises(Unavailable, match="another export is writing"):
            opening(unfinished.path, {})
    await unfinished.write(Chunk("two\n", 1, None))
    assert unfinished.path.read_text() == "one\ntwo\n"
    with pytest.raises(InvalidValue, match="nothing to resume"):
        ExportFile.resume(unfinished.path, {})
