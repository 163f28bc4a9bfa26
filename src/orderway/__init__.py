"""Orderway carries an order its whole way: created, paid, delivered, finished. Whatever breaks on the way."""

from orderway.app import App
from orderway.channels.scripted import ScriptedChannel
from orderway.core.money import Currency, Money, define_currency
from orderway.core.order import Order, Stage, Status
from orderway.core.payment import GATEWAY, Leg, LegState
from orderway.delivery import Delivery
from orderway.errors import (
    ConfigError,
    DeliveryFailed,
    InsufficientBalance,
    InvalidValue,
    OrderExists,
    OrderNotFound,
    OrderwayError,
    OutcomeUnknown,
    PaymentError,
    Unavailable,
    UsageError,
)
from orderway.plans import Pay
from orderway.ports.business import Business, Cancel, Hold, Retry, RetryIn
from orderway.ports.store import Query

__all__ = [
    "GATEWAY",
    "App",
    "Business",
    "Cancel",
    "ConfigError",
    "Currency",
    "Delivery",
    "DeliveryFailed",
    "Hold",
    "InsufficientBalance",
    "InvalidValue",
    "Leg",
    "LegState",
    "Money",
    "Order",
    "OrderExists",
    "OrderNotFound",
    "OrderwayError",
    "OutcomeUnknown",
    "Pay",
    "PaymentError",
    "Query",
    "Retry",
    "RetryIn",
    "ScriptedChannel",
    "Stage",
    "Status",
    "Unavailable",
    "UsageError",
    "define_currency",
]
