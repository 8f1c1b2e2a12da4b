"""Residual backbone: the published SE-ResNet and compact relatives with a cheaper stem.

Keys follow the published files: conv1, bn1, layer1 .. layer4 (reference/alphapose.md section 1.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from poseviewer.nets.blocks import BN_EPS, PLAIN, BasicBlock, Bottleneck, Spatial, conv3x3
from poseviewer.nets.dcn import TAPS
from poseviewer.nets.sniffing import Shapes, run_length, sane, size

BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {"basic": BasicBlock, "bottleneck": Bottleneck}
STRIDES = (1, 2, 2, 2)
STAGES = (1, 2, 3, 4)
PUBLISHED_DEPTHS: dict[int, tuple[int, int, int, int]] = {
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


class ResidualConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a residual backbone of four stages is made of.

    Attributes:
        stem: "pool" (published) or "strided".
        stem_width: channels of the stem's first convolution.
        block: "bottleneck" (published) or "basic".
        depths: blocks in each stage.
        planes: width of each stage before the block's expansion.
        se_reduction: SE in the first block of every stage with this reduction; 0 is none.
        deform: how many blocks of each stage, from its first, convolve deformably.
        plain_start: the first block, where it changes neither width nor resolution, adds its input as it is, as in
            the published ResNet of depth 18 and 34; otherwise every stage's first block has a 1x1 convolution for it.
        deform_strided: those of them that carry a stride deform as well; otherwise they convolve plainly.
        modulated, deform_groups, shuffle, stride_first: see `blocks.Spatial`.
    """

    stem: str = "pool"
    stem_width: int = 64
    block: str = "bottleneck"
    depths: tuple[int, int, int, int] = (3, 4, 6, 3)
    planes: tuple[int, int, int, int] = (64, 128, 256, 512)
    se_reduction: int = 0
    deform: tuple[int, int, int, int] = (0, 0, 0, 0)
    modulated: bool = False
    deform_groups: int = 1
    shuffle: bool = False
    stride_first: bool = False
    deform_strided: bool = True
    plain_start: bool = False

    def arguments(self) -> tuple[str, int, str, Sequence[int], Sequence[int], int, Sequence[int], Spatial, bool]:
        """What `ResidualTrunk` is built from."""
        spatial = Spatial(
            modulated=self.modulated,
            groups=self.deform_groups,
            shuffle=self.shuffle,
            stride_first=self.stride_first,
            deform_strided=self.deform_strided,
        )
        sizes = self.depths, self.planes, self.se_reduction, self.deform
        return self.stem, self.stem_width, self.block, *sizes, spatial, self.plain_start


class ResidualTrunk(nn.Module):
    """Residual stages, four in the published network, behind a stem of stride 4.

    `stem` "pool" is the published 7x7 convolution of stride 2 with a max pool; "strided" is two strided
    3x3 convolutions, which cost a fifth of it. `se_reduction` 0 leaves SE out; otherwise the first block
    of every stage carries it.

    Input (B, 3, H, W), H and W multiples of the last stride; `stages` gives the features at strides 4, 8, 16 and 32.
    """

    def __init__(
        self,
        stem: str,
        stem_width: int,
        block: str,
        depths: Sequence[int],
        planes: Sequence[int],
        se_reduction: int,
        deform: Sequence[int] = (0, 0, 0, 0),
        spatial: Spatial = PLAIN,
        plain_start: bool = False,
        strides: Sequence[int] = STRIDES,
    ) -> None:
        super().__init__()
        kind = BLOCKS[block]
        self.stem = stem
        if stem == "pool":
            self.conv1 = nn.Conv2d(3, stem_width, 7, stride=2, padding=3, bias=False)
            width = stem_width
        elif stem == "strided":
            self.conv1 = conv3x3(3, stem_width, 2)
            width = planes[0]
            self.conv2 = conv3x3(stem_width, width, 2)
            self.bn2 = nn.BatchNorm2d(width, eps=BN_EPS)
        else:
            raise ValueError(f"unknown stem {stem!r}")
        self.bn1 = nn.BatchNorm2d(stem_width, eps=BN_EPS)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.widths = [plane * kind.expansion for plane in planes]
        for number, (plane, depth) in enumerate(zip(planes, depths, strict=True), start=1):
            stride, deformed = strides[number - 1], deform[number - 1]
            plain = plain_start and number == 1 and width == self.widths[0]
            stage = _stage(kind, width, plane, depth, stride, se_reduction, deformed, spatial, plain)
            self.add_module(f"layer{number}", stage)
            width = self.widths[number - 1]

    def stages(self, x: Tensor) -> tuple[Tensor, ...]:
        """The features after each stage."""
        x = torch.relu_(self.bn1(self.conv1(x)))
        x = self.maxpool(x) if self.stem == "pool" else torch.relu_(self.bn2(self.conv2(x)))
        stages: list[Tensor] = []
        for number in range(1, len(self.widths) + 1):
            x = self.get_submodule(f"layer{number}")(x)
            stages.append(x)
        return tuple(stages)


