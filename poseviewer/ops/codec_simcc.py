"""Joints as one-dimensional distributions (SimCC) and as plain coordinates, as MMPose has them.

Symbols: B people, K joints, (W, H) network input pixels, X and Y bins per axis.
Facts: reference/hrnet_ae_mmpose.md section 7. SimCC: "SimCC: a Simple Coordinate Classification Perspective".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from poseviewer.ops import refinement

SEEN_FROM = 0.5
LOG_RANGE = (1e-3, 50.0)
TINY = 1e-9


class SimccLabels(NamedTuple):
    """x ``(B, K, X)``, y ``(B, K, Y)`` float32 and weights ``(B, K)``."""

    x: Tensor
    y: Tensor
    weights: Tensor


@dataclass(frozen=True, slots=True)
class SimccCodec:
    """A distribution over bins of 1 / ``ratio`` pixels per axis.

    A joint comes back within half a bin where it was encoded inside the picture.

    Attributes:
        input_wh: (W, H).
        ratio: bins per pixel.
        sigma: of the Gaussians in bins, x and y; None labels one bin ("standard").
        normalise: Gaussians of area 1 instead of peak 1.
        smoothing: of standard labels, spread over the other bins.
        dark: refine with a Newton step on the blurred logarithm; needs ``sigma``.
    """

    input_wh: tuple[int, int]
    ratio: float = 2.0
    sigma: tuple[float, float] | None = (6.0, 6.0)
    normalise: bool = True
    smoothing: float = 0.0
    dark: bool = False

    @property
    def bins(self) -> tuple[int, int]:
        """X and Y."""
        return round(self.input_wh[0] * self.ratio), round(self.input_wh[1] * self.ratio)

    def encode(self, joints: Tensor, visible: Tensor) -> SimccLabels:
        """Label joints ``(B, K, 2)`` of visibility ``(B, K)``; weight 0 where the distribution misses the picture."""
        # Half to even, as numpy rounds.
        centre = (joints.double() * self.ratio).round()
        size = torch.tensor(self.bins, device=joints.device)
        reach = torch.zeros(2, device=joints.device, dtype=torch.float64)
        if self.sigma is not None:
            reach = 3 * torch.tensor(self.sigma, device=joints.device, dtype=torch.float64)
        before = centre + reach + (0 if self.sigma is None else 1) < 0
        missed = ((centre - reach >= size) | before).any(dim=2)
        seen = visible >= SEEN_FROM
        weights = torch.where(seen & missed, 0.0, visible.float())
        drawn = (seen & ~missed)[..., None]
        x, y = (self._axis(centre[..., axis : axis + 1], axis) * drawn for axis in (0, 1))
        return SimccLabels(x.float(), y.float(), weights)

    def decode(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Read joints in input pixels ``(B, K, 2)`` and scores ``(B, K)``, the smaller of both maxima.

        Where a score is not positive the joint is at bin -1.
        """
        bins, scores = simcc_maximum(x, y)
        if self.dark and self.sigma is not None:
            refined = [
                dark_1d(values, bins[..., axis], dark_kernel(self.sigma[axis])) for axis, values in enumerate((x, y))
            ]
            bins = torch.stack(refined, dim=2)
        return bins / self.ratio, scores

    def visibility(self, x: Tensor, y: Tensor, *, beta: float = 150.0) -> Tensor:
        """How peaked the outputs are, ``(B, K)`` in 0..1: the maximum of softmax(output beta sigma)."""
        sigma = self.sigma or (1.0, 1.0)
        _, values = simcc_maximum((x * (beta * sigma[0])).softmax(dim=2), (y * (beta * sigma[1])).softmax(dim=2))
        return values

    def _axis(self, centre: Tensor, axis: int) -> Tensor:
        count = self.bins[axis]
        away = torch.arange(count, device=centre.device, dtype=torch.float64) - centre
        if self.sigma is None:
            rest = self.smoothing / (count - 1)
            return torch.where(away == 0, 1 - self.smoothing, rest)
        sigma = self.sigma[axis]
        curve = torch.exp(-(away**2) / (2 * sigma**2))
        return curve / (sigma * math.sqrt(2 * math.pi)) if self.normalise else curve


