"""The dashboard and the alert rules name metrics, labels and values that there are, as Prometheus understands them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from observed_shop import Market
from promtool import promtool

from orderway.core.facts import FACTS
from orderway.hinting import Hinting
from orderway.observe import Metrics
from orderway.observe.attaching import STEPS

OPS = Path(__file__).parents[2] / "ops"
PAGE = Path(__file__).parents[2] / "docs" / "observing.md"


def of_dashboard() -> Iterator[str]:
    dashboard = json.loads((OPS / "grafana.json").read_text())
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield re.sub(r"label_values\((\w+), (\w+)\)", r"count by (\2) (\1)", variable["query"]["query"])


def of_rules() -> Iterator[str]:
    for group in yaml.safe_load((OPS / "alerts.yaml").read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


QUERIES = [*of_dashboard(), *of_rules()]


def labels_by_series(metrics: Metrics) -> dict[str, set[str]]:
    """All series that may be exported, with their labels."""
    found: dict[str, set[str]] = {}
    for collector in list(metrics.registry._collector_to_names):
        described: Any = getattr(collector, "describe", collector.collect)()
        for metric in described:
            labels = set(getattr(collector, "_labelnames", getattr(metric, "_labelnames", ())))
            suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}.get(metric.type, ("",))
            found |= {metric.name + suffix: labels | ({"le"} if suffix == "_bucket" else set()) for suffix in suffixes}
    return found


@pytest.fixture
def series(market: Market) -> dict[str, set[str]]:
    return labels_by_series(Metrics(market.app(queue=True)))


def test_each_metric_that_is_named_exists(series: dict[str, set[str]]) -> None:
    for query in QUERIES:
        named = set(re.findall(r"\borderway_\w+", query))
        assert named, query
        assert named <= series.keys(), (named - series.keys(), query)


def test_each_metric_is_on_the_dashboard(series: dict[str, set[str]]) -> None:
    named = set(re.findall(r"\borderway_\w+", " ".join(of_dashboard())))
    bases = {re.sub(r"_(bucket|count|sum)$", "", name) for name in named}
    assert {re.sub(r"_(bucket|count|sum)$", "", name) for name in series} <= bases


def test_each_label_that_is_named_exists(series: dict[str, set[str]]) -> None:
    for query in QUERIES:
        of_these = set().union(*(series[name] for name in re.findall(r"\borderway_\w+", query)))
        named = {label for group in re.findall(r"\b(?:by|on) \(([^)]*)\)", query) for label in group.split(", ")}
        named |= set(re.findall(r"(\w+)\s*(?:=~|!=|=)\s*\"", query))
        assert named <= of_these, (named - of_these, query)


def test_each_value_of_a_label_that_is_named_exists() -> None:
    known = {
        "fact": set(FACTS),
        "status": {"finished"},
        "outcome": set(re.findall(r"``(\w+)``", Hinting.__doc__ or "")),
        "step": {*STEPS.values(), "create"},
    }
    for query in QUERIES:
        for label, values in re.findall(r"(\w+)\s*(?:=~|!=|=)\s*\"([\w|]+)\"", query):
            assert set(values.split("|")) <= known[label], query


def test_prometheus_understands_each_query(tmp_path: Path) -> None:
    rules = [
        {"record": f"checked:{number}", "expr": query.replace("$__rate_interval", "5m").replace("$order_type", ".*")}
        for number, query in enumerate(of_dashboard())
    ]
    for number, rule in enumerate(rules):
        rule["record"] = f"checked:query_{number}"
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", str(tmp_path / "rules.yaml"))


def test_the_alert_rules_do_what_they_say(tmp_path: Path) -> None:
    shutil.copytree(OPS, tmp_path / "ops")
    promtool("check", "rules", "alerts.yaml", folder=tmp_path / "ops")
    promtool("test", "rules", "alerts_test.yaml", folder=tmp_path / "ops")


def test_a_rule_that_is_wrong_fails(tmp_path: Path) -> None:
    shutil.copytree(OPS, tmp_path / "ops")
    rules = tmp_path / "ops" / "alerts.yaml"
    rules.write_text(rules.read_text().replace("_age_seconds) > 60", "_age_seconds) > 6000"))
    with pytest.raises(AssertionError):
        promtool("test", "rules", "alerts_test.yaml", folder=tmp_path / "ops")


def test_each_metric_is_documented_and_no_other(series: dict[str, set[str]]) -> None:
    rows = re.findall(r"^\| `(orderway_\w+)` \| (\w+) \| ([^|]*)\|", PAGE.read_text(), re.MULTILINE)
    documented = {name: set(re.findall(r"`(\w+)`", labels)) for name, _, labels in rows}
    for name, kind, _ in rows:
        assert (kind == "counter") == name.endswith("_total"), name
        assert (kind == "histogram") == (f"{name}_bucket" in series), name
    exported = {
        re.sub(r"_(bucket|count|sum)$", "", name) if name.endswith("_bucket") else name: labels - {"le"}
        for name, labels in series.items()
        if not name.endswith(("_count", "_sum"))
    }
    assert documented == exported
