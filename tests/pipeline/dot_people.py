"""Tiny networks that can be right: dots of known colours are the joints, and the "estimator" finds the colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from poseviewer.core.values import Frame, MediaInfo
from poseviewer.nets.weights import EstimatorSpec, LoadedEstimator
from poseviewer.pipeline.detector import DetectedBoxes
from poseviewer.pipeline.networks import Networks

torch.set_num_threads(1)
INPUT_WH = (48, 64)
COLOURS = np.array(
    [
        [255, 0, 0],
        [0, 255, 0],
        [0, 0, 255],
        [255, 255, 0],
        [255, 0, 255],
        [0, 255, 255],
        [255, 255, 255],
        [255, 128, 0],
    ],
    dtype=np.float32,
)
"""One colour a joint; the background is dark grey."""


class DotReader(nn.Module):
    """Normalised crops (n, 3, h, w) to heatmaps (n, 8, h/4, w/4): where a joint's colour is, at cell i = pixel 4 i."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[int] = []
        self.register_buffer("colours", torch.from_numpy(COLOURS / 255).view(1, -1, 3, 1, 1))
        axis = torch.arange(-6.0, 7.0)
        kernel = torch.exp(-(axis**2) / (2 * 3.0**2))
        self.register_buffer("kernel", (kernel[:, None] * kernel).view(1, 1, 13, 13) / 40)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls.append(len(x))
        far = ((x[:, None] - self.colours) ** 2).sum(2)
        seen = torch.exp(-far / 0.02)
        smooth = F.conv2d(seen.flatten(0, 1)[:, None], self.kernel, padding=6).view_as(seen)
        return smooth[:, :, ::4, ::4]


class FixedTheta(nn.Module):
    """A localisation network that always says the same."""

    def __init__(self, theta: Sequence[Sequence[float]]) -> None:
        super().__init__()
        self.register_buffer("theta", torch.tensor(theta))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.theta.expand(len(x), 2, 3)


@dataclass
class DetectorSpec:
    name: str = "bright"
    sha256: str = "0" * 64
    input_size: int = 64


class BrightDetector:
    """Finds each brighter-than-background column group of a frame: one person each."""

    def __init__(self) -> None:
        self.spec = DetectorSpec()
        self.calls: list[int] = []

    def __call__(self, frames: torch.Tensor, *, confidence: float, iou: float) -> list[DetectedBoxes]:
        self.calls.append(len(frames))
        found = []
        for frame in frames:
            bright = (frame.amax(0) > 100).cpu().numpy()
            columns = np.flatnonzero(bright.any(0))
            boxes = []
            for group in np.split(columns, np.flatnonzero(np.diff(columns) > 25) + 1):
                if len(group):
                    rows = np.flatnonzero(bright[:, group].any(1))
                    boxes.append([group[0], rows[0], group[-1], rows[-1]])
            table = torch.tensor(boxes, dtype=torch.float32, device=frames.device).reshape(-1, 4)
            found.append(DetectedBoxes(table, torch.full((len(table),), 0.9, device=frames.device)))
        return found


def make_networks(
    stn: nn.Module | None = None,
    module: nn.Module | None = None,
    detector=None,
    decode: str = "master",
    device: str = "cpu",
) -> Networks:
    """Networks that read dots."""
    spec = EstimatorSpec(
        family="test",
        skeleton="",
        joints=len(COLOURS),
        input_wh=INPUT_WH,
        heatmap_wh=(INPUT_WH[0] // 4, INPUT_WH[1] // 4),
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        decode=decode,
        stn=stn is not None,
    )
    stn = stn.to(device) if stn is not None else None
    loaded = LoadedEstimator((module or DotReader()).to(device), spec, "f" * 64, stn)
    return Networks(loaded, torch.device(device), detector=detector or BrightDetector(), estimator_name="dots")


@dataclass
class DotFrames:
    """A FrameSource of pictures with people made of dots.

    Attributes:
        pictures: by frame index.
        joints: by frame index, (people, 8, 2) true places, people from left to right.
        reads: indices in the order they were decoded.
    """

    pictures: list[np.ndarray]
    joints: list[np.ndarray]
    reads: list[int] = field(default_factory=list)
    fails_at: int | None = None

    @property
    def info(self) -> MediaInfo:
        height, width = self.pictures[0].shape[:2]
        return MediaInfo("dots", "video", len(self.pictures), (width, height), 25.0, 1.0, "", 0, "dots")

    def frame(self, index: int) -> Frame:
        return next(iter(self.frames([index])))

    def frames(self, indices):
        from poseviewer.core.errors import MediaError

        for index in indices:
            self.reads.append(index)
            if index == self.fails_at:
                raise MediaError(f"Frame {index} of dots cannot be read.")
            yield Frame(index, index / 25, self.pictures[index])


def draw_people(rng: np.random.Generator, people: int, scale: int = 1):
    """Draw people, each a grey panel with eight coloured dots, side by side.

    Returns:
        pixels (H, W, 3) and the true joints (people, 8, 2).
    """
    height, width = 160 * scale, 240 * scale
    pixels = np.full((height, width, 3), 40, dtype=np.uint8)
    joints = np.zeros((people, len(COLOURS), 2))
    dot = 4 * scale
    for person in range(people):
        low, high = np.array([100 * person + 20, 20]) * scale, np.array([100 * person + 90, 140]) * scale
        pixels[low[1] : high[1], low[0] : high[0]] = 120
        slots = rng.permutation(8)
        for joint, slot in enumerate(slots):
            cell = np.array([slot % 2, slot // 2]) * (35 * scale, 30 * scale)
            joints[person, joint] = x, y = (low + cell + rng.integers(8 * scale, 22 * scale, 2)).astype(int)
            pixels[y - dot : y + dot + 1, x - dot : x + dot + 1] = COLOURS[joint]
    return pixels, joints
