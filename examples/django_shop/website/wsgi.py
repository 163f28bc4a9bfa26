"""What servers load, in each process that serves, after its fork; so the App is started here.

Not in ``AppConfig.ready``: that also runs in every ``manage.py`` command, and in the process that watches for changed
files.
"""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "website.settings")
application = get_wsgi_application()

from coins.orders import orders  # noqa: E402 - models can be imported only now

orders()
