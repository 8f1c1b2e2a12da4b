"""YOLO detection and pose networks: the one place that imports ultralytics.

Only three parts of ultralytics are used: its network class, ``LetterBox`` (as the standard our own letterbox is tested
against) and its NMS. Its import has side effects (look-ups in the network, a settings file in the home folder, thread
counts, a patched ``torch.save``, a question for torchvision's version), so it happens here once, guarded, and every
effect is undone. ``YOLO.predict``, torchvision and the network are never touched.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from poseviewer.core.errors import MissingPartError, WeightsError
from poseviewer.core.resources import cache_folder
from poseviewer.nets.unpickle import (
    SAFETENSORS_SUFFIX,
    metadata_json,
    read_safetensors,
    read_torch,
    sha256_of,
    write_safetensors,
)
from poseviewer.nets.yolo_layers import ALLOWED_NAMES, checked_layout

METADATA_KEY = "poseviewer"
FAMILY = "yolo"
PERSON_NAMES = ("person", "people", "pedestrian", "human")
DEFAULT_INPUT_SIZE = 640

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


@dataclass(frozen=True, slots=True)
class YoloWeights:
    """A loaded YOLO network and what its file says about itself.

    Attributes:
        network: the network in eval mode, float32, on the CPU. Called with (B, 3, H, W) RGB in 0..1, sides multiples
            of the largest stride, it returns a pair whose first part is (B, 4 + classes + extra, A): box centre x,
            centre y, width, height in input pixels, then the class scores after the sigmoid.
        name: the file's name.
        sha256: of the file.
        layout: the network's configuration, as in ultralytics' model yaml.
        classes: class names by number.
        person_class: the number of the person class.
        settings: what the file recommends (``input_size``, ``confidence``, ``iou``), if anything.
        end_to_end: the network suppresses duplicates itself and returns (B, n, 6 + extra) xyxy, score, class.
        joint_shape: joints and numbers per joint (x, y and perhaps a score) of a pose network, whose extra rows they
            are; None for a plain detector.
    """

    network: nn.Module
    name: str
    sha256: str
    layout: dict[str, Any]
    classes: dict[int, str]
    person_class: int
    settings: dict[str, Any] = field(default_factory=dict)
    end_to_end: bool = False
    joint_shape: tuple[int, int] | None = None

    @property
    def stride(self) -> int:
        """The largest stride: input sides are multiples of it."""
        return int(torch.as_tensor(self.network.stride).max())


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


def build_yolo(layout: dict[str, Any]) -> nn.Module:
    """Build the network a layout describes, with random weights, in training mode.

    In training mode it returns a dict of raw outputs: ``boxes`` (B, 4 * bins, A) distribution logits, ``scores``
    (B, classes, A) logits, ``feats`` the feature maps.

    Args:
        layout: the content of a YOLO model yaml: backbone, head, nc, depth and width.

    Raises:
        WeightsError: the layout names unknown layers or cannot be built.
        MissingPartError: ultralytics is missing.
    """
    parts = ultralytics_parts()
    plain = checked_layout(layout)
    try:
        network: nn.Module = parts.network(plain, ch=int(plain.get("channels", plain.get("ch", 3))), verbose=False)
    except Exception as error:
        raise WeightsError(f"The network that the file describes cannot be built: {error}.") from error
    return network


def save_yolo(
    path: str | Path,
    network: nn.Module,
    layout: dict[str, Any],
    *,
    classes: dict[int, str],
    settings: dict[str, Any] | None = None,
    half: bool = True,
) -> None:
    """Write a network as safetensors with its layout, class names and settings inside.

    Args:
        path: the file to write (replaced at the end only).
        network: built by :func:`build_yolo` from ``layout``.
        layout: see :func:`build_yolo`.
        classes: class names by number.
        settings: recommended ``input_size``, ``confidence``, ``iou`` and notes.
        half: store floating point numbers as float16.
    """
    state = {
        name: tensor.half() if half and tensor.is_floating_point() else tensor
        for name, tensor in network.state_dict().items()
    }
    about = {
        "family": FAMILY,
        "layout": layout,
        "classes": {str(number): name for number, name in classes.items()},
        "settings": settings or {},
    }
    write_safetensors(path, state, {METADATA_KEY: json.dumps(about)})


def load_yolo(path: str | Path) -> YoloWeights:
    """Load YOLO weights: our safetensors, or a YOLO ``.pt`` through the allow-list.

    Raises:
        WeightsError: missing, damaged, refused, of another family, or without a person class.
        MissingPartError: ultralytics is missing.
    """
    file = Path(path)
    if not file.exists() and file.name == str(path) and file.name.lower().startswith("yolo"):
        raise WeightsError(
            f"{file.name} is not a file here; published weights are fetched only on request.",
            file=file,
            remedy="Download it yourself, or ask for it explicitly, and name the file.",
        )
    if file.suffix == SAFETENSORS_SUFFIX:
        return _load_ours(file)
    return _load_published(file)


def _load_ours(file: Path) -> YoloWeights:
    state, metadata = read_safetensors(file)
    about = metadata_json(metadata, METADATA_KEY, file=file)
    if about.get("family") != FAMILY or not isinstance(about.get("layout"), dict):
        raise WeightsError(
            f"{file.name} does not hold a detector but {about.get('family', 'something else')}.", file=file
        )
    names = about.get("classes")
    settings = about.get("settings")
    return _assembled(file, about["layout"], state, names, settings if isinstance(settings, dict) else {})


def _load_published(file: Path) -> YoloWeights:
    content = read_torch(file, ALLOWED_NAMES, kind="a YOLO detection network")
    if not isinstance(content, dict):
        raise WeightsError(f"{file.name} is not a YOLO checkpoint: it holds no table.", file=file)
    network = content.get("ema") or content.get("model")
    layout = getattr(network, "yaml", None)
    if not isinstance(network, nn.Module) or not isinstance(layout, dict):
        raise WeightsError(f"{file.name} is not a YOLO checkpoint: it holds no network.", file=file)
    return _assembled(file, layout, network.state_dict(), getattr(network, "names", None), {})


def _assembled(
    file: Path, layout: dict[str, Any], state: dict[str, Tensor], names: object, settings: dict[str, Any]
) -> YoloWeights:
    # Only the numbers of a file are used: the network itself is built anew from its checked description.
    network = build_yolo(layout)
    try:
        network.load_state_dict(
            {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
        )
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:3]]
        raise WeightsError(
            f"{file.name} does not fit the network it describes: {' '.join(lines)}", file=file
        ) from error
    classes = _class_names(names, network)
    network.eval().requires_grad_(False)
    network.names = classes  # type: ignore[assignment]
    return YoloWeights(
        network=network,
        name=file.name,
        sha256=sha256_of(file),
        layout=layout,
        classes=classes,
        person_class=_person_class(classes, file),
        settings=settings,
        end_to_end=bool(getattr(network, "end2end", False)),
        joint_shape=_joint_shape(network),
    )


def _joint_shape(network: nn.Module) -> tuple[int, int] | None:
    layers: Any = network.model
    shape = getattr(layers[-1], "kpt_shape", None)
    return (int(shape[0]), int(shape[1])) if shape is not None else None


def _class_names(names: object, network: nn.Module) -> dict[int, str]:
    layers: Any = network.model
    count = int(layers[-1].nc)
    pairs = names.items() if isinstance(names, dict) else enumerate(names if isinstance(names, list) else [])
    found = {int(number): str(name) for number, name in pairs if str(number).isdigit()}
    return {number: found.get(number, f"class {number}") for number in range(count)}


def _person_class(classes: dict[int, str], file: Path) -> int:
    for number, name in classes.items():
        if name.lower() in PERSON_NAMES:
            return number
    if len(classes) == 1:
        return 0
    raise WeightsError(
        f"{file.name} finds {len(classes)} kinds of things, but none of them is called person.", file=file
    )
