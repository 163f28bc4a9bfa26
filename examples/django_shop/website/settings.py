"""The least that Django needs."""

import os

SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "only for trying out")
GATEWAY_SECRET = os.environ.get("GATEWAY_SECRET", "only for trying out").encode()
DEBUG = os.environ.get("DJANGO_DEBUG") == "1"
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
INSTALLED_APPS = ["coins"]
MIDDLEWARE = ["coins.views.OrderErrors"]
ROOT_URLCONF = "website.urls"
WSGI_APPLICATION = "website.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": "goods.db",
        "OPTIONS": {"transaction_mode": "IMMEDIATE"},  # writers wait for each other, instead of failing
    }
}
