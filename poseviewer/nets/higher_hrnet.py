"""HigherHRNet: heatmaps and tags at a quarter, finer heatmaps at half the resolution.

Cheng et al. 2020; reference/hrnet_ae_mmpose.md section 2.
"""

from __future__ import annotations

import msgspec
import torch
from torch import Tensor, nn

from poseviewer.nets.blocks import BN_EPS, BasicBlock
from poseviewer.nets.hrnet import HRTrunk, TrunkConfig, sniff_trunk
from poseviewer.nets.sniffing import Shapes, run_length, sane, size

# Padding and output padding of the transposed convolution for each side of its kernel: each doubles the size.
PADDINGS = {2: (0, 0), 3: (1, 1), 4: (1, 0)}


class HigherHRNetConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a HigherHRNet is made of.

    Attributes:
        joints: K, heatmaps at either resolution.
        tags: tag maps at the lower resolution: one per joint, or one for all.
        trunk: everything before the heads.
        kernel: side of the transposed convolution's kernel, 2, 3 or 4.
        width: channels at the higher resolution.
        blocks: residual blocks there.
        concatenated: the higher resolution sees the lower one's outputs beside the features.
    """

    joints: int = 17
    tags: int = 17
    trunk: TrunkConfig = TrunkConfig()
    kernel: int = 4
    width: int = 32
    blocks: int = 4
    concatenated: bool = True


class HigherHRNet(HRTrunk):
    """Images (B, 3, H, W), H and W multiples of 32, to two maps.

    The first, (B, joints + tags, H/4, W/4), holds heatmaps and then tags; the second, (B, joints, H/2, W/2),
    heatmaps alone.
    """

    def __init__(self, config: HigherHRNetConfig) -> None:
        super().__init__(config.trunk)
        self.config = config
        lower = config.joints + config.tags
        inputs = config.trunk.width + (lower if config.concatenated else 0)
        self.final_layers = nn.ModuleList(
            [nn.Conv2d(config.trunk.width, lower, 1), nn.Conv2d(config.width, config.joints, 1)]
        )
        self.deconv_layers = nn.ModuleList([_deconvolution(inputs, config)])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(x)
        lower: Tensor = self.final_layers[0](features)
        inputs = torch.cat((features, lower), 1) if self.config.concatenated else features
        higher: Tensor = self.final_layers[1](self.deconv_layers[0](inputs))
        return lower, higher


def _deconvolution(inputs: int, config: HigherHRNetConfig) -> nn.Sequential:
    """The way to twice the resolution."""
    padding, output_padding = PADDINGS[config.kernel]
    up = nn.Sequential(
        nn.ConvTranspose2d(inputs, config.width, config.kernel, 2, padding, output_padding, bias=False),
        nn.BatchNorm2d(config.width, eps=BN_EPS),
        nn.ReLU(inplace=True),
    )
    blocks = (nn.Sequential(BasicBlock(config.width, config.width)) for _ in range(config.blocks))
    return nn.Sequential(up, *blocks)


def sniff(shapes: Shapes) -> HigherHRNetConfig | None:
    """The network whose state dict has these names and shapes; None for any other.

    Files of the half precision runs begin every name with ``1.``, which has to be taken off before.
    """
    trunk = sniff_trunk(shapes)
    lower, joints = size(shapes, "final_layers.0.weight"), size(shapes, "final_layers.1.weight")
    up = "deconv_layers.0.0.0.weight"
    inputs, width, kernel = (size(shapes, up, axis) for axis in (0, 1, 2))
    blocks = run_length(shapes, "deconv_layers.0.", ".0.conv1.weight", 1)
    if trunk is None or kernel not in PADDINGS or not sane((lower, joints, width), (blocks,)):
        return None
    if lower - joints not in (1, joints) or inputs not in (trunk.width, trunk.width + lower):
        return None
    return HigherHRNetConfig(
        joints=joints,
        tags=lower - joints,
        trunk=trunk,
        kernel=kernel,
        width=width,
        blocks=blocks,
        concatenated=inputs != trunk.width,
    )
