"""Networks that tell persons apart, read from their published files (reference/alphapose.md sections 1.7 and 12)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from poseviewer.core.errors import WeightsError
from poseviewer.nets import osnet, reid_resnet
from poseviewer.nets.checkpoint import fill, read_content, refuse_unlike, unlike
from poseviewer.nets.sniffing import Shapes
from poseviewer.nets.unpickle import require_file, sha256_of

INPUT_WH = (192, 256)
"""The tracker's crops are the pose network's."""
FAMILIES: tuple[tuple[str, Callable[[Shapes], Any], Callable[[Any], nn.Module]], ...] = (
    ("osnet_ain", osnet.sniff, osnet.OSNet),
    ("resnet_fc", reid_resnet.sniff, reid_resnet.ReIDResNet),
)


@dataclass(frozen=True, slots=True)
class LoadedReID:
    """A re-ID network in evaluation mode.

    Attributes:
        module: crops (M, 3, H, W), normalised as AlphaPose's pose crops, to features (M, D), of any length.
        family: which network.
        features: D.
        sha256: of the file.
    """

    module: nn.Module
    family: str
    features: int
    sha256: str


def load_reid(path: Path, device: str | torch.device = "cpu") -> LoadedReID:
    """Build the network that a file holds and fill it.

    Raises:
        WeightsError: the file is missing, unreadable, holds another network, or does not fit.
    """
    path = require_file(Path(path))
    tensors = read_content(path).tensors
    shapes = {key: tuple(value.shape) for key, value in tensors.items()}
    for name, sniff, build in FAMILIES:
        config = sniff(shapes)
        if config is not None:
            with torch.device("meta"):
                own = {key: tuple(value.shape) for key, value in build(config).state_dict().items()}
            refuse_unlike(*unlike(own, tensors), path)
            net = build(config)
            fill(net, tensors, path)
            return LoadedReID(net.to(device).eval().requires_grad_(False), name, config.features, sha256_of(path))
    raise WeightsError(
        f"{path.name} is not a re-ID network that this program knows.",
        file=path,
        remedy="It knows osnet_ain and resnet50_fc512 as AlphaPose ships them.",
    )
