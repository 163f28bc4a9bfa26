"""The pages of the shop."""

from coins import views
from django.urls import path

urlpatterns = [
    path("orders", views.buy),
    path("orders/<str:order_id>", views.look),
    path("payments", views.paid),
    path("users/<str:user>/coins", views.coins_of),
]
