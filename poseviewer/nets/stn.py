"""The spatial transformer's localisation network: a proposal crop to theta (RMPE section 3.2).

The paper uses a ResNet-18 with an average pool and a linear layer to six numbers that starts at the
identity. This one is the same at a size that suits the compact estimator.
"""

from __future__ import annotations

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseviewer.nets.blocks import BN_EPS, conv3x3


class LocaliserConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the localisation network is made of.

    Attributes:
        widths: output channels of its strided 3x3 convolutions.
        shrink: the crop is averaged down by this factor first: theta needs no detail.
    """

    widths: tuple[int, ...] = (24, 48, 96, 128)
    shrink: int = 2


class Localiser(nn.Module):
    """Proposal crops (B, 3, H, W), normalised, to theta (B, 2, 3).

    Theta maps target to source coordinates in [-1, 1] with corners on pixel centres (align_corners=True);
    it is the identity at the start of training.
    """

    def __init__(self, config: LocaliserConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        width = 3
        for out in config.widths:
            layers += [conv3x3(width, out, 2), nn.BatchNorm2d(out, eps=BN_EPS), nn.ReLU(inplace=True)]
            width = out
        self.features = nn.Sequential(*layers)
        # A 2 x 2 grid of averages, so that the linear layer can tell where in the crop the person is.
        self.fc = nn.Linear(width * 4, 6)
        nn.init.zeros_(self.fc.weight)
        with torch.no_grad():
            self.fc.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]))

    def forward(self, x: Tensor) -> Tensor:
        y = self.features(F.avg_pool2d(x, self.config.shrink))
        y = F.adaptive_avg_pool2d(y, (2, 2)).flatten(1)
        theta: Tensor = self.fc(y)
        return theta.view(-1, 2, 3)
