"""Every key of the original's configuration, and what becomes of it here. A page of the documentation lists them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["ORDER", "PULSAR_CONSUME", "PULSAR_PRODUCER", "REDIS", "SQLX", "Key"]


@dataclass(frozen=True, slots=True)
class Key:
    """What becomes of a key.

    Attributes:
        to: the key of ours that it sets; empty if it sets none by itself.
        unused: why it changes nothing here; empty if it does.
        kind: of a value that changes nothing, and is checked all the same: ``int`` or ``text``.
        least: the smallest number allowed.
    """

    to: str = ""
    unused: str = ""
    kind: str = "int"
    least: int = 0


_LOCK = (
    "a lock is released by whoever holds it, and by nobody else (a token, compared when it is deleted), so there is"
    " no time after which it must not be"
)
_POOL = "Orderway keeps few connections, all of them in use, and makes one anew when it breaks"
_HINT = "a hint is a message of some 60 bytes, sent by itself, as a delayed one always is"
_ONE_LIMIT = "one limit holds for everything that Pulsar is asked, OperationTimeout"
_FOREVER = "a connection that breaks is made anew for as long as the process runs"
_TRIES = "CompensationMQMsgLifeTime says for how long a hint is tried again, after pauses that grow"
_PULSARS_OWN = "Pulsar's client knows this by itself"

ORDER: Mapping[str, Key] = {
    "SqlxName": Key(),
    "TableShardNums": Key("shards"),
    "RedisName": Key(),
    "OrderLockDBExpire": Key("redis.lock_expire_s"),
    "OrderUnlockDBLimitProcessTime": Key(unused=_LOCK, least=1),
    "OrderLockKeyFormat": Key("redis.lock_key_format"),
    "OrderSeqNoKeyFormat": Key("redis.sequence_key_format"),
    "MQType": Key("queue.kind"),
    "MQProducerName": Key(),
    "AllowMqCompensation": Key("queue.enabled"),
    "CompensationDelayTime": Key("queue.delay_s"),
    "MQConsumeName": Key(),
    "CompensationMQMsgLifeTime": Key("queue.message_lifetime_s"),
}

SQLX: Mapping[str, Key] = {
    "Driver": Key("databases"),
    "Source": Key("databases"),
    "MaxIdleConns": Key(unused=_POOL),
    "MaxOpenConns": Key("connections.transactions"),
    "ConnMaxLifetimeSec": Key(unused=_POOL),
    "ConnMaxLifetime": Key(unused=_POOL),
}

REDIS: Mapping[str, Key] = {
    "Address": Key("redis.url"),
    "UserName": Key("redis.url"),
    "Password": Key("redis.url"),
    "DB": Key("redis.url"),
    "IsCluster": Key("redis.url"),
    "PoolSize": Key("redis.most_connections"),
    "ReadTimeoutSec": Key("redis.answer_within_s"),
    "WriteTimeoutSec": Key("redis.answer_within_s"),
    "ReadTimeout": Key("redis.answer_within_s"),
    "WriteTimeout": Key("redis.answer_within_s"),
    **{
        name: Key(unused=_POOL, least=-1)
        for name in (
            *("MinIdle", "MinIdleConns", "MaxIdle", "IdleTimeout", "WaitTimeout", "ConnectTimeout", "DialTimeout"),
            *("MaxConnLifetime", "MaxRetries"),
        )
    },
}

_PULSAR: Mapping[str, Key] = {
    "Url": Key("queue.url"),
    "ListenerName": Key("queue.url"),
    "ConnectionTimeout": Key(unused=_ONE_LIMIT),
    "OperationTimeout": Key("queue.url"),
    "AuthBasicUser": Key("queue.url"),
    "AuthBasicPassword": Key("queue.url"),
}

PULSAR_PRODUCER: Mapping[str, Key] = {
    **_PULSAR,
    "Topic": Key("queue.url"),
    "Name": Key(unused="each producer has a name of its own: two of one name would exclude each other", kind="text"),
    "SendTimeout": Key(unused=_ONE_LIMIT, least=-1),
    "DisableBlockIfQueueFull": Key(unused="nobody waits for a hint to be sent", kind="text"),
    "MaxPendingMessages": Key(unused="at most 64 hints are sent at once; the others wait, and keep nobody"),
    **{
        name: Key(unused=_HINT, kind="text")
        for name in ("CompressionType", "CompressionLevel", "DisableBatching", "KeyBatcherBuilder")
    },
    **{name: Key(unused=_HINT) for name in ("BatchingMaxPublishDelay", "BatchingMaxMessages", "BatchingMaxSize")},
    "MaxReconnectToBroker": Key(unused=_FOREVER, least=-1),
    "PartitionsAutoDiscoveryInterval": Key(unused=_PULSARS_OWN),
}

PULSAR_CONSUME: Mapping[str, Key] = {
    **_PULSAR,
    "Topics": Key("queue.url"),
    "TopicsPattern": Key("queue.url"),
    "AutoDiscoveryPeriod": Key(unused="it belongs to TopicsPattern"),
    "SubscriptionName": Key("queue.url"),
    "SubscriptionType": Key("queue.url"),
    "SubscriptionInitialPosition": Key(
        unused="a new subscription begins with the earliest message, so that what was sent before it is not left out",
        kind="text",
    ),
    "DLQMaxDeliveries": Key(unused=_TRIES),
    "DLQDeadLetterTopic": Key("queue.url"),
    "DLQRetryLetterTopic": Key(unused=_TRIES, kind="text"),
    "EnableRetryTopic": Key(unused=_TRIES, kind="text"),
    "ReconsumeTime": Key(unused=_TRIES),
    "ReceiverQueueSize": Key("queue.url"),
    "ReadCompacted": Key(unused="hints have no keys by which a topic could be compacted", kind="text"),
    "MaxReconnectToBroker": Key(unused=_FOREVER, least=-1),
    "EnableDefaultNackBackoffPolicy": Key(unused=_TRIES, kind="text"),
    "ConsumeLogLevelIsInfo": Key(unused="what becomes of a hint is counted, not logged", kind="text"),
    "ConsumeCount": Key(unused="a process has one consumer; start more processes for more"),
    "ConsumeThreadCount": Key(unused="a process acts on 64 hints at once, without threads"),
    "ReceiveMsgRetryTime": Key(unused=_FOREVER),
}
