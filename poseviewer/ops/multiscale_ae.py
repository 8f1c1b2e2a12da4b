"""pose-ae-train's inference around its network: the square crop of a whole picture and several scales with flips.

Symbols: K joints, (h, w) cells, T tag dimensions. Facts: reference/hrnet_ae_mmpose.md section 14.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from poseviewer.core.values import GroupingRules
from poseviewer.ops import grouping

UNIT = 200.0
BASE = 64
CELL = 4
"""Input pixels per cell."""
RUNAWAY = 10.0
"""A scale whose summed heatmaps exceed it is left out."""


def square_matrix(centre: Tensor, scale: Tensor, size_hw: tuple[int, int], *, rotation: float | Tensor = 0.0) -> Tensor:
    """The map ``(3, 3)`` float64 from picture pixels to an input.

    Args:
        centre: ``(2,)`` pixels; scale: scalar, of the box in units of 200 pixels.
        size_hw: height and width of the input.
        rotation: degrees, about the input's centre.
    """
    size = torch.tensor([size_hw[1], size_hw[0]], dtype=torch.float64)
    box = scale.double() * UNIT
    matrix = torch.eye(3, dtype=torch.float64)
    matrix[[0, 1], [0, 1]] = size / box
    matrix[:2, 2] = size * (0.5 - centre.double() / box)
    angle = torch.deg2rad(torch.as_tensor(-rotation, dtype=torch.float64))
    if angle == 0:
        return matrix
    turn, away = torch.eye(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64)
    cos, sin = angle.cos(), angle.sin()
    turn[:2, :2] = torch.stack((torch.stack((cos, -sin)), torch.stack((sin, cos))))
    away[:2, 2] = -size / 2
    back: Tensor = torch.linalg.inv(away)
    return back @ turn @ away @ matrix


def input_side(scale: float, natural: int = 512) -> int:
    """Side of the square input at a scale, a multiple of 64."""
    return int((scale * natural + BASE - 1) // BASE * BASE)


def picture_matrix(picture_wh: tuple[int, int], scale: float, natural: int = 512) -> Tensor:
    """The map ``(3, 3)`` of a whole picture to the square input of a scale."""
    width, height = picture_wh
    side = input_side(scale, natural)
    centre = torch.tensor([width / 2, height / 2], dtype=torch.float64)
    return square_matrix(centre, torch.tensor(max(width, height) / UNIT), (side, side))


@dataclass(slots=True)
class ScaleSum:
    """Adds the outputs of every scale, in their order.

    Attributes:
        picture_wh: of the picture in pixels.
        flip: K indices; flip[k] is the joint that k becomes in a mirrored picture.
        scales: all that will be added. The first one that is accepted decides the size of the maps.
        natural: side of the square input at scale 1, pixels.
    """

    picture_wh: tuple[int, int]
    flip: tuple[int, ...]
    scales: Sequence[float]
    natural: int = 512
    heat: Tensor | None = None
    tags: list[Tensor] = field(default_factory=list)
    first: float = 1.0

    def add(self, scale: float, plain: Tensor, mirrored: Tensor | None = None) -> bool:
        """Add the outputs ``(2 K, h, w)``, heatmaps and tags, for a picture and its mirror image.

        Without the mirror image the picture counts twice, and there is one tag dimension less.

        Returns:
            whether they were accepted: outputs that run away are left out.
        """
        joints, order = len(self.flip), list(self.flip)
        heat, tag = plain[:joints], plain[joints : 2 * joints]
        tags = [tag]
        if mirrored is None:
            heat = heat + heat
        else:
            back = mirrored[: 2 * joints].flip(2)
            heat = heat + back[:joints][order]
            tags.append(back[joints:][order])
        if heat.max() > RUNAWAY:
            return False
        if self.heat is None:
            self.heat, self.first = heat, scale
        else:
            self.heat = self.heat + _resized(heat, self.heat)
        if abs(scale - 1) < 0.5:
            self.tags += [_resized(maps, self.heat) for maps in tags]
        return True

    def result(self) -> tuple[Tensor, Tensor]:
        """Heatmaps ``(K, h, w)`` and tags ``(K, h, w, T)``.

        The sum is divided by the number of all scales, also where one was left out, and limited to 1.

        Raises:
            ValueError: nothing was accepted, or no accepted scale carries tags.
        """
        if self.heat is None or not self.tags:
            raise ValueError("no scale with tags was accepted")
        return (self.heat / len(self.scales) / 2).clamp(max=1), torch.stack(self.tags, dim=3)

    def to_picture(self) -> Tensor:
        """The map ``(2, 3)`` float64 from cells of the maps, counted from their corners, to picture pixels."""
        back = torch.linalg.inv(picture_matrix(self.picture_wh, self.first, self.natural))[:2]
        return torch.cat((back[:, :2] * CELL, back[:, 2:]), dim=1)

    def people(self, rules: GroupingRules = grouping.AE_RULES) -> tuple[Tensor, Tensor]:
        """People ``(P, K, 3 + T)`` float64 in picture pixels and their scores ``(P,)``.

        Raises:
            ValueError: as :meth:`result`.
        """
        found, scores = grouping.group_people(*self.result(), rules)
        back = self.to_picture().to(found.device)
        xy = found[..., :2].double() @ back[:, :2].T + back[:, 2]
        return torch.cat((xy, found[..., 2:].double()), dim=2), scores


def written_joints(people: Tensor) -> Tensor:
    """Joints as pose-ae-train writes them, ``(P, K, 3)``: missing ones lie at the mean of the found, all flagged 1."""
    found = (people[..., 2:3] > 0).to(people.dtype)
    mean = (people[..., :2] * found).sum(dim=1, keepdim=True) / found.sum(dim=1, keepdim=True).clamp(min=1)
    xy = torch.where(found > 0, people[..., :2], mean)
    return torch.cat((xy, torch.ones_like(found)), dim=2)


def _resized(maps: Tensor, like: Tensor) -> Tensor:
    if maps.shape[1:] == like.shape[1:]:
        return maps
    return F.interpolate(maps[None], size=like.shape[1:], mode="bilinear", align_corners=False)[0]
