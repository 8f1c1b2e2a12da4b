"""Bar-code clips, each made once a session when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from barcode_clips import RECIPES, front_to_back, has_encoder, make


class Clips:
    """Makes clips on demand and keeps their truth."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._truth: dict[str, list[int]] = {}

    def path(self, name: str) -> Path:
        """Return the clip's path; skips where its encoder is missing."""
        codec = RECIPES[name].codec
        if not has_encoder(codec):
            pytest.skip(f"PyAV has no encoder {codec}")
        path = self.folder / name
        return path if path.exists() else make(name, self.folder)

    def truth(self, name: str) -> list[int]:
        """Return the numbers that a plain front-to-back decode shows."""
        if name not in self._truth:
            self._truth[name] = front_to_back(self.path(name))
        return self._truth[name]


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    """The bar-code clips."""
    return Clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Path]]:
    """Give the test a cache folder of its own; return what lists the frame tables in it."""
    monkeypatch.setenv("POSEVIEWER_CACHE", str(tmp_path / "cache"))
    return lambda: sorted((tmp_path / "cache").rglob("*.npz"))
