"""A plain ResNet that tells persons apart, for tracking (resnet50_fc512; reference/alphapose.md section 1.7).

Its last stage keeps the resolution, so that a small picture of a person still has many cells to take the mean of.
"""

from __future__ import annotations

import msgspec
from torch import Tensor, nn

from poseviewer.nets.osnet import feature_head
from poseviewer.nets.se_resnet import ResidualConfig, ResidualTrunk, sniff_residual
from poseviewer.nets.sniffing import Shapes, sane, size

STRIDES = (1, 2, 2, 1)


class ReIDResNetConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the network is made of.

    Attributes:
        features: length of the vector.
        backbone: a residual backbone.
        people: outputs of the classifier that only training needs.
    """

    features: int = 512
    backbone: ResidualConfig = ResidualConfig()
    people: int = 1


class ReIDResNet(ResidualTrunk):
    """Pictures of persons (B, 3, H, W), published 256 x 128, to vectors (B, features), not normalised."""

    def __init__(self, config: ReIDResNetConfig) -> None:
        super().__init__(*config.backbone.arguments(), STRIDES)
        self.config = config
        self.fc = feature_head(self.widths[-1], config.features)
        self.classifier = nn.Linear(config.features, config.people)

    def forward(self, x: Tensor) -> Tensor:
        vectors: Tensor = self.fc(self.stages(x)[-1].mean((2, 3)))
        return vectors


def sniff(shapes: Shapes) -> ReIDResNetConfig | None:
    """The network whose state dict has these names and shapes; None for any other."""
    backbone = sniff_residual(shapes)
    features, people = size(shapes, "fc.0.weight"), size(shapes, "classifier.weight")
    if backbone is None or "fc.1.running_mean" not in shapes or not sane((features, people), (1,)):
        return None
    return ReIDResNetConfig(features=features, backbone=backbone, people=people)
