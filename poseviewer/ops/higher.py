"""HigherHRNet's inference around its network: input sizes, outputs of several stages and scales, and the way back.

Symbols: B pictures, K joints, T tag dimensions (one per network pass at scale 1, so 2 with the flip test).
Facts: reference/hrnet_ae_mmpose.md section 15; grouping itself is :mod:`poseviewer.ops.grouping`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from poseviewer.ops import affine_hrnet

BASE = 64


class ScaledInput(NamedTuple):
    """Network input of one scale: size in pixels, centre in picture pixels, scale in units of 200 pixels."""

    size_wh: tuple[int, int]
    centre: tuple[int, int]
    scale: tuple[float, float]

    def to_picture(self, cells: Tensor, map_wh: tuple[int, int]) -> Tensor:
        """Cells ``(N, K, 2)`` of a map of ``map_wh`` as picture pixels, float64."""
        return affine_hrnet.apply(self.matrix(map_wh).to(cells.device).expand(len(cells), 2, 3), cells)

    def matrix(self, map_wh: tuple[int, int]) -> Tensor:
        """The map ``(2, 3)`` float64 from a map or input of ``map_wh`` to picture pixels."""
        centre, scale = (torch.tensor([part], dtype=torch.float64) for part in (self.centre, self.scale))
        return affine_hrnet.affine(centre, scale, map_wh, inverse=True)[0]


def scaled_input(picture_wh: tuple[int, int], input_size: int, scale: float, lowest: float) -> ScaledInput:
    """The input of a picture at ``scale``, of scales whose smallest is ``lowest``.

    The shorter side is ``input_size`` rounded up to 64 at the lowest scale; all sizes are multiples of that input's.
    """
    width, height = picture_wh
    short = int((lowest * input_size + BASE - 1) // BASE * BASE)
    less, more = min(width, height), max(width, height)
    long = int((short / less * more + BASE - 1) // BASE * BASE)
    sides = int(short * scale / lowest), int(long * scale / lowest)
    scales = less / affine_hrnet.UNIT, sides[1] / sides[0] * less / affine_hrnet.UNIT
    centre = int(width / 2 + 0.5), int(height / 2 + 0.5)
    if width < height:
        return ScaledInput(sides, centre, scales)
    return ScaledInput((sides[1], sides[0]), centre, (scales[1], scales[0]))


@dataclass(frozen=True, slots=True)
class StageRules:
    """How stages of outputs are read.

    Attributes:
        joints: K, with the centre where there is one.
        flip: K indices; flip[k] is the joint that k becomes in a mirrored picture.
        heat_stages: which stages' heatmaps are averaged.
        tag_stages: which stages carry tags, after their heatmaps.
        tag_per_joint: False where all joints share one tag map.
        drop_centre: the last channel is a centre that is left out.
    """

    joints: int
    flip: tuple[int, ...]
    heat_stages: tuple[bool, ...] = (True, True)
    tag_stages: tuple[bool, ...] = (True, False)
    tag_per_joint: bool = True
    drop_centre: bool = False

    def read(self, outputs: Sequence[Tensor], *, mirrored: bool = False) -> tuple[Tensor, Tensor]:
        """Heatmaps and tags of one pass, both of the last stage's size.

        Args:
            outputs: stages, ``(B, C, h, w)`` each.
            mirrored: the pass saw the mirrored picture.

        Returns:
            heatmaps ``(B, K, h, w)`` and tags ``(B, K or 1, h, w)``.
        """
        size = outputs[-1].shape[2:]
        heat, tags = [], []
        for stage, output in enumerate(outputs):
            full = output if output.shape[2:] == size else _resized(output, (size[1], size[0]))
            full = full.flip(3) if mirrored else full
            maps, rest = full[:, : self.joints], full[:, self.joints :]
            if self.heat_stages[stage]:
                heat.append(maps[:, list(self.flip)] if mirrored else maps)
            if self.tag_stages[stage]:
                tags.append(rest[:, list(self.flip)] if mirrored and self.tag_per_joint else rest)
        mean, tag = torch.stack(heat).mean(dim=0), torch.cat(tags, dim=1)
        if self.drop_centre:
            return mean[:, :-1], tag[:, :-1] if self.tag_per_joint else tag
        return mean, tag


class Scales:
    """Adds the passes of every scale; the largest scale comes first.

    Args:
        scales: all that will be added.
        project_wh: size to which all maps are brought; None for the first scale's maps.
    """

    def __init__(self, scales: Sequence[float], *, project_wh: tuple[int, int] | None = None) -> None:
        self.scales, self.project_wh = tuple(scales), project_wh
        self.heat: Tensor | None = None
        self.tags: list[Tensor] = []

    def add(self, scale: float, passes: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Add one scale: heatmaps and tags of the plain pass and, with the flip test, of the mirrored one."""
        size = self.project_wh
        if size is None and self.heat is not None:
            size = (self.heat.shape[3], self.heat.shape[2])
        if size is not None:
            passes = [(_resized(heat, size), _resized(tags, size)) for heat, tags in passes]
        if scale == 1 or len(self.scales) == 1:
            self.tags += [tags for _, tags in passes]
        mean = torch.stack([heat for heat, _ in passes]).mean(dim=0)
        self.heat = mean if self.heat is None else self.heat + mean

    def result(self) -> tuple[Tensor, Tensor]:
        """Heatmaps ``(B, K, h, w)`` averaged over all scales and tags ``(B, K, h, w, T)`` of scale 1.

        Raises:
            ValueError: nothing was added, or no scale carried tags.
        """
        if self.heat is None or not self.tags:
            raise ValueError("no scale with tags was added")
        return self.heat / len(self.scales), torch.stack(self.tags, dim=4)


def _resized(maps: Tensor, size_wh: tuple[int, int]) -> Tensor:
    return F.interpolate(maps, size=(size_wh[1], size_wh[0]), mode="bilinear", align_corners=False)
