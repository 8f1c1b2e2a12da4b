"""Where resources and the user's own folders are: source tree, wheel and bundle alike."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

from poseviewer.core.errors import MissingPartError


@cache
def resource_folder() -> Path:
    """Return the folder that holds weights, skeletons, icons, themes and translations.

    Raises:
        MissingPartError: if the installation has none.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "_resources", package.parent / "resources"):
        if folder.is_dir():
            return folder
    raise MissingPartError("The resources folder of PoseViewer is missing.", remedy="Install PoseViewer again.")


def resource(name: str) -> Path:
    """Return the path of a resource such as ``skeletons/coco_17.json``.

    Raises:
        MissingPartError: if it is not there.
    """
    path = resource_folder() / name
    if not path.exists():
        raise MissingPartError(
            f"The resource {name} is missing from this installation.", remedy="Install PoseViewer again."
        )
    return path


def cache_folder() -> Path:
    """Return the user's cache folder for PoseViewer, made if need be (``POSEVIEWER_CACHE`` overrides).

    Where it cannot be made or written (a container with a read-only home, say), a temporary one serves this process.
    """
    from platformdirs import user_cache_path

    try:
        folder = _made("POSEVIEWER_CACHE", user_cache_path("poseviewer", appauthor=False))
    except OSError:
        return _passing_folder()
    return folder if os.access(folder, os.W_OK) else _passing_folder()


def state_folder() -> Path:
    """Return the user's folder for the log, made if need be (``POSEVIEWER_STATE`` overrides)."""
    from platformdirs import user_state_path

    return _made("POSEVIEWER_STATE", user_state_path("poseviewer", appauthor=False))


def config_folder() -> Path:
    """Return the user's folder for settings, made if need be (``POSEVIEWER_CONFIG`` overrides)."""
    from platformdirs import user_config_path

    return _made("POSEVIEWER_CONFIG", user_config_path("poseviewer", appauthor=False))


@cache
def _passing_folder() -> Path:
    """Return a folder that is gone when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="poseviewer-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _made(variable: str, default: Path) -> Path:
    folder = Path(os.environ.get(variable) or default)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
