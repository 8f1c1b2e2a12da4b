"""Finding a joint between cells: the modulated blur, DARK, UDP's form of it and the quarter step per axis.

Symbols: B pictures, K joints, (h, w) cells; maps are ``(B, K, h, w)``, joints ``(B, K, 2)`` float32 cells.
Facts: reference/hrnet_ae_mmpose.md section 8. DARK: "Distribution-Aware Coordinate Representation", equation 5 to 9;
UDP: "The Devil is in the Details: Delving into Unbiased Data Processing".
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from poseviewer.ops.decode import argmax_joints

DARK_FLOOR = 1e-10
UDP_RANGE = (1e-3, 50.0)


def arg_max(maps: Tensor) -> tuple[Tensor, Tensor]:
    """First maximum of every map; (-1, -1) where it is not positive, (0, 0) where it is NaN. With values ``(B, K)``."""
    xy, values = argmax_joints(maps)
    return torch.where((values <= 0)[..., None], -1.0, xy), values


def blur(maps: Tensor, size: int, *, mirrored: bool = False) -> Tensor:
    """Gaussian blur of ``size`` cells with OpenCV's own sigma, 0.3 ((size - 1) / 2 - 1) + 0.8; float32.

    On the processor OpenCV does it, elsewhere a convolution, equal up to rounding. It has to be OpenCV where that is
    possible, as the published codecs take the sign of differences that are rounding alone.

    Args:
        maps: ``(B, K, h, w)``; size: odd; mirrored: the map goes on mirrored beyond its border instead of as zeros.
    """
    import cv2

    if maps.device.type == "cpu":
        planes = maps.detach().float().contiguous().flatten(0, 1).numpy()
        done = np.empty_like(planes)
        half = 0 if mirrored else size // 2
        inner = slice(half, -half or None)
        for plane, soft in zip(planes, done, strict=True):
            wide = plane if mirrored else cv2.copyMakeBorder(plane, half, half, half, half, cv2.BORDER_CONSTANT)
            soft[:] = cv2.GaussianBlur(wide, (size, size), 0)[inner, inner]
        return torch.from_numpy(done).reshape(maps.shape)
    kernel = torch.from_numpy(cv2.getGaussianKernel(size, 0, cv2.CV_64F)[:, 0].copy()).to(maps.device)
    reach = (size // 2,) * 4
    padded = F.pad(maps.double().flatten(0, 1)[:, None], reach, mode="reflect" if mirrored else "constant")
    rows = F.conv2d(padded, kernel[None, None, None])
    return F.conv2d(rows, kernel[None, None, :, None]).reshape(maps.shape).float()


def blur_to_peak(maps: Tensor, size: int) -> Tensor:
    """Blur, then scale every map back to its old maximum; float32. An all-zero map becomes NaN, as published."""
    soft = blur(maps, size)
    peak = maps.float().amax(dim=(2, 3), keepdim=True)
    return soft.mul_(peak / soft.amax(dim=(2, 3), keepdim=True))


def to_logarithms(values: Tensor) -> Tensor:
    """Natural logarithms in place of float32 values above 0, without gradients.

    numpy's on the processor, as in the published codecs: where a map is all but flat the last digit moves a joint by a
    hundredth of a cell.
    """
    values = values.detach()
    if values.device.type != "cpu":
        return values.log_()
    array = values.numpy()
    np.log(array, out=array)
    return values


def quarter_per_axis(maps: Tensor, xy: Tensor) -> Tensor:
    """Joints a quarter cell towards the higher neighbour; each axis has a border test of its own.

    x moves where 1 < x < w - 1 and 0 < y < h; y moves where 1 < y < h - 1 and 0 < x < w.
    """
    height, width = maps.shape[2:]
    x, y = xy[..., 0].long(), xy[..., 1].long()
    at = _Reader(maps.float().flatten(2), width)
    dx = at(x + 1, y) - at(x - 1, y)
    dy = at(x, y + 1) - at(x, y - 1)
    moves_x = (x > 1) & (x < width - 1) & (y > 0) & (y < height)
    moves_y = (y > 1) & (y < height - 1) & (x > 0) & (x < width)
    return xy + 0.25 * torch.stack((dx.sign() * moves_x, dy.sign() * moves_y), dim=2)


def dark(maps: Tensor, xy: Tensor, size: int) -> Tensor:
    """DARK: a Newton step on the logarithm of the blurred map, where 1 < x < w - 2 and 1 < y < h - 2.

    Args:
        maps: raw; xy: their :func:`arg_max`; size: of the blur, odd (11 for sigma 2, 17 for sigma 3).
    """
    height, width = maps.shape[2:]
    logs = to_logarithms(blur_to_peak(maps, size).clamp_(min=DARK_FLOOR))
    x, y = xy[..., 0].long(), xy[..., 1].long()
    at = _Reader(logs.flatten(2), width)
    gx, gy = 0.5 * (at(x + 1, y) - at(x - 1, y)), 0.5 * (at(x, y + 1) - at(x, y - 1))
    hxx = 0.25 * (at(x + 2, y) - 2 * at(x, y) + at(x - 2, y))
    hyy = 0.25 * (at(x, y + 2) - 2 * at(x, y) + at(x, y - 2))
    hxy = 0.25 * (at(x + 1, y + 1) - at(x + 1, y - 1) - at(x - 1, y + 1) + at(x - 1, y - 1))
    determinant = hxx * hyy - hxy**2
    inside = (x > 1) & (x < width - 2) & (y > 1) & (y < height - 2) & (determinant != 0)
    safe = torch.where(inside, determinant, 1.0)
    step = torch.stack((hyy * gx - hxy * gy, hxx * gy - hxy * gx), dim=2) / safe[..., None]
    return torch.where(inside[..., None], xy - step, xy)


def dark_udp(maps: Tensor, xy: Tensor, size: int) -> Tensor:
    """UDP's Newton step: narrow differences, edges repeated, no border test; NaN where the blur is NaN.

    A joint at (-1, -1) reads, as in the published code, what lies before its map in memory.
    """
    logs = to_logarithms(blur_to_peak(maps, size).clamp_(*UDP_RANGE))
    return xy - udp_step(logs, xy)


def udp_step(logs: Tensor, xy: Tensor) -> Tensor:
    """Inverse Hessian times gradient of log maps at whole cells, ``(P, K, 2)``.

    Args:
        logs: ``(P, K, h, w)``, or ``(1, K, h, w)`` where all P look at the same maps.
        xy: ``(P, K, 2)`` cells.
    """
    joints, height, width = logs.shape[1:]
    flat = logs.flatten(1).expand(len(xy), -1)
    # Places as in maps with a border of one cell, which repeats the edge and is never made.
    stride = width + 2
    start = torch.arange(joints, device=logs.device) * stride * (height + 2)
    cell = (xy[..., 0] + 1 + (xy[..., 1] + 1) * stride).long() + start
    whole = joints * stride * (height + 2)

    def at(step: int) -> Tensor:
        line, column = divide((cell + step) % whole, stride)
        joint, row = divide(line, height + 2)
        x, y = (column - 1).clamp(0, width - 1), (row - 1).clamp(0, height - 1)
        return flat.gather(1, (joint * height + y) * width + x)

    middle, right, left, down, up = at(0), at(1), at(-1), at(stride), at(-stride)
    gradient = torch.stack((0.5 * (right - left), 0.5 * (down - up)), dim=2)
    hxy = 0.5 * (at(stride + 1) - right - down + middle + middle - left - up + at(-stride - 1))
    hxx, hyy = right - 2 * middle + left, down - 2 * middle + up
    hessian = torch.stack((torch.stack((hxx, hxy), dim=2), torch.stack((hxy, hyy), dim=2)), dim=3).double()
    hessian = hessian + torch.finfo(torch.float32).eps * torch.eye(2, dtype=torch.float64, device=logs.device)
    (a, b), (c, d) = hessian[..., 0, :].unbind(2), hessian[..., 1, :].unbind(2)
    gx, gy = gradient.double().unbind(2)
    return (torch.stack((d * gx - b * gy, a * gy - c * gx), dim=2) / (a * d - b * c)[..., None]).float()


def divide(numbers: Tensor, by: int) -> tuple[Tensor, Tensor]:
    """Whole quotient and rest of whole numbers."""
    return torch.div(numbers, by, rounding_mode="floor"), numbers % by


class _Reader:
    """Reads maps ``(B, K, h w)`` at cells ``(B, K)``; a cell outside reads some cell inside, for a later mask."""

    def __init__(self, flat: Tensor, width: int) -> None:
        self.flat, self.width = flat, width

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        place = (y * self.width + x).clamp(0, self.flat.shape[2] - 1)
        return self.flat.gather(2, place[..., None])[..., 0]
