"""WSGI entry point of the web processes."""

import os

from django.core.wsgi import get_wsgi_application

from portal.fields import cipher

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

application = get_wsgi_application()

# A key that cannot be used stops the start, not the first visitor who needs a secret.
cipher()
