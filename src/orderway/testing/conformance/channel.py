"""What every payment channel must do: charge, hold, capture, close and give back, each once."""

from __future__ import annotations

from orderway.testing.conformance.charging import ChargeConformance
from orderway.testing.conformance.giving_back import GiveBackConformance
from orderway.testing.conformance.holding import HoldConformance

__all__ = ["ChannelConformance"]


class ChannelConformance(ChargeConformance, HoldConformance, GiveBackConformance):
    """The contract of :class:`orderway.ports.channel.Channel`.

    A fixture ``provider`` gives a :class:`Provider`. What a channel does not declare, by ``holds`` and ``asks_payer``,
    is skipped.
    """
