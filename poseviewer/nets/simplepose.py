"""SimplePose: a plain ResNet and three transposed convolutions (Xiao et al. 2018; reference section 1.4)."""

from __future__ import annotations

import msgspec
from torch import Tensor, nn

from poseviewer.nets.blocks import UpsampleHead
from poseviewer.nets.se_resnet import PUBLISHED_DEPTHS, ResidualConfig, residual, sniff_residual
from poseviewer.nets.sniffing import Shapes, sane, size

UPSAMPLINGS = 3
HEAD_WIDTHS = (256, 256, 256)


class SimplePoseConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a SimplePose network is made of.

    Attributes:
        joints: output channels.
        backbone: a residual backbone, published without SE.
        head: width after each transposed convolution.
        final_kernel: side of the last convolution's kernel.
    """

    joints: int = 17
    backbone: ResidualConfig = ResidualConfig()
    head: tuple[int, int, int] = HEAD_WIDTHS
    final_kernel: int = 1


def published(depth: int = 50, joints: int = 17) -> SimplePoseConfig:
    """The published network of `depth` 50, 101 or 152.

    Raises KeyError for another depth: the public code cannot run one either.
    """
    return SimplePoseConfig(joints=joints, backbone=ResidualConfig(depths=PUBLISHED_DEPTHS[depth]))


class SimplePose(nn.Module):
    """Images (B, 3, H, W), H and W multiples of 32, to heatmaps (B, joints, H/4, W/4)."""

    def __init__(self, config: SimplePoseConfig) -> None:
        super().__init__()
        self.config = config
        self.preact = residual(config.backbone)
        self.deconv_layers = UpsampleHead(self.preact.widths[-1], config.head)
        self.final_layer = final_layer(config)

    def forward(self, x: Tensor) -> Tensor:
        heatmaps: Tensor = self.final_layer(self.deconv_layers(self.preact(x)[-1]))
        return heatmaps


def final_layer(config: SimplePoseConfig) -> nn.Conv2d:
    """The convolution from features to heatmaps."""
    return nn.Conv2d(config.head[-1], config.joints, config.final_kernel, padding=config.final_kernel // 2)


def sniff(shapes: Shapes) -> SimplePoseConfig | None:
    """AlphaPose's SimplePose, whose backbone's names begin with ``preact.``; None for any other state dict."""
    return sniff_upsampling(shapes, "preact.")


def sniff_upsampling(shapes: Shapes, prefix: str) -> SimplePoseConfig | None:
    """A residual backbone of that prefix with this head, or None; also where head and backbone do not meet."""
    backbone = sniff_residual(shapes, prefix)
    weights = [f"deconv_layers.{3 * step}.weight" for step in range(UPSAMPLINGS)]
    head = tuple(size(shapes, key, 1) for key in weights)
    joints, kernel = (size(shapes, "final_layer.weight", axis) for axis in (0, 2))
    if backbone is None or not sane((joints, *head), (1,)) or kernel not in (1, 3):
        return None
    width = backbone.planes[3] * (4 if backbone.block == "bottleneck" else 1)
    if size(shapes, weights[0]) != width or any(size(shapes, key, 2) != 4 for key in weights):
        return None
    return SimplePoseConfig(joints=joints, backbone=backbone, head=(head[0], head[1], head[2]), final_kernel=kernel)
