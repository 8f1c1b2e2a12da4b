"""The gated attention unit of RTMPose's head, and its normalisation.

"Transformer Quality in Linear Time" (Hua et al. 2022); reference/hrnet_ae_mmpose.md section 5.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SMALLEST_NORM = 1e-5


class ScaleNorm(nn.Module):
    """Rows divided by their root mean square (at least 1e-5), times one learned factor."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.root = width**-0.5
        self.g = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        norm: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True) * self.root
        return x / norm.clamp(min=SMALLEST_NORM) * self.g


class Scale(nn.Module):
    """One learned factor per channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


class GatedAttention(nn.Module):
    """Attention of squared rectified products whose result is gated; tokens (B, N, width) to the same.

    Args:
        width: of a token; hidden: of gate and value; key: of query and key.
    """

    def __init__(self, width: int, hidden: int, key: int) -> None:
        super().__init__()
        self.sizes = [hidden, hidden, key]
        self.gamma = nn.Parameter(torch.rand(2, key))
        self.beta = nn.Parameter(torch.rand(2, key))
        self.o = nn.Linear(hidden, width, bias=False)
        self.uv = nn.Linear(width, sum(self.sizes), bias=False)
        self.ln = ScaleNorm(width)
        self.res_scale = Scale(width)

    def forward(self, x: Tensor) -> Tensor:
        gate, value, base = torch.split(F.silu(self.uv(self.ln(x))), self.sizes, dim=2)
        query, key = (base[:, :, None] * self.gamma + self.beta).unbind(2)
        attention = F.relu(query @ key.transpose(1, 2) / math.sqrt(self.sizes[2])).square()
        y: Tensor = self.res_scale(x) + self.o(gate * (attention @ value))
        return y
