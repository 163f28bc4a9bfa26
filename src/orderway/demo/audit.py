"""The audit: the input on one side, the databases on the other. It reads the files itself, and believes no shop."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from orderway.adapters import open_ports
from orderway.demo.fates import POINTS, After, Deal, Fate, deal
from orderway.demo.found import Channel, Found, Order, read_channel, read_orders
from orderway.demo.outcomes import Outcome, outcome_of
from orderway.demo.purchases import CURRENCY, Purchase, read_purchases
from orderway.demo.settings import Folder
from orderway.demo.tally import What, read_tallies
from orderway.verify import Progress, Report, verify

__all__ = ["Audit", "Check", "audit"]

_ODD_ENDS = frozenset({Fate.UNDERPAID, Fate.WRONG_CURRENCY})
_LATE = frozenset({Fate.LATE_AND_WELCOME, Fate.TOO_LATE})


@dataclass(frozen=True, slots=True)
class Check:
    """One figure, as the input has it and as the databases have it.

    Args:
        section: what it is about: ``orders``, ``money``, ``goods`` ...
        name: of the figure.
        expected: from the input, or from whoever else must say the same.
        found: in the databases.
        currency: of the minor units that it counts; "" if it counts no money.
    """

    section: str
    name: str
    expected: int
    found: int
    currency: str = ""

    @property
    def holds(self) -> bool:
        """True if both are the same."""
        return self.expected == self.found


@dataclass(slots=True)
class Audit:
    """What was found when all was over.

    Args:
        checks: input beside databases.
        prevented: how often something was about to happen twice, or to be believed wrongly, and did not.
        verified: what ``verify`` has seen.
        problems: what does not add up, in sentences.
    """

    checks: list[Check] = field(default_factory=list)
    prevented: dict[str, int] = field(default_factory=dict)
    verified: Report = field(default_factory=Report)
    problems: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """True if everything adds up."""
        return not self.problems


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of the input: what was dealt to it, the order that was found for it, and what must have come of it."""

    deal: Deal
    order: Order
    outcome: Outcome


_Payments = Counter[tuple[str, int, str]]
_MISSING = Order("", "", "missing", 0, [])


def audit(
    folder: Folder, purchases: Sequence[Purchase] | None = None, progress: Progress = lambda done, total: None
) -> Audit:
    """Add everything up: orders, money and goods against the input, then every journal against its row.

    Args:
        folder: of a demo that has come to its end.
        purchases: the input; read anew if it is not given.
        progress: told how many orders were verified.
    """
    settings = folder.settings()
    purchases = read_purchases(settings.lines) if purchases is None else purchases
    found, channel = read_orders(folder), read_channel(folder)
    lines = _lines([deal(purchase, settings.seed) for purchase in purchases], found, channel)
    result = Audit()
    result.checks = [
        *_check_orders(lines, found),
        *_check_price(lines, found),
        *_check_channel(lines, found, channel),
        *_check_wallets(lines, found),
        *_check_back(lines, found),
        *_check_goods(lines, found),
    ]
    result.prevented = _prevented(folder, found)
    result.problems += [
        f"{check.section}: {check.name.strip()}: {check.expected} expected, the databases say {check.found}"
        for check in result.checks
        if not check.holds
    ]
    result.verified = asyncio.run(_verify(folder, progress))
    result.problems += result.verified.findings
    return result


def _lines(deals: Iterable[Deal], found: Found, channel: Channel) -> list[_Line]:
    paid_for = channel.paid_for()
    lines = []
    for each in deals:
        order = next(iter(found.orders.get(each.purchase.own_number, ())), _MISSING)
        lines.append(_Line(each, order, outcome_of(each, order, came=each.order_id in paid_for)))
    return lines


async def _verify(folder: Folder, progress: Progress) -> Report:
    ports = await open_ports(folder.url)
    try:
        return await verify(ports.store, ports.ledger, progress=progress)
    finally:
        await ports.close()


# ---- orders ---------------------------------------------------------------------------------------------------------


def _check_orders(lines: Sequence[_Line], found: Found) -> Iterable[Check]:
    wanted = Counter(line.outcome.stage for line in lines)
    stages = Counter(order.stage for order in found.every)
    right = sum(_is_right(line.deal, found.orders.get(line.deal.purchase.own_number, [])) for line in lines)
    ended = sum(line.order.stage == line.outcome.stage for line in lines)
    yield Check("orders", "orders", len(lines), stages.total())
    yield Check("orders", "lines with exactly their order", len(lines), right)
    yield Check("orders", "  that ended as they had to", len(lines), ended)
    yield Check("orders", "finished", wanted["finished"], stages["finished"])
    yield Check("orders", "refunded, all of the price", wanted["refunded"], stages["refunded"])
    yield Check("orders", "cancelled, not paid as agreed", wanted["cancelled"], stages["cancelled"])
    yield Check("orders", "closed at their deadline", wanted["closed"], stages["closed"])
    yield Check("orders", "in any other state", 0, stages.total() - sum(stages[stage] for stage in wanted))


