"""The portal's settings with test values: no file of a developer's machine, keys of no worth."""

import os

os.environ.update(
    {
        "DEBUG": "false",
        "HTTPS": "false",
        "SECRET_KEY": "only-for-tests-" + "x" * 50,
        "FIELD_ENCRYPTION_KEYS": "HUsXB1gezvWLeXnx_bvxu7KZhWfIHZkbdm2IQbvMjkY=",
        "ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
        "ALLOW_INSECURE_VENDORS": "true",
        "EMAIL_URL": "memorymail://",
    }
)
for name in list(os.environ):
    if name.startswith(("ZOHO_", "RINGCENTRAL_", "CODELIB_")):
        os.environ[name] = ""

from portal.settings import *  # noqa: E402, F403 the settings read the environment set above

# Static files straight from their folders: no manifest and no collected copy is needed to render a page.
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}  # noqa: F405
WHITENOISE_AUTOREFRESH = True

# A file, so that worker processes and threads of a test reach the same database.
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):  # noqa: F405
    DATABASES["default"]["TEST"] = {"NAME": str(VAR_DIR / f"test-{os.getpid()}.sqlite3")}  # noqa: F405

# A slow hash protects real passwords; here it would only take most of the time of the tests with people.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
