"""The original's configuration: its readme's own text, and each key of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from orderway.config import Settings, load_settings
from orderway.config.environment import variable_of
from orderway.config.go_dsn import url_of_source
from orderway.config.load import settings_of
from orderway.config.properties import read_namespace
from orderway.errors import ConfigError

README = (Path(__file__).parent / "original.yaml").read_text()
"""The section on configuration of the original's readme, as printed there."""
NAMESPACE = (Path(__file__).parent / "original_namespace.yaml").read_text()
"""What it prints as the content of an Apollo namespace called order."""

SQLX = "Driver: mysql, Source: 'root:pass@tcp(127.0.0.1:3306)/shop?charset=utf8mb4&parseTime=True&loc=Local'"
SQLITE = "Driver: sqlite3, Source: orders.db"


def load(text: str, tmp_path: Path, **variables: str) -> Settings:
    file = tmp_path / "default.yaml"
    file.write_text(text)
    return load_settings(file, environ={variable_of(key.replace("__", ".")): value for key, value in variables.items()})


def refused(text: str, tmp_path: Path, **variables: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(text, tmp_path, **variables)
    return str(caught.value).replace(f"{tmp_path}/", "")


def filled_in(
    text: str = README, *, sqlx: str = SQLX, redis: str = "Address: 'cache:6380', Password: secret, DB: 3"
) -> str:
    """The readme's text with the connections under the right names."""
    text = text.replace("    score:\n      # ...\n  redis:", f"    order: {{{sqlx}}}\n  redis:")
    return text.replace("    score:\n      # ...\n  pulsar", f"    order: {{{redis}}}\n  pulsar")


def of(order: str = "", *, sqlx: str = SQLX, redis: str = "", more: str = "") -> str:
    """A configuration in the original's form."""
    components = f"components:\n  sqlx: {{order: {{{sqlx}}}}}\n" + (
        f"  redis: {{order: {{{redis}}}}}\n" if redis else ""
    )
    return f"order: {{{order}}}\n{components}{more}"


def test_as_printed_it_stops_and_names_the_connections_that_it_lacks(tmp_path: Path) -> None:
    assert refused(README, tmp_path).splitlines() == [
        "the configuration has 2 problems:",
        "- default.yaml line 3, order.SqlxName: components.sqlx.order is needed, and components.sqlx configures only"
        " score",
        "- default.yaml line 6, order.RedisName: components.redis.order is needed, and components.redis configures only"
        " score",
    ]


def test_with_its_connections_filled_in_it_says_everything(tmp_path: Path) -> None:
    settings = load(filled_in(), tmp_path)
    assert settings.urls == ("mysql://root:pass@127.0.0.1:3306/shop",)
    redis = settings.redis.as_option()
    assert redis is not None
    assert redis.url == "redis://:secret@cache:6380/3"
    assert (redis.lock, redis.lock_key_format, redis.lock_expire_s) == (True, "order:lock:op:<order_id>", 30.0)
    assert (redis.sequence, redis.sequence_key_format) == (True, "order:seqno:<order_type>:<shard_num>")
    assert settings.app_arguments()["shards"] == 2
    assert settings.ids == "sequence"
    queue = settings.queue
    assert (queue.enabled, queue.kind, queue.url) == (False, "pulsar", None)
    assert (queue.delay_s, queue.message_lifetime_s) == (60, 3600)
    assert settings.app_arguments()["queue"] is None
    (unused,) = settings.unused
    assert unused.startswith("order.OrderUnlockDBLimitProcessTime: a lock is released by whoever holds it")


def test_its_namespace_in_apollo_is_understood() -> None:
    documents = [
        read_namespace("order.yaml", {"content": NAMESPACE}),
        read_namespace("components", {"sqlx.order": f"{{{SQLX}}}", "redis.order.Address": "cache:6379"}),
    ]
    settings = settings_of(documents, environ={}, overrides={})
    assert settings.urls == ("mysql://root:pass@127.0.0.1:3306/shop",)
    assert settings.sources["shards"] == "Apollo namespace order.yaml line 2, order.TableShardNums"


KEYS = [
    ("TableShardNums: 1000", "shards", 1000),
    ("OrderLockDBExpire: 45", "redis.lock_expire_s", 45.0),
    ("OrderLockKeyFormat: 'l:<order_id>'", "redis.lock_key_format", "l:<order_id>"),
    ("OrderSeqNoKeyFormat: 's:<order_type>'", "redis.sequence_key_format", "s:<order_type>"),
    ("MQType: Pulsar", "queue.kind", "pulsar"),
    ("AllowMqCompensation: false", "queue.enabled", False),
    ("CompensationDelayTime: 20", "queue.delay_s", 20),
    ("CompensationMQMsgLifeTime: 7200", "queue.message_lifetime_s", 7200),
    ("tableshardnums: 3", "shards", 3),
]


@pytest.mark.parametrize(("order", "key", "value"), KEYS, ids=str)
def test_each_key_sets_one_of_ours(order: str, key: str, value: object, tmp_path: Path) -> None:
    settings = load(of(order), tmp_path)
    section, _, name = key.rpartition(".")
    assert getattr(getattr(settings, section) if section else settings, name) == value
    assert settings.sources[key].startswith(f"{tmp_path}/default.yaml line 1, order.")


def test_names_choose_the_connections(tmp_path: Path) -> None:
    text = (
        "order: {SqlxName: Orders, RedisName: cache}\n"
        f"components: {{sqlx: {{score: {{Driver: x}}, orders: {{{SQLITE}}}}}, redis: {{cache: {{Address: h}}}}}}\n"
    )
    settings = load(text, tmp_path)
    assert settings.urls == ("sqlite:///orders.db",)
    assert settings.redis.url is not None
    assert settings.redis.url.get_secret_value() == "redis://h/0"


def test_without_a_redis_it_goes_on_without_one(tmp_path: Path) -> None:
    settings = load(of(), tmp_path)
    assert (settings.redis.url, settings.ids, settings.shards) == (None, "time", 2)
    assert settings.sources["shards"] == "default of the original, order.TableShardNums"


def test_sections_of_its_framework_and_other_components_are_left_alone(tmp_path: Path) -> None:
    more = "  kafka-producer: {x: {y: 1}}\nframe: {Log: {Level: info}}\nplugins: {}\nservices: {grpc: {Bind: ':80'}}\n"
    assert load(of(more=more), tmp_path).shards == 2


def test_keys_of_ours_stand_beside_it(tmp_path: Path) -> None:
    settings = load(of(more="worker: {sweep: false}\nids: time\n", redis="Address: h"), tmp_path)
    assert (settings.worker.sweep, settings.ids) == (False, "time")
    assert load(of(more="shards: 5\n"), tmp_path).shards == 5
    said = refused(of("TableShardNums: 3", more="shards: 5\n"), tmp_path)
    assert "line 1, order.TableShardNums: sets shards, which default.yaml line 4 sets as well" in said


def test_later_sources_give_what_it_lacks(tmp_path: Path) -> None:
    settings = load(README, tmp_path, databases="mysql://h/a", redis__url="redis://h/0", shards="9")
    assert (settings.urls, settings.shards) == (("mysql://h/a",), 9)


WRONG = [
    ("TableShardNum: 2", "line 1: order.TableShardNum is no key of the original; did you mean TableShardNums?"),
    ("TableShardNums: 0", "line 1, order.TableShardNums: shards is '0': at least 1 is allowed"),
    ("TableShardNums: two", "order.TableShardNums: shards is 'two': a whole number is allowed"),
    ("TableShardNums: 2, tableShardNums: 3", "order.TableShardNums is given twice"),
    ("TableShardNums: [2]", "order.TableShardNums is no single value"),
    ("OrderLockDBExpire: 0", "redis.lock_expire_s is 0.0: 0.1 to 86,400 are allowed"),
    ("OrderUnlockDBLimitProcessTime: soon", "order.OrderUnlockDBLimitProcessTime: must be a whole number, at least 1"),
    ("OrderUnlockDBLimitProcessTime: 0", "order.OrderUnlockDBLimitProcessTime: must be a whole number, at least 1"),
    ("OrderLockKeyFormat: lock", "redis.lock_key_format 'lock' lacks <order_id>"),
    ("OrderSeqNoKeyFormat: '<uid>'", "redis.sequence_key_format '<uid>' has the unknown placeholder <uid>"),
    ("MQType: kafka", "order.MQType: queue.kind is 'kafka': 'store', 'pulsar' or 'rabbitmq' is allowed"),
    ("AllowMqCompensation: perhaps", "queue.enabled is 'perhaps': true and false are allowed"),
    ("CompensationDelayTime: -1", "queue.delay_s is '-1': at least 1 is allowed"),
    ("CompensationMQMsgLifeTime: 1h", "queue.message_lifetime_s is '1h': a whole number is allowed"),
    ("SqlxName: none", "line 1, order.SqlxName: components.sqlx.none is needed, and components.sqlx configures only"),
    ("RedisName: order", "line 1, order.RedisName: components.redis.order is needed, and there is no components.redis"),
]


@pytest.mark.parametrize(("order", "said"), WRONG, ids=lambda each: each[:30])
def test_what_is_wrong_in_its_section_is_said(order: str, said: str, tmp_path: Path) -> None:
    assert said in refused(of(order), tmp_path)


WRONG_SQLX = [
    ("Driver: mysql", "components.sqlx.order.Source is missing"),
    ("Source: 'a@/b'", "components.sqlx.order.Driver is missing"),
    ("Driver: mssql, Source: x", "components.sqlx.order.Driver: is 'mssql': mysql, postgres and sqlite3 are allowed"),
    (f"{SQLX}, MaxIdle: 2", "components.sqlx.order.MaxIdle is no key of the original; did you mean MaxIdleConns?"),
    (f"{SQLX}, MaxIdleConns: some", "components.sqlx.order.MaxIdleConns: must be a whole number, at least 0"),
    (f"{SQLX}, MaxOpenConns: 3", "components.sqlx.order.MaxOpenConns: is 3: at least 4 are allowed"),
    ("", "components.sqlx.order.Driver is missing"),
]


@pytest.mark.parametrize(("sqlx", "said"), WRONG_SQLX, ids=lambda each: each[-30:])
def test_what_is_wrong_with_its_database_is_said(sqlx: str, said: str, tmp_path: Path) -> None:
    assert said in refused(of(sqlx=sqlx), tmp_path)


def test_the_limits_of_its_database(tmp_path: Path) -> None:
    limits = "MaxIdleConns: 2, MaxOpenConns: 10, ConnMaxLifetimeSec: 0, ConnMaxLifetime: 0"
    settings = load(of(sqlx=f"{SQLX}, {limits}"), tmp_path)
    assert settings.connections.transactions == 7
    assert [line.partition(":")[0].rpartition(".")[2] for line in settings.unused] == [
        *("MaxIdleConns", "ConnMaxLifetimeSec", "ConnMaxLifetime"),
    ]
    assert load(of(sqlx=f"{SQLX}, MaxOpenConns: 0"), tmp_path).connections.transactions == 4
    sqlite = load(of(sqlx=f"{SQLITE}, MaxOpenConns: 1"), tmp_path)
    assert "MaxOpenConns" in sqlite.unused[0]


def test_an_empty_connection_is_said(tmp_path: Path) -> None:
    assert "components.sqlx.order is needed, and is empty" in refused("components: {sqlx: {order: }}\n", tmp_path)


def test_its_redis_in_every_detail(tmp_path: Path) -> None:
    redis = "Address: ':6379', UserName: me, Password: 007, DB: 1, IsCluster: false, PoolSize: 20, ReadTimeoutSec: 2"
    redis += ", WriteTimeout: 3000, ReadTimeout: -1, MinIdle: 2, MaxRetries: -1"
    settings = load(of(redis=redis), tmp_path)
    assert settings.redis.url is not None
    assert settings.redis.url.get_secret_value() == "redis://me:007@localhost:6379/1"
    assert (settings.redis.most_connections, settings.redis.answer_within_s) == (20, 3.0)
    assert [line.partition(":")[0] for line in settings.unused] == [
        *("components.redis.order.MinIdle", "components.redis.order.MaxRetries"),
    ]


WRONG_REDIS = [
    ("Password: hunter2", "components.redis.order.Address is missing"),
    ("Address: 'a:1,b:2'", "components.redis.order.Address: asks for a cluster, which is not supported"),
    ("Address: a, IsCluster: true", "components.redis.order.IsCluster: asks for a cluster, which is not supported"),
    ("Address: 'redis://a'", "components.redis.order.Address: cannot be read; its form is host:6379"),
    ("Address: a, DB: first", "components.redis.order.DB: must be a whole number, at least 0"),
    ("Address: a, PoolSize: 5000", "components.redis.order.PoolSize: redis.most_connections is 5000: 1 to 1,000 are"),
    ("Address: a, ReadTimeoutSec: 20", "redis.answer_within_s is 20.0: a lock of 30.0 s is renewed"),
    (
        "Address: a, Pasword: hunter2",
        "components.redis.order.Pasword is no key of the original; did you mean Password?",
    ),
]


@pytest.mark.parametrize(("redis", "said"), WRONG_REDIS, ids=lambda each: each[-30:])
def test_what_is_wrong_with_its_redis_is_said(redis: str, said: str, tmp_path: Path) -> None:
    text = refused(of(redis=redis), tmp_path)
    assert said in text
    assert "hunter2" not in text


def test_sections_that_are_none_are_said(tmp_path: Path) -> None:
    said = refused("order: [a]\ncomponents: x\nservices: 3\n", tmp_path)
    for section in ("order", "components", "services"):
        assert f"{section} is no section; its keys stand below it" in said


SOURCES = [
    (
        "mysql",
        "user:pass@tcp(127.0.0.1:3306)/order?charset=utf8mb4&parseTime=True&loc=Local",
        "mysql://user:pass@127.0.0.1:3306/order",
    ),
    ("mysql", "user@tcp(db)/order", "mysql://user@db:3306/order"),
    ("mysql", "user:@tcp(db)/order", "mysql://user@db:3306/order"),
    ("mysql", "tcp([::1]:3307)/order", "mysql://[::1]:3307/order"),
    (
        "mysql",
        "u:p@unix(/run/my sql.sock)/o",
        "mysql://u:p@localhost/o?unix_socket=/run/my%20sql.sock",
    ),
    ("mysql", "/order", "mysql://127.0.0.1:3306/order"),
    ("mysql", "u:a@b:c/d%?#é🐟'\"@tcp(h:1)/o", "mysql://u:a%40b%3Ac%2Fd%25%3F%23%C3%A9%F0%9F%90%9F%27%22@h:1/o"),
    ("mysql", "u:p@/na%2Fme?timeout=5s&tls=false&charset=utf8,utf8mb4", "mysql://u:p@127.0.0.1:3306/na%2Fme"),
    (
        "postgres",
        "postgres://u:p@h:5433/o?sslmode=require&connect_timeout=5",
        "postgresql://u:p@h:5433/o?sslmode=require",
    ),
    (
        "postgres",
        "host=h port=5433 user=u password='p w\\'@/' dbname=o sslmode=disable",
        "postgresql://u:p%20w%27%40%2F@h:5433/o?sslmode=disable",
    ),
    ("postgres", "dbname=o TimeZone=UTC", "postgresql://localhost:5432/o"),
    ("postgres", "host=::1 dbname=o", "postgresql://[::1]:5432/o"),
    ("sqlite3", "orders.db", "sqlite:///orders.db"),
    ("sqllite3", "/var/orders.db", "sqlite:////var/orders.db"),
    ("sqlite3", "file:orders.db?cache=shared&_busy_timeout=5000", "sqlite:///orders.db"),
]


@pytest.mark.parametrize(("driver", "source", "url"), SOURCES, ids=lambda each: each[:30])
def test_a_source_of_go_becomes_a_url(driver: str, source: str, url: str) -> None:
    assert url_of_source(driver, source) == url
    assert load_settings(environ={}, databases=url).urls == (url,)


NO_SOURCES = [
    ("mysql", "user:hunter2@udp(h)/order", "names a network that is not supported"),
    ("mysql", "user:hunter2@tcp(h:99999)/order", "names no host and port that can be read"),
    ("mysql", "user:hunter2@tcp(h:3306)", "cannot be read; its form is"),
    ("mysql", "user:hunter2@tcp(h:3306)/", "cannot be read; its form is"),
    ("mysql", "user:hunter2@h:3306/order", "cannot be read; its form is"),
    ("mysql", "mysql://user:hunter2@h/order", "is a URL, not what Go's driver takes"),
    ("mysql", "u:hunter2@/o?charset=latin1", "has another charset than utf8mb4"),
    ("mysql", "u:hunter2@/o?tls=true", "asks for TLS"),
    ("mysql", "u:hunter2@/o?sql_mode=ANSI", "has the parameter sql_mode, which sets a variable of the session"),
    ("postgres", "user=u password=hunter2", "cannot be read; its forms are"),
    ("postgres", "dbname=o password='hunter2", "cannot be read; its forms are"),
    ("postgres", "host=/run/pg dbname=o password=hunter2", "names a Unix socket"),
    ("postgres", "host=h port=x dbname=o password=hunter2", "names no host and port"),
    ("postgres", "postgres://u:hunter2@h/o?search_path=x", "has the parameter search_path"),
    ("sqlite3", ":memory:", "names no file"),
    ("sqlite3", "file:x.db?mode=memory", "has the parameter mode"),
]


@pytest.mark.parametrize(("driver", "source", "said"), NO_SOURCES, ids=lambda each: each[:40])
def test_a_source_that_is_refused_says_why(driver: str, source: str, said: str, tmp_path: Path) -> None:
    quoted = "'" + source.replace("'", "''") + "'"
    text = refused(of(sqlx=f"Driver: {driver}, Source: {quoted}"), tmp_path)
    assert f"default.yaml line 3, components.sqlx.order.Source: {said}" in text
    assert "hunter2" not in text
