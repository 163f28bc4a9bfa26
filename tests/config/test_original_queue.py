"""The original's connections to Pulsar: each key of them, and what must agree."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from orderway import App
from orderway.config import Settings, effective, load_settings
from orderway.config.environment import variable_of
from orderway.config.original_keys import PULSAR_CONSUME, PULSAR_PRODUCER
from orderway.errors import ConfigError
from orderway.queues.pulsar import Pulsar, PulsarQueue

PRODUCER, CONSUMER = "components.pulsar-producer.order", "services.pulsar-consume.order"


def load(
    tmp_path: Path,
    order: Mapping[str, Any] | None = None,
    producer: Mapping[str, Any] | None = None,
    consumer: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    ours: Mapping[str, Any] | None = None,
) -> Settings:
    """The settings of the original's sections, with SQLite, and with the queue allowed unless ``order`` says else."""
    document: dict[str, Any] = {
        "order": {"AllowMqCompensation": True} | dict(order or {}),
        "components": {"sqlx": {"order": {"Driver": "sqlite3", "Source": f"{tmp_path}/orders.db"}}},
        **(ours or {}),
    }
    if producer is not None:
        document["components"]["pulsar-producer"] = {"order": dict(producer)}
    if consumer is not None:
        document["services"] = {"pulsar-consume": {"order": dict(consumer)}}
    file = tmp_path / "default.yaml"
    file.write_text(yaml.safe_dump(document))
    return load_settings(file, environ=environ or {})


def refused(tmp_path: Path, *arguments: Any, **options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, *arguments, **options)
    assert "hunter2" not in str(caught.value)
    return str(caught.value)


def options_of(settings: Settings) -> Pulsar:
    """What an App of these settings gives to its queue; nothing is connected to."""
    app = App.from_settings(settings)
    assert app.hinting is not None
    assert isinstance(app.hinting.queue, PulsarQueue)
    return app.hinting.queue._options


BOTH: dict[str, Any] = {
    "Url": "pulsar://mq:6650",
    "AuthBasicUser": "me",
    "AuthBasicPassword": "p@ss/1:x",
    "OperationTimeout": 2500,
}


def test_its_configuration_makes_an_app_with_its_queue(tmp_path: Path) -> None:
    order = {"CompensationDelayTime": 20, "CompensationMQMsgLifeTime": 7200, "MQType": "pulsar"}
    topic = "persistent://shop/orders/hints"
    consumer: dict[str, Any] = {"Topics": topic, "SubscriptionName": "movers", "DLQDeadLetterTopic": f"{topic}-dead"}
    consumer |= {"ReceiverQueueSize": 500, "SubscriptionType": "Shared", "ListenerName": "external"}
    settings = load(tmp_path, order, BOTH | {"Topic": topic}, BOTH | consumer)
    assert options_of(settings) == Pulsar(
        *("pulsar://mq:6650", "shop", "orders", "hints", "movers"),
        user="me",
        password="p@ss/1:x",
        answer_within_s=3,
        prefetch=500,
        dead_letters="hints-dead",
        listener="external",
    )
    app = App.from_settings(settings)
    assert app.hinting is not None
    assert app.hinting.delay_s == 20
    assert app.hinting._lifetime_us == 7_200_000_000
    (shown,) = [row for row in effective(settings) if row.key == "queue.url"]
    assert shown.value.startswith("pulsar://me:***@mq:6650/shop/orders/hints?subscription=movers&")
    assert shown.source.endswith(f", {PRODUCER}.Url")
    assert settings.unused == ()


def test_without_a_word_it_is_what_its_components_have_by_default(tmp_path: Path) -> None:
    assert options_of(load(tmp_path, None, {"Name": "x"}, {"ConsumeCount": 1})) == Pulsar(
        "pulsar://localhost:6650", "public", "default", "test", "test"
    )


def test_a_bare_topic_is_one_of_the_default_namespace(tmp_path: Path) -> None:
    settings = load(tmp_path, None, {"Topic": "hints"}, {"Topics": "persistent://public/default/hints"})
    assert options_of(settings).full_topic == "persistent://public/default/hints"


def test_several_brokers_and_tls(tmp_path: Path) -> None:
    both = {"Url": "pulsar+ssl://a:6651,b:6651/"}
    assert options_of(load(tmp_path, None, both, both)).service_url == "pulsar+ssl://a:6651,b:6651"


def test_a_producer_that_names_no_user_has_that_of_the_consumer(tmp_path: Path) -> None:
    assert options_of(load(tmp_path, None, {"Topic": "t"}, {"Topics": "t", "AuthBasicUser": "me"})).user == "me"


DIFFERENT = [
    ({"Url": "pulsar://a"}, {"Url": "pulsar://b"}, "Url", "Url"),
    ({"Url": "pulsar://a"}, {}, "Url", "Url"),
    ({"Topic": "a"}, {"Topics": "b"}, "Topics", "Topic"),
    ({"Topic": "persistent://a/b/c"}, {"Topics": "c"}, "Topics", "Topic"),
    ({"AuthBasicUser": "a"}, {"AuthBasicUser": "b"}, "AuthBasicUser", "AuthBasicUser"),
    ({"AuthBasicPassword": "hunter2"}, {"AuthBasicPassword": "hunter22"}, "AuthBasicPassword", "AuthBasicPassword"),
]


