"""RTMPose: CSPNeXt, one 7x7 map per joint as a token, gated attention and a distribution per axis.

"RTMPose: Real-Time Multi-Person Pose Estimation based on MMPose"; reference/hrnet_ae_mmpose.md section 5.
"""

from __future__ import annotations

import msgspec
from torch import Tensor, nn

from poseviewer.nets.mmpose import parts
from poseviewer.nets.mmpose.cspnext import STAGES, CSPNeXt
from poseviewer.nets.mmpose.gau import GatedAttention, ScaleNorm
from poseviewer.nets.sniffing import Shapes, run_length, sane, size

STRIDE = 32
BINS_PER_PIXEL = 2
KERNELS = (1, 3, 5, 7, 9)
SIZES: dict[str, tuple[float, float]] = {
    "t": (0.167, 0.375),
    "s": (0.33, 0.5),
    "m": (0.67, 0.75),
    "l": (1.0, 1.0),
    "x": (1.33, 1.25),
}
"""Published sizes: factors on the blocks and on the widths."""


class RtmposeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the network is made of; the defaults are RTMPose-t.

    Attributes:
        joints: K.
        widths: channels of the stem and the four stages of CSPNeXt.
        blocks: per stage.
        cells: of the last feature map, h w; fixes the input's area.
        bins: X and Y, outputs per axis.
        hidden: token width; gate: width of gate and value; key: width of query and key.
        kernel: of the convolution that makes the tokens.
    """

    joints: int = 17
    widths: tuple[int, int, int, int, int] = (24, 48, 96, 192, 384)
    blocks: tuple[int, int, int, int] = (1, 1, 1, 1)
    cells: int = 48
    bins: tuple[int, int] = (384, 512)
    hidden: int = 256
    gate: int = 512
    key: int = 128
    kernel: int = 7


def published(size: str, joints: int = 17, input_wh: tuple[int, int] = (192, 256)) -> RtmposeConfig:
    """RTMPose "t", "s", "m", "l" or "x" for an input size; KeyError for another name."""
    deepen, widen = SIZES[size]
    one, two, three, four = (max(round(count * deepen), 1) for count in (3, 6, 6, 3))
    stem, a, b, c, d = (int(width * widen) for width in (64, 128, 256, 512, 1024))
    width, height = input_wh
    return RtmposeConfig(
        joints,
        (stem, a, b, c, d),
        (one, two, three, four),
        cells=(width // STRIDE) * (height // STRIDE),
        bins=(width * BINS_PER_PIXEL, height * BINS_PER_PIXEL),
    )


class Rtmpose(nn.Module):
    """Images (B, 3, H, W) of the one size that gives `cells` features to logits (B, K, X) and (B, K, Y)."""

    def __init__(self, config: RtmposeConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = CSPNeXt(config.widths, config.blocks)
        self.head = RtmposeHead(config)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logits: tuple[Tensor, Tensor] = self.head(self.backbone(x))
        return logits


class RtmposeHead(nn.Module):
    """Features (B, C, h, w) to logits per axis."""

    def __init__(self, config: RtmposeConfig) -> None:
        super().__init__()
        width = config.widths[-1]
        self.final_layer = nn.Conv2d(width, config.joints, config.kernel, padding=config.kernel // 2)
        self.mlp = nn.Sequential(ScaleNorm(config.cells), nn.Linear(config.cells, config.hidden, bias=False))
        self.gau = GatedAttention(config.hidden, config.gate, config.key)
        self.cls_x = nn.Linear(config.hidden, config.bins[0], bias=False)
        self.cls_y = nn.Linear(config.hidden, config.bins[1], bias=False)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.gau(self.mlp(self.final_layer(features).flatten(2)))
        return self.cls_x(tokens), self.cls_y(tokens)


def sniff(shapes: Shapes) -> RtmposeConfig | None:
    """The configuration that a state dict's shapes belong to, None for another family."""
    tokens, gau = shapes.get("head.final_layer.weight", ()), shapes.get("head.gau.uv.weight", ())
    flat = shapes.get("head.mlp.1.weight", ())
    if len(tokens) != 4 or len(gau) != 2 or len(flat) != 2 or "head.mlp.0.g" not in shapes:
        return None
    stem, a, b, c, d = (
        size(shapes, f"backbone.{name}.conv.weight")
        for name in ("stem.2", *(f"stage{stage}.0" for stage in range(1, STAGES + 1)))
    )
    one, two, three, four = (
        run_length(shapes, f"backbone.stage{stage}.{2 if stage == STAGES else 1}.blocks.", ".conv1.conv.weight")
        for stage in range(1, STAGES + 1)
    )
    key, gate = size(shapes, "head.gau.gamma", 1), size(shapes, "head.gau.o.weight", 1)
    bins = size(shapes, "head.cls_x.weight"), size(shapes, "head.cls_y.weight")
    sizes = (tokens[0], stem, a, b, c, d, flat[1], *bins, flat[0], gate, key)
    if not sane(sizes, (one, two, three, four)) or tokens[2] not in KERNELS:
        return None
    return RtmposeConfig(
        tokens[0], (stem, a, b, c, d), (one, two, three, four), flat[1], bins, flat[0], gate, key, tokens[2]
    )


def spec_of(config: RtmposeConfig) -> parts.InputFacts:
    """Two bins per pixel, as in the published configurations, so the bins say the input size."""
    x, y = config.bins
    input_wh = (x // BINS_PER_PIXEL, y // BINS_PER_PIXEL)
    return parts.InputFacts(config.joints, input_wh, config.bins, output="simcc", decode="simcc")
