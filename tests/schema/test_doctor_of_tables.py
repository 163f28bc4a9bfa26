"""``orderway doctor`` looks at the tables, on each database; and changes nothing."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest
from schema_clients import Client, orderway

from orderway.adapters import open_ports, places_for
from orderway.doctor import Finding, examine
from orderway.errors import ConfigError
from orderway.sql.migrating import migrate
from orderway.testing.servers.proxy import Proxy

pytestmark = pytest.mark.slow


def by_part(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.part: finding for finding in findings}


async def test_what_is_missing_is_named(client: Client) -> None:
    await migrate(places_for([client.url]), 2)
    assert "all is well" in orderway("doctor", "--url", client.url).stdout
    of_orders = " ON ow_orders_1" if client.dialect in {"mysql", "mariadb"} else ""
    client.run(
        f"DROP INDEX ow_orders_1_uid{of_orders}; DROP TABLE ow_lines_1; ALTER TABLE ow_orders_0 DROP COLUMN remark;"
    )
    for _ in range(2):  # and nothing is mended by looking
        looked = orderway("doctor", "--url", client.url, check=False)
        assert looked.returncode == 1
        assert "FAULT tables of database 1: " in looked.stdout
        for problem in ("column ow_orders_0.remark", "index ow_orders_1_uid", "table ow_lines_1"):
            assert f"{problem} is missing: run `orderway migrate" in looked.stdout
    assert "1 of 5 parts need attention" in looked.stdout, "who works and what waits can be read all the same"


async def test_a_table_that_cannot_be_read_is_named_and_not_taken_for_a_value(client: Client) -> None:
    await migrate(places_for([client.url]))
    client.run("DROP TABLE ow_orders_0;")
    looked = orderway("doctor", "--url", client.url, check=False)
    assert looked.returncode == 1
    assert "table ow_orders_0 is missing: run `orderway migrate" in looked.stdout
    assert "refused a value" not in looked.stdout
    assert orderway("migrate", "--url", client.url).returncode == 0
    assert "all is well" in orderway("doctor", "--url", client.url).stdout


async def test_a_lost_table_is_made_again_beside_a_database_that_is_not_there(
    client: Client, second_client: Client
) -> None:
    """A database in use is known by the tables that it still has."""
    await migrate(places_for([client.url]))
    ports = await open_ports(client.url)
    await ports.workers.join(1, "somebody")
    await ports.close()
    client.run("DROP TABLE ow_orders_0;")
    with pytest.raises(ConfigError, match="in use"):
        await migrate(places_for([client.url, second_client.url]))
    (made,) = await migrate(places_for([client.url]))
    assert "made table ow_orders_0" in made.done


async def test_a_table_is_missed_only_where_it_is_needed(client: Client) -> None:
    """Version 0.1.0 made no table of letters."""
    await migrate(places_for([client.url]))
    client.run("DROP TABLE ow_letters;")
    found = by_part(await examine([client.url]))
    assert all(finding.is_well for finding in found.values()), found
    assert "there is no ow_letters: run `orderway migrate` before you use" in found["tables of database 1"].found
    assert {"workers", "orders"} < set(found)

    found = by_part(await examine([client.url], queue="store"))
    assert "table ow_letters is missing: run `orderway migrate`" in found["tables of database 1"].found
    assert {part for part, finding in found.items() if not finding.is_well} == {"tables of database 1", "queue"}
    assert {"workers", "orders"} < set(found), "neither needs it"


async def test_what_waits_is_not_told_where_it_cannot_be_read(client: Client) -> None:
    await migrate(places_for([client.url]))
    client.run("DROP TABLE ow_workers;")
    found = by_part(await examine([client.url]))
    assert "table ow_workers is missing" in found["tables of database 1"].found
    assert not {"workers", "orders"} & set(found)


async def test_comparing_has_an_end(server_client: Client) -> None:
    await migrate(places_for([server_client.url]))
    async with asyncio.timeout(30), Proxy(server_client.url) as proxy:
        fault = proxy.stall(answered=False, when=lambda request: b"ow_alembic" in request.data)
        found = by_part(await examine([proxy.url], compare_within_s=0.5))
    assert fault.reached.is_set()
    assert "could not be compared with what is needed: no answer within 0.5 s" in found["tables"].found
    assert found["tables"].advice
    assert found["orders"].is_well


async def test_looking_at_rights_has_an_end(server_client: Client) -> None:
    await migrate(places_for([server_client.url]))
    async with asyncio.timeout(30), Proxy(server_client.url) as proxy:
        fault = proxy.stall(answered=False, when=lambda request: b"ow_parked" in request.data)
        found = by_part(await examine([proxy.url], answer_within_s=1.0))
    assert fault.reached.is_set()
    finding = found["tables of database 1"]
    assert not finding.is_well
    assert "did not answer, nothing was done: no answer within 1.0 s" in finding.found
    assert found["orders"].is_well


async def test_a_refused_question_for_rights_is_a_finding(postgresql_url: str) -> None:
    client = Client("postgresql", postgresql_url)
    await migrate(places_for([client.url]))
    client.run(
        "CREATE FUNCTION public.has_table_privilege(regclass, text) RETURNS bool LANGUAGE sql AS 'SELECT 1 / 0 = 1';"
        f' ALTER DATABASE "{urlsplit(client.url).path[1:]}" SET search_path = public, pg_catalog;'
    )
    finding = by_part(await examine([client.url]))["tables of database 1"]
    assert not finding.is_well
    assert finding.found.startswith("whether its user may read and write them could not be seen: ")
    assert finding.found.endswith("division by zero")
