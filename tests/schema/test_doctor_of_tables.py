"""``orderway doctor`` looks at the tables, on each database; and changes nothing."""

from __future__ import annotations

import pytest
from schema_clients import Client, orderway

from orderway.adapters import open_ports, places_for
from orderway.errors import ConfigError
from orderway.sql.migrating import migrate


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
    assert "1 of 3 parts need attention" in looked.stdout


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
