"""The one place that imports ultralytics.

Only three parts of it are used: its network class, ``LetterBox`` (as the standard our own letterbox is tested against)
and its NMS. Its import has side effects (look-ups in the network, a settings file in the home folder, thread counts, a
patched ``torch.save``, a question for torchvision's version), so it happens here once, guarded, and every effect is
undone. ``YOLO.predict``, torchvision and the network are never touched.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from poseviewer.core.errors import MissingPartError
from poseviewer.core.resources import cache_folder

_ENVIRONMENT = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}
_LOCK = threading.Lock()
_PARTS: YoloParts | None = None


@dataclass(frozen=True, slots=True)
class YoloParts:
    """What is used of ultralytics: the network class, the letterbox class and the NMS function."""

    network: Any
    letterbox: Any
    nms: Any
    version: str


def ultralytics_parts() -> YoloParts:
    """Import ultralytics guarded (once) and return the three parts that are used.

    Raises:
        MissingPartError: ultralytics is not installed or cannot be imported; the sentence says why.
    """
    global _PARTS
    with _LOCK:
        if _PARTS is None:
            _PARTS = _import_parts()
        return _PARTS


def _import_parts() -> YoloParts:
    # torch is imported above, on purpose: it then keeps its thread count when OMP_NUM_THREADS appears.
    os.environ.update(_ENVIRONMENT)
    folder = cache_folder() / "ultralytics"
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["YOLO_CONFIG_DIR"] = str(folder)
    try:
        with _effects_undone(), _torchvision_answered():
            import ultralytics
            from ultralytics.data.augment import LetterBox
            from ultralytics.nn.tasks import DetectionModel
            from ultralytics.utils.nms import non_max_suppression
    except Exception as error:
        raise MissingPartError(
            f"The detector needs ultralytics, which cannot be imported: {error}.",
            remedy="Install it with: pip install ultralytics",
        ) from error
    return YoloParts(DetectionModel, LetterBox, non_max_suppression, ultralytics.__version__)


@contextmanager
def _effects_undone() -> Iterator[None]:
    """Keep thread counts, ``torch.save``, the random state and the environment as they were."""
    import cv2

    watched = ("OMP_NUM_THREADS", "QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR")
    before = {name: os.environ.get(name) for name in watched}
    cv_threads, torch_threads, save = cv2.getNumThreads(), torch.get_num_threads(), torch.save
    try:
        yield
    finally:
        torch.save = save
        cv2.setNumThreads(cv_threads)
        if torch.get_num_threads() != torch_threads:
            torch.set_num_threads(torch_threads)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _torchvision_answered() -> Iterator[None]:
    """Answer the question for torchvision's version while it is absent; ultralytics never imports it for us."""
    from importlib import metadata

    asked = metadata.version

    def version(distribution_name: str) -> str:
        try:
            return asked(distribution_name)
        except metadata.PackageNotFoundError:
            if distribution_name == "torchvision":
                return "0.28.0"
            raise

    metadata.version = version
    try:
        yield
    finally:
        metadata.version = asked