def _is_right(dealt: Deal, found: list[Order]) -> bool:
    purchase = dealt.purchase
    order = (dealt.order_id, purchase.uid, purchase.amount.amount_minor)
    return [(each.id, each.uid, each.amount) for each in found] == [order]


# ---- money ----------------------------------------------------------------------------------------------------------


def _check_price(lines: Sequence[_Line], found: Found) -> Iterable[Check]:
    """The prices of the input: where each cent of them has ended."""

    def check(name: str, expected: int, number: int) -> Check:
        return Check("prices", name, expected, number, CURRENCY)

    prices = sum(line.deal.purchase.amount.amount_minor for line in lines)
    paid, back = sum(line.outcome.paid_in_all for line in lines), sum(line.outcome.back_in_all for line in lines)
    orders = found.every
    kept = sum(order.paid - order.back for order in orders)
    gone, unpaid = sum(order.back for order in orders), sum(order.amount - order.paid for order in orders)
    yield check("paid, and kept", paid - back, kept)
    yield check("paid, and given back", back, gone)
    yield check("never paid: cancelled, or closed", prices - paid, unpaid)
    yield check("in all, to the cent", prices, kept + gone + unpaid)


def _check_channel(lines: Sequence[_Line], found: Found, channel: Channel) -> Iterable[Check]:
    """What came and went through the channel: as the input says, as the orders say, as the channel's file says."""
    legs = [
        (order, number, leg)
        for order in found.every
        for number, leg in enumerate(order.legs)
        if leg.reference.startswith("S")
    ]
    known = Counter((leg.reference, leg.captured, leg.currency) for _, _, leg in legs if leg.captured)
    returned = Counter(
        (leg.reference, refund.amount, leg.currency)
        for order, number, leg in legs
        for refund in order.refunds
        if refund.leg == number and refund.state == "returned"
    )
    for code in (CURRENCY, "EUR"):
        odd = sum(line.outcome.odd for line in lines if line.outcome.odd_currency == code)
        prices = [line.outcome for line in lines if code == CURRENCY]
        came = odd + sum(outcome.paid.channel for outcome in prices)
        back = odd + sum(outcome.back.channel for outcome in prices)
        took, gave = _sum(channel.came, code), _sum(channel.back, code)
        yield Check("the channel", "took", came, took, code)
        yield Check("the channel", "  and the orders know of", came, _agreed(known, channel.came, code), code)
        yield Check("the channel", "gave back", back, gave, code)
        yield Check("the channel", "  and the orders know of", back, _agreed(returned, channel.back, code), code)
        yield Check("the channel", "kept", came - back, took - gave, code)


def _known_of_channel(found: Found) -> tuple[_Payments, _Payments]:
    """What the orders say of the channel's payments, and of its refunds."""
    known, returned = _Payments(), _Payments()
    for order in found.every:
        for number, leg in enumerate(order.legs):
            if leg.channel != "scripted" or not leg.captured:
                continue
            known[leg.reference, leg.captured, leg.currency] += 1
            for refund in order.refunds:
                if refund.leg == number and refund.state == "returned":
                    returned[leg.reference, refund.amount, leg.currency] += 1
    return known, returned


def _agreed(known: _Payments, truth: _Payments, code: str) -> int:
    """What both say, one by one; what only the orders say counts against it."""
    return _sum(known & truth, code) - _sum(known - truth, code)


def _sum(payments: _Payments, code: str) -> int:
    return sum(amount * times for (_, amount, currency), times in payments.items() if currency == code)


def _check_wallets(lines: Sequence[_Line], found: Found) -> Iterable[Check]:
    """What came and went inside: as the input says, as the orders say, as the ledger's accounts say."""
    for code, name in ((CURRENCY, "wallet"), (POINTS, "points")):
        put_in = sum(getattr(line.deal.parts, name) for line in lines)
        paid = sum(getattr(line.outcome.paid, name) for line in lines)
        back = sum(getattr(line.outcome.back, name) for line in lines)
        legs = [leg for order in found.every for leg in order.legs if leg.channel == name]
        section = "wallets" if name == "wallet" else "points"
        yield Check(section, "topped up", put_in, found.topped_up[code], code)
        yield Check(section, "paid with", paid, sum(leg.captured for leg in legs), code)
        yield Check(section, "given back", back, sum(leg.refunded for leg in legs), code)
        yield Check(section, "kept, as the ledger has it", paid - back, found.accounts["house:sales", code], code)
        yield Check(section, "held", 0, found.accounts["house:held", code], code)
        yield Check(section, "left with customers", put_in - paid + back, found.balances[code], code)


