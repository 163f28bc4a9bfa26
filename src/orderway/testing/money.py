"""Where the money really is: what channels, ledger and the shop's own gateway say, beside what the orders say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from orderway.adapters import Ports
from orderway.channels.scripted import ScriptedChannel
from orderway.core.order import Order, Stage
from orderway.core.payment import GATEWAY, LegState, RefundState
from orderway.ports.ledger import HELD, SALES, WALLET, Posting
from orderway.testing.world import PaidOutside

__all__ = ["Truth"]

Money = tuple[str, str, int]
"""By whom, under which number, how many minor units."""
WALLETS = frozenset({"wallet", "points"})


class MoneyWorld(Protocol):
    """Where money comes from beside the ledger."""

    channel: ScriptedChannel
    card: ScriptedChannel
    paid_outside: list[PaidOutside]


@dataclass(slots=True)
class Truth:
    """The money that came and went for orders.

    Args:
        came: payments, by channel and reference.
        went: refunds, by channel and refund key.
        held: what is put aside, by channel and payment key.
        charges: how often each order was charged.
        payers: whose payment it was, by channel and reference.
    """

    came: Counter[Money] = field(default_factory=Counter)
    went: Counter[Money] = field(default_factory=Counter)
    held: Counter[Money] = field(default_factory=Counter)
    charges: Counter[str] = field(default_factory=Counter)
    payers: dict[tuple[str, str], str] = field(default_factory=dict)

    @staticmethod
    async def of(world: MoneyWorld, ports: Ports) -> Truth:
        """As the channels, the gateway and the ledger of this world have it; what is parked is known of."""
        truth = Truth()
        for channel in (world.channel, world.card):
            for took in channel.taken():
                truth._came(channel.name, took.reference, took.amount.amount_minor, took.order_id)
            for back in channel.returned():
                if back.key:  # a lost dispute is no refund
                    truth.went[channel.name, back.key, back.amount.amount_minor] += 1
            for held in channel.held():
                truth.held[channel.name, held.key, held.amount.amount_minor] += 1
        for payment in world.paid_outside:
            truth._came(GATEWAY, payment.reference, payment.amount.amount_minor, payment.order_id)
        for parked in await ports.parking.list(None, 1000):
            truth.came[parked.channel, parked.reference, parked.amount_minor] -= 1
        cursor: str | None = None
        while True:
            posted, cursor = await ports.ledger.postings(cursor, 1000)
            for each in posted:
                truth._add(each.posting)
            if cursor is None:
                return truth

    def compare(self, orders: Iterable[Order[Any]], most_charges: int) -> Iterable[str]:
        """What the channels took, hold and gave back is what the orders know of; none was charged too often."""
        orders = list(orders)
        for order_id, count in self.charges.items():
            if count > most_charges:
                yield f"{order_id} was charged {count} times"
        came: Counter[Money] = Counter()
        went: Counter[Money] = Counter()
        held: Counter[Money] = Counter()
        for order in orders:
            for leg in order.legs:
                by = _by(leg.channel)
                if leg.captured_minor:
                    came[by, leg.reference, leg.captured_minor] += 1
                if leg.state is LegState.HELD:
                    held[by, order.payment_key(leg), leg.authorized_minor] += 1
            for refund in order.refunds:
                by = _by(order.legs[refund.leg].channel)
                if refund.state is RefundState.RETURNED and refund.amount_minor and by != GATEWAY:
                    went[by, order.refund_key(refund), refund.amount_minor] += 1
        # What a stuck order still waits for, its channel is asked when a person sends it on.
        stuck = {order.id for order in orders if order.stage is Stage.STUCK and any(leg.is_open for leg in order.legs)}
        unknown = self.came - came
        unasked = Counter({money: unknown[money] for money in unknown if self.payers.get(money[:2]) in stuck})
        yield from _differences("took", self.came - unasked, came)
        yield from _differences("gave back", self.went, went)
        yield from _differences("holds", self.held, held)

    def _came(self, by: str, reference: str, minor: int, order_id: str) -> None:
        self.came[by, reference, minor] += 1
        self.charges[order_id] += 1
        self.payers[by, reference] = order_id

    def _add(self, posting: Posting) -> None:
        what, _, of = posting.memo.removeprefix("order ").partition(": ")
        if not posting.memo.startswith("order "):
            return
        moved = {line.account: line.amount_minor for line in posting.lines}
        if of == "":
            self._came("wallet", posting.key, moved[SALES], what)
        elif of == "held":
            self.held["wallet", posting.key, moved[HELD]] += 1
        elif of in {"captured", "released"}:
            self.held["wallet", posting.key.removesuffix("-c"), -moved[HELD]] -= 1
            if of == "captured":
                self._came("wallet", posting.key.removesuffix("-c"), moved[SALES], what)
        elif of == "refund":
            self.went["wallet", posting.key, moved[WALLET]] += 1


def _by(channel: str) -> str:
    return "wallet" if channel in WALLETS else channel


def _differences(did: str, truth: Counter[Money], known: Counter[Money]) -> Iterable[str]:
    for by, reference, minor in truth - known:
        yield f"{by} {did} {minor} minor units as {reference}, and no order knows of it"
    for by, reference, minor in known - truth:
        yield f"an order says that {by} {did} {minor} minor units as {reference}, which it never did"
