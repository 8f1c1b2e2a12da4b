"""MMPose's crops: boxes to centre and scale, the affine map and UDP's, and the way back.

Symbols: N boxes. Centres and scales are pixels (no unit of 200), rotations degrees; a map is ``(N, 2, 3)``.
Facts: reference/hrnet_ae_mmpose.md section 6.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from poseviewer.ops.affine_hrnet import apply, through_points

BASE = 64
"""A bottom-up input's sides are multiples of it."""


def box_centre_scale(boxes: Tensor, *, padding: float = 1.0, xywh: bool = False) -> tuple[Tensor, Tensor]:
    """Centre and padded size, both ``(N, 2)``, of boxes ``(N, 4)`` xyxy, or x, y, width, height."""
    low = boxes[:, :2]
    size = boxes[:, 2:] if xywh else boxes[:, 2:] - low
    centre = low + size / 2 if xywh else (boxes[:, 2:] + low) / 2
    return centre, size * padding


def to_aspect(scale: Tensor, aspect: float) -> Tensor:
    """Enlarge sizes ``(N, 2)`` to width / height = ``aspect``."""
    width, height = scale.unbind(1)
    wide = torch.stack((width, width / aspect), dim=1)
    high = torch.stack((height * aspect, height), dim=1)
    return torch.where((width > height * aspect)[:, None], wide, high)


def warp_matrix(
    centre: Tensor,
    scale: Tensor,
    rotation: Tensor,
    size_wh: Tensor | tuple[int, int],
    *,
    shift: Tensor | None = None,
    inverse: bool = False,
    keep_aspect: bool = True,
) -> Tensor:
    """The map from picture pixels to an input of ``size_wh``, or back, through three float32 points.

    Args:
        centre, scale: ``(N, 2)`` pixels; rotation: ``(N,)`` degrees; size_wh: one for all or ``(N, 2)``.
        shift: ``(N, 2)`` of the centre in box sizes.
        inverse: from the input to the picture.
        keep_aspect: the width alone decides; else both sides fill the input.

    Returns:
        ``(N, 2, 3)`` float64.
    """
    size = torch.as_tensor(size_wh, device=centre.device).double().expand(len(centre), 2)
    sides = scale.double()
    origin = centre.double() + (0 if shift is None else sides * shift.double())
    angle = torch.deg2rad(rotation.double())
    along = torch.stack((angle.cos(), angle.sin()), dim=1) * (-sides[:, :1] / 2)
    across = torch.stack((-angle.sin(), angle.cos()), dim=1) * (-sides[:, 1:] / 2)
    zero = torch.zeros_like(size[:, 0])
    source = _points(origin, along, None if keep_aspect else across)
    to_left, to_top = torch.stack((-size[:, 0] / 2, zero), dim=1), torch.stack((zero, -size[:, 1] / 2), dim=1)
    target = _points(size / 2, to_left, None if keep_aspect else to_top)
    return through_points(target, source) if inverse else through_points(source, target)


def udp_matrix(centre: Tensor, scale: Tensor, rotation: Tensor, size_wh: Tensor | tuple[int, int]) -> Tensor:
    """UDP's map: pixel centres of the box's corners to pixel centres of the input's; ``(N, 2, 3)`` float32.

    Args as :func:`warp_matrix`.
    """
    size = torch.as_tensor(size_wh, device=centre.device).double().expand(len(centre), 2)
    factor = (size - 1) / scale.double()
    angle = torch.deg2rad(rotation.double())
    cos, sin = angle.cos(), angle.sin()
    x, y = centre.double().unbind(1)
    half = scale.double() / 2
    first = torch.stack((cos, -sin, -x * cos + y * sin + half[:, 0]), dim=1) * factor[:, :1]
    second = torch.stack((sin, cos, -x * sin - y * cos + half[:, 1]), dim=1) * factor[:, 1:]
    return torch.stack((first, second), dim=1).float()


def input_to_picture(joints: Tensor, centre: Tensor, scale: Tensor, input_wh: tuple[int, int]) -> Tensor:
    """Joints ``(N, K, 2)`` of the network input as picture pixels, float64; the same for every codec, UDP's too."""
    size = torch.tensor(input_wh, device=joints.device, dtype=torch.float64)
    sides = scale.double()[:, None]
    return joints.double() / size * sides + centre.double()[:, None] - sides / 2


def crop_joints(matrices: Tensor, joints: Tensor) -> Tensor:
    """Joints ``(N, K, 2)`` through maps ``(N, 2, 3)``; float32."""
    return apply(matrices.double(), joints).float()


def flip_boxes(
    boxes: Tensor,
    size_wh: tuple[int, int],
    *,
    form: Literal["xyxy", "xywh", "center"] = "xyxy",
    horizontal: bool = True,
    vertical: bool = False,
) -> Tensor:
    """Boxes ``(N, 4)`` in a mirrored picture of ``size_wh``.

    A corner that is stored with a size is mirrored as a point, as published: for "xywh" the result's first two are
    the other corner. "xyxy" comes out ordered.
    """
    flipped = boxes.clone()
    for axis, (size, mirrored) in enumerate(zip(size_wh, (horizontal, vertical), strict=True)):
        if not mirrored:
            continue
        flipped[:, axis] = size - boxes[:, axis + 2 if form == "xyxy" else axis] - 1
        if form == "xyxy":
            flipped[:, axis + 2] = size - boxes[:, axis] - 1
    return flipped


class BottomUpInput(NamedTuple):
    """How a whole picture enters a bottom-up network: sizes in input pixels, centre and scale in picture pixels."""

    actual_wh: tuple[float, float]
    padded_wh: tuple[int, int]
    centre: tuple[float, float]
    scale: tuple[float, float]


def bottom_up_input(
    picture_wh: tuple[int, int],
    input_wh: tuple[float, float],
    *,
    mode: Literal["fit", "expand"] = "fit",
    udp: bool = False,
) -> BottomUpInput:
    """Sizes of a picture in a padded input.

    Args:
        picture_wh, input_wh: pixels.
        mode: "fit" lies inside the input; "expand" makes the shorter side reach it and lets the other grow.
        udp: as published, the scale is then the picture's size although the canvas is padded, so that mapping back
            is off where padding exists.
    """
    width, height = picture_wh
    limit = _up(input_wh[0]), _up(input_wh[1])
    wider = width / height > limit[0] / limit[1]
    by_width = wider if mode == "fit" else not wider
    actual = (float(limit[0]), limit[0] / width * height) if by_width else (limit[1] / height * width, float(limit[1]))
    padded = limit if mode == "fit" else (_up(actual[0]), _up(actual[1]))
    if udp:
        return BottomUpInput(actual, padded, ((width - 1) / 2, (height - 1) / 2), (float(width), float(height)))
    scale = width * padded[0] / actual[0], height * padded[1] / actual[1]
    return BottomUpInput(actual, padded, (width / 2, height / 2), scale)


def _up(side: float) -> int:
    return math.ceil(side / BASE) * BASE


def _points(origin: Tensor, along: Tensor, across: Tensor | None) -> Tensor:
    first, second = origin.float(), (origin + along).float()
    if across is not None:
        return torch.stack((first, second, (origin + across).float()), dim=1)
    away = first - second
    return torch.stack((first, second, second + torch.stack((-away[:, 1], away[:, 0]), dim=1)), dim=1)
