"""What a YOLO file may name: the allow-list for its pickle and the check of its layout.

The names are those that the public YOLOv8, YOLO11 and YOLO26 detection and pose checkpoints use. Nothing here imports
ultralytics until a class of it is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

from poseviewer.core.errors import WeightsError

_TORCH = {
    "torch.nn.modules.activation": ("SiLU", "Tanh"),
    "torch.nn.modules.batchnorm": ("BatchNorm2d",),
    "torch.nn.modules.container": ("ModuleList", "Sequential"),
    "torch.nn.modules.conv": ("Conv2d",),
    "torch.nn.modules.linear": ("Identity", "Linear"),
    "torch.nn.modules.pooling": ("MaxPool2d",),
    "torch.nn.modules.upsampling": ("Upsample",),
}
_ULTRALYTICS = {
    "ultralytics.nn.modules.block": (
        "Attention", "Bottleneck", "C2PSA", "C2f", "C3k", "C3k2", "DFL", "PSABlock", "RealNVP", "SPPF",
    ),
    "ultralytics.nn.modules.conv": ("Concat", "Conv", "DWConv"),
    "ultralytics.nn.modules.head": ("Detect", "Pose", "Pose26"),
    "ultralytics.nn.tasks": ("DetectionModel", "PoseModel"),
    # Training arguments: a plain namespace of numbers and words.
    "ultralytics.utils": ("IterableSimpleNamespace",),
}  # fmt: skip

HEADS = ("Detect", "Pose", "Pose26")
LAYER_NAMES = frozenset({"Conv", "DWConv", "Concat", "C2f", "C3k2", "C2PSA", "SPPF", "nn.Upsample", *HEADS})
_LAYOUT_KEYS = frozenset(
    {
        "nc", "ch", "channels", "depth_multiple", "width_multiple", "max_channels", "scale", "scales",
        "reg_max", "end2end", "kpt_shape", "backbone", "head", "yaml_file", "task",
    }
)  # fmt: skip
_ARGUMENT_WORDS = frozenset({"nc", "kpt_shape", "nearest", "bilinear", "None"})
_MOST_LAYERS = 200


def _class(module: str, name: str) -> Any:
    if module.startswith("ultralytics"):
        from poseviewer.nets.ultralytics_parts import ultralytics_parts

        ultralytics_parts()
    return getattr(importlib.import_module(module), name)


ALLOWED_NAMES: dict[str, Callable[[], Any]] = {
    f"{module}.{name}": partial(_class, module, name)
    for table in (_TORCH, _ULTRALYTICS)
    for module, names in table.items()
    for name in names
}


def checked_layout(layout: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of a YOLO layout that holds only known layers and plain arguments.

    A layout is part of a file that a person offers, and ultralytics looks layer names up among its functions and
    evaluates some entries, so nothing unknown may pass.

    Raises:
        WeightsError: an unknown entry, layer or argument; the sentence names it.
    """
    # Entries of the library's own files that have no meaning for building are dropped, not refused.
    plain = {key: value for key, value in layout.items() if key in _LAYOUT_KEYS}
    for key in ("activation",):
        if layout.get(key) is not None:
            raise WeightsError(f"The network's description has an entry that is not accepted: {key}.")
    for key in ("nc", "backbone", "head"):
        if key not in plain:
            raise WeightsError(f"The network's description has no {key!r} entry.")
    for key in ("backbone", "head"):
        plain[key] = [_checked_layer(layer) for layer in _rows(plain[key], key)]
    if not plain["head"] or plain["head"][-1][2] not in HEADS:
        raise WeightsError("The network's description does not end in a detection head.")
    return plain


def _rows(value: object, key: str) -> list[Any]:
    if not isinstance(value, list) or len(value) > _MOST_LAYERS:
        raise WeightsError(f"The network's description has a {key!r} entry that is not a list of layers.")
    return value


def _checked_layer(layer: object) -> list[Any]:
    if not isinstance(layer, list | tuple) or len(layer) != 4:
        raise WeightsError(f"The network's description has a layer that is not understood: {layer!r:.80}.")
    source, repeats, name, arguments = layer
    if name not in LAYER_NAMES:
        raise WeightsError(f"The network's description names an unknown layer: {name!r:.80}.")
    sources = source if isinstance(source, list | tuple) else [source]
    if not all(type(number) is int for number in [*sources, repeats]) or not isinstance(arguments, list | tuple):
        raise WeightsError(f"The network's description has a layer that is not understood: {layer!r:.80}.")
    for value in arguments:
        if not _plain_argument(value):
            raise WeightsError(f"The network's description gives {name} an argument that is not plain: {value!r:.80}.")
    return [list(source) if isinstance(source, list | tuple) else source, repeats, name, list(arguments)]


def _plain_argument(value: object) -> bool:
    if isinstance(value, str):
        return value in _ARGUMENT_WORDS
    if isinstance(value, list | tuple):
        return all(type(number) in (int, float) for number in value)
    return value is None or type(value) in (bool, int, float)
