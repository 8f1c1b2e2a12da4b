"""MMPose's heatmap codecs: MSRA (plain and unbiased), Megvii, UDP Gaussian and UDP combined.

Symbols: B people, K joints, (W, H) network input pixels, (w, h) heatmap cells. Joints are input pixels on both sides
of a codec. Facts: reference/hrnet_ae_mmpose.md sections 7 and 8. Where several people share one picture's maps, the
maps of all are merged by their maximum.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from poseviewer.ops import refinement
from poseviewer.ops.codec_hrnet import windowed

SEEN_FROM = 0.5
"""A joint is drawn from this visibility on."""
MEGVII_PEAK = 255.0


@dataclass(frozen=True, slots=True)
class MsraCodec:
    """Gaussians of peak 1 on the nearest cell, read back with a quarter step; or unbiased, read back with DARK.

    Attributes:
        input_wh: (W, H); heatmap_wh: (w, h); sigma: in cells.
        unbiased: draw the whole Gaussian around the exact position and decode with DARK.
        blur: kernel side of DARK, 11 for sigma 2 and 17 for sigma 3.
    """

    input_wh: tuple[int, int]
    heatmap_wh: tuple[int, int]
    sigma: float = 2.0
    unbiased: bool = False
    blur: int = 11

    def encode(self, joints: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """Draw joints ``(B, K, 2)`` of visibility ``(B, K)``; maps ``(B, K, h, w)`` and weights ``(B, K)``.

        A weight becomes 0 where a drawn joint's window misses the map; joints not drawn keep theirs.
        """
        cells = joints.double() / _factors(self.input_wh, self.heatmap_wh, joints)
        radius = self.sigma * 3
        centre = cells if self.unbiased else (cells + 0.5).trunc()
        weights, drawn = _seen(centre, visible, self.heatmap_wh, radius)
        reach = float("inf") if self.unbiased else radius
        return windowed(centre, self.heatmap_wh, reach, self.sigma) * drawn[..., None, None], weights

    def decode(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Read maps ``(B, K, h, w)``: joints in input pixels, minus one cell where nothing is positive; maxima."""
        xy, scores = refinement.arg_max(maps)
        refined = refinement.dark(maps, xy, self.blur) if self.unbiased else refinement.quarter_per_axis(maps, xy)
        return refined * _factors(self.input_wh, self.heatmap_wh, maps).float(), scores