class SEResNet(ResidualTrunk):
    """The residual trunk as a backbone: its output is all stages."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return self.stages(x)


def residual(config: ResidualConfig) -> SEResNet:
    """The backbone that a configuration describes."""
    return SEResNet(*config.arguments())


def sniff_residual(shapes: Shapes, prefix: str = "") -> ResidualConfig | None:
    """The backbone whose keys begin with `prefix`; None where there is none, or none that can be built.

    The Caffe form of the stride leaves no trace in a file and is taken to be absent.
    """
    stem_width, kernel = (size(shapes, f"{prefix}conv1.weight", axis) for axis in (0, 2))
    depths = tuple(run_length(shapes, f"{prefix}layer{stage}.", ".conv1.weight") for stage in STAGES)
    first = [f"{prefix}layer{stage}.0" for stage in STAGES]
    planes = tuple(size(shapes, f"{block}.conv1.weight") for block in first)
    if not sane((stem_width, *planes), depths) or (kernel, f"{prefix}conv2.weight" in shapes) not in STEMS:
        return None
    bottleneck = f"{first[0]}.conv3.weight" in shapes
    plain_start = f"{first[0]}.downsample.0.weight" not in shapes
    if any(f"{block}.downsample.0.weight" not in shapes for block in first[1:]) or (plain_start and bottleneck):
        return None
    hidden = size(shapes, f"{first[0]}.se.fc.0.weight")
    deform = _sniff_deform(shapes, prefix, planes)
    if deform is None:
        return None
    return ResidualConfig(
        stem=STEMS[kernel, f"{prefix}conv2.weight" in shapes],
        stem_width=stem_width,
        block="bottleneck" if bottleneck else "basic",
        depths=(depths[0], depths[1], depths[2], depths[3]),
        planes=(planes[0], planes[1], planes[2], planes[3]),
        se_reduction=planes[0] * (4 if bottleneck else 1) // hidden if hidden else 0,
        plain_start=plain_start,
        shuffle=any(f"{block}.conv2.1{rest}" in shapes for block in first for rest in (".weight", ".conv.weight")),
        **deform,
    )


# Kernel of the first convolution and whether there is a second one.
STEMS = {(7, False): "pool", (3, True): "strided"}
FORMS = [(modulated, groups) for modulated in (False, True) for groups in (1, 2, 4, 8, 16)]
OFFSET_KEYS = ("conv2_offset", "conv2.conv_offset", "conv2.1.conv_offset")


def _sniff_deform(shapes: Shapes, prefix: str, planes: Sequence[int]) -> dict[str, Any] | None:
    """The fields of the backbone that concern deformable convolution; None where they contradict each other.

    The channels that predict offsets are 18 times the groups, or 27 times where modulated; groups divide the planes.
    """
    counts: list[int] = []
    forms: set[tuple[bool, int]] = set()
    strided: set[bool] = set()
    for stage, plane in zip(STAGES, planes, strict=True):
        widths = [_offset_width(shapes, f"{prefix}layer{stage}.{number}") for number in (0, 1)]
        count = 0 if widths[0] else 1
        while width := _offset_width(shapes, f"{prefix}layer{stage}.{count}"):
            forms.add(next((form for form in FORMS if _fits(width, plane, *form)), (False, 0)))
            count += 1
        counts.append(count if any(widths) else 0)
        if any(widths) and STRIDES[stage - 1] > 1:
            strided.add(bool(widths[0]))
    if not forms:
        return {}
    if len(forms) > 1 or len(strided) > 1 or (False, 0) in forms:
        return None
    modulated, groups = forms.pop()
    return {
        "deform": tuple(counts),
        "modulated": modulated,
        "deform_groups": groups,
        "deform_strided": False not in strided,
    }


def _offset_width(shapes: Shapes, block: str) -> int:
    """Channels that predict a block's offsets; 0 where it convolves plainly."""
    return max(size(shapes, f"{block}.{key}.weight") for key in OFFSET_KEYS)


def _fits(width: int, planes: int, modulated: bool, groups: int) -> bool:
    return width == groups * TAPS * (3 if modulated else 2) and planes % groups == 0


def _stage(
    kind: type[BasicBlock] | type[Bottleneck],
    inputs: int,
    planes: int,
    depth: int,
    stride: int,
    se: int,
    deformed: int,
    spatial: Spatial,
    plain_start: bool,
) -> nn.Sequential:
    """One stage; only its first block changes width or stride, and only that one carries SE."""
    outputs = planes * kind.expansion
    conv = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
    downsample = None if plain_start else nn.Sequential(conv, nn.BatchNorm2d(outputs, eps=BN_EPS))
    plain = 1 if stride > 1 and not spatial.deform_strided else 0
    how = [replace(spatial, deform=plain <= number < deformed) for number in range(depth)]
    first = kind(inputs, planes, stride, downsample, se, how[0])
    return nn.Sequential(first, *(kind(outputs, planes, spatial=each) for each in how[1:]))
