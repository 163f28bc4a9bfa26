"""The edge: exit codes, sentences instead of tracebacks, hostile text, real processes, and the documentation."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from orderway import errors
from orderway.cli.commands import orderway
from orderway.cli.exits import EXITS, exit_code_of, tell
from orderway.cli.output import safe

ROOT = Path(__file__).parents[2]
LOOKING = [["show", "ID"], ["list"], ["explain", "ID"], ["verify"], ["balance", "u", "CNY"], ["statement", "u", "CNY"]]


def every_error(kind: type[errors.OrderwayError]) -> list[type[errors.OrderwayError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in every_error(child))]


def test_every_error_has_an_exit_code_of_the_table() -> None:
    codes = {kind.__name__: exit_code_of(kind()) for kind in every_error(errors.OrderwayError)}
    assert set(codes.values()) <= set(EXITS)
    expected = {
        "OrderNotFound": 3, "IllegalTransition": 5, "InvalidValue": 2, "ConfigError": 4, "SchemaTooNew": 4,
        "Unavailable": 6, "CommitUnknown": 6, "InsufficientBalance": 5, "DeliveryFailed": 5,
    }  # fmt: skip
    assert {name: codes[name] for name in expected} == expected


def test_help_lists_every_exit_code(shop: Any) -> None:
    out = shop.run("--help")
    assert out.exit_code == 0
    codes = out.stdout.partition("Exit codes:\n")[2].split()
    assert [str(code) for code in EXITS if str(code) in codes] == [str(code) for code in EXITS]


@pytest.mark.parametrize("words", LOOKING)
def test_a_missing_file_is_a_sentence_and_is_not_made(shop: Any, words: list[str]) -> None:
    words = [shop.ids["free"] if word == "ID" else word for word in words]
    out = shop.run(*words, "--url", "sqlite:///missing.db")
    assert out.exit_code == 4
    assert out.stderr.startswith(f"error: there is no database {shop.folder / 'missing.db'}: ")
    assert "Traceback" not in out.output
    assert not list(shop.folder.glob("missing.db*"))


@pytest.mark.parametrize("words", [["resume", "ID", "--actor", "a", "--reason", "b"], ["hint", "ID"]])
def test_commands_that_write_make_no_file_either(shop: Any, words: list[str]) -> None:
    words = [shop.ids["free"] if word == "ID" else word for word in words]
    assert shop.run(*words, "--url", "sqlite:///missing.db").exit_code == 4
    assert not list(shop.folder.glob("missing.db*"))


def test_an_app_whose_file_is_missing_does_not_make_it_for_looking(shop: Any) -> None:
    for path in shop.folder.glob("orders.db*"):
        path.unlink()
    assert shop.run("list", "--app", "shop:make").exit_code == 4
    assert not list(shop.folder.glob("orders.db*"))


@pytest.mark.parametrize("kind", ["foreign", "text", "empty", "folder"])
def test_a_file_that_is_none_of_ours_is_refused_and_left_alone(shop: Any, kind: str) -> None:
    path = shop.folder / "other.db"
    if kind == "foreign":
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE theirs (id TEXT)")
        connection.close()
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_text("hello" * 1000 if kind == "text" else "")
    before = path.read_bytes() if path.is_file() else b""
    out = shop.run("list", "--url", "sqlite:///other.db")
    assert out.exit_code == 4
    assert f"{path} is no Orderway database" in out.stderr
    assert [found.name for found in shop.folder.glob("other.db*")] == ["other.db"]
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_newer_schema_is_a_sentence(shop: Any) -> None:
    shop.sql("UPDATE ow_meta SET schema_version = 99")
    out = shop.run("list")
    assert out.exit_code == 4
    assert "has schema version 99" in out.stderr
    assert "upgrade orderway" in out.stderr
    assert shop.json("list")["error"]["code"] == "schema_too_new"


def test_an_id_that_cannot_be_is_told_before_anything_is_opened(shop: Any) -> None:
    good = shop.ids["free"]
    mistyped = good[:-1] + ("0" if good[-1] != "0" else "1")
    for order_id, sentence in ((mistyped, "a character is mistyped"), ("nonsense", "is no order id")):
        for name in ("show", "explain", "hint", "forward"):
            out = shop.run(name, order_id, "--url", "sqlite:///missing.db")
            assert (out.exit_code, sentence in out.stderr) == (2, True), out.output


def test_an_order_that_is_not_there(shop: Any) -> None:
    from orderway.core.ids import id_by_time

    unknown = id_by_time(1, 1, 1)
    for words in (["show"], ["explain"], ["hint"], ["forward", "--app", "shop:make"]):
        out = shop.run(*words, unknown)
        assert (out.exit_code, unknown in out.stderr) == (3, True), out.output
    document = shop.json("show", unknown)
    assert document["error"]["code"] == "order_not_found"
    assert document["error"]["order_id"] == unknown


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "Usage"),
        (["nonsense"], "No such command"),
        (["list", "--limit", "0"], "0 is not in the range"),
        (["list", "--status", "happy"], "1 forwarding, 2 finished"),
        (["list", "--since", "yesterday"], "or how long ago"),
        (["list", "--since", "999999999w"], "or how long ago"),
        (["list", "--stage", "nowhere"], "created"),
        (["list", "--after", "nonsense"], "is no order id"),
        (["list", "--url", "sqlite:///orders.db", "--app", "shop:make"], "exclude each other"),
        (["show"], "Missing argument"),
        (["balance", "ann", "cny"], "currency code 'cny'"),
        (["verify", "--compare", "missing.jsonl"], "missing.jsonl cannot be read: No such file"),
        (["verify", "--write", "no/such/folder/file"], "cannot be written: No such file"),
    ],
)
def test_wrong_command_lines(shop: Any, words: list[str], sentence: str) -> None:
    out = shop.run(*words)
    assert out.exit_code == 2, out.output
    assert sentence in out.output
    assert "Traceback" not in out.output
    if words:
        assert set(shop.json(*words)["error"]) == {"code", "message", "order_id"}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("shop", "module:attribute is expected"),
        ("nowhere:app", "there is no module nowhere"),
        ("shop:nothing", "shop has no nothing"),
        ("shop:Holder.nothing", "is a int: an App, or a function that makes one, is expected"),
    ],
)
def test_an_app_that_cannot_be_found(shop: Any, name: str, sentence: str) -> None:
    out = shop.run("sweep", "--app", name)
    assert (out.exit_code, sentence in out.stderr) == (4, True), out.output


def test_urls_that_name_no_file(shop: Any) -> None:
    assert "gone with their process" in shop.run("list", "--url", "memory://").stderr
    assert "is no database that Orderway knows" in shop.run("list", "--url", "oracle://x").stderr


def test_a_bug_keeps_its_traceback_and_has_a_code_of_its_own(shop: Any) -> None:
    (shop.folder / "broken.py").write_text("def make():\n    return 1 / 0\n")
    out = shop.run("sweep", "--app", "broken:make", "--json")
    assert out.exit_code == 70
    assert "ZeroDivisionError" in out.stderr
    assert json.loads(out.stdout)["error"]["code"] == "bug"


def test_an_unavailable_database_may_be_tried_again(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (shop.folder / "locked.py").write_text(
        "from orderway import App\nfrom orderway.adapters import ports_for\n"
        "app = App(ports_for('sqlite:///orders.db', lock_timeout_s=0.05))\n"
    )
    holder = sqlite3.connect(shop.folder / "orders.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        out = shop.run("hint", shop.ids["waiting"], "--app", "locked:app")
    finally:
        holder.close()
    assert out.exit_code == 6, out.output
    assert shop.run("hint", shop.ids["waiting"], "--app", "locked:app").exit_code == 0


# ---- hostile text -----------------------------------------------------------------------------------------------


def test_nothing_in_the_data_acts_on_the_terminal(shop: Any) -> None:
    outputs = [shop.run("list"), shop.run("statement", "ann", "CNY"), shop.run("list", "--json")]
    outputs += [shop.run(name, order_id) for name in ("show", "explain") for order_id in shop.ids.values()]
    text = "".join(out.output for out in outputs)
    assert all(character == "\n" or character.isprintable() for character in text)
    assert r"\x1b[31mred\u202euser[blink]" in text, "markup and escapes are shown as they are"
    assert r"[bold]r\x1b[2J\r\nx[/bold]" in text
    assert r"welcome \x1b[2J[red]" in text


def test_a_line_within_a_message_cannot_pass_for_one_of_the_programs(capsys: pytest.CaptureFixture[str]) -> None:
    tell(errors.ConfigError("two problems:\n- one\x1b[2J\r\nall is well\u202e\n- two"), as_json=False)
    told = capsys.readouterr().err
    assert told == "error: two problems:\n  - one\\x1b[2J\\r\n  all is well\\u202e\n  - two\n"


def test_hostile_arguments_are_shown_harmless(shop: Any) -> None:
    out = shop.run("show", "\x1b[31m[bold]x")
    assert "\x1b" not in out.output
    assert shop.json("balance", "\x1b[31m\x9b", "CNY")["uid"] == "\x1b[31m\x9b"


def test_safe_keeps_what_is_harmless() -> None:
    assert safe("书 é 👩‍👩‍👧 [x]") == "书 é 👩‍👩‍👧 [x]"
    assert safe("a\tb\x7f\x9b\u2028\ud800") == r"a\tb\x7f\x9b\u2028\ud800"


# ---- real processes ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_real_process_lists_and_verifies(shop: Any) -> None:
    listed = shop.process("list", "--json")
    assert listed.returncode == 0, listed.stderr
    assert {order["id"] for order in json.loads(listed.stdout)["orders"]} == set(shop.ids.values())
    verified = shop.process("verify")
    assert (verified.returncode, verified.stderr) == (0, "")
    assert verified.stdout.endswith("all is well\n")
    assert "\x1b" not in verified.stdout


@pytest.mark.slow
def test_a_real_process_sweeps_with_the_app_from_the_environment(shop: Any) -> None:
    swept = shop.process("sweep", ORDERWAY_APP="shop:make")
    assert swept.returncode == 0, swept.stderr
    assert shop.process("show", shop.ids["abandoned"]).stdout.count("finished") > 0


@pytest.mark.slow
def test_a_real_process_fails_with_a_code_and_one_sentence(shop: Any) -> None:
    for words, code in ((["show", "nonsense"], 2), (["list", "--url", "sqlite:///x.db"], 4), (["sweep"], 4)):
        out = shop.process(*words)
        assert (out.returncode, out.stdout) == (code, "")
        assert out.stderr.startswith("error: ")
        assert out.stderr.count("\n") == 1


@pytest.mark.slow
def test_characters_that_the_terminal_lacks_are_no_reason_to_fail(shop: Any) -> None:
    out = shop.process("show", shop.ids["finished"], PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert out.returncode == 0, out.stderr
    assert r"\u4e66" in out.stdout


@pytest.mark.slow
def test_without_the_extra_there_is_a_sentence(shop: Any) -> None:
    (shop.folder / "click.py").write_text("raise ModuleNotFoundError('No module named click', name='click')\n")
    out = shop.process("list")
    assert out.returncode == 4
    assert out.stderr == "The command line needs click, which is not here: pip install 'orderway[cli]'\n"


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_traceback(shop: Any) -> None:
    program = f"{sys.executable} -c 'from orderway.cli import main; main()' list --json | true"
    out = subprocess.run(["sh", "-c", program], cwd=shop.folder, capture_output=True, text=True, timeout=60, check=True)
    assert out.stderr == ""


# ---- documentation ----------------------------------------------------------------------------------------------


SHARED = {
    "options that choose orders": {"--uid", "--status", "--stage", "--type", "--since", "--until", "--reference"}
    | {"--needs-person", "--own-number"},
    "who and why": {"--actor", "--reason"},
    "many orders at once": {"--all", "--yes"},
}
"""Options that several commands have: told once, under a heading that the commands' own sections link to."""


