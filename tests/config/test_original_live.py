"""The original's own configuration, with its connections filled in, carries an order on MariaDB and Redis."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from redis import asyncio as redis_asyncio

from orderway import App, Business, Status
from orderway.config import load_settings

README = (Path(__file__).parent / "original.yaml").read_text()


class TopUp(Business[None]):
    order_type = 7

    async def deliver(self, order: object, delivery: object) -> None:
        """Nothing is to be handed over."""


def filled_in(mariadb_url: str, redis_url: str) -> str:
    """The readme's text, with its two connections under the names that it uses itself."""
    database, cache = urlsplit(mariadb_url), urlsplit(redis_url)
    login = f"{unquote(database.username or '')}:{unquote(database.password or '')}"
    source = f"{login}@tcp({database.hostname}:{database.port}){database.path}?charset=utf8mb4&parseTime=True&loc=Local"
    sqlx = f"    order:\n      Driver: mysql\n      Source: '{source}'\n      MaxOpenConns: 5\n"
    redis = (
        f"    order:\n      Address: {cache.hostname}:{cache.port}\n      Password: '{unquote(cache.password or '')}'\n"
    )
    redis += f"      DB: {cache.path[1:] or 0}\n"
    text = README.replace("    score:\n      # ...\n  redis:", f"{sqlx}  redis:")
    return text.replace("    score:\n      # ...\n  pulsar", f"{redis}  pulsar")


@pytest.mark.slow
async def test_with_its_connections_filled_in_the_readmes_configuration_runs(
    tmp_path: Path, mariadb_url: str, redis_url: str
) -> None:
    file = tmp_path / "default.yaml"
    file.write_text(filled_in(mariadb_url, redis_url))
    app = App(**load_settings(file, environ={}).app_arguments())
    app.register(TopUp())
    async with app:
        order = await app.forward(await app.create(7, "user-1"))
        assert order.status is Status.FINISHED
        assert (await app.get(order.id)).id == order.id
    async with redis_asyncio.Redis.from_url(redis_url) as redis:
        assert await redis.get("order:seqno:7:0") == b"1"