@dataclass(frozen=True, slots=True)
class MegviiCodec:
    """A blurred dot of peak 255; decoding blurs once more and adds half a cell.

    Attributes:
        input_wh: (W, H); heatmap_wh: (w, h); kernel: side of the blur, odd.
    """

    input_wh: tuple[int, int]
    heatmap_wh: tuple[int, int]
    kernel: int

    def encode(self, joints: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """Draw joints ``(B, K, 2)`` of visibility ``(B, K)``; a joint's weight is 0 outside the map."""
        width, height = self.heatmap_wh
        cell = (joints.double() / _factors(self.input_wh, self.heatmap_wh, joints)).trunc().long()
        size = torch.tensor(self.heatmap_wh, device=joints.device)
        seen = visible >= SEEN_FROM
        inside = ((cell >= 0) & (cell < size)).all(dim=2)
        weights = torch.where(seen & ~inside, 0.0, visible.float())
        place = (cell[..., 1] * width + cell[..., 0]).clamp(0, width * height - 1)[..., None]
        dots = torch.zeros(*cell.shape[:2], height * width, device=joints.device)
        dots = dots.scatter(2, place, 1.0).view(*cell.shape[:2], height, width)
        maps = refinement.blur(dots, self.kernel, mirrored=True).flatten(2)
        maps = maps / maps.gather(2, place) * MEGVII_PEAK
        return (maps.view(dots.shape) * (seen & inside)[..., None, None]).float(), weights

    def decode(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Read maps: joints in input pixels and scores max / 255 + 0.5."""
        soft = refinement.blur_to_peak(maps, self.kernel)
        xy, scores = refinement.arg_max(soft)
        width, height = self.heatmap_wh
        x, y = xy.unbind(2)
        inside = (x > 1) & (x < width - 1) & (y > 1) & (y < height - 1)
        moved = refinement.quarter_per_axis(soft, xy) + 0.5
        joints = torch.where(inside[..., None], moved, xy)
        return joints * _factors(self.input_wh, self.heatmap_wh, maps).float(), scores / MEGVII_PEAK + 0.5


@dataclass(frozen=True, slots=True)
class UdpCodec:
    """Unbiased data processing: pixel centres map to cell centres, corner to corner.

    Decoding multiplies by W / (w - 1), not by (W - 1) / (w - 1) as encoding divides: a published oddity that moves
    a joint by at most one input pixel.

    Attributes:
        input_wh: (W, H); heatmap_wh: (w, h); sigma: in cells; blur: kernel side of the refinement.
        combined: three maps per joint (a disc, x offset, y offset) in place of a Gaussian.
        radius: of the disc as a share of the map's longer side.
    """

    input_wh: tuple[int, int]
    heatmap_wh: tuple[int, int]
    sigma: float = 2.0
    blur: int = 11
    combined: bool = False
    radius: float = 0.0546875

    def encode(self, joints: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """Draw joints ``(B, K, 2)``; maps ``(B, K, h, w)``, or ``(B, 3 K, h, w)`` combined; weights ``(B, K)``."""
        last = [side - 1 for side in self.heatmap_wh]
        cells = joints.double() / _factors([side - 1 for side in self.input_wh], last, joints)
        if self.combined:
            return self._discs(cells, visible), visible.float()
        nearest = (cells + 0.5).trunc()
        radius = self.sigma * 3
        weights, drawn = _seen(nearest, visible, self.heatmap_wh, radius)
        sides = []
        for axis, count in enumerate(self.heatmap_wh):
            grid = torch.arange(count, device=joints.device, dtype=torch.float64)
            window = (grid - nearest[..., axis : axis + 1]).abs() <= radius
            away = grid - cells[..., axis : axis + 1]
            sides.append(torch.exp(-(away**2) / (2 * self.sigma**2)) * window)
        maps = sides[1][..., :, None] * sides[0][..., None, :] * drawn[..., None, None]
        return maps.float(), weights

    def decode(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Read maps as encoded: joints in input pixels ``(B, K, 2)``, scores ``(B, K)``."""
        if self.combined:
            xy, scores = self._from_discs(maps)
        else:
            xy, scores = refinement.arg_max(maps)
            xy = refinement.dark_udp(maps, xy, self.blur)
        last = xy.new_tensor([side - 1 for side in self.heatmap_wh], dtype=torch.float64)
        return xy / last * xy.new_tensor(self.input_wh, dtype=torch.float64), scores

    def _discs(self, cells: Tensor, visible: Tensor) -> Tensor:
        width, height = self.heatmap_wh
        reach = self.radius * max(width, height)
        columns = torch.arange(width, device=cells.device, dtype=torch.float64)
        rows = torch.arange(height, device=cells.device, dtype=torch.float64)
        x = ((cells[..., :1] - columns) / reach)[..., None, :].expand(*cells.shape[:2], height, width)
        y = ((cells[..., 1:] - rows) / reach)[..., :, None].expand(*cells.shape[:2], height, width)
        disc = (x**2 + y**2 <= 1).double()
        maps = torch.stack((disc, x, y), dim=2) * (visible >= SEEN_FROM)[..., None, None, None]
        return maps.flatten(1, 2).float()

    def _from_discs(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        width, height = maps.shape[3], maps.shape[2]
        planes = maps.view(len(maps), maps.shape[1] // 3, 3, height, width)
        xy, scores = refinement.arg_max(refinement.blur(planes[:, :, 0], 2 * self.blur + 1, mirrored=True))
        offsets = planes[:, :, 1:].transpose(1, 2).flatten(2)
        start = torch.arange(planes.shape[1], device=maps.device) * width * height
        place = ((xy[..., 0] + xy[..., 1] * width).long() + start) % offsets.shape[2]
        moved = offsets.gather(2, place[:, None].expand(-1, 2, -1)).transpose(1, 2)
        return xy + moved * (self.radius * max(width, height)), scores


def _factors(large: tuple[int, int] | list[int], small: tuple[int, int] | list[int], like: Tensor) -> Tensor:
    """Input pixels per cell, rounded to float32 as the published codecs keep them."""
    ratio = torch.tensor([a / b for a, b in zip(large, small, strict=True)], device=like.device)
    return ratio.double()


def _seen(centre: Tensor, visible: Tensor, size_wh: tuple[int, int], radius: float) -> tuple[Tensor, Tensor]:
    """Weights, and which joints are drawn: visible ones whose window touches the map."""
    size = torch.tensor(size_wh, device=centre.device)
    missed = ((centre - radius >= size) | (centre + radius + 1 < 0)).any(dim=2)
    seen = visible >= SEEN_FROM
    return torch.where(seen & missed, 0.0, visible.float()), seen & ~missed
