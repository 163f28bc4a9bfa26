"""What a queue is made of on the server, and how a message finds its way to it after a delay.

RabbitMQ has no delayed messages, but queues whose messages expire after a fixed time and go on to an exchange then. A
delay in seconds, rounded up, is a binary number of 20 digits, and so is the routing key of a delayed message:
``0.0. ... .1.0.1`` is 5 s. Each digit is a *level* with a topic exchange and a queue, both named
``<queue>.delay.<level>``; the queue holds what is in it for 2^level seconds. The exchange of a level sends a message
into its queue where the digit is 1, and straight to the next lower level where it is 0; from the queue it goes to
the next lower level, too, and from the lowest to ``<queue>`` itself. So a message waits for the sum of its digits, the
server alone moves it, and in each queue all wait equally long: nobody behind somebody longer. (NServiceBus delays
messages in this way: https://docs.particular.net/transports/rabbitmq/delayed-delivery.)

The queues are durable *classic* queues, each on one node, unless *quorum* queues are asked for, each on most nodes of a
cluster. A classic queue lets go of what expires without waiting until its next queue has it on disk: a server that is
killed in that very moment may lose it, though it never did so in the tests. Quorum queues wait (``at-least-once``). But
RabbitMQ writes down half a second later that it made one: killed before that, it comes back with a queue that takes
nothing and gives nothing until somebody deletes it (seen with 3.10.8; Ra keeps its members in a DETS table, which is
saved in the background). So they are for those who need them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orderway.queues.rabbitmq.options import CLASSIC, QUORUM

__all__ = ["LEVELS", "Binding", "Level", "Route", "Topology"]

LEVELS = 20
"""For delays up to 2^20 - 1 s: twelve days."""
MOST_DELIVERIES = 1000
"""So often a quorum queue gives a message to receivers that do not settle it; then it is a dead letter."""
_UNLIMITED = 1_000_000_000
"""Each look at a dead letter is a delivery. RabbitMQ 4 would drop it after 20, and 3 knows no other word for never."""
_AT_LEAST_ONCE = {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}

Arguments = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Binding:
    """From an exchange, where the routing key fits: to a queue, or to another exchange."""

    source: str
    pattern: str
    target: str
    to_queue: bool


@dataclass(frozen=True, slots=True)
class Level:
    """One digit of a delay: a topic exchange and a queue of the same name.

    Args:
        arguments: of the queue.
        bindings: of the exchange. They lead into this queue, and to the next lower level: make that one first.
    """

    name: str
    arguments: Arguments
    bindings: Sequence[Binding]


@dataclass(frozen=True, slots=True)
class Route:
    """Where a message is published.

    Args:
        exchange: "" for the default exchange, which knows each queue by its name.
        levels: so many, from the lowest, must exist for it.
    """

    exchange: str
    key: str
    levels: int


class Topology:
    """The names and arguments of a queue and all that belongs to it.

    Args:
        queue: its name, of at most 128 characters.
        queue_type: ``classic`` or ``quorum``.

    Attributes:
        queue: its name.
        arguments: with which it is made.
        dead: the name of the queue of its dead letters.
        dead_arguments: with which that is made.
    """

    def __init__(self, queue: str, queue_type: str = CLASSIC) -> None:
        self.queue = queue
        self.dead = f"{queue}.dead"
        self._type: Arguments = {"x-queue-type": queue_type}
        self.arguments, self.dead_arguments = self._type, self._type
        if queue_type == QUORUM:
            to_dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": self.dead}
            self.arguments = {**self._type, **_AT_LEAST_ONCE, **to_dead, "x-delivery-limit": MOST_DELIVERIES}
            self.dead_arguments = {**self._type, "x-delivery-limit": _UNLIMITED}
            self._type = {**self._type, **_AT_LEAST_ONCE}

    def level_name(self, number: int) -> str:
        """The name of a level's exchange, and of its queue."""
        return f"{self.queue}.delay.{number}"

    def level(self, number: int) -> Level:
        """A level, 0 for the lowest."""
        name = self.level_name(number)
        any_before, any_after = "*." * (LEVELS - 1 - number), ".*" * number
        below = self.queue if number == 0 else self.level_name(number - 1)
        # The default exchange goes by the routing key, which then has to be the queue's name.
        onward = {"x-dead-letter-exchange": below}
        if number == 0:
            onward = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": below}
        return Level(
            name,
            {**self._type, "x-message-ttl": 1000 << number, **onward},
            [
                Binding(name, f"{any_before}1{any_after}", name, to_queue=True),
                Binding(name, f"{any_before}0{any_after}", below, to_queue=number == 0),
            ],
        )

    def route(self, delay_s: float) -> Route:
        """The way to the queue that takes this delay, rounded up to a whole second; at most twelve days."""
        seconds = min(math.ceil(delay_s), 2**LEVELS - 1)
        if seconds <= 0:
            return Route("", self.queue, 0)
        levels = seconds.bit_length()
        return Route(self.level_name(levels - 1), ".".join(f"{seconds:0{LEVELS}b}"), levels)
