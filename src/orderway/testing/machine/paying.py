"""Rules: money comes and is told of, rightly, wrongly, twice, late; wallets are filled; payers dispute."""

from __future__ import annotations

import contextlib
import json
from typing import Literal

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from orderway.channels.scripted import Disputes, Taken
from orderway.core.money import Money
from orderway.core.order import Stage
from orderway.core.payment import GATEWAY, LegState
from orderway.errors import BadNotification, InsufficientBalance, InvalidValue, KeyReused
from orderway.testing.machine.base import UIDS, Machine, counted, leg_of
from orderway.testing.machine.world import CURRENCY, POINTS

__all__ = ["Paying"]

CHOICE = st.integers(0, 99)


class Paying(Machine):
    """Money moves."""

    # ---- wallets --------------------------------------------------------------------------------------------------

    @rule(uid=UIDS, amount=st.sampled_from([1, 300, 2000]), code=st.sampled_from([CURRENCY, CURRENCY, POINTS]))
    @counted
    def top_up(self, uid: str, amount: int, code: str) -> None:
        self._top_up(uid, Money(amount, code))

    @precondition(lambda self: self.begun is not None and self.books.wallet_keys)
    @rule(choice=CHOICE, other=st.booleans())
    @counted
    def move_again_under_the_same_key(self, choice: int, other: bool) -> None:
        (uid, code, key), moved = list(self.books.wallet_keys.items())[choice % len(self.books.wallet_keys)]
        wallet = self.world.worker().app.wallet
        again = (wallet.top_up if moved > 0 else wallet.debit)(uid, Money(abs(moved) + other, code), key=key)
        if other:
            self._refused(KeyReused, again)
        else:
            assert self.world.run(again) is False

    @rule(uid=UIDS, amount=st.sampled_from([1, 200]))
    @counted
    def debit(self, uid: str, amount: int) -> None:
        wallet, key = self.world.worker().app.wallet, self._number()
        balance = self.world.run(wallet.balance(uid, CURRENCY))
        debit = wallet.debit(uid, Money(amount, CURRENCY), key=key)
        if balance.amount_minor < amount:
            self._refused(InsufficientBalance, debit)
        else:
            assert self.world.run(debit)
            self.books.wallet_keys[uid, CURRENCY, key] = -amount
            self.books.till.put_in[CURRENCY] -= amount

    # ---- payments from outside ------------------------------------------------------------------------------------

    @rule(order_id=Machine.orders, off_by=st.sampled_from([0, 0, 0, 1]), code=st.sampled_from([CURRENCY] * 4 + ["USD"]))
    @counted
    def record_payment(self, order_id: str, off_by: int, code: str) -> None:
        """The right amount or a wrong one, for whatever order: it is kept, as paid or as unexpected."""
        before = self._before(order_id)
        asked = next((leg for leg in before.legs if leg.channel == GATEWAY and leg.is_open), None)
        minor = max((asked.amount_minor if asked else before.amount_minor) + off_by, 1)
        reference = self._number()
        after = self._pay(order_id, Money(minor, code), reference)
        leg = leg_of(after, reference)
        awaited = Stage.CREATED in {before.stage, before.resume_stage}
        if not any(each.channel == GATEWAY for each in before.legs):
            assert leg.state is LegState.UNEXPECTED, f"{before}, {after}"
        if awaited and asked is not None and (asked.amount_minor, asked.currency) == (minor, code):
            assert leg.state is LegState.PAID, f"{before}, {after}"
        if before.stage is Stage.CREATED and leg.state is LegState.UNEXPECTED:
            assert (after.stage, after.why) == (Stage.FAILING, "unexpected_payment")

    @precondition(lambda self: self.begun is not None and self.books.till.told)
    @rule(choice=CHOICE)
    @counted
    def record_payment_again(self, choice: int) -> None:
        """The same payment told again changes nothing that is kept."""
        told = self.books.till.told
        order_id = list(told)[choice % len(told)]
        reference, (minor, code) = next(iter(told[order_id].items()), ("", (0, "")))
        if not reference or reference in self.books.till.early:
            return
        before = self._before(order_id)
        after = self._pay(order_id, Money(minor, code), reference)
        assert after.legs == before.legs

    @rule(twice=st.booleans())
    @counted
    def deliver_notifications(self, twice: bool) -> None:
        self._deliver_notifications(1 + twice)

    @rule(order_id=Machine.orders)
    @counted
    def forge_a_notification(self, order_id: str) -> None:
        before = self._before(order_id)
        says = {"about": "payment", "order_id": order_id, "key": "k", "uid": "", "amount_minor": 1}
        body = json.dumps({**says, "currency": CURRENCY, "reference": "forged"}).encode()
        app = self.world.worker().app
        self._refused(BadNotification, app.notify("scripted", body, {"Scripted-Signature": "0"}))
        assert self._row(order_id) == before

    @precondition(lambda self: self.begun is not None and self.begun.charged)
    @rule(choice=CHOICE, off_by=st.sampled_from([0, 0, 1]))
    @counted
    def payer_pays_by_hand(self, choice: int, off_by: int) -> None:
        """Early, a second time, or long after everything has ended; a notification tells of it.

        Not a second time while nobody knows of the first: a channel that took twice would tell of both.
        """
        key = self.world.charged[choice % len(self.world.charged)]
        if any(took.key == key and took.reference not in self.books.till.heard for took in self.world.channel.taken()):
            return
        order = self._before(key.partition("-")[0])
        leg = order.legs[int(key.split("-")[1])]
        self.world.stirred = True
        try:
            self.world.channel.pay(key, Money(leg.amount_minor + off_by, leg.currency))
        except InvalidValue:  # the charge never arrived there
            assert not any(took.key == key for took in self.world.channel.taken())

    # ---- disputes -------------------------------------------------------------------------------------------------

    @rule(choice=CHOICE, minor=st.sampled_from([None, 1, 100]))
    @counted
    def payer_disputes(self, choice: int, minor: int | None) -> None:
        """A payment that was not disputed yet: a channel takes one dispute of each."""
        for channel in self.world.channels:
            taken = [took for took in channel.taken() if not self._is_disputed(took)]
            if taken:
                took = taken[choice % len(taken)]
                self.disputed.add(took.reference)
                self.world.stirred = True
                with contextlib.suppress(InvalidValue):  # all of it went back
                    channel.dispute(took.reference, minor)

    @precondition(lambda self: self.begun is not None and self.disputes)
    @rule(choice=CHOICE, decision=st.sampled_from(["won", "lost"]))
    @counted
    def dispute_is_decided(self, choice: int, decision: Literal["won", "lost"]) -> None:
        self._decide(list(self.disputes)[choice % len(self.disputes)], decision)

    def _is_disputed(self, took: Taken) -> bool:
        return took.reference in self.disputed or isinstance(self.world.behaviours.get(took.order_id), Disputes)
