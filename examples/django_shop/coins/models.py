"""What the shop sells."""

from django.db import models


class Account(models.Model):
    """A user's coins."""

    uid = models.CharField(max_length=128, primary_key=True)
    coins = models.BigIntegerField(default=0)
