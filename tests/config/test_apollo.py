"""Apollo as the source: the first load, 304, a change that is told, signatures, and what holds while it is down."""

from __future__ import annotations

import logging
import queue
import stat
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from apollo_service import ApolloService
from click.testing import CliRunner, Result

from orderway.cli.commands import orderway
from orderway.config import Apollo, Settings, effective, load_settings
from orderway.errors import ConfigError, Unavailable, UsageError

SECRET = "s3cret/access+key"
DATABASE = "postgresql://shop:hunter2@db/orders"
WAIT_S = 20


@pytest.fixture
def service() -> Iterator[ApolloService]:
    with ApolloService() as running:
        running.publish("application", {"databases": DATABASE, "shards": "3", "worker.sweep": "false"})
        yield running


class Changes:
    """What a watch tells, to be waited for."""

    def __init__(self) -> None:
        self._told: queue.Queue[Settings | ConfigError] = queue.Queue()

    def __call__(self, told: Settings | ConfigError) -> None:
        self._told.put(told)

    def next(self) -> Settings | ConfigError:
        return self._told.get(timeout=WAIT_S)

    def nothing_more(self) -> bool:
        return self._told.empty()


def load(apollo: Apollo, **overrides: object) -> Settings:
    return load_settings(environ={}, apollo=apollo, **overrides)


def test_a_first_load_gives_the_settings_and_names_their_source(service: ApolloService) -> None:
    settings = load(Apollo(service.url, "shop"))
    assert (settings.urls, settings.shards, settings.worker.sweep) == ((DATABASE,), 3, False)
    assert settings.sources["shards"] == "Apollo namespace application, key shards"
    assert service.answers == [("/configs/shop/default/application", 200)]


SHOP = """
from orderway import App
from orderway.config import Apollo, load_settings


def make():
    return App.from_settings(load_settings(environ={{}}, apollo=Apollo("{url}", "shop")))
"""


def test_the_command_line_makes_and_examines_what_apollo_says(
    service: ApolloService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.publish("application", {"databases": f"sqlite:///{tmp_path}/orders.db", "shards": "3"})
    (tmp_path / "apollo_shop.py").write_text(SHOP.format(url=service.url))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "apollo_shop", raising=False)

    def run(*words: str) -> Result:
        return CliRunner().invoke(orderway, [*words, "--app", "apollo_shop:make"])

    assert "`orderway migrate --app apollo_shop:make`" in run("doctor").output
    made = run("migrate")
    assert (made.exit_code, "shard 0 to 2\n" in made.output) == (0, True), made.output
    well = run("doctor")
    assert well.exit_code == 0, well.output
    assert "Apollo namespace application, key shards" in well.output


def test_variables_and_arguments_win_over_apollo(service: ApolloService) -> None:
    prefix = "ORDERWAY_"
    environ = {prefix + "SHARDS": "5", prefix + "IDS": "sequence"}
    settings = load_settings(environ=environ, apollo=Apollo(service.url, "shop"), shards=7)
    assert (settings.shards, settings.ids, settings.worker.sweep) == (7, "sequence", False)


def test_a_document_is_read_with_its_lines(service: ApolloService) -> None:
    service.publish("orders.yaml", {"content": f"databases: [{DATABASE}]\nworker:\n  most_at_once: many\n"})
    with pytest.raises(ConfigError, match=r"Apollo namespace orders\.yaml line 3: worker\.most_at_once is 'many'"):
        load(Apollo(service.url, "shop", ("orders.yaml",)))


def test_the_namespace_order_of_the_original_is_understood(service: ApolloService) -> None:
    source = "root:hunter2@tcp(db:3307)/shop?charset=utf8mb4"
    service.publish("order", {"SqlxName": "main", "TableShardNums": "8", "OrderLockDBExpire": "45"})
    service.publish("components", {"sqlx.main": f'{{"Driver": "mysql", "Source": "{source}", "MaxOpenConns": 10}}'})
    settings = load(Apollo(service.url, "shop", ("order", "components")))
    assert settings.urls == ("mysql://root:hunter2@db:3307/shop",)
    assert (settings.shards, settings.redis.lock_expire_s, settings.connections.transactions) == (8, 45.0, 7)


def test_a_section_may_be_spread_over_namespaces(service: ApolloService) -> None:
    sqlite = '{"Driver": "sqlite3", "Source": "orders.db"}'
    service.publish("application", {"order.TableShardNums": "8", "order.SqlxName": "a", "components.sqlx.b": sqlite})
    service.publish("order", {"SqlxName": "b"})
    settings = load(Apollo(service.url, "shop", ("application", "order")))
    assert (settings.urls, settings.shards) == (("sqlite:///orders.db",), 8)


def test_an_unknown_key_names_namespace_and_key(service: ApolloService) -> None:
    service.publish("application", {"databases": DATABASE, "worker.sweeps": "true"})
    with pytest.raises(
        ConfigError, match=r"namespace application, key worker\.sweeps: .* did you mean worker\.sweep\?"
    ):
        load(Apollo(service.url, "shop"))


def test_a_change_is_told_within_its_long_poll(service: ApolloService) -> None:
    changes = Changes()
    with Apollo(service.url, "shop").watch(changes, environ={}) as watch:
        assert watch.settings.shards == 3
        assert service.polling.wait(WAIT_S)
        service.publish("application", {"databases": DATABASE, "shards": "4"})
        told = changes.next()
        assert isinstance(told, Settings)
        assert (told.shards, watch.settings.shards) == (4, 4)


def test_what_has_not_changed_is_answered_by_304_and_not_told(service: ApolloService) -> None:
    changes = Changes()
    with Apollo(service.url, "shop").watch(changes, environ={}):
        # The first long poll knows no notification yet: it is answered at once, and asks for the release it has.
        assert service.polling.wait(WAIT_S)
    assert service.statuses("/configs") == [200, 304]
    assert changes.nothing_more()


