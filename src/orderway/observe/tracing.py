"""Traces: OpenTelemetry spans of what one App does. The context is kept with the order, wherever it goes on."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar

from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    Span,
    SpanKind,
    StatusCode,
    TracerProvider,
    get_current_span,
    get_tracer,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from orderway.core.hints import decode
from orderway.core.journal import Entry
from orderway.errors import InvalidValue, OrderwayError
from orderway.moves import Move
from orderway.observe.attaching import attach
from orderway.ports.observer import Observer, Work
from orderway.ports.queue import Message

if TYPE_CHECKING:
    from orderway.app import App

__all__ = ["Tracing"]

T = TypeVar("T")

REMEMBERED = 10_000
"""The contexts of so many orders are kept at hand; those of others are read from their journals."""

_W3C = TraceContextTextMapPropagator()
_KINDS = {"channel": SpanKind.CLIENT, "send": SpanKind.PRODUCER}


class Tracing(Observer):
    """Has one trace run from an order's creation to its end, over the queue and through other processes.

    Each journal entry that is written within a span names it as its cause, in W3C's form ``traceparent``. So whoever
    takes up the order finds the trace in its journal, or, sooner, in the headers of its hint. Spans carry order ids,
    types and channels, and of an error its kind: neither users nor data nor the texts of errors.

    >>> app = App("sqlite:///orders.db")  # doctest: +SKIP
    >>> Tracing(app)  # doctest: +SKIP

    Args:
        app: not started yet.
        tracer_provider: makes the spans; OpenTelemetry's global one if it is not given.

    Raises:
        UsageError: the App is started already.
    """

    def __init__(self, app: App, *, tracer_provider: TracerProvider | None = None) -> None:
        self._store = app.ports.store
        self._tracer = get_tracer("orderway", version("orderway"), tracer_provider)
        self._contexts: OrderedDict[str, Context] = OrderedDict()
        attach(app, self)
        app.recorder.cause = _traceparent

    async def around(self, work: Work, act: Callable[[], Awaitable[T]]) -> T:
        """Do a piece of work within a span of its own."""
        with self._tracer.start_as_current_span(
            f"orderway {work.name}" if work.kind != "channel" else f"{work.channel} {work.name}",
            await self._parent(work),
            kind=_KINDS.get(work.kind, SpanKind.INTERNAL),
            attributes=_attributes(work),
            links=_links(work),
            record_exception=False,  # its text may be anybody's
            set_status_on_exception=False,
        ) as span:
            if work.kind == "send":
                _W3C.inject(work.given[0])
            try:
                result = await act()
            except Exception as error:
                _note_error(span, error)
                raise
            _note_result(span, work, result)
            return result

    def recorded(self, order_type: int, entries: Sequence[Entry]) -> None:
        """Keep the context that an order was created in at hand."""
        if entries[0].version == 1:
            self._remember(entries[0].order_id, set_span_in_context(get_current_span(), Context()))

    def received(self, message: Message) -> None:
        """Go on with the trace that a hint brings along."""
        context = _W3C.extract(dict(message.headers), Context())
        try:
            order_id = decode(message.body).order_id
        except InvalidValue:
            return
        if not get_current_span(context).get_span_context().is_valid:
            return
        with self._tracer.start_as_current_span(
            "orderway receive", context, kind=SpanKind.CONSUMER, attributes={"orderway.order_id": order_id}
        ) as span:
            self._remember(order_id, set_span_in_context(span, Context()))

    async def _parent(self, work: Work) -> Context | None:
        """Where a piece of work belongs; None for whatever it is done within."""
        if work.kind not in {"forward", "send"}:
            return None
        context = self._contexts.get(work.order_id)
        if context is None:
            context = await self._read(work.order_id)
            self._remember(work.order_id, context)
        return context

    async def _read(self, order_id: str) -> Context:
        try:
            first, *_ = await self._store.entries(order_id)
        except OrderwayError:  # it does without: whoever does the work is told by the work itself
            return Context()
        return _W3C.extract({"traceparent": str(first.fields.get("cause", ""))}, Context())

    def _remember(self, order_id: str, context: Context) -> None:
        self._contexts[order_id] = context
        self._contexts.move_to_end(order_id)
        if len(self._contexts) > REMEMBERED:
            self._contexts.popitem(last=False)


def _traceparent() -> str:
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return carrier.get("traceparent", "")


def _attributes(work: Work) -> Mapping[str, Any]:
    attributes = {
        "orderway.order_id": work.order_id,
        "orderway.order_type": work.order_type,
        "orderway.channel": work.channel,
    }
    return {name: value for name, value in attributes.items() if value not in {None, ""}}


def _links(work: Work) -> Sequence[Link]:
    """An order that somebody forwards within a trace of his own stays in its trace, and points to his."""
    current = get_current_span()
    return [Link(current.get_span_context())] if work.kind == "forward" and current.is_recording() else ()


def _note_error(span: Span, error: Exception) -> None:
    span.set_status(StatusCode.ERROR)
    span.set_attribute("error.type", type(error).__name__)


def _note_result(span: Span, work: Work, result: Any) -> None:
    if work.kind == "create":
        span.set_attribute("orderway.order_id", result.id)
    elif work.kind == "channel":
        span.set_attribute("orderway.outcome", type(result).__name__)
    elif work.kind == "forward":
        span.set_attribute("orderway.stage", str(result.stage))
    elif isinstance(result, Move) and result.failed:
        span.set_status(StatusCode.ERROR)
