"""The training augmentation of the HRNet tutorial, draw by draw; its crop is :mod:`poseviewer.ops.tutorial_hrnet`.

Symbols: K joints. Boxes are x, y, width, height in pixels. Facts: reference/hrnet_ae_mmpose.md section 6.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
import torch

from poseviewer.ops.affine_hrnet import through_points
from poseviewer.ops.tutorial_hrnet import CELL
from poseviewer.training.draws import Draws

Array = npt.NDArray[np.floating]
SEEN_FROM = 0.5
PADDING = 1.5
ENOUGH = 2


def half_body(
    box: Array, joints: Array, visible: Array, upper: Collection[int], draws: Draws, *, probability: float = 0.3
) -> Array:
    """The box of one half of a person, or the box as it is.

    The draws: plain: whether; plain, only then: upper (below 0.5) or lower half. A half of two joints or fewer, or
    one that is not wider and higher than a pixel, leaves the box as it is; the other half is not tried.

    Args:
        box: ``(4,)``; joints: ``(K, 2)`` pixels; visible: ``(K,)``; upper: joint indices of the upper body.

    Returns:
        ``(4,)`` box, grown by half about its centre.
    """
    if draws.plain() >= probability:
        return box
    want_upper = draws.plain() < 0.5
    chosen = [k for k in range(len(joints)) if visible[k] > SEEN_FROM and (k in upper) == want_upper]
    if len(chosen) <= ENOUGH:
        return box
    # The published code keeps the chosen joints in float32.
    points = np.asarray(joints, dtype=np.float32)[chosen]
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    sides = high - low
    if (sides <= 1).any():
        return box
    grown = sides * PADDING
    return np.concatenate([low - (grown - sides) / 2, grown])


def mirror(
    joints: Array, visible: Array, width: int, flip: Sequence[int], draws: Draws, *, probability: float = 0.5
) -> tuple[Array, Array]:
    """Joints ``(K, 2)`` and visibility ``(K,)`` of a crop that is mirrored or not; one plain draw decides."""
    if draws.plain() >= probability:
        return joints, visible
    order = list(flip)
    turned = np.array(joints, dtype=np.float64)[order]
    turned[:, 0] = width - turned[:, 0] - 1
    return turned, np.asarray(visible)[order]


def padded_matrix(picture_wh: tuple[int, int], input_wh: tuple[int, int]) -> Array:
    """The map ``(2, 3)`` float64 from heatmap cells to a picture that was fitted into the input with borders.

    Corners go by sizes minus one, and the borders begin one pixel early, as published.
    """
    (width, height), (in_width, in_height) = picture_wh, input_wh
    if height / width > in_height / in_width:
        border = (in_width - in_height * width / height) / 2
        low, high = (border - 1, 0.0), (in_width - border - 1, in_height - 1.0)
    else:
        border = (in_height - in_width * height / width) / 2
        low, high = (0.0, border - 1), (in_width - 1.0, in_height - border - 1)
    source = torch.tensor([[[0, 0], [width - 1, 0], [0, height - 1]]], dtype=torch.float32)
    target = torch.tensor([[low, (high[0], low[1]), (low[0], high[1])]], dtype=torch.float32)
    return through_points(target / CELL, source)[0].numpy()
