"""The shop's pages."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from coins.models import Account
from coins.orders import PACKS, orders
from orderway import Money
from orderway.errors import InvalidValue, KeyReused, OrderExists, OrderNotFound, OrderwayError, Unavailable

STATUS = {OrderNotFound: 404, OrderExists: 409, KeyReused: 409, InvalidValue: 422, Unavailable: 503}


@csrf_exempt
@require_POST
def buy(request: HttpRequest) -> JsonResponse:
    """Create the order and answer at once. The same number again gives the same order, so buyers may try again."""
    wanted = json.loads(request.body)  # who the user is would be known from the login
    if wanted["pack"] not in PACKS:
        return JsonResponse({"detail": f"the packs are {sorted(PACKS)}"}, status=422)
    coins, price = PACKS[wanted["pack"]]  # ours, never the buyer's
    order = orders().create(
        1, wanted["user"], amount=price, pay="gateway", data={"coins": coins}, own_number=wanted["number"]
    )
    return JsonResponse({"order": order.id, "stage": order.stage.value}, status=201)


@require_GET
def look(request: HttpRequest, order_id: str) -> JsonResponse:
    """What the order page shows; it may be asked again and again."""
    order = orders().get(order_id)
    return JsonResponse({"order": order.id, "stage": order.stage.value})


@csrf_exempt
@require_POST
def paid(request: HttpRequest) -> JsonResponse:
    """The payment provider's callback: verify, record, and carry the order on."""
    body = request.body  # as it was signed: parsing it and writing it again may change it
    signature = hmac.new(settings.GATEWAY_SECRET, body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(signature.encode(), request.headers.get("X-Signature", "").encode()):
        return JsonResponse({"detail": "the signature is wrong"}, status=403)
    told = json.loads(body)
    amount = Money.of(told["amount"], told["currency"])
    order = orders().record_payment(told["order"], amount, reference=told["reference"])
    if order is not None:  # None: no order has this id; the payment is kept, see `orderway parked`
        orders().hint(order.id)  # it goes on beside this request, which is answered now
    return JsonResponse({"result": "ok"})


@require_GET
def coins_of(request: HttpRequest, user: str) -> JsonResponse:
    """What the user has: the shop's own table."""
    return JsonResponse({"coins": sum(Account.objects.filter(uid=user).values_list("coins", flat=True))})


class OrderErrors:
    """Middleware that answers the errors of orders: the caller's own in words, 503 for `the same again, later`."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """The view's answer."""
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """An answer to errors of Orderway; others are Django's."""
        if not isinstance(error, OrderwayError):
            return None
        status = next((status for kind, status in STATUS.items() if isinstance(error, kind)), 500)
        text = str(error) if status < 500 else "try again later"
        headers = {"Retry-After": "1"} if status == 503 else {}
        return JsonResponse({"error": error.code, "detail": text}, status=status, headers=headers)
