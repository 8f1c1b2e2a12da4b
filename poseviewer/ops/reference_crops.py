"""The crops of the published AlphaPose code, each with its way back (reference/alphapose.md section 2).

Where :mod:`poseviewer.ops.crops` follows the paper, the functions here follow the two public code lines to the digit:
"master" (a centre and a scale, 1.25 times the box) and "old" (the 2018 branch: truncated corners, floored paddings, and
an inverse that does neither, so crop and inverse disagree by up to a pixel; both are kept as they are).

Symbols: n people, K joints. Boxes are xyxy pixels. Matrices are ``(n, 2, 3)`` float64.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from poseviewer.ops.affine_hrnet import three_points, through_points
from poseviewer.ops.crops import invert_matrices, map_points

MASTER_ENLARGEMENT = 1.25
OLD_SIDE = 0.15
"""Part of a box's side that the old code adds at each end."""


# --- master ---


def master_centre_scale(
    boxes: Tensor, input_wh: tuple[int, int], enlarge: float = MASTER_ENLARGEMENT
) -> tuple[Tensor, Tensor]:
    """Centre and scale ``(n, 2)`` float32 of ``(n, 4)`` boxes: the shorter side grows to the input's shape."""
    aspect = input_wh[0] / input_wh[1]
    boxes = boxes.double()
    sides = boxes[:, 2:] - boxes[:, :2]
    centre = (boxes[:, :2] + sides * 0.5).float()
    width, height = sides[:, 0], sides[:, 1]
    wide, high = width > aspect * height, width < aspect * height
    scale = torch.stack(
        [torch.where(high, height * aspect, width), torch.where(wide, width / aspect, height)], dim=1
    ).float()
    return centre, torch.where(centre[:, :1] != -1, scale * enlarge, scale)


def master_box(centre: Tensor, scale: Tensor) -> Tensor:
    """The box ``(n, 4)`` float64 that the crop covers: centre -/+ half the scale."""
    low = centre.double() - scale.double() * 0.5
    return torch.cat([low, low + scale.double()], dim=1)


def master_affine(
    centre: Tensor, scale: Tensor, degrees: Tensor | float, output_wh: tuple[int, int], *, inverse: bool = False
) -> Tensor:
    """The affine map frame to crop, or crop to frame (``inverse``).

    Three pairs of points define it; only the width of ``scale`` matters, and the centre goes to (W / 2, H / 2).

    Args:
        centre, scale: ``(n, 2)`` float32.
        degrees: rotation, ``(n,)`` or one number.
        output_wh: crop size W, H.
    """
    count = len(centre)
    angle = torch.deg2rad(torch.as_tensor(degrees, dtype=torch.float64, device=centre.device)).expand(count)
    half = -0.5 * scale[:, 0].double()
    direction = torch.stack([-half * angle.sin(), half * angle.cos()], dim=1)
    source = three_points(centre.float(), (centre.double() + direction).float())
    width, height = output_wh
    middle = centre.new_tensor([width * 0.5, height * 0.5], dtype=torch.float32)
    above = middle + middle.new_tensor([0.0, -0.5 * width])
    target = three_points(middle.expand(count, 2), above.expand(count, 2))
    return through_points(target, source) if inverse else through_points(source, target)


