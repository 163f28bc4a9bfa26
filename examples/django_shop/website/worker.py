"""The App for ``orderway worker website.worker:app``, which does not come through ``manage.py``."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "website.settings")
django.setup()

from coins.orders import make_app  # noqa: E402 - models can be imported only now

app = make_app()
