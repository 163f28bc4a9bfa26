"""The layers hold: who may import whom, which driver is known where, and what the core keeps out."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "orderway"
MODULES = sorted(SOURCE.rglob("*.py"))
PURE = [path for path in MODULES if path.relative_to(SOURCE).parts[0] in {"core", "errors.py"}]

DRIVERS = {
    "sqlalchemy": ("sql",),
    "sqlite3": ("sql/dialects/sqlite", "memory", "channels/scripted/", "demo", "testing"),
    "asyncpg": ("sql/dialects/postgresql", "testing"),
    "asyncmy": ("sql/dialects/mysql", "testing"),
    "httpx": ("channels/scripted_http",),
    "starlette": ("channels/scripted_http",),
    "uvicorn": ("channels/scripted_http", "listening.py"),
    "redis": ("redis/", "testing"),
    "pulsar": ("queues/pulsar/",),
    "pydantic": ("config/",),
    "pydantic_core": ("config/",),
    "aio_pika": ("queues/rabbitmq", "testing"),
    "yaml": ("config/",),
    "papollo": ("config/apollo.py",),
    "alembic": ("sql/migrating", "sql/migrations/"),
    "click": ("cli", "demo"),
    "rich": ("cli", "demo"),
    "prometheus_client": ("observe/",),
    "opentelemetry": ("observe/tracing.py",),
    "hypothesis": ("testing",),
    "pytest": ("testing",),
}
"""Where each driver may be imported; everything else that is no dependency of the core may be imported nowhere."""

EVERYWHERE_BUT_IN_THE_CORE = {"anyio"}


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def contracts() -> list[dict[str, list[str]]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found: list[dict[str, list[str]]] = settings["tool"]["importlinter"]["contracts"]
    return found


def test_every_import_keeps_to_the_layers() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_whole_engine_is_kept_from_the_adapters() -> None:
    layers, engine = contracts()
    (written,) = (layer for layer in layers["layers"] if layer.startswith("journey :"))
    assert sorted(f"orderway.{module}" for module in written.split(" : ")) == sorted(engine["source_modules"])


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_driver_is_imported_only_where_it_belongs(path: Path) -> None:
    for module in imported(path):
        top = module.partition(".")[0]
        if top in DRIVERS:
            assert name_of(path).startswith(DRIVERS[top]), f"{name_of(path)} imports {top}"
        else:
            known = top in sys.stdlib_module_names or top in EVERYWHERE_BUT_IN_THE_CORE | {"orderway"}
            assert known, f"{name_of(path)} imports {top}: give it its place in DRIVERS"


def test_the_core_is_found() -> None:
    assert {"errors.py", "core/order.py", "core/journal.py"} <= {name_of(path) for path in PURE}


@pytest.mark.parametrize("path", PURE, ids=name_of)
def test_the_core_imports_only_itself_and_the_standard_library(path: Path) -> None:
    for module in imported(path):
        itself = module.startswith(("orderway.core", "orderway.errors"))
        assert itself or module.partition(".")[0] in sys.stdlib_module_names, module


@pytest.mark.parametrize("path", PURE, ids=name_of)
def test_the_core_has_no_clock_no_randomness_and_no_io(path: Path) -> None:
    impure = {"asyncio", "io", "os", "pathlib", "random", "secrets", "socket", "sqlite3", "subprocess", "tempfile"}
    impure |= {"threading", "time", "uuid"}
    assert not impure & {module.partition(".")[0] for module in imported(path)}
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\b(datetime\.(now|utcnow|today)|date\.today|open|print|input)\(", text)


@pytest.mark.parametrize("path", PURE, ids=name_of)
def test_the_core_never_waits(path: Path) -> None:
    waiting = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [node.lineno for node in ast.walk(tree) if isinstance(node, waiting)] == []
