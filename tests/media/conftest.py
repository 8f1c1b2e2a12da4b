"""Bar-code clips, each made once a session when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from barcode_clips import Clips


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    """The bar-code clips."""
    return Clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Path]]:
    """Give the test a cache folder of its own; return what lists the frame tables in it."""
    monkeypatch.setenv("POSEVIEWER_CACHE", str(tmp_path / "cache"))
    return lambda: sorted((tmp_path / "cache").rglob("*.npz"))
