"""Crops of people: boxes to affine windows, one sampling pass for all people of several frames, and the way back.

Symbols: B frames, n people, H, W frame size, h, w crop size. All matrices map crop pixels to frame pixels, with the
centre of the top-left pixel at (0, 0) on both sides, as ``(n, 2, 3)`` float64. Heatmap cell i of a network of stride 4
is crop pixel 4 i: AlphaPose draws its targets at ``int(x / 4 + 0.5)`` (reference/alphapose.md section 4), so
:func:`heatmap_matrices` multiplies by the stride and adds nothing.

A window is centred as AlphaPose master has it (section 2.1): the box centre lands on (w / 2, h / 2). Theta and gamma
are RMPE's (section 9): normalised coordinates with -1 and 1 on the centres of the outermost pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

MOST_LEVELS = 5
RMPE_ENLARGEMENT = 0.3
EXACT_OPENCV = int(cv2.__version__.partition(".")[0]) >= 5
"""OpenCV up to 4 rounds the places that it samples to 1/32 pixel (reference/alphapose.md section 15)."""
LARGEST_WARP = 32_000
"""OpenCV warps pictures whose sides fit 15 bits."""


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
    """Inverse maps of ``(n, 2, 3)``; zeros for a map without one, as OpenCV's warp has it (a box without a size)."""
    linear, wrong = torch.linalg.inv_ex(matrices[..., :2])
    linear = torch.where((wrong == 0)[:, None, None], linear, 0.0)
    return torch.cat([linear, -linear @ matrices[..., 2:]], dim=-1)


# --- sampling ---


@dataclass(frozen=True, slots=True)
class _Sheet:
    """Pieces of frames under one another, so that one ``grid_sample`` serves people of all of them.

    Between pieces lies a row of zeros, and zeros fill the right of pieces that are narrower than the sheet: they stand
    for everything outside a frame.

    Attributes:
        pixels: ``(rows, width, 3)`` float32, the fill colour subtracted.
        tops: ``(n,)`` for each person the row where its piece begins.
        heights: ``(n,)`` rows of it.
        origins: ``(n, 2)`` x, y of the piece's first pixel in its level's frame.
        levels: ``(n,)`` 0 is the frame itself, 1 averages 2x2 pixels, 2 averages 4x4, ...
    """

    pixels: Tensor
    tops: Tensor
    heights: Tensor
    origins: Tensor
    levels: Tensor


class _Piece(NamedTuple):
    """What lies beneath one person's window: ``(h, w, 3)`` pixels, the fill colour subtracted, and x, y of their first
    in the frame of their level."""

    pixels: Tensor
    origin: tuple[int, int]


