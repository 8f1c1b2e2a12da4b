"""A tiny network with tags that can be right: dots of known colours are the joints, halves of a picture the people."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from dot_people import COLOURS, DotReader
from torch import nn

from poseviewer.nets.weights import EstimatorSpec, LoadedEstimator
from poseviewer.pipeline.networks import Networks

INPUT = 192
TAGS = (0.25, 2.0)
"""Of the people in the left and in the right half; every joint adds a little of its own."""
OWN = 0.02


def tag_of(half: int, joint: int) -> float:
    """The tag that the network gives a joint in a half of the picture."""
    return TAGS[half] + OWN * joint


class TagReader(nn.Module):
    """Pictures (n, 3, h, w) of dots to what a network of one of the published families answers.

    Cell i of a map at a quarter is the mean of pixels 4 i to 4 i + 3.

    Args:
        form: "higher", "newell" or "mmpose_ae".
        most: pictures at once before it says that the memory does not suffice.
    """

    def __init__(self, form: str, *, most: int = 99) -> None:
        super().__init__()
        self.form, self.most = form, most
        self.dots = DotReader()
        self.calls: list[tuple[int, ...]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        if len(x) > self.most:
            raise RuntimeError("CUDA out of memory")
        self.calls.append(tuple(x.shape))
        far = ((x[:, None] - self.dots.colours) ** 2).sum(2)
        seen = torch.exp(-far / 0.02)
        smooth = F.conv2d(seen.flatten(0, 1)[:, None], self.dots.kernel, padding=6).view_as(seen)
        heat, finer = F.avg_pool2d(smooth, 4), F.avg_pool2d(smooth, 2)
        width = heat.shape[3]
        right = (torch.arange(width, device=x.device) >= width // 2).float()
        own = OWN * torch.arange(heat.shape[1], device=x.device)[:, None, None]
        tags = TAGS[0] + (TAGS[1] - TAGS[0]) * right + own
        both = torch.cat([heat, tags.expand_as(heat)], dim=1)
        if self.form == "higher":
            return both, finer
        if self.form == "newell":
            unused = torch.full_like(both, 9.0)
            last = torch.cat([both, unused], dim=1)
            return torch.stack([unused.repeat(1, 2, 1, 1), last], dim=1)
        return both


def tag_networks(form: str, *, most: int = 99, device: str = "cpu") -> Networks:
    """Networks for the bottom-up pipeline that read dots."""
    spec = EstimatorSpec(
        family="test",
        skeleton="",
        joints=len(COLOURS),
        input_wh=(INPUT, INPUT),
        heatmap_wh=(INPUT // 4, INPUT // 4),
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        decode=form,  # type: ignore[arg-type]
        output="tags",
    )
    loaded = LoadedEstimator(TagReader(form, most=most).to(device), spec, "e" * 64)
    return Networks(loaded, torch.device(device), estimator_name="tags.pth")


def hide(pixels: np.ndarray, place: np.ndarray, joint: int, share: float) -> np.ndarray:
    """Make the dot of a joint so faint that the network answers with about ``share`` of its value there."""
    made = pixels.copy()
    x, y = place.astype(int)
    colour = COLOURS[joint] / 255
    away = np.sqrt(-0.02 * np.log(share))
    towards = np.where(colour > 0.5, -1.0, 1.0)
    made[y - 4 : y + 5, x - 4 : x + 5] = np.rint(255 * (colour + towards * away / np.sqrt(3))).astype(np.uint8)
    return made
