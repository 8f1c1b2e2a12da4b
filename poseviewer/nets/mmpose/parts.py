"""What MMPose's networks share: convolution units, the transposed head, reading sizes from key names, input facts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from torch import Tensor, nn

from poseviewer.nets.blocks import BN_EPS, UpsampleHead
from poseviewer.nets.estimator_spec import Crop, Decode, Output
from poseviewer.nets.se_resnet import ResidualConfig, sniff_residual
from poseviewer.nets.sniffing import LARGEST_WIDTH, Shapes

Activation = Literal["relu", "silu", "none"]
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "silu": nn.SiLU, "none": nn.Identity}
BACKBONE = "backbone."
MOST_DECONVS = 4
RESNET_WIDTH = 2048
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class InputFacts(NamedTuple):
    """What a file's shapes do not say: fields of `EstimatorSpec` as MMPose's published configurations have them.

    Attributes:
        joints: K.
        input_wh: network input in pixels.
        heatmap_wh: map size in cells; bins per axis for SimCC; the input itself for coordinates.
        output: "heatmaps", "simcc", "regression" or "tags".
        decode: name of the decoding.
        crop: name of the crop; bottom-up and one-stage networks take the whole picture.
        flip_shift: shift by one column (one pixel for coordinates) in the flip test.
        bgr: colour order of the input.
        mean, std: RGB normalisation of 0..1 pixels.
        kernel: side in cells of the blur before UDP and Megvii decoding.
    """

    joints: int
    input_wh: tuple[int, int]
    heatmap_wh: tuple[int, int]
    output: Output = "heatmaps"
    decode: Decode = "msra"
    crop: Crop = "mmpose"
    flip_shift: bool = False
    bgr: bool = False
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    kernel: int = 11


class ConvUnit(nn.Module):
    """Convolution without bias, BN and an activation; keys ``conv`` and ``bn``. Keeps the size at stride 1."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, act: Activation = "relu", groups: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=BN_EPS)
        self.act = ACTIVATIONS[act]()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.bn(self.conv(x)))
        return y


class HeatmapHead(nn.Module):
    """Transposed convolutions, each doubling the size, and a convolution to K maps.

    (B, inputs, h, w) to (B, K, h 2^n, w 2^n) for n ``deconvs``; keys ``deconv_layers`` and ``final_layer``.

    Args:
        inputs: channels; joints: K.
        deconvs: channels of each transposed 4x4 convolution.
        kernel: of the last convolution, odd.
    """

    def __init__(self, inputs: int, joints: int, deconvs: Sequence[int] = (256, 256, 256), kernel: int = 1) -> None:
        super().__init__()
        self.deconv_layers = UpsampleHead(inputs, deconvs)
        width = deconvs[-1] if deconvs else inputs
        self.final_layer = nn.Conv2d(width, joints, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        maps: Tensor = self.final_layer(self.deconv_layers(x))
        return maps


def resnet_of(shapes: Shapes) -> ResidualConfig | None:
    """The plain bottleneck ResNet below "backbone.", None where there is none."""
    found = sniff_residual(shapes, BACKBONE)
    return found if found is not None and found == ResidualConfig(depths=found.depths) else None


def deconv_widths(shapes: Shapes, prefix: str) -> tuple[int, ...] | None:
    """Channels of the 4x4 transposed convolutions below ``prefix``; None for another kernel or an impossible size."""
    widths: list[int] = []
    while shape := shapes.get(f"{prefix}deconv_layers.{3 * len(widths)}.weight"):
        if len(shape) != 4 or shape[2:] != (4, 4) or len(widths) == MOST_DECONVS or shape[1] > LARGEST_WIDTH:
            return None
        widths.append(shape[1])
    return tuple(widths)