class FrameSampler:
    """Cuts crops out of frames of one size, all people of all frames in one pass.

    Where a person is scaled down by two or more, plain bilinear sampling would skip pixels (and alias); ``smooth``
    takes such a person from the frame averaged over 2x2, 4x4, ... pixels, so that a step is always less than two
    pixels. On an accelerator whole frames are laid out once, and nothing waits for the device; on a CPU, where the
    windows are known at once, only the pixels beneath them are touched, and OpenCV samples them where it does so
    exactly.

    Args:
        frames: ``(B, 3, H, W)`` uint8 or float, 0..255.
        smooth: see above; False is what AlphaPose does.
        fill: colour outside the frames, 0..255 RGB.
    """

    def __init__(self, frames: Tensor, *, smooth: bool = True, fill: Sequence[float] = (0.0, 0.0, 0.0)) -> None:
        self._frames = frames.permute(0, 2, 3, 1)
        self._most_levels = MOST_LEVELS if smooth else 1
        self._fill = torch.tensor(fill, device=frames.device, dtype=torch.float32) if any(fill) else None
        self._whole: tuple[Tensor, Tensor, Tensor] | None = None

    def sample(
        self, frame_index: Tensor, matrices: Tensor, size_wh: tuple[int, int], visible: Tensor | None = None
    ) -> Tensor:
        """Cut a crop for each person.

        Args:
            frame_index: ``(n,)`` int64, which frame.
            matrices: ``(n, 2, 3)`` crop pixels to frame pixels.
            size_wh: crop size w, h.
            visible: ``(n, 4)`` int64 first column, first row, last column, last row of what a person's crop may show;
                the rest is the fill colour (2018 AlphaPose). None shows the whole frame.

        Returns:
            ``(n, 3, h, w)`` float32, 0..255.
        """
        if not len(matrices):
            return torch.zeros(0, 3, size_wh[1], size_wh[0], device=self._frames.device)
        matrices = matrices.double()
        scale = torch.linalg.det(matrices[:, :, :2]).abs().clamp(min=1e-12).sqrt()
        levels = torch.log2(scale).floor().clamp(0, self._most_levels - 1).long()
        on_processor = self._frames.device.type == "cpu"
        if on_processor or visible is not None:
            pieces = self._pieces(frame_index, matrices, levels, size_wh, visible)
            exact = on_processor and EXACT_OPENCV and all(max(piece.pixels.shape) < LARGEST_WARP for piece in pieces)
            crops = (_warped if exact else _sampled)(pieces, matrices, levels, size_wh)
        else:
            crops = _sample_sheet(self._whole_frames(frame_index, levels), matrices, size_wh)
        return crops if self._fill is None else crops + self._fill.view(1, 3, 1, 1)

    def _whole_frames(self, frame_index: Tensor, levels: Tensor) -> _Sheet:
        """All frames in all levels, laid out on first use."""
        count, height, width = self._frames.shape[:3]
        if self._whole is None:
            sizes = [(-(-height >> level), -(-width >> level)) for level in range(self._most_levels)]
            starts = [1]
            for high, _ in sizes:
                starts.append(starts[-1] + count * (high + 1))
            pixels = torch.zeros(starts[-1], width, 3, device=self._frames.device)
            for level, (high, wide) in enumerate(sizes):
                rows = pixels[starts[level] : starts[level + 1]].view(count, high + 1, width, 3)
                rows[:, :high, :wide] = self._less_fill(_averaged(self._frames, level))
            heights = torch.tensor([size[0] for size in sizes], device=pixels.device)
            self._whole = (pixels, torch.tensor(starts, device=pixels.device), heights)
        pixels, tops, heights = self._whole
        rows_of = heights[levels]
        origins = torch.zeros(len(levels), 2, device=pixels.device, dtype=torch.float64)
        return _Sheet(pixels, tops[levels] + frame_index * (rows_of + 1), rows_of, origins, levels)

    def _pieces(
        self, frame_index: Tensor, matrices: Tensor, levels: Tensor, size_wh: tuple[int, int], visible: Tensor | None
    ) -> list[_Piece]:
        """For each person what lies beneath its window."""
        places = self._spans(matrices, levels, size_wh, visible)
        pieces: list[_Piece] = []
        people = zip(frame_index.tolist(), levels.tolist(), places, strict=True)
        for frame, level, (left, top, right, bottom) in people:
            part = self._frames[frame : frame + 1, top:bottom, left:right]
            pieces.append(_Piece(self._less_fill(_averaged(part, level))[0], (left >> level, top >> level)))
        return pieces

    def _spans(
        self, matrices: Tensor, levels: Tensor, size_wh: tuple[int, int], visible: Tensor | None
    ) -> list[tuple[int, int, int, int]]:
        """Left, top, right, bottom in frame pixels of what each person's crop needs, right and bottom exclusive."""
        corners = matrices.new_tensor([[x, y, 1.0] for x in (0, size_wh[0] - 1) for y in (0, size_wh[1] - 1)])
        places = matrices @ corners.T
        lows, highs = places.amin(dim=2).floor() - 1, places.amax(dim=2).ceil() + 2
        step = 2.0 ** levels.double()[:, None]
        height, width = self._frames.shape[1:3]
        size = matrices.new_tensor([width, height])
        # Whole squares, so that pieces average what whole frames would.
        start = (((lows - step) / step).floor() * step).clamp(min=0)
        end = ((highs / step).floor() + 2) * step
        if visible is not None:
            start, end = torch.maximum(start, visible[:, :2]), torch.minimum(end, visible[:, 2:] + 1.0)
        end = torch.maximum(torch.minimum(end, size), start)
        return [(int(a), int(b), int(c), int(d)) for a, b, c, d in torch.cat([start, end], dim=1).tolist()]

    def _less_fill(self, pixels: Tensor) -> Tensor:
        return pixels if self._fill is None else pixels - self._fill


def _averaged(frames: Tensor, level: int) -> Tensor:
    """Average ``(B, H, W, 3)`` over squares of 2^level pixels, cut off at the right and lower edge."""
    if level == 0 or 0 in frames.shape:
        return frames
    planes = frames.permute(0, 3, 1, 2).float()
    return F.avg_pool2d(planes, 1 << level, ceil_mode=True).permute(0, 2, 3, 1)


def _in_pieces(matrices: Tensor, levels: Tensor, origins: Tensor) -> Tensor:
    """Matrices ``(n, 2, 3)`` to pixels of pieces.

    Pixel j of level l is the mean of the frame's pixels 2^l j .. 2^l (j + 1) - 1.

    Args:
        origins: ``(n, 2)`` x, y of the pieces' first pixels in the frames of their levels.
    """
    factor = torch.pow(2.0, levels.double())
    shift = (matrices[:, :, 2] + 0.5) / factor[:, None] - 0.5 - origins
    return torch.cat([matrices[:, :, :2] / factor[:, None, None], shift[..., None]], dim=2)


