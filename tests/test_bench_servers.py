"""The benchmark on servers works: each counted order is really finished, and what is shown is what was measured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from bench import ceiling
from bench.command import main
from bench.pictures import charts, write_pictures
from bench.sample import Reading
from bench.servers import ours
from bench.servers.kinds import KINDS, Running, running
from bench.servers.place import CONTESTANTS, DBOS, ORDERWAY, PROCRASTINATE, PROTOCOL, Place
from bench.servers.plan import FULL, QUICK, Plan, Point
from bench.servers.rounds import Places, audit, measure
from bench.servers.run import PARTS, run_servers
from bench.servers.tables import grids, markdown
from bench.servers.targets import best, rows_verdicts, speed_verdicts
from bench.svg import Chart, Line, draw
from rich.console import Console
from rich.progress import Progress

from orderway.testing.servers import ServerUnavailable
from orderway.testing.servers.fixtures import unavailable

TINY = replace(QUICK, window_s=0.25, callers=(1, 64), crowds=(64,), tables=(2, 3), pools=(2, 4), pool_callers=8)
POINTS = [Point(kind, name, 8) for name, contestant in CONTESTANTS.items() for kind in contestant.kinds]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    try:
        with running(tuple(KINDS)) as started:
            yield started
    except ServerUnavailable as error:
        unavailable(error)


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS, ids=lambda point: f"{point.contestant}-{point.kind}")
def test_a_contestant_is_measured_and_its_database_audited(point: Point, servers: Running) -> None:
    if point.contestant in {DBOS, PROCRASTINATE} and not find_spec(point.contestant):
        pytest.skip(f"{point.contestant} is installed by `make bench`")
    reading = measure(point, TINY, 4, Places(servers))  # raises if the database does not hold what was counted
    assert reading.orders_per_s > 0
    assert 0 < reading.p50_ms <= reading.p99_ms
    assert reading.cpu_us > 0


@pytest.mark.slow
def test_a_database_with_many_tables_is_kept_and_its_orders_are_counted_once(servers: Running) -> None:
    places = Places(servers)
    point = Point("sqlite", ORDERWAY, 8, tables=3)
    place = places.take(point, 1)
    for _ in range(2):
        measure(point, TINY, 1, places)
    assert places.take(point, 1) == place
    assert Path(place.url.removeprefix("sqlite:///")).exists()


def test_orders_that_were_counted_and_are_not_in_the_database_are_found() -> None:
    with pytest.raises(RuntimeError, match="6 finished orders in the database, 7 by"):
        audit(POINTS[0], 6, 7)


async def test_a_finished_order_without_its_journal_is_found(tmp_path: Path) -> None:
    place = Place("sqlite", f"sqlite:///{tmp_path / 'orders.db'}", "", tables=2)
    await ours.prepare(place)
    async with ours.opened(place) as carry:
        for number in range(5):
            await carry(f"user-{number}")
    assert await ours.count_finished(place) == 5
    plain = await KINDS["sqlite"].connect(place.url)
    for shard in range(2):
        await plain.run(f"DELETE FROM ow_journal_{shard} WHERE fact = 'Finished'")
    await plain.close()
    with pytest.raises(RuntimeError, match="5 orders are finished, 0 journals say so"):
        await ours.count_finished(place)


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    kinds = ("sqlite", "mariadb")
    with Progress(console=Console(quiet=True)) as progress:
        try:
            found, verdicts = run_servers(TINY, PARTS, kinds, None, progress)
        except ServerUnavailable as error:
            unavailable(error)
    machine = {"machine": {"cores": 2}, "made_at": "2026-11-23T00:00:00Z", "is_quick": True}
    return machine | found | {"verdicts": [verdict.as_json() for verdict in verdicts]}


@pytest.mark.slow
def test_a_run_gives_a_report_of_plain_json(report: dict[str, Any]) -> None:
    assert json.loads(json.dumps(report["rows"])) == report["rows"]
    assert {point["kind"] for point in report["servers"]["points"]} == {"sqlite", "mariadb"}
    assert report["servers"]["pools"][0]["best"] in TINY.pools
    assert [row["stored"] for row in report["rows"]] == [*TINY.sizes, *TINY.sizes]
    assert all(row[name] > 0 for row in report["rows"] for name in ("look_us", "claim_us", "list_us"))
    assert {(row["kind"], row["tables"]) for row in report["idle"]} == {(k, t) for k in report["kinds"] for t in (2, 3)}
    assert len(report["verdicts"]) == 5 + 3 * 2


@pytest.mark.slow
def test_the_tables_and_pictures_show_the_report(report: dict[str, Any], tmp_path: Path) -> None:
    text = markdown(report)
    for grid in grids(report):
        assert all(len(row) == len(grid.headings) for row in grid.rows)
        assert grid.title in text
    rate = report["servers"]["points"][0]["orders_per_s"]["median"]
    assert f"{rate:,.0f} (" in text
    written = write_pictures(report, tmp_path / "pictures")
    assert [path.stem for path in written] == ["callers", "tables", "rows", "idle"]
    for path in written:
        texts = [element.text for element in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]
        assert any("MariaDB" in (each or "") for each in texts)
        assert any("a quick run" in (each or "") for each in texts)


def _readings(kind: str, rates: dict[tuple[str, int, int], float]) -> dict[Point, list[Reading]]:
    return {
        Point(kind, contestant, callers, processes): [Reading(rate, 10, 1e4 / rate, 1e5 / rate)] * 3
        for (contestant, callers, processes), rate in rates.items()
    }


def test_targets_are_judged_best_against_best() -> None:
    readings = _readings(
        "postgresql",
        {
            (PROTOCOL, 1, 1): 1_000,
            (PROTOCOL, 16, 1): 5_000,
            (PROTOCOL, 64, 1): 4_000,
            (ORDERWAY, 1, 1): 900,
            (ORDERWAY, 64, 1): 16_000,
            (ORDERWAY, 256, 1): 25_000,
            (ORDERWAY, 256, 2): 28_000,
            (DBOS, 1, 1): 100,
        },
    )
    assert best(readings, "postgresql", PROTOCOL) == Point("postgresql", PROTOCOL, 16)
    assert best(readings, "postgresql", PROCRASTINATE) is None
    judged = [(verdict.value, verdict.reached) for verdict in speed_verdicts(readings)]
    assert judged == [(5, True), (5.6, False), (0.9, False), (0.25, True), (0.25, True), (250, True)]


def test_more_tables_are_not_the_best() -> None:
    few, many = Point("sqlite", ORDERWAY, 8), Point("sqlite", ORDERWAY, 8, tables=64)
    assert best({few: [Reading(1, 1, 1, 1)], many: [Reading(2, 1, 1, 1)]}, "sqlite", ORDERWAY) == few


def test_a_query_that_grows_is_found() -> None:
    rows = [
        {"kind": "mariadb", "stored": stored, "look_us": 10, "claim_us": claim, "list_us": 10}
        for stored, claim in ((1_000, 100), (10_000, 120), (100_000, 160))
    ]
    assert [verdict.reached for verdict in rows_verdicts(rows)] == [True, False, True]


@pytest.mark.parametrize("plan", [QUICK, FULL], ids=["quick", "full"])
def test_every_target_has_its_point(plan: Plan) -> None:
    readings = {point: [Reading(1.0, 1, 1, 1)] for point in plan.points(tuple(KINDS))}
    assert len(speed_verdicts(readings)) == 5 + 6
    assert {point.contestant for point in readings} == set(CONTESTANTS)
    assert all(one <= other and other % one == 0 and other // one <= 10 for one, other in pairwise(plan.sizes))


def test_names_at_the_ends_of_lines_do_not_touch() -> None:
    lines = [Line(f"<{number}>", [(1, 100 + number), (10, 500 + number)], "a") for number in range(8)]
    picture = ElementTree.fromstring(draw(Chart("t", "s", "callers", lines)))
    texts = {each.text: each for each in picture.iter("{http://www.w3.org/2000/svg}text")}
    heights = sorted(float(texts[line.name].attrib["y"]) for line in lines)
    assert all(below - above >= 15.9 for above, below in pairwise(heights))
    assert heights[0] > 0
    assert heights[-1] < float(picture.attrib["viewBox"].split()[3])


def test_only_what_was_measured_is_drawn() -> None:
    assert list(charts({"machine": {"cores": 2}, "made_at": "2026-11-23", "is_quick": False})) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--on", "oracle"], "oracle: of sqlite, mariadb, postgresql are allowed"),
        (["--tables", "1"], "numbers from 2 are allowed"),
        (["--evidence", "--quick"], "--evidence: leave out --quick"),
        (["--evidence", "--only", "servers"], "all of servers, rows, idle in 3 rounds or more"),
        (["--evidence", "--only", "servers", "--only", "rows", "--only", "idle", "--rounds", "2"], "--evidence"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_bare_statements_are_measured_beside_the_protocol_and_audited() -> None:
    try:
        measured = ceiling.run(["mariadb", "postgresql"], 1, TINY, {1: 5, ceiling.BATCH: 2 * ceiling.BATCH})
    except ServerUnavailable as error:
        unavailable(error)
    for kind in ("mariadb", "postgresql"):
        points = [(row["contestant"], row["processes"]) for row in measured["rows"] if row["kind"] == kind]
        compared = [(PROTOCOL, 1), (ceiling.BARE, 1), (ORDERWAY, 1)]
        assert points == [*compared, *compared, (ceiling.BARE, 2), (ORDERWAY, 2)]
    for row in measured["rows"]:
        assert row["orders_per_s"]["median"] > 0
        assert row["client_cpu_us"]["median"] > 0
