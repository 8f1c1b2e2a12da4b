"""Shared fixtures: an isolated home for settings, and the way to optional data."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("PYTEST_QT_API", "pyside6")
# Before anything imports torch: small tensors are slower on several threads, and the machine may be shared.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


class _QtBlocker:
    """Makes every import of Qt fail, so that the rooms below the window prove that they need none."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.split(".")[0] in {"PySide6", "pyqtgraph", "shiboken6"}:
            raise ImportError(f"{name} is blocked: only poseviewer/ui may import Qt")
        return None


if os.environ.get("POSEVIEWER_BLOCK_QT"):
    sys.meta_path.insert(0, _QtBlocker())

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True, scope="session")
def _isolated_folders(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep settings, caches and the log of the person who runs the tests out of them."""
    home = tmp_path_factory.mktemp("home")
    for name in ("CACHE", "STATE", "CONFIG"):
        os.environ[f"POSEVIEWER_{name}"] = str(home / name.lower())


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of people to test on, beside the repository; skips where it is absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the folder ../shared/data is not here")
    return folder


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of golden vectors, beside the repository; skips where it is absent."""
    folder = ROOT.parent / "shared" / "golden"
    if not folder.is_dir():
        pytest.skip("the folder ../shared/golden is not here")
    return folder


@pytest.fixture(scope="session")
def people_picture() -> Path:
    """A photograph of four people that travels inside the ultralytics package."""
    from importlib.metadata import files

    for entry in files("ultralytics") or []:
        if entry.name == "bus.jpg":
            return Path(str(entry.locate()))
    pytest.skip("the ultralytics package is not installed")
