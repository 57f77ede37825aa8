"""Measurements, not tests: `python -m tests.benchmarks.bulk_update`, `.memory`, `.pages`, `.calls`, `.calls_memory`.

Each works on a database of its own that is removed at the end: a SQLite file, or on the PostgreSQL server of
DATABASE_URL a database beside the one named there. Django is set up here, before a script can import a model.
"""

import logging
import os
import tempfile
from pathlib import Path

import django

SERVER_URL = os.environ.get("DATABASE_URL", "")
NAME = f"benchmark_{os.getpid()}"
IS_POSTGRESQL = SERVER_URL.startswith("postgres")
FOLDER = Path(tempfile.mkdtemp(prefix="benchmark-"))
DATABASE_URL = f"{SERVER_URL.rpartition('/')[0]}/{NAME}" if IS_POSTGRESQL else f"sqlite:///{FOLDER / 'portal.sqlite3'}"

os.environ |= {"DATABASE_URL": DATABASE_URL, "DJANGO_SETTINGS_MODULE": "tests.settings"}
django.setup()
# Only here: the processes that work the runs write their lines as they always do.
logging.getLogger().setLevel(logging.WARNING)
