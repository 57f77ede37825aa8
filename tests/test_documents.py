"""What the README promises exists, and what exists is in the README; importing anything has no side effect."""

import re
import subprocess
import sys
from pathlib import Path

from django.conf import settings

ROOT = Path(settings.BASE_DIR)
README = (ROOT / "README.md").read_text()

IMPORT_EVERYTHING = """
import pkgutil, socket, threading

def refuse(*arguments, **values):
    raise AssertionError("importing reached for the network")

socket.socket.connect = refuse
import django
django.setup()
import crm, portal, telephony
for package in (portal, crm, telephony):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if ".migrations" not in module.name:
            __import__(module.name)
assert threading.active_count() == 1, threading.enumerate()
"""


def commands() -> set[str]:
    folders = ("portal/management/commands", "crm/management/commands", "telephony/management/commands")
    return {path.stem for folder in folders for path in (ROOT / folder).glob("[a-z]*.py")}


def test_every_command_is_in_the_readme() -> None:
    assert {name for name in commands() if f"`{name}" not in README} == set()


def test_every_picture_of_the_readme_is_there() -> None:
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert pictures
    assert [name for name in pictures if not (ROOT / name).is_file()] == []


def test_the_readme_has_one_command_that_starts_the_demo_and_one_that_runs_the_tests() -> None:
    lines = re.findall(r"^python3 -m venv \.venv .*$", README, flags=re.M)
    assert [line.split()[-1] for line in lines] == ["demo", "pytest"]


def test_importing_the_portal_reaches_for_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_EVERYTHING], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