def simcc_maximum(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Arg-max bins ``(B, K, 2)`` float32, (-1, -1) where the value is not positive, and the smaller maxima."""
    values = torch.minimum(x.amax(dim=2), y.amax(dim=2))
    bins = torch.stack((_first_maximum(x), _first_maximum(y)), dim=2).float()
    return torch.where((values <= 0)[..., None], -1.0, bins), values


def dark_kernel(sigma: float) -> int:
    """Side of the blur of one-dimensional DARK: int((20 sigma - 7) // 3), made odd."""
    side = int((sigma * 20 - 7) // 3)
    return side - int(side % 2 == 0)


def dark_1d(rows: Tensor, bins: Tensor, kernel: int) -> Tensor:
    """A Newton step on the logarithm of blurred rows ``(B, K, N)`` at ``bins`` ``(B, K)``; refined bins.

    The input is left as it is; the published code overwrites it, and what reads it later sees logarithms.
    """
    logs = refinement.to_logarithms(_blurred_to_peak(rows, kernel).clamp(*LOG_RANGE))
    padded = F.pad(logs, (2, 2), mode="replicate")
    place = (bins + 2.5).long()

    def at(step: int) -> Tensor:
        # A joint at bin -1 reads around the row's end, as in the published code.
        return padded.gather(2, ((place + step) % padded.shape[2])[..., None])[..., 0]

    slope = 0.5 * (at(1) - at(-1))
    bend = TINY + 0.25 * (at(2) - 2 * at(0) + at(-2))
    return bins - slope / bend


def normalised_rows(rows: Tensor, *, sigma: float | None = None) -> Tensor:
    """Outputs ``(B, K, N)`` as something like probabilities: negative ones 0, rows above 1 divided by their peak.

    Args:
        sigma: of normalised labels; outputs are first divided by sigma sqrt(2 pi).
    """
    scaled = (rows if sigma is None else rows / (sigma * math.sqrt(2 * math.pi))).clamp(min=0)
    peak = scaled.amax(dim=2, keepdim=True)
    return torch.where(peak > 1, scaled / peak, scaled)


def simcc_loss(
    outputs: tuple[Tensor, Tensor],
    labels: SimccLabels,
    *,
    beta: float = 1.0,
    label_beta: float = 10.0,
    label_softmax: bool = False,
) -> Tensor:
    """KL divergence of both axes, mean over bins, weighted and summed over people and joints, divided by K alone."""
    total = outputs[0].new_zeros(())
    for found, wanted in zip(outputs, labels[:2], strict=True):
        target = (wanted * label_beta).softmax(dim=2) if label_softmax else wanted
        divergence = F.kl_div((found * beta).log_softmax(dim=2), target, reduction="none").mean(dim=2)
        total = total + (divergence * labels.weights).sum()
    return total / outputs[0].shape[1]


@dataclass(frozen=True, slots=True)
class RegressionCodec:
    """Coordinates as shares of the input's size.

    Attributes:
        input_wh: (W, H).
    """

    input_wh: tuple[int, int]

    def encode(self, joints: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """Shares ``(B, K, 2)`` float32 and weights ``(B, K)``, 1 for visible joints inside the picture."""
        size = torch.tensor(self.input_wh, device=joints.device, dtype=torch.float64)
        inside = ((joints >= 0) & (joints <= size - 1)).all(dim=2)
        return (joints.double() / size).float(), (inside & (visible > SEEN_FROM)).float()

    def decode(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Joints in input pixels and scores: 1, or the mean of 1 - sigma where outputs are ``(B, K, 4)``."""
        joints = outputs[..., :2] * outputs.new_tensor(self.input_wh)
        if outputs.shape[2] == 4:
            return joints, (1 - outputs[..., 2:]).mean(dim=2)
        return joints, torch.ones_like(joints[..., 0])


def soft_argmax(maps: Tensor, *, beta: float = 1.0) -> tuple[Tensor, Tensor]:
    """Expectation of softmax(beta map) as shares ``(B, K, 2)`` of the map (column k lies at k / w), and the softmax."""
    share = (maps.flatten(2) * beta).softmax(dim=2).view_as(maps)
    height, width = maps.shape[2:]
    x = share.sum(dim=2) @ (torch.arange(width, device=maps.device, dtype=maps.dtype) / width)
    y = share.sum(dim=3) @ (torch.arange(height, device=maps.device, dtype=maps.dtype) / height)
    return torch.stack((x, y), dim=2), share


def _blurred_to_peak(rows: Tensor, kernel: int) -> Tensor:
    soft = _blurred(rows, kernel)
    return soft * (rows.amax(dim=2, keepdim=True) / soft.amax(dim=2, keepdim=True))


def _blurred(rows: Tensor, kernel: int) -> Tensor:
    """Rows ``(B, K, N)`` blurred, zeros beyond their ends; on the processor by OpenCV, whose rounding decides where a
    row is all but flat."""
    import cv2

    reach = kernel // 2
    if rows.device.type != "cpu" or not rows.numel():
        taps = torch.from_numpy(cv2.getGaussianKernel(kernel, 0, cv2.CV_64F)[:, 0].copy()).to(rows.device)
        soft = F.conv1d(rows.double().flatten(0, 1)[:, None], taps[None, None], padding=reach)
        return soft.view(rows.shape).float()
    plane = F.pad(rows.detach().float().flatten(0, 1), (reach, reach)).numpy()
    soft = torch.from_numpy(cv2.GaussianBlur(plane, (kernel, 1), 0))
    return soft[:, reach : reach + rows.shape[2]].reshape(rows.shape)


def _first_maximum(rows: Tensor) -> Tensor:
    places = torch.arange(rows.shape[2], device=rows.device)
    return torch.where(rows == rows.amax(dim=2, keepdim=True), places, rows.shape[2] - 1).amin(dim=2)
