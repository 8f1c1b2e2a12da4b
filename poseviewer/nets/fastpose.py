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
from poseviewer.nets.se_resnet import PUBLISHED_DEPTHS, ResidualConfig, residual, sniff_residual
from poseviewer.nets.sniffing import Shapes, sane, size


class FastPoseConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a FastPose network is made of; travels in the weight file.

    Attributes:
        joints: heatmaps.
        tags: tag maps after them, one for each joint, for bottom-up pipelines; 0 in the published networks.
        ramp: added to every tag for each cell to the right and for each one down. A convolution answers alike to like
            people wherever they stand; with the place added it need only learn the way to the person's middle
            (Novotny et al., "Semi-convolutional Operators for Instance Segmentation", 2018).
        stem: "pool" (published) or "strided".
        stem_width: channels of the stem's first convolution.
        block: "bottleneck" (published) or "basic".
        depths: blocks in each of the four stages.
        planes: width of each stage before the block's expansion.
        se_reduction: SE in the first block of every stage with this reduction; 0 is none, 1 published.
        duc: convolution widths of the two DUC stages; each leaves a quarter of it as channels.
        laterals: add the backbone stages at strides 16, 8 and 4 to the head.
        deform: how many blocks of each stage, from its first, convolve deformably; all of a published DCN stage.
        modulated: the deformable convolutions weigh their readings as well.
        deform_groups: groups of channels with offsets of their own; 1 published.
        deform_strided: deformable stages deform where they carry the stride as well; so published.
    """

    joints: int = 17
    tags: int = 0
    ramp: tuple[float, float] = (0.0, 0.0)
    stem: str = "pool"
    stem_width: int = 64
    block: str = "bottleneck"
    depths: tuple[int, int, int, int] = (3, 4, 6, 3)
    planes: tuple[int, int, int, int] = (64, 128, 256, 512)
    se_reduction: int = 1
    duc: tuple[int, int] = (1024, 512)
    laterals: bool = False
    deform: tuple[int, int, int, int] = (0, 0, 0, 0)
    modulated: bool = False
    deform_groups: int = 1
    deform_strided: bool = True

    @property
    def backbone(self) -> ResidualConfig:
        """The part that concerns the backbone."""
        return ResidualConfig(**{name: getattr(self, name) for name in BACKBONE_FIELDS})


BACKBONE_FIELDS = (
    "stem",
    "stem_width",
    "block",
    "depths",
    "planes",
    "se_reduction",
    "deform",
    "modulated",
    "deform_groups",
    "deform_strided",
)


def published(depth: int, joints: int = 17, conv_dim: int = 128) -> FastPoseConfig:
    """The published FastPose with SE-ResNet of `depth` 50, 101 or 152.

    Raises KeyError for another depth: the public code cannot build one either.
    """
    return FastPoseConfig(joints=joints, depths=PUBLISHED_DEPTHS[depth], duc=(1024, conv_dim * 4))


def sniff(shapes: Shapes) -> FastPoseConfig | None:
    """The network, published or compact, whose state dict has these names and shapes; None for any other.

    33 outputs are those of the 2018 model: COCO's 17 joints first, then MPII's.
    """
    backbone = sniff_residual(shapes, "preact.")
    duc = size(shapes, "duc1.conv.weight"), size(shapes, "duc2.conv.weight")
    joints = size(shapes, "conv_out.weight")
    if backbone is None or backbone.shuffle or backbone.plain_start or not sane((joints, *duc), (1,)):
        return None
    fields = {name: getattr(backbone, name) for name in BACKBONE_FIELDS}
    return FastPoseConfig(joints=joints, duc=duc, laterals="lateral3.0.weight" in shapes, **fields)


class FastPose(nn.Module):
    """Images (B, 3, H, W), normalised, to heatmaps and then tags (B, joints + tags, H/4, W/4); no activation."""

    def __init__(self, config: FastPoseConfig) -> None:
        super().__init__()
        self.config = config
        self.preact = residual(config.backbone)
        widths = self.preact.widths
        self.suffle1 = nn.PixelShuffle(2)  # the published spelling; it carries no parameters
        self.duc1 = DUC(widths[3] // 4, config.duc[0])
        self.duc2 = DUC(config.duc[0] // 4, config.duc[1])
        self.conv_out = nn.Conv2d(config.duc[1] // 4, config.joints + config.tags, 3, padding=1)
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
        maps: Tensor = self.conv_out(y)
        return self._with_places(maps) if any(self.config.ramp) else maps

    def _with_places(self, maps: Tensor) -> Tensor:
        """Add the ramp to the tags, in float32: bf16 would lose the steps between cells."""
        maps = maps.float()
        columns, rows = (
            torch.arange(side, device=maps.device, dtype=maps.dtype) for side in (maps.shape[3], maps.shape[2])
        )
        place = columns * self.config.ramp[0] + rows[:, None] * self.config.ramp[1]
        return torch.cat((maps[:, : self.config.joints], maps[:, self.config.joints :] + place), dim=1)


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
