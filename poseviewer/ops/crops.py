"""Crops of people: boxes to affine windows, one sampling pass for all people of several frames, and the way back.

Symbols: B frames, n people, H, W frame size, h, w crop size. All matrices map crop pixels to frame pixels, with the
centre of the top-left pixel at (0, 0) on both sides, as ``(n, 2, 3)`` float64. Heatmap cell i of a network of stride 4
is crop pixel 4 i: AlphaPose draws its targets at ``int(x / 4 + 0.5)`` (reference/alphapose.md section 4), so
:func:`heatmap_matrices` multiplies by the stride and adds nothing.

A window is centred as AlphaPose master has it (section 2.1): the box centre lands on (w / 2, h / 2). Theta and gamma
are RMPE's (section 9): normalised coordinates with -1 and 1 on the centres of the outermost pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

MOST_LEVELS = 5
RMPE_ENLARGEMENT = 0.3


# --- matrices ---


def proposal_matrices(boxes: Tensor, input_wh: tuple[int, int], enlargement: float = RMPE_ENLARGEMENT) -> Tensor:
    """Windows of boxes: enlarged, padded to the input's shape, upright.

    Args:
        boxes: ``(n, 4)`` xyxy, pixels; a side of less than a pixel counts as one.
        input_wh: crop size w, h.
        enlargement: 0.3 makes both sides 1.3 times as long about the same centre (RMPE section 4).

    Returns:
        ``(n, 2, 3)`` float64, crop pixels to frame pixels.
    """
    boxes = boxes.double()
    width, height = input_wh
    low, high = boxes[:, :2], boxes[:, 2:]
    centre = (low + high) / 2
    sides = (high - low).clamp(min=1.0) * (1 + enlargement)
    scale = torch.maximum(sides[:, 0] / width, sides[:, 1] / height)
    matrices = boxes.new_zeros(len(boxes), 2, 3)
    matrices[:, 0, 0] = matrices[:, 1, 1] = scale
    matrices[:, 0, 2] = centre[:, 0] - scale * width / 2
    matrices[:, 1, 2] = centre[:, 1] - scale * height / 2
    return matrices


def normalising_matrix(size_wh: tuple[int, int], *, device: torch.device | None = None) -> Tensor:
    """``(3, 3)`` float64: pixels to [-1, 1] with the corners on pixel centres (align_corners=True)."""
    width, height = size_wh
    sx, sy = 2 / max(width - 1, 1), 2 / max(height - 1, 1)
    rows = [[sx, 0.0, -1.0], [0.0, sy, -1.0], [0.0, 0.0, 1.0]]
    return torch.tensor(rows, dtype=torch.float64, device=device)


def square(matrices: Tensor) -> Tensor:
    """Append the row (0, 0, 1) to ``(..., 2, 3)`` matrices."""
    row = matrices.new_tensor([0.0, 0.0, 1.0]).expand(*matrices.shape[:-2], 1, 3)
    return torch.cat([matrices, row], dim=-2)


def identity_theta(count: int, device: torch.device | str = "cpu") -> Tensor:
    """``(count, 2, 3)`` float64 identities."""
    return torch.eye(2, 3, dtype=torch.float64, device=device).repeat(count, 1, 1)


def transformed_matrices(proposals: Tensor, theta: Tensor, input_wh: tuple[int, int]) -> Tensor:
    """Windows after the spatial transformer: proposal, then theta inside it.

    Args:
        proposals: ``(n, 2, 3)`` crop pixels to frame pixels.
        theta: ``(n, 2, 3)`` target to source, normalised to the proposal crop (RMPE equation 1).
        input_wh: size of the proposal crop and of the result.

    Returns:
        ``(n, 2, 3)`` float64.
    """
    to_unit = normalising_matrix(input_wh, device=proposals.device)
    inner = torch.linalg.inv(to_unit) @ square(theta.double()) @ to_unit
    windows: Tensor = square(proposals.double()) @ inner
    return windows[:, :2]


def sdtn_gamma(theta: Tensor) -> Tensor:
    """The inverse transformer's parameters (RMPE equations 2 and 3): [g1 g2] = [t1 t2]^-1, g3 = -[g1 g2] t3.

    Args:
        theta: ``(n, 2, 3)``, regular.

    Raises:
        torch.linalg.LinAlgError: if a theta is singular.
    """
    linear: Tensor = torch.linalg.inv(theta[..., :2])
    return torch.cat([linear, -linear @ theta[..., 2:]], dim=-1)


def heatmap_matrices(crops: Tensor, input_wh: tuple[int, int], heatmap_wh: tuple[int, int]) -> Tensor:
    """Maps from heatmap cells to frame pixels, given the crops' ``(n, 2, 3)``: cell i is crop pixel stride * i."""
    stride = crops.new_tensor([input_wh[0] / heatmap_wh[0], input_wh[1] / heatmap_wh[1], 1.0])
    return crops * stride


def map_points(matrices: Tensor, points: Tensor) -> Tensor:
    """Apply ``(n, 2, 3)`` matrices to ``(n, K, 2)`` points, in float64; returns float32."""
    points = points.double()
    return (points @ matrices[:, :, :2].mT + matrices[:, None, :, 2]).float()


def invert_matrices(matrices: Tensor) -> Tensor:
    """Inverse maps of ``(n, 2, 3)``."""
    return sdtn_gamma(matrices)


# --- sampling ---


