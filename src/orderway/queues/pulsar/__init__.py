"""Hints over Apache Pulsar: a Shared subscription, native delays, negative acknowledgement, a dead-letter topic.

Needs the extra ``pulsar``: ``pip install 'orderway[pulsar]'``.
"""

from orderway.errors import ConfigError
from orderway.queues.pulsar.options import Pulsar

try:
    from orderway.queues.pulsar.queue import PulsarQueue
except ModuleNotFoundError as missing:
    raise ConfigError("Pulsar needs the package pulsar-client: pip install 'orderway[pulsar]'") from missing

__all__ = ["Pulsar", "PulsarQueue"]
