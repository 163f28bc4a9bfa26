"""Hints over RabbitMQ: durable queues, publisher confirms, delays by queues whose messages expire.

Needs the extra ``rabbitmq``: ``pip install 'orderway[rabbitmq]'``.
"""

from orderway.errors import ConfigError
from orderway.queues.rabbitmq.options import Rabbitmq

try:
    from orderway.queues.rabbitmq.queue import RabbitmqQueue
except ModuleNotFoundError as missing:
    raise ConfigError("RabbitMQ needs the package aio-pika: pip install 'orderway[rabbitmq]'") from missing

__all__ = ["Rabbitmq", "RabbitmqQueue"]