# ---- what went back, and why ----------------------------------------------------------------------------------------


def _check_back(lines: Sequence[_Line], found: Found) -> Iterable[Check]:
    def check(name: str, expected: int, number: int) -> Check:
        return Check("given back", name, expected, number)

    def returned(which: Iterable[_Line]) -> int:
        """How many of these lines have got back what they had to, and nothing is on its way."""
        return sum(_has_got_back(line) for line in which)

    by_after = {after: [line for line in lines if line.deal.after is after] for after in After}
    second = [line for line in lines if line.deal.fate is Fate.PAID_TWICE]
    odd = [line for line in lines if line.deal.fate in _ODD_ENDS]
    late = [line for line in lines if line.deal.fate in _LATE]
    welcome = [line for line in late if line.outcome.delivered]
    gone = [line for line in late if line.outcome.odd or line.outcome.back_in_all]
    unasked = [line for line in late if line not in welcome and line not in gone]
    refused = by_after[After.PART_REFUSED]
    for after in (After.PART_BACK, After.ALL_BACK, After.TAKEN_BACK):
        yield check(str(after), len(by_after[after]), returned(by_after[after]))
    states = [[refund.state for refund in line.order.refunds if refund.why == "requested"] for line in refused]
    yield check(str(After.PART_REFUSED), len(refused), states.count(["refused"]))
    yield check("second payments given back", len(second), returned(second))
    yield check("wrong payments given back by an operator", len(odd), returned(odd))
    yield check("late payments, delivered all the same", len(welcome), returned(welcome))
    yield check("late payments given back", len(gone), returned(gone))
    yield check("late payments that never came: asked for too late", len(unasked), returned(unasked))
    ended = {"returned", "refused"}
    waiting = sum(refund.state not in ended for order in found.every for refund in order.refunds)
    yield check("refunds without a result", 0, waiting)


def _has_got_back(line: _Line) -> bool:
    """True if what went back is what had to: of the price, and of what came beside it."""
    odd = sum(leg.refunded for leg in line.order.legs if leg.state == "unexpected")
    return (line.order.back, odd) == (line.outcome.back_in_all, line.outcome.odd)


# ---- goods ----------------------------------------------------------------------------------------------------------


def _check_goods(lines: Sequence[_Line], found: Found) -> Iterable[Check]:
    def check(name: str, expected: int, number: int) -> Check:
        return Check("goods", name, expected, number)

    delivered = [line for line in lines if line.outcome.delivered]
    returned = [line for line in lines if line.outcome.returned]
    sent, back = (sum(line.deal.purchase.cds for line in which) for which in (delivered, returned))
    right = sum(line.order.deliveries == _goods(line, line.outcome.delivered) for line in lines)
    right_back = sum(line.order.returns == _goods(line, line.outcome.returned) for line in lines)
    yield check("orders with exactly their goods", len(lines), right)
    yield check("  and with exactly their returns", len(lines), right_back)
    yield check("deliveries", len(delivered), sum(len(order.deliveries) for order in found.every))
    yield check("deliveries taken back", len(returned), sum(len(order.returns) for order in found.every))
    yield check("CDs sent", sent, found.sent)
    yield check("CDs taken back", back, found.returned)
    yield check("CDs that customers own", sent - back, found.owned)


def _goods(line: _Line, wanted: bool) -> list[int]:
    return [line.deal.purchase.cds] if wanted else []


# ---- what did no harm -----------------------------------------------------------------------------------------------


def _prevented(folder: Folder, found: Found) -> dict[str, int]:
    """What was about to happen twice, or to be believed wrongly: counted by the shops, and from the journals."""
    tallies = read_tallies(folder.path)
    answered = tallies[What.NOTICES_ACCEPTED] + tallies[What.NOTICES_REFUSED]
    return {
        "orders created a second time": tallies[What.CREATED_AGAIN],
        "wallets topped up a second time": tallies[What.TOPPED_UP_AGAIN],
        "wallets charged, held or refunded a second time": tallies[What.WALLET_MOVED_AGAIN],
        "channel charged a second time": tallies[What.CHANNEL_CHARGED_AGAIN],
        "channel asked for a refund a second time": tallies[What.CHANNEL_REFUNDED_AGAIN],
        "operators who did it a second time": tallies[What.OPERATED_AGAIN],
        # A shop that died between recording and counting makes this one too small, never too large.
        "callbacks that told known news": max(tallies[What.NOTICES_ACCEPTED] - found.told, 0),
        "forged callbacks refused": tallies[What.NOTICES_REFUSED],
        "callbacks that died with their shop": tallies[What.NOTICES] - answered,
        "payments nobody told, found by asking": found.asked,
    }
