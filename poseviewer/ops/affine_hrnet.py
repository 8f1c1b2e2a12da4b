"""The crops of HRNet, SimpleBaseline and HigherHRNet: centre and scale, the affine map, and its inverse.

Symbols: N boxes, P points; centres in pixels, scales in units of 200 pixels, rotations in degrees
(reference/hrnet_ae_mmpose.md section 6). A map is a ``(2, 3)`` float64 matrix; the published code takes the three
pairs of points that define it in float32, which moves the map by up to 2e-4, and so does this one.
"""

from __future__ import annotations

import torch
from torch import Tensor

UNIT = 200.0
"""Pixels of one unit of scale."""
PADDING = 1.25
"""A box is enlarged so much, unless its centre is at x = -1, the published mark for "take it as it is"."""


def centre_scale(boxes: Tensor, aspect: float, *, padding: float = PADDING) -> tuple[Tensor, Tensor]:
    """Centre and scale of boxes after they were widened to the network's aspect.

    Args:
        boxes: ``(N, 4)`` x, y, width, height in pixels.
        aspect: network input width / height.
        padding: factor on the scale.

    Returns:
        centres ``(N, 2)`` float32 pixels and scales ``(N, 2)`` float32 in units of 200 pixels.
    """
    x, y, width, height = boxes.double().unbind(1)
    centre = torch.stack((x + width / 2, y + height / 2), dim=1).float()
    wide, high = width > aspect * height, width < aspect * height
    sides = torch.stack((torch.where(high, height * aspect, width), torch.where(wide, width / aspect, height)), dim=1)
    scale = (sides / UNIT).float()
    padded = scale * torch.tensor(padding, dtype=torch.float32, device=boxes.device)
    return centre, torch.where((centre[:, :1] != -1), padded, scale)


def affine(
    centre: Tensor,
    scale: Tensor,
    size_wh: Tensor | tuple[int, int],
    *,
    rotation: Tensor | None = None,
    shift: Tensor | None = None,
    inverse: bool = False,
) -> Tensor:
    """The map from picture pixels to an output of ``size_wh``, or back. Only the width's scale counts.

    Args:
        centre: ``(N, 2)`` pixels; scale: ``(N, 2)`` in units of 200 pixels, float32 or float64 (both matter: the
            product with 200 is taken in the scale's own type).
        size_wh: of the output in pixels or heatmap cells, one for all or ``(N, 2)``.
        rotation: ``(N,)`` degrees, 0 unless given; shift: ``(N, 2)`` of the centre in box sizes.
        inverse: from the output to the picture.

    Returns:
        ``(N, 2, 3)`` float64.
    """
    size = torch.as_tensor(size_wh, device=centre.device).double().expand(len(centre), 2)
    sides = (scale * UNIT).double()
    origin = centre.double() + (0 if shift is None else sides * shift.double())
    angle = torch.zeros(len(centre), device=centre.device, dtype=torch.float64)
    if rotation is not None:
        angle = torch.deg2rad(rotation.double())
    half = -sides[:, 0] / 2
    up = torch.stack((-half * angle.sin(), half * angle.cos()), dim=1)
    source = three_points(origin.float(), (origin + up).float())
    middle = (size / 2).float()
    top = middle + torch.stack((torch.zeros_like(middle[:, 0]), -middle[:, 0]), dim=1)
    target = three_points(middle, top)
    return through_points(target, source) if inverse else through_points(source, target)


def through_points(source: Tensor, target: Tensor) -> Tensor:
    """The affine maps ``(N, 2, 3)`` float64 that take three points ``(N, 3, 2)`` each to three others.

    Points on one line, of a box without a size, give a map of zeros, as OpenCV does: one such box stops nobody else.
    """
    ones = torch.ones_like(source[..., :1], dtype=torch.float64)
    rows = torch.cat((source.double(), ones), dim=2)
    maps, wrong = torch.linalg.solve_ex(rows, target.double())
    return torch.where((wrong == 0)[:, None, None], maps, 0.0).transpose(1, 2)


def apply(matrices: Tensor, points: Tensor) -> Tensor:
    """Map points ``(N, P, 2)``; float64."""
    return points.double() @ matrices[:, :, :2].transpose(1, 2) + matrices[:, None, :, 2]


def to_picture(cells: Tensor, centre: Tensor, scale: Tensor, size_wh: Tensor | tuple[int, int]) -> Tensor:
    """Heatmap cells ``(N, P, 2)`` of a map of ``size_wh`` to picture pixels, float64."""
    return apply(affine(centre, scale, size_wh, inverse=True), cells)


def three_points(first: Tensor, second: Tensor) -> Tensor:
    """Append the third point: second + the perpendicular (-dy, dx) of first - second; ``(N, 3, 2)``."""
    away = first - second
    third = second + torch.stack((-away[:, 1], away[:, 0]), dim=1)
    return torch.stack((first, second, third), dim=1)
