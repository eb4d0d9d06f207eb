"""Where benchmarks find no data unless a test puts it there."""

import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from spa.tasks import benchmarks


@pytest.fixture
def no_sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No override, an empty cache, and no network."""

    def refuse(*_: Any, **__: Any) -> None:
        raise urllib.error.URLError("no network in tests")

    for variable in benchmarks.OVERRIDES.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
