"""Folders of the user: where one cannot be made, work goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from poseviewer.core.resources import cache_folder


def test_a_cache_that_cannot_be_made_is_a_passing_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSEVIEWER_CACHE", "/dev/null/nowhere")
    folder = cache_folder()
    (folder / "kept").write_text("for this process")
    assert cache_folder() == folder
    monkeypatch.setenv("POSEVIEWER_CACHE", str(tmp_path / "cache"))
    assert cache_folder() == tmp_path / "cache"
