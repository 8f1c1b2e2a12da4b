"""SimCC on a ResNet: every map becomes one distribution per axis (MMPose "simcc_res50").

"SimCC: a Simple Coordinate Classification Perspective for Human Pose Estimation";
reference/hrnet_ae_mmpose.md section 5.
"""

from __future__ import annotations

import msgspec
from torch import Tensor, nn

from poseviewer.nets.mmpose import parts
from poseviewer.nets.se_resnet import ResidualConfig, residual
from poseviewer.nets.sniffing import Shapes, sane, size

MOST_CELLS = 1 << 16


class SimccConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the network is made of.

    Attributes:
        joints: K.
        backbone: the ResNet, ResNet-50 by default.
        deconvs: channels of the transposed convolutions.
        cells: h w, cells of a map; fixes the input size.
        bins: X and Y, outputs per axis.
    """

    joints: int = 17
    backbone: ResidualConfig = ResidualConfig()
    deconvs: tuple[int, ...] = (256, 256, 256)
    cells: int = 48 * 64
    bins: tuple[int, int] = (384, 512)


class SimccResnet(nn.Module):
    """Images (B, 3, H, W) of the one size that gives `cells` cells to logits (B, K, X) and (B, K, Y)."""

    def __init__(self, config: SimccConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = residual(config.backbone)
        self.head = SimccHead(config)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logits: tuple[Tensor, Tensor] = self.head(self.backbone(x)[-1])
        return logits


class SimccHead(nn.Module):
    """Maps, flattened, through one linear layer per axis."""

    def __init__(self, config: SimccConfig) -> None:
        super().__init__()
        self.deconv_head = parts.HeatmapHead(parts.RESNET_WIDTH, config.joints, config.deconvs)
        self.mlp_head_x = nn.Linear(config.cells, config.bins[0])
        self.mlp_head_y = nn.Linear(config.cells, config.bins[1])

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        flat = self.deconv_head(features).flatten(2)
        return self.mlp_head_x(flat), self.mlp_head_y(flat)


def sniff(shapes: Shapes) -> SimccConfig | None:
    """The configuration that a state dict's shapes belong to, None for another family."""
    backbone, deconvs = parts.resnet_of(shapes), parts.deconv_widths(shapes, "head.deconv_head.")
    joints = size(shapes, "head.deconv_head.final_layer.weight")
    bins = size(shapes, "head.mlp_head_x.weight"), size(shapes, "head.mlp_head_y.weight")
    cells = size(shapes, "head.mlp_head_x.weight", 1)
    if backbone is None or not deconvs or not sane((joints, *bins), (1,)) or not 0 < cells <= MOST_CELLS:
        return None
    return SimccConfig(joints, backbone, deconvs, cells, bins)


def spec_of(config: SimccConfig) -> parts.InputFacts:
    """Two bins per pixel, as in the published configurations, so the bins say the input size."""
    x, y = config.bins
    return parts.InputFacts(config.joints, (x // 2, y // 2), config.bins, output="simcc", decode="simcc")
