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
_QUEUE = "this version has no queue"

ORDER: Mapping[str, Key] = {
    "SqlxName": Key(),
    "TableShardNums": Key("shards"),
    "RedisName": Key(),
    "OrderLockDBExpire": Key("redis.lock_expire_s"),
    "OrderUnlockDBLimitProcessTime": Key(unused=_LOCK, least=1),
    "OrderLockKeyFormat": Key("redis.lock_key_format"),
    "OrderSeqNoKeyFormat": Key("redis.sequence_key_format"),
    "MQType": Key("queue.kind"),
    "MQProducerName": Key("queue.producer"),
    "AllowMqCompensation": Key("queue.enabled"),
    "CompensationDelayTime": Key("queue.delay_s"),
    "MQConsumeName": Key("queue.consumer"),
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

_PULSAR_CLIENT = ("Url", "ListenerName", "ConnectionTimeout", "OperationTimeout", "AuthBasicUser", "AuthBasicPassword")

PULSAR_PRODUCER: Mapping[str, Key] = {
    name: Key(unused=_QUEUE, kind="text")
    for name in (
        *_PULSAR_CLIENT,
        *("Topic", "Name", "SendTimeout", "DisableBlockIfQueueFull", "MaxPendingMessages", "CompressionType"),
        *("CompressionLevel", "DisableBatching", "KeyBatcherBuilder", "BatchingMaxPublishDelay", "BatchingMaxMessages"),
        *("BatchingMaxSize", "MaxReconnectToBroker", "PartitionsAutoDiscoveryInterval"),
    )
}

PULSAR_CONSUME: Mapping[str, Key] = {
    name: Key(unused=_QUEUE, kind="text")
    for name in (
        *_PULSAR_CLIENT,
        *("Topics", "TopicsPattern", "AutoDiscoveryPeriod", "SubscriptionName", "SubscriptionType"),
        *("SubscriptionInitialPosition", "DLQMaxDeliveries", "DLQDeadLetterTopic", "DLQRetryLetterTopic"),
        *("EnableRetryTopic", "ReconsumeTime", "ReceiverQueueSize", "ReadCompacted", "MaxReconnectToBroker"),
        *("EnableDefaultNackBackoffPolicy", "ConsumeLogLevelIsInfo", "ConsumeCount", "ConsumeThreadCount"),
        *("ReceiveMsgRetryTime",),
    )
}