def master_crop(picture: Tensor, boxes: Tensor, input_wh: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Cut people out of one picture as master's test-time transform does.

    Args:
        picture: ``(H, W, 3)`` uint8 RGB.
        boxes: ``(n, 4)`` xyxy.
        input_wh: W, H of the crop.

    Returns:
        crops ``(n, 3, H, W)`` float32 with the published means subtracted (0.406, 0.457, 0.480 for R, G, B), and the
        boxes ``(n, 4)`` they cover.
    """
    centre, scale = master_centre_scale(boxes, input_wh)
    to_frame = invert_matrices(master_affine(centre, scale, 0.0, input_wh))
    planes = picture.permute(2, 0, 1).float()
    crops = warp(planes, to_frame, input_wh).round()
    # A crop of nothing but zeros and ones is taken to be divided already.
    crops = torch.where(crops.amax(dim=(1, 2, 3), keepdim=True) > 1, crops / 255, crops)
    return crops - _means(crops), master_box(centre, scale)


def master_to_frame(points: Tensor, boxes: Tensor, heatmap_wh: tuple[int, int]) -> Tensor:
    """Heatmap cells ``(n, K, 2)`` to frame pixels, given the boxes ``(n, 4)`` that the crops cover; float32."""
    return map_points(master_inverse(boxes, heatmap_wh), points)


def master_inverse(boxes: Tensor, heatmap_wh: tuple[int, int]) -> Tensor:
    """The map of :func:`master_to_frame`, ``(n, 2, 3)``."""
    boxes = boxes.double()
    sides = boxes[:, 2:] - boxes[:, :2]
    return master_affine((boxes[:, :2] + sides * 0.5), sides, 0.0, heatmap_wh, inverse=True)


def boxes_to_aspect(boxes: Tensor, aspect: float) -> Tensor:
    """Grow the shorter side of ``(n, 4)`` boxes about their centre to width / height = ``aspect`` (ROI align)."""
    sides = boxes[:, 2:] - boxes[:, :2]
    centre = boxes[:, :2] + sides / 2
    width = torch.maximum(sides[:, 0], sides[:, 1] * aspect)
    height = torch.maximum(sides[:, 1], sides[:, 0] / aspect)
    half = torch.stack([width, height], dim=1) / 2
    return torch.cat([centre - half, centre + half], dim=1)


def xywh_to_xyxy(boxes: Tensor) -> Tensor:
    """The reference's conversion: the far corner is at w - 1, h - 1, which are at least 0."""
    return torch.cat([boxes[..., :2], boxes[..., :2] + (boxes[..., 2:] - 1).clamp(min=0)], dim=-1)


def xyxy_to_xywh(boxes: Tensor) -> Tensor:
    """The reference's conversion back: w = x2 - x1 + 1."""
    return torch.cat([boxes[..., :2], boxes[..., 2:] - boxes[..., :2] + 1], dim=-1)


# --- old ---


def old_corners(boxes: Tensor, image_wh: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Enlarge boxes by 30 % inside the image: upper left and lower right ``(n, 2)`` float32."""
    low, high = boxes[:, :2], boxes[:, 2:]
    sides = high - low
    last = boxes.new_tensor([image_wh[0] - 1, image_wh[1] - 1])
    upper = (low - sides * OLD_SIDE).clamp(min=0)
    return upper, torch.maximum(torch.minimum(high + sides * OLD_SIDE, last), upper + 5)


def old_crop_affine(upper: Tensor, lower: Tensor, input_wh: tuple[int, int]) -> Tensor:
    """The map frame to crop of cropBox: truncated corners, floored paddings."""
    first, last = _old_pixels(upper, lower)
    width, height = input_wh
    sides = last - first
    tall = torch.maximum(sides[:, 1], sides[:, 0] * height / width)
    wide = tall * width / height
    padding = ((torch.stack([wide, tall], dim=1) - sides) / 2).floor()
    target = upper.new_tensor([[0.0, 0.0], [width - 1.0, height - 1.0]], dtype=torch.float32)
    source_points = three_points((first - padding).float(), (last + padding).float())
    target_points = three_points(target[:1].expand(len(upper), 2), target[1:].expand(len(upper), 2))
    return through_points(source_points, target_points)


def old_crop(picture: Tensor, upper: Tensor, lower: Tensor, input_wh: tuple[int, int]) -> Tensor:
    """Cut people as the old code does: means subtracted first, so that outside the box lies the mean colour.

    Args:
        picture: ``(H, W, 3)`` uint8 RGB.
        upper, lower: ``(n, 2)`` corners of :func:`old_corners`.

    Returns:
        ``(n, 3, H, W)`` float32.
    """
    planes = picture.permute(2, 0, 1).float() / 255
    planes = planes - _means(planes[None])[0]
    first, last = _old_pixels(upper, lower)
    ys = torch.arange(planes.shape[1], device=planes.device)[:, None]
    xs = torch.arange(planes.shape[2], device=planes.device)[None, :]
    matrices = invert_matrices(old_crop_affine(upper, lower, input_wh))
    crops = [planes.new_zeros(0, len(planes), input_wh[1], input_wh[0])]
    for person in range(len(upper)):
        inside = (xs >= first[person, 0]) & (xs <= last[person, 0]) & (ys >= first[person, 1]) & (ys <= last[person, 1])
        crops.append(warp(planes * inside, matrices[person : person + 1], input_wh))
    return torch.cat(crops)


def old_to_frame(
    points: Tensor, upper: Tensor, lower: Tensor, input_wh: tuple[int, int], heatmap_wh: tuple[int, int]
) -> Tensor:
    """Heatmap cells ``(n, K, 2)`` to frame pixels as transformBoxInvert does; float32."""
    return map_points(old_inverse(upper, lower, input_wh, heatmap_wh), points)


def old_inverse(upper: Tensor, lower: Tensor, input_wh: tuple[int, int], heatmap_wh: tuple[int, int]) -> Tensor:
    """The map of :func:`old_to_frame`, ``(n, 2, 3)``: no truncation here, unlike in the crop."""
    scale, shift = _old_box(upper, lower, input_wh, heatmap_wh)
    matrices = torch.zeros(len(upper), 2, 3, dtype=torch.float64, device=upper.device)
    matrices[:, 0, 0] = matrices[:, 1, 1] = scale.double()
    matrices[:, :, 2] = upper.double() - shift.double()
    return matrices


def old_visible(upper: Tensor, lower: Tensor) -> Tensor:
    """First and last pixel column and row that the old crop shows, ``(n, 4)`` int64; around them is the mean colour."""
    return torch.cat(_old_pixels(upper, lower), dim=1).long()


def old_to_heatmap(
    points: Tensor, upper: Tensor, lower: Tensor, input_wh: tuple[int, int], heatmap_wh: tuple[int, int]
) -> Tensor:
    """Frame pixels ``(n, K, 2)`` to the nearest heatmap cells, int64, as transformBox does when it makes targets."""
    scale, shift = _old_box(upper, lower, input_wh, heatmap_wh)
    return ((points - upper[:, None] + shift[:, None]) / scale[:, None, None]).round().long()


def _old_box(
    upper: Tensor, lower: Tensor, input_wh: tuple[int, int], heatmap_wh: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Pixels per cell ``(n,)`` and padding ``(n, 2)``."""
    sides = lower - upper
    tall = torch.maximum(sides[:, 1], sides[:, 0] * input_wh[1] / input_wh[0])
    wide = tall * input_wh[0] / input_wh[1]
    whole = torch.stack([wide, tall], dim=1)
    return tall / heatmap_wh[1], ((whole - 1) / 2 - (sides - 1) / 2).clamp(min=0)


def _old_pixels(upper: Tensor, lower: Tensor) -> tuple[Tensor, Tensor]:
    """First and last pixel of the crop, ``(n, 2)`` float64."""
    return upper.trunc().double(), (lower - 1).trunc().double()


# --- shared ---


def warp(planes: Tensor, matrices: Tensor, size_wh: tuple[int, int]) -> Tensor:
    """Sample ``(C, H, W)`` bilinearly, zeros outside, with ``(n, 2, 3)`` crop-to-frame maps; ``(n, C, h, w)``."""
    width, height = size_wh
    ys, xs = torch.meshgrid(
        torch.arange(height, device=planes.device, dtype=torch.float64),
        torch.arange(width, device=planes.device, dtype=torch.float64),
        indexing="ij",
    )
    places = matrices @ torch.stack([xs, ys, torch.ones_like(xs)]).flatten(1)
    size = places.new_tensor([planes.shape[2], planes.shape[1]])
    grid = ((2 * places.mT + 1) / size - 1).view(-1, height, width, 2)
    pictures = planes.double().expand(len(matrices), *planes.shape)
    return F.grid_sample(pictures, grid, padding_mode="zeros", align_corners=False).float()


def _means(crops: Tensor) -> Tensor:
    return crops.new_tensor([0.406, 0.457, 0.480]).view(1, 3, 1, 1)