def section_of(text: str, heading: str) -> str:
    """What stands under a heading, up to the next one."""
    found = re.search(rf"^##+ {re.escape(heading)}.*?(?=^##|\Z)", text, re.MULTILINE | re.DOTALL | re.IGNORECASE)
    assert found is not None, f"docs/cli.md has no section {heading}"
    return found[0]


def test_the_documentation_names_every_command_option_and_exit_code() -> None:
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for name, found in orderway.commands.items():
        section = section_of(text, f"`orderway {name}")
        for heading, options in SHARED.items():
            if f"](#{heading.replace(' ', '-')})" in section:
                section += section_of(text, heading)
                section += section_of(text, "options that choose orders") if "--all" in options else ""
        own = [each for each in found.params if each.expose_value and isinstance(each, click.Option)]
        for option in (word for parameter in own for word in parameter.opts):
            assert f"`{option}`" in section, f"docs/cli.md: {name} has no {option}"
    for option in (word for parameter in orderway.params for word in parameter.opts):
        assert f"`{option}`" in text, f"docs/cli.md has no {option}"
    for code in EXITS:
        assert f"\n| {code} | " in text, f"docs/cli.md has no exit code {code}"


def test_the_documentation_of_shared_options_is_theirs() -> None:
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for heading, options in SHARED.items():
        assert options <= set(re.findall(r"`(--[a-z-]+)`", section_of(text, heading))), heading


def test_a_command_waits_for_no_library_that_it_does_not_use() -> None:
    heavy = {"sqlalchemy", "alembic", "yaml", "redis", "asyncpg", "asyncmy", "aio_pika", "uvicorn", "prometheus_client"}
    code = f"import sys, orderway.cli.commands; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
