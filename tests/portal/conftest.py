"""What the tests of the core share: a kind of run whose work each test states."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest

from portal import runs


@pytest.fixture
def kind(monkeypatch: pytest.MonkeyPatch, settings: Any) -> types.ModuleType:
    """The module of the kind "test": `kind.work = lambda lease: Done()`."""
    module = types.ModuleType("a_kind_of_run")
    module.work = lambda lease: runs.Done()
    monkeypatch.setitem(sys.modules, module.__name__, module)
    settings.RUN_KINDS = settings.RUN_KINDS | {"test": module.__name__}
    return module