@pytest.mark.parametrize(("producer", "consumer", "received", "sent"), DIFFERENT, ids=str)
def test_both_must_speak_of_the_same_topic(
    producer: dict[str, str], consumer: dict[str, str], received: str, sent: str, tmp_path: Path
) -> None:
    said = refused(tmp_path, None, {"AuthBasicUser": "a"} | producer, {"AuthBasicUser": "a"} | consumer)
    assert f"{CONSUMER}.{received}" in said
    assert f"is not the same as {PRODUCER}.{sent} (" in said


WRONG = [
    ({"Url": "mq:6650"}, {"Url": "mq:6650"}, f"{PRODUCER}.Url: cannot be read; its form is pulsar://localhost:6650"),
    ({"Url": "pulsar://u:hunter2@mq"}, {"Url": "pulsar://u:hunter2@mq"}, f"{PRODUCER}.Url: cannot be read"),
    ({"Url": "pulsar://m q"}, {"Url": "pulsar://m q"}, f"{PRODUCER}.Url: queue.url: the address of Pulsar cannot be"),
    ({"Topic": "non-persistent://a/b/c"}, {"Topics": "c"}, f"{PRODUCER}.Topic: cannot be read; its form is persistent"),
    ({}, {"Topics": "a,b"}, f"{CONSUMER}.Topics: names several topics; one is allowed"),
    ({}, {"TopicsPattern": "a.*"}, f"{CONSUMER}.TopicsPattern: names topics by a pattern, which is not supported"),
    ({}, {"SubscriptionType": "failover"}, f"{CONSUMER}.SubscriptionType: is 'failover': shared is allowed"),
    ({}, {"SubscriptionName": "a/b"}, "'a/b' is no subscription of Pulsar"),
    ({}, {"ReceiverQueueSize": 50_000}, f"{CONSUMER}.ReceiverQueueSize: must be a whole number, at most 10,000"),
    ({}, {"OperationTimeout": "soon"}, f"{CONSUMER}.OperationTimeout: must be a whole number, at most 60,000"),
    ({"OperationTimeout": 90_000}, {}, f"{PRODUCER}.OperationTimeout: must be a whole number, at most 60,000"),
    ({}, {"DLQDeadLetterTopic": "a/b/c"}, f"{CONSUMER}.DLQDeadLetterTopic: is in another namespace than"),
    ({"AuthBasicPassword": "hunter2"}, {}, f"{PRODUCER}.AuthBasicPassword: is given without AuthBasicUser"),
    ({"Topik": "t"}, {}, f"{PRODUCER}.Topik is no key of the original; did you mean Topic?"),
    ({"SendTimeout": "hunter2"}, {}, f"{PRODUCER}.SendTimeout: must be a whole number, at least -1"),
]


@pytest.mark.parametrize(("producer", "consumer", "said"), WRONG, ids=str)
def test_what_is_wrong_with_them_is_said(
    producer: dict[str, Any], consumer: dict[str, Any], said: str, tmp_path: Path
) -> None:
    text = refused(tmp_path, None, {"ConnectionTimeout": 1} | producer, {"ConnectionTimeout": 1} | consumer)
    assert said in text
    assert "2 problems" not in text


def test_allowed_without_connections_names_those_that_it_lacks(tmp_path: Path) -> None:
    said = refused(tmp_path)
    assert f"order.AllowMqCompensation: {PRODUCER} and {CONSUMER} are needed, and neither is there" in said
    said = refused(tmp_path, {"MQProducerName": "p"}, {"Topic": "t"}, {"Topics": "t"})
    assert "order.MQProducerName: components.pulsar-producer.p is needed" in said
    assert "components.pulsar-producer configures only order" in said
    assert f"{CONSUMER} is needed, and there is no services.pulsar-consume" in refused(tmp_path, None, {"Topic": "t"})


def test_not_allowed_nothing_is_needed_and_no_queue_is_made(tmp_path: Path) -> None:
    for order in ({"AllowMqCompensation": False}, {"AllowMqCompensation": None}):
        for connections in ((), ({"Topic": "a"}, {"Topics": "b"}), (BOTH, BOTH)):
            assert App.from_settings(load(tmp_path, order, *connections)).hinting is None
    said = refused(tmp_path, {"AllowMqCompensation": False}, {"Topik": "t"})
    assert "did you mean Topic?" in said


def test_another_queue_can_stand_in_its_place(tmp_path: Path) -> None:
    app = App.from_settings(load(tmp_path, {"MQType": "store"}, BOTH, BOTH))
    assert app.hinting is not None
    assert app.hinting.queue.where == "the orders' own database"
    assert App.from_settings(load(tmp_path, ours={"queue": {"kind": "store"}}))._queue == "store"
    rabbit = {variable_of("queue.url"): "amqp://mq"}
    assert App.from_settings(load(tmp_path, {"MQType": "rabbitmq"}, environ=rabbit))._queue == "amqp://mq"
    pulsar = {variable_of("queue.url"): "pulsar://mq"}
    assert options_of(load(tmp_path, environ=pulsar)).service_url == "pulsar://mq"


def test_each_key_sets_the_url_or_is_told_to_be_unused(tmp_path: Path) -> None:
    for path, keys in ((PRODUCER, PULSAR_PRODUCER), (CONSUMER, PULSAR_CONSUME)):
        unused = {name for name, key in keys.items() if key.unused}
        given: dict[str, Any] = dict.fromkeys(unused, 1)
        producer, consumer = (given, {}) if path == PRODUCER else ({}, given)
        settings = load(tmp_path, None, {"AuthBasicUser": "me"} | producer, {"AuthBasicUser": "me"} | consumer)
        assert {line.partition(":")[0] for line in settings.unused} == {f"{path}.{name}" for name in unused}