class FrameAtlas:
    """Frames of one size laid out under one another, so that one ``grid_sample`` serves people of all of them.

    Between frames lie rows of zeros, which stand for everything outside a frame. For people who are scaled down by
    more than two, plain bilinear sampling would skip pixels; the atlas then also holds the frames averaged over 2x2,
    4x4, ... pixels, and each person is sampled from the level where the step is between one and two pixels.

    Args:
        frames: ``(B, 3, H, W)`` uint8 or float, 0..255.
        levels: 1 is the frames alone; each further level halves.
        fill: colour outside the frames, 0..255 RGB.
    """

    def __init__(self, frames: Tensor, levels: int = 1, fill: Sequence[float] = (0.0, 0.0, 0.0)) -> None:
        count, _, height, width = frames.shape
        self.device = frames.device
        self._fill = torch.tensor(fill, device=self.device, dtype=torch.float32).view(1, 3, 1, 1)
        self._plain = not any(fill)
        sizes = [(height, width)]
        for _ in range(levels - 1):
            sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
        rows = sum(count * (size[0] + 1) for size in sizes) + 1
        # Channels last, as decoded frames are: the copy below is then one straight pass.
        self._sheet = torch.empty(rows, width, 3, device=self.device)
        self._sheet[0] = 0
        self._starts: list[int] = []
        self._sizes = sizes
        top, level_frames = 1, frames
        for index, (high, wide) in enumerate(sizes):
            if index:
                level_frames = F.avg_pool2d(level_frames.float(), 2, ceil_mode=True)
            self._starts.append(top)
            place = self._sheet[top : top + count * (high + 1)].view(count, high + 1, width, 3)
            place[:, high] = 0
            place[:, :high, wide:] = 0
            place = place[:, :high, :wide]
            place.copy_(level_frames.permute(0, 2, 3, 1))
            if not self._plain:
                place.sub_(self._fill.view(3))
            top += count * (high + 1)

    def sample(self, frame_index: Tensor, matrices: Tensor, size_wh: tuple[int, int]) -> Tensor:
        """Cut a crop for each person.

        Args:
            frame_index: ``(n,)`` int64, which frame.
            matrices: ``(n, 2, 3)`` crop pixels to frame pixels.
            size_wh: crop size w, h.

        Returns:
            ``(n, 3, h, w)`` float32, 0..255.
        """
        width, height = size_wh
        matrices = matrices.double()
        level = self._levels_of(matrices)
        factor = torch.pow(2.0, level.double())[:, None]
        # Pixel j of level l is the mean of frame pixels 2^l j .. 2^l j + 2^l - 1.
        linear = matrices[:, :, :2] / factor[..., None]
        shift = (matrices[:, :, 2] + 0.5) / factor - 0.5
        starts = torch.tensor(self._starts, device=self.device)[level]
        highs = torch.tensor([size[0] for size in self._sizes], device=self.device)[level]
        top = starts + frame_index * (highs + 1)
        xs = torch.arange(width, device=self.device, dtype=torch.float64)
        ys = torch.arange(height, device=self.device, dtype=torch.float64)
        places = linear[:, :, 0, None, None] * xs + linear[:, :, 1, None, None] * ys[:, None] + shift[..., None, None]
        # Rows beyond a frame are held on the zero rows around it; columns beyond it meet grid_sample's own zeros.
        y = places[:, 1].clamp(min=-1.0).minimum(highs[:, None, None].double()) + top[:, None, None]
        rows, wide = self._sheet.shape[:2]
        grid = torch.stack([(2 * places[:, 0] + 1) / wide - 1, (2 * y + 1) / rows - 1], dim=-1).float()
        sheets = self._sheet.permute(2, 0, 1).expand(len(matrices), 3, rows, wide)
        crops = F.grid_sample(sheets, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        return crops if self._plain else crops + self._fill

    def _levels_of(self, matrices: Tensor) -> Tensor:
        scale = torch.linalg.det(matrices[:, :, :2]).abs().clamp(min=1e-12).sqrt()
        return torch.log2(scale).floor().clamp(0, len(self._sizes) - 1).long()


def levels_needed(matrices: Tensor) -> int:
    """How many atlas levels people with these windows need; on an accelerator all, so that nothing waits for it."""
    if matrices.device.type != "cpu":
        return MOST_LEVELS
    if not len(matrices):
        return 1
    scale = float(torch.linalg.det(matrices[:, :, :2]).abs().max()) ** 0.5
    return min(MOST_LEVELS, 1 + max(0, math.floor(math.log2(max(scale, 1.0)))))


def crop_people(
    frames: Tensor | FrameAtlas,
    frame_index: Tensor,
    boxes: Tensor,
    input_wh: tuple[int, int],
    enlargement: float = RMPE_ENLARGEMENT,
    stn_theta: Tensor | None = None,
    *,
    smooth: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """Cut all people of several frames in one pass.

    Args:
        frames: ``(B, 3, H, W)`` uint8 or float 0..255 on the device, or an atlas of them.
        frame_index: ``(n,)`` int64, the frame of each person.
        boxes: ``(n, 4)`` xyxy pixels.
        input_wh: crop size w, h.
        enlargement: as :func:`proposal_matrices`.
        stn_theta: ``(n, 2, 3)``, or None for the proposal itself.
        smooth: average over the pixels that fall together where a person is scaled down by two or more.

    Returns:
        crops ``(n, 3, h, w)`` float32 0..255, matrices ``(n, 2, 3)`` float64 crop pixels to frame pixels, thetas
        ``(n, 2, 3)`` float64.
    """
    matrices = proposal_matrices(boxes, input_wh, enlargement)
    theta = identity_theta(len(boxes), boxes.device) if stn_theta is None else stn_theta.double()
    if stn_theta is not None:
        matrices = transformed_matrices(matrices, theta, input_wh)
    if not isinstance(frames, FrameAtlas):
        frames = FrameAtlas(frames, levels_needed(matrices) if smooth else 1)
    return frames.sample(frame_index, matrices, input_wh), matrices, theta
