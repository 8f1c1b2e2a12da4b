"""YOLO detection and pose networks, built by ultralytics' own class and read from files without running them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from poseviewer.core.errors import WeightsError
from poseviewer.nets.ultralytics_parts import ultralytics_parts
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
