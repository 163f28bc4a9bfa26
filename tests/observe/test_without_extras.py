"""All of it is optional: without the extras the engine runs the same, and who asks for one is told its name."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from orderway import ConfigError, observe

ORDERWAY = Path(sys.executable).with_name("orderway")
SHOP = """
from orderway import App, Business

class Gifts(Business):
    order_type = 1

    async def deliver(self, order, delivery):
        pass

app = App("sqlite:///orders.db")
app.register(Gifts())
"""


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("Metrics", "prometheus_client", "metrics"),
        ("metrics_app", "prometheus_client", "metrics"),
        ("DatabaseMetrics", "prometheus_client", "metrics"),
        ("Tracing", "opentelemetry", "tracing"),
    ],
)
def test_a_missing_extra_is_named(name: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [each for each in sys.modules if each.startswith((f"{package}.", "orderway.observe."))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf"pip install 'orderway\[{extra}\]'"):
        getattr(observe, name)


def test_the_engine_asks_for_none_of_them() -> None:
    asks = "import sys, orderway, orderway.observe; print({'prometheus_client', 'opentelemetry'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", asks], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


@pytest.mark.slow
def test_a_worker_answers_with_its_metrics_and_logs_json(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    command = [ORDERWAY, "--json", "worker", "shop:app", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        try:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            with urllib.request.urlopen(f"{url}/metrics") as answer:
                text = answer.read().decode()
            process.send_signal(signal.SIGTERM)
            _, logged = process.communicate(timeout=30)
        finally:
            process.kill()
    assert 'orderway_order_type_served{order_type="1"} 1.0' in text
    lines = [json.loads(line) for line in logged.splitlines()]
    assert any("carries orders" in line["message"] and line["level"] == "info" for line in lines)