def _warped(pieces: list[_Piece], matrices: Tensor, levels: Tensor, size_wh: tuple[int, int]) -> Tensor:
    """Sample every person's piece with OpenCV, ``(n, 3, h, w)``, channels last in memory."""
    origins = matrices.new_tensor([piece.origin for piece in pieces])
    maps = _in_pieces(matrices, levels, origins).numpy()
    crops = np.zeros((len(pieces), size_wh[1], size_wh[0], 3), dtype=np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    # One place in memory for all pieces in turn: fetching fresh pages costs more than the conversion.
    place = np.empty(max(piece.pixels.numel() for piece in pieces), dtype=np.float32)
    for piece, matrix, crop in zip(pieces, maps, crops, strict=True):
        if piece.pixels.numel():
            pixels = place[: piece.pixels.numel()].reshape(piece.pixels.shape)
            np.copyto(pixels, piece.pixels.numpy())
            cv2.warpAffine(pixels, matrix, size_wh, dst=crop, flags=flags, borderMode=cv2.BORDER_CONSTANT)
    return torch.from_numpy(crops).permute(0, 3, 1, 2)


def _sampled(pieces: list[_Piece], matrices: Tensor, levels: Tensor, size_wh: tuple[int, int]) -> Tensor:
    """Sample all pieces in one pass, ``(n, 3, h, w)``."""
    device = matrices.device
    heights = [piece.pixels.shape[0] for piece in pieces]
    wide = max(1, *(piece.pixels.shape[1] for piece in pieces))
    pixels = torch.zeros(1 + sum(heights) + len(pieces), wide, 3, device=device)
    tops, row = [], 1
    for piece, height in zip(pieces, heights, strict=True):
        pixels[row : row + height, : piece.pixels.shape[1]] = piece.pixels
        tops.append(row)
        row += height + 1
    origins = matrices.new_tensor([piece.origin for piece in pieces])
    sheet = _Sheet(pixels, torch.tensor(tops, device=device), torch.tensor(heights, device=device), origins, levels)
    return _sample_sheet(sheet, matrices, size_wh)


def _sample_sheet(sheet: _Sheet, matrices: Tensor, size_wh: tuple[int, int]) -> Tensor:
    """Sample every person's piece with its matrix, ``(n, 3, h, w)``."""
    width, height = size_wh
    device = matrices.device
    rows, wide = sheet.pixels.shape[:2]
    maps = _in_pieces(matrices, sheet.levels, sheet.origins)
    linear, shift = maps[:, :, :2], maps[:, :, 2]
    shift[:, 1] += sheet.tops
    # From pixels to grid_sample's [-1, 1] (edges, not centres) in float64; the grid itself is float32.
    unit = torch.tensor([2 / wide, 2 / rows], dtype=torch.float64, device=device)
    maps = torch.cat([linear * unit[:, None], (shift * unit + unit / 2 - 1)[..., None]], dim=2).float()
    ys, xs = torch.meshgrid(
        torch.arange(height, device=device, dtype=torch.float32),
        torch.arange(width, device=device, dtype=torch.float32),
        indexing="ij",
    )
    base = torch.stack([xs, ys, torch.ones_like(xs)]).flatten(1)
    grid = maps @ base
    # Rows beyond a piece are held on the zero rows around it; columns beyond it meet zeros anyway.
    low = ((sheet.tops - 0.5) * unit[1] - 1).float()
    high = ((sheet.tops + sheet.heights + 0.5) * unit[1] - 1).float()
    grid[:, 1].clamp_(min=low[:, None], max=high[:, None])
    sheets = sheet.pixels.permute(2, 0, 1).expand(len(matrices), 3, rows, wide)
    return F.grid_sample(sheets, grid.mT.view(-1, height, width, 2), padding_mode="zeros", align_corners=False)


def crop_people(
    frames: Tensor | FrameSampler,
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
        frames: ``(B, 3, H, W)`` uint8 or float 0..255 on the device, or a sampler of them.
        frame_index: ``(n,)`` int64, the frame of each person.
        boxes: ``(n, 4)`` xyxy pixels.
        input_wh: crop size w, h.
        enlargement: as :func:`proposal_matrices`.
        stn_theta: ``(n, 2, 3)``, or None for the proposal itself.
        smooth: as :class:`FrameSampler`.

    Returns:
        crops ``(n, 3, h, w)`` float32 0..255, matrices ``(n, 2, 3)`` float64 crop pixels to frame pixels, thetas
        ``(n, 2, 3)`` float64.
    """
    matrices = proposal_matrices(boxes, input_wh, enlargement)
    theta = identity_theta(len(boxes), boxes.device) if stn_theta is None else stn_theta.double()
    if stn_theta is not None:
        matrices = transformed_matrices(matrices, theta, input_wh)
    sampler = frames if isinstance(frames, FrameSampler) else FrameSampler(frames, smooth=smooth)
    return sampler.sample(frame_index, matrices, input_wh), matrices, theta
