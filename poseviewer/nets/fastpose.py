"""FastPose: a residual backbone, pixel shuffle and two DUC stages (reference/alphapose.md section 1.2).

One class builds the published networks and our compact ones: everything that differs is data in
`FastPoseConfig`. Compact networks add lateral connections from the backbone to the head, which the
published ones do not have.
"""

from __future__ import annotations

import msgspec
import torch
from torch import Tensor, nn

from poseviewer.nets.blocks import DUC, BasicBlock, Bottleneck, Lateral
from poseviewer.nets.se_resnet import SEResNet

PUBLISHED_DEPTHS: dict[int, tuple[int, int, int, int]] = {
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


class FastPoseConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a FastPose network is made of; travels in the weight file.

    Attributes:
        joints: output channels.
        stem: "pool" (published) or "strided".
        stem_width: channels of the stem's first convolution.
        block: "bottleneck" (published) or "basic".
        depths: blocks in each of the four stages.
        planes: width of each stage before the block's expansion.
        se_reduction: SE in the first block of every stage with this reduction; 0 is none, 1 published.
        duc: convolution widths of the two DUC stages; each leaves a quarter of it as channels.
        laterals: add the backbone stages at strides 16, 8 and 4 to the head.
    """

    joints: int = 17
    stem: str = "pool"
    stem_width: int = 64
    block: str = "bottleneck"
    depths: tuple[int, int, int, int] = (3, 4, 6, 3)
    planes: tuple[int, int, int, int] = (64, 128, 256, 512)
    se_reduction: int = 1
    duc: tuple[int, int] = (1024, 512)
    laterals: bool = False


def published(depth: int, joints: int = 17, conv_dim: int = 128) -> FastPoseConfig:
    """The published FastPose with SE-ResNet of `depth` 50, 101 or 152.

    Raises KeyError for another depth: the public code cannot build one either.
    """
    return FastPoseConfig(joints=joints, depths=PUBLISHED_DEPTHS[depth], duc=(1024, conv_dim * 4))


class FastPose(nn.Module):
    """Images (B, 3, H, W), normalised, to heatmaps (B, joints, H/4, W/4) without an activation."""

    def __init__(self, config: FastPoseConfig) -> None:
        super().__init__()
        self.config = config
        self.preact = SEResNet(
            config.stem, config.stem_width, config.block, config.depths, config.planes, config.se_reduction
        )
        widths = self.preact.widths
        self.suffle1 = nn.PixelShuffle(2)  # the published spelling; it carries no parameters
        self.duc1 = DUC(widths[3] // 4, config.duc[0])
        self.duc2 = DUC(config.duc[0] // 4, config.duc[1])
        self.conv_out = nn.Conv2d(config.duc[1] // 4, config.joints, 3, padding=1)
        if config.laterals:
            self.lateral3 = Lateral(widths[2], widths[3] // 4)
            self.lateral2 = Lateral(widths[1], config.duc[0] // 4)
            self.lateral1 = Lateral(widths[0], config.duc[1] // 4)

    def forward(self, x: Tensor) -> Tensor:
        c1, c2, c3, c4 = self.preact(x)
        y = self.suffle1(c4)
        if self.config.laterals:
            y = torch.relu_(y + self.lateral3(c3))
            y = torch.relu_(self.duc1(y) + self.lateral2(c2))
            y = torch.relu_(self.duc2(y) + self.lateral1(c1))
        else:
            y = self.duc2(self.duc1(y))
        heatmaps: Tensor = self.conv_out(y)
        return heatmaps


def initialise(net: nn.Module) -> None:
    """Start values for training from scratch.

    The last BN of every residual block starts at zero, so that a block begins as its shortcut; the output
    convolution starts near zero, as in the published code.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, Bottleneck):
            nn.init.zeros_(module.bn3.weight)
        elif isinstance(module, BasicBlock):
            nn.init.zeros_(module.bn2.weight)
        elif isinstance(module, FastPose) and module.conv_out.bias is not None:
            nn.init.zeros_(module.conv_out.bias)
    # After the loop, which reaches the output convolution as well.
    if isinstance(net, FastPose):
        nn.init.normal_(net.conv_out.weight, std=0.001)