def test_a_release_that_is_wrong_is_refused_and_the_last_good_one_stays(
    service: ApolloService, caplog: pytest.LogCaptureFixture
) -> None:
    changes = Changes()
    with Apollo(service.url, "shop").watch(changes, environ={}) as watch:
        service.publish("application", {"databases": DATABASE.replace("db/", "/"), "shards": "none"})
        told = changes.next()
        assert isinstance(told, ConfigError)
        assert "shards is 'none'" in str(told)
        assert "databases[0]" in str(told)
        assert watch.settings.shards == 3
        service.publish("application", {"databases": DATABASE, "shards": "6"})
        assert isinstance(changes.next(), Settings)
        assert watch.settings.shards == 6
    assert "is refused, the last good settings stay" in caplog.text
    assert "hunter2" not in caplog.text + str(told)


def test_a_release_that_comes_to_the_same_is_not_told(service: ApolloService) -> None:
    changes = Changes()
    with Apollo(service.url, "shop").watch(changes, environ={}, shards=9):
        assert service.polling.wait(WAIT_S)
        service.polling.clear()
        service.publish("application", {"databases": DATABASE, "shards": "5", "worker.sweep": "false"})
        assert service.polling.wait(WAIT_S)  # again: it has taken the release
        assert changes.nothing_more()
        service.publish("application", {"databases": DATABASE, "ids": "sequence"})
        told = changes.next()
        assert isinstance(told, Settings)
        assert (told.shards, told.ids) == (9, "sequence")


def test_requests_are_signed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    changes = Changes()
    with ApolloService(secret=SECRET) as service:
        service.publish("order", {})
        service.publish("a b+c", {"databases": DATABASE})
        apollo = Apollo(service.url, "shop", ("a b+c",), secret=SECRET, ip="10.0.0.7")
        assert load(apollo).urls == (DATABASE,)
        with apollo.watch(changes, environ={}):
            assert service.polling.wait(WAIT_S)
        assert set(service.statuses("/")) <= {200, 304}
    assert SECRET not in caplog.text + repr(apollo)
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("secret", ["another", None])
def test_a_wrong_signature_is_told_and_hides_behind_no_copy(secret: str | None, tmp_path: Path) -> None:
    with ApolloService(secret=SECRET) as service:
        service.publish("application", {"databases": DATABASE})
        load(Apollo(service.url, "shop", secret=SECRET, cache_dir=tmp_path))
        with pytest.raises(ConfigError, match=r"refuses app shop \(HTTP 401\).*access key") as caught:
            load(Apollo(service.url, "shop", secret=secret, cache_dir=tmp_path))
        assert service.answers[-1] == ("/configs/shop/default/application", 401)
    assert "another" not in "".join(traceback.format_exception(caught.value))


def test_a_namespace_that_is_not_there_is_told(service: ApolloService) -> None:
    with pytest.raises(ConfigError, match=r"has no namespace nowhere of app shop in cluster default \(HTTP 404\)"):
        load(Apollo(service.url, "shop", ("application", "nowhere")))


def test_while_it_is_down_the_last_known_configuration_holds(service: ApolloService, tmp_path: Path) -> None:
    apollo = Apollo(service.url, "shop", cache_dir=tmp_path / "kept")
    first = load(apollo)
    service.stop()
    assert load(apollo).model_dump() == first.model_dump()
    (copy,) = (tmp_path / "kept").iterdir()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert stat.S_IMODE(copy.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("kept", [True, False])
def test_without_a_last_known_configuration_the_error_says_so(
    service: ApolloService, tmp_path: Path, kept: bool
) -> None:
    service.stop()
    with pytest.raises(Unavailable, match="of the last known, none is kept" + (" in " if kept else ", as no")):
        load(Apollo(service.url, "shop", cache_dir=tmp_path if kept else None))


def test_a_start_from_the_copy_follows_the_service_once_it_is_back(tmp_path: Path) -> None:
    changes = Changes()
    with ApolloService() as first:
        first.publish("application", {"databases": DATABASE, "shards": "3"})
        apollo = Apollo(first.url, "shop", cache_dir=tmp_path)
        load(apollo)
    with apollo.watch(changes, environ={}) as watch:
        assert watch.settings.shards == 3
        with ApolloService(port=first.port) as second:
            second.publish("application", {"databases": DATABASE, "shards": "4"})
            told = changes.next()
            assert isinstance(told, Settings)
            assert told.shards == 4


@pytest.mark.parametrize("url", ["ftp://user:hunter2@apollo", "http://user:hunter2@apollo", "apollo:8080"])
def test_a_wrong_address_is_told_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError, match=r"apollo\.url is .*\*\*\*") as caught:
        Apollo(url, "shop")
    assert "hunter2" not in str(caught.value)


def test_a_watch_has_settings_only_inside(service: ApolloService) -> None:
    watch = Apollo(service.url, "shop").watch(Changes(), environ={})
    with pytest.raises(UsageError, match="nothing is watched yet"):
        _ = watch.settings
    with pytest.raises(ConfigError, match="shards is 0"), Apollo(service.url, "shop").watch(Changes(), shards=0):
        pass


def test_a_file_and_apollo_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one of them is allowed"):
        load_settings(tmp_path / "orders.yaml", environ={}, apollo=Apollo("http://apollo", "shop"))


def test_the_effective_configuration_names_the_key_in_apollo(service: ApolloService) -> None:
    rows = {row.key: row for row in effective(load(Apollo(service.url, "shop")))}
    assert rows["databases"].value == "postgresql://shop:***@db/orders"
    assert rows["worker.sweep"].source == "Apollo namespace application, key worker.sweep"
