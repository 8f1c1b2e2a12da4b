"""HRNet's heatmaps: joints to maps and maps to joints, the losses on them and mirrored joints.

Symbols: B pictures, K joints, (W, H) network input pixels, (w, h) heatmap cells, a cell is W/w pixels wide.
Facts: reference/hrnet_ae_mmpose.md sections 7, 8 and 9. The flip test is :func:`poseviewer.ops.decode.merge_flip`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from poseviewer.ops import affine_hrnet
from poseviewer.ops.decode import argmax_joints, quarter_shift

DRAWN_FROM = 0.5
"""A joint is drawn where its weight exceeds this."""


@dataclass(frozen=True, slots=True)
class HRNetCodec:
    """Gaussians of peak 1 on the nearest cell, read back as the first maximum.

    A joint comes back within half a cell per axis, as its position is rounded to a cell.

    Attributes:
        input_wh: (W, H).
        heatmap_wh: (w, h).
        sigma: of the Gaussian in cells; it is drawn up to 3 sigma.
    """

    input_wh: tuple[int, int]
    heatmap_wh: tuple[int, int]
    sigma: float = 2.0

    @property
    def cell(self) -> tuple[float, float]:
        """Input pixels per heatmap cell, x and y."""
        return self.input_wh[0] / self.heatmap_wh[0], self.input_wh[1] / self.heatmap_wh[1]

    def encode(
        self, joints: Tensor, visible: Tensor, *, joint_weights: Sequence[float] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Draw joints.

        Args:
            joints: ``(B, K, 2)`` input pixels.
            visible: ``(B, K)``, the weight of a joint before borders are looked at.
            joint_weights: K factors on the returned weights (they do not decide what is drawn).

        Returns:
            maps ``(B, K, h, w)`` float32 and weights ``(B, K)`` float32, 0 where the patch misses the map. A patch
            that ends right before the map (its end is cell 0) keeps its weight although nothing is drawn.
        """
        centre = (joints.double() / joints.new_tensor(self.cell, dtype=torch.float64) + 0.5).trunc()
        radius = self.sigma * 3
        size = joints.new_tensor(self.heatmap_wh, dtype=torch.float64)
        first, end = (centre - radius).trunc(), (centre + radius + 1).trunc()
        missed = ((first >= size) | (end < 0)).any(dim=-1)
        weights = torch.where(missed, 0.0, visible.float())
        maps = windowed(centre, self.heatmap_wh, radius, self.sigma) * (weights > DRAWN_FROM)[..., None, None]
        if joint_weights is not None:
            weights = weights * weights.new_tensor(joint_weights)
        return maps, weights

    def decode(self, maps: Tensor, *, shift: bool = True) -> tuple[Tensor, Tensor]:
        """Read joints.

        Args:
            maps: ``(B, K, h, w)``.
            shift: add a quarter cell towards the higher neighbour where 1 < x < w - 1 and 1 < y < h - 1.

        Returns:
            ``(B, K, 2)`` float32 cells, (0, 0) where no value is positive, and the maxima ``(B, K)``.
        """
        xy, scores = argmax_joints(maps)
        return (xy + quarter_shift(maps, xy, exclude_first=True) if shift else xy), scores

    def decode_to_picture(
        self, maps: Tensor, centre: Tensor, scale: Tensor, *, shift: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Read joints as picture pixels ``(B, K, 2)`` float32; ``centre`` and ``scale`` as in ``affine_hrnet``."""
        xy, scores = self.decode(maps, shift=shift)
        return affine_hrnet.to_picture(xy, centre, scale, self.heatmap_wh).float(), scores


def windowed(centre: Tensor, size_wh: tuple[int, int], radius: float, sigma: float) -> Tensor:
    """Gaussians of peak 1 around whole cells, zero farther than ``radius``; ``(..., 2)`` to ``(..., h, w)`` float32."""
    sides = []
    for axis, count in enumerate(size_wh):
        away = torch.arange(count, device=centre.device, dtype=torch.float64) - centre[..., axis : axis + 1]
        sides.append((torch.exp(-(away**2) / (2 * sigma**2)) * (away.abs() <= radius)).float())
    return sides[1][..., :, None] * sides[0][..., None, :]


def joints_mse(maps: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """HRNet's loss: half the mean squared error of the weighted maps, averaged over joints; weights count squared.

    Args:
        maps, targets: ``(B, K, h, w)``; weights: ``(B, K)`` or None for none.
    """
    return _per_joint(maps, targets, weights).mean()


def hardest_joints_mse(maps: Tensor, targets: Tensor, weights: Tensor | None = None, *, hardest: int = 8) -> Tensor:
    """The same over the ``hardest`` joints of every picture only (online hard keypoint mining)."""
    return _per_joint(maps, targets, weights).topk(hardest, dim=1).values.sum(dim=1).div(hardest).mean()


def mirror_joints(joints: Tensor, visible: Tensor, width: int, flip: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Joints of the mirrored picture: x becomes width - x - 1, sides exchanged, unseen joints zeroed.

    Args:
        joints, visible: ``(..., K, D)``; visibility per coordinate, as the published annotations have it.
        width: of the picture in pixels.
        flip: K indices, :attr:`poseviewer.core.skeleton.Skeleton.flip`.
    """
    mirrored = torch.cat((width - joints[..., :1] - 1, joints[..., 1:]), dim=-1)
    order = list(flip)
    seen = visible[..., order, :]
    return mirrored[..., order, :] * seen, seen


def _per_joint(maps: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
    error = maps - targets
    if weights is not None:
        error = error * weights[..., None, None]
    return 0.5 * error.square().mean(dim=(2, 3))
