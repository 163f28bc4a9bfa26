"""The benchmark works: every part measures something, and every order that it counts is really finished."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from bench import drain
from bench.command import PARTS, run
from bench.commits import WHY, measure_commits
from bench.contestants import CONTESTANTS, HEADLINE
from bench.plan import BASELINE, FULL, QUICK, RAW_COMMITS, Plan, Point
from bench.report import print_report
from bench.rounds import audit, in_processes, make_template, measure
from bench.sample import Reading, percentile
from bench.tables import BEGIN, END, NOT_MEASURED, tables, write_tables
from bench.targets import ratios, verdicts
from rich.console import Console

TINY = replace(QUICK, rounds=1, warm_up_s=0.05, window_s=0.15, callers=(1, 8), sizes=(1000, 2000), due=(400,))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "template.db"
    make_template(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("name", [RAW_COMMITS, BASELINE, *CONTESTANTS])
def test_a_point_is_measured_and_its_file_audited(name: str, template: Path, tmp_path: Path) -> None:
    point = Point(name) if name in {RAW_COMMITS, BASELINE} else Point(name, 8, 2 if name == HEADLINE else 1)
    reading = measure(point, TINY, template, tmp_path)  # raises if the file does not hold what was counted
    assert reading.orders_per_s > 0
    assert 0 < reading.p50_ms <= reading.p99_ms
    assert reading.cpu_us > 0
    assert list(tmp_path.iterdir()) == []


def test_orders_that_were_counted_and_are_not_in_the_file_are_found(template: Path) -> None:
    with pytest.raises(RuntimeError, match="orders: 0 in the file, 1 by"):
        audit(template, Point(HEADLINE), 1)


def test_goods_that_were_not_delivered_are_found(template: Path, tmp_path: Path) -> None:
    path = tmp_path / "orders.db"
    path.write_bytes(template.read_bytes())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE bench_goods SET coins = 1 WHERE uid = 'user-0000'")
        connection.commit()
    with pytest.raises(RuntimeError, match="goods: 1 in the file, 0 by"):
        audit(path, Point("prepaid, execute"), 0)


def _fail(ready: object) -> None:
    raise LookupError("on purpose")


def test_a_process_that_fails_is_no_measurement() -> None:
    with pytest.raises(RuntimeError, match="LookupError: on purpose"):
        in_processes(_fail)


@pytest.mark.slow
def test_a_run_without_the_speed_gives_a_report_of_plain_json(tmp_path: Path) -> None:
    plan = replace(TINY, sweep_s=0.5, repeats=5)
    report, found = run(plan, [part for part in PARTS if part != "speed"], tmp_path, Console(quiet=True))
    assert json.loads(json.dumps(report)) == report
    assert [each["stored"] for each in report["growth"]] == [1000, 2000]
    assert all(each[name] > 0 for each in report["growth"] for name in ("due_read_us", "claim_us", "list_us"))
    assert report["memory"][0]["forwarded"] > 0
    assert report["memory"][0]["peak_mb"] > report["memory"][0]["start_mb"] > 0
    assert {"MainThread", "orderway-writer"} <= set(report["hotspots"]["threads"])
    assert sum(report["hotspots"]["parts"].values()) == pytest.approx(1, abs=0.01)
    assert {row["observed_by"] for row in report["observing"]} == {"nothing", "metrics", "metrics and traces"}
    assert all(row["orders_per_s"]["min"] > 0 for row in report["observing"])
    assert len(found) == len(report["targets"]) == 4
    console = Console(file=StringIO(), record=True, width=140)
    print_report(console, report, found)
    text = console.export_text()
    assert text.count("reached: ") == len(found)
    assert "memory with 400 due orders" in text


@pytest.fixture(scope="module")
def commits(template: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    rows = measure_commits(template, tmp_path_factory.mktemp("commits"))
    return {row["contestant"]: row for row in rows}


@pytest.mark.slow
def test_the_commits_of_an_order_are_counted_and_each_is_justified(commits: dict[str, dict[str, Any]]) -> None:
    assert commits["nothing to pay"]["steps"] == ["create", "record Delivered+Finished"]
    assert commits["prepaid"]["steps"] == ["create", "charge", "record Paid", "record Delivered+Finished"]
    for row in commits.values():
        if row["contestant"] != "prepaid, transaction":  # whose goods are a commit that the writer does not see
            assert row["commits"] == len(row["steps"])
            assert row["operations"] == sum(len(step.split(" & ")) for step in row["steps"])
            assert row["commits_in_crowd"] < row["commits"] / 10
        assert row["operations_in_crowd"] == row["operations"]
        assert set(row["steps"]) <= set(WHY)
    assert commits["mixed"]["steps"].count("capture & capture") == 1  # all holds of an order in one step


@pytest.mark.slow
def test_the_evidence_page_gets_its_tables(commits: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    ratio = {"contestant": "prepaid", "callers": 256, "processes": 1, "times_baseline": {"median": 1.234}}
    report = {"commits": [*commits.values()], "speed": {"points": [ratio]}}
    page = tmp_path / "evidence.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_tables(page, tables(report))
    write_tables(page, tables(report))
    assert page.read_text() == f"before\n{BEGIN}\n\n{tables(report)}\n{END}\nafter\n"
    assert (
        f"| prepaid | 4 | 4 | {commits['prepaid']['commits_in_crowd']:.3f} | {NOT_MEASURED} | 1.23x |"
        in page.read_text()
    )
    page.write_text("nothing of the kind")
    with pytest.raises(ValueError, match="put the two lines where the tables shall be"):
        write_tables(page, tables(report))


def _plan_of(points: list[Point], rates: list[float]) -> dict[Point, list[Reading]]:
    return {point: [Reading(rate, 1, 2, 50)] * 3 for point, rate in zip(points, rates, strict=True)}


def test_targets_are_judged_by_the_ratio_to_the_baseline() -> None:
    points = [Point(RAW_COMMITS), Point(BASELINE), Point(HEADLINE), Point(HEADLINE, 256), Point(HEADLINE, 256, 2)]
    readings = _plan_of(points, [10_000, 4_000, 3_000, 17_000, 20_000])
    assert ratios(readings, points[3]) == [4.25] * 3
    judged = {verdict.target: (verdict.value, verdict.reached) for verdict in verdicts(readings, (), ())}
    assert judged == {
        "baseline's commits beside raw commits": (0.8, True),
        "256 callers, one process (aim 8)": (4.25, True),
        "256 callers each, two processes": (5.0, False),
        "one caller": (0.75, False),
        "CPU an order, 256 callers (aim 40)": (50, True),
    }


@pytest.mark.parametrize("plan", [QUICK, FULL], ids=["quick", "full"])
def test_every_target_has_its_point(plan: Plan) -> None:
    readings = {point: [Reading(1.0, 1, 1, 1)] for point in plan.points()}
    assert len(verdicts(readings, (), ())) == 5
    assert {point.contestant for point in readings} == {RAW_COMMITS, BASELINE, *CONTESTANTS}


@pytest.mark.parametrize(("percent", "expected"), [(50, 2.0), (99, 4.0), (25, 1.0), (26, 2.0)])
def test_percentiles_are_values_that_occurred(percent: int, expected: float) -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], percent) == expected


@pytest.mark.slow
def test_a_drain_is_measured_beside_sales() -> None:
    measured = drain.run(orders=300, idle_s=0.5)
    assert measured["orders"] == 300
    assert measured["orders_a_second"] > 0
    assert measured["create_while_draining"]["count"] > 0
    assert measured["create_while_idle"]["p50_ms"] <= measured["create_while_idle"]["p99_ms"]
    assert 0 <= measured["idle_cpu_percent"] < 100
