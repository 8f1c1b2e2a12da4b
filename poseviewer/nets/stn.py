"""The spatial transformer's localisation network: a proposal crop to theta (RMPE section 3.2).

The paper uses a ResNet-18 with an average pool and a linear layer to six numbers that starts at the identity. This
one is built of the compact estimator's own first stages, so that training begins from what the estimator has learned
about people, and it keeps a small grid of places instead of one average: where the person is decides theta.
"""

from __future__ import annotations

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poseviewer.nets.se_resnet import SEResNet


class LocaliserConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the localisation network is made of.

    Attributes:
        stem, stem_width, block, depths, planes, se_reduction: the residual stages, as in `FastPoseConfig`.
        squeeze: channels that are left of the last stage.
        grid: rows and columns of places that the linear layer sees.
        shrink: the crop is averaged down by this factor first: theta needs no detail.
    """

    stem: str = "strided"
    stem_width: int = 32
    block: str = "basic"
    depths: tuple[int, ...] = (2, 2, 3)
    planes: tuple[int, ...] = (48, 96, 192)
    se_reduction: int = 4
    squeeze: int = 32
    grid: tuple[int, int] = (6, 4)
    shrink: int = 2


class Localiser(nn.Module):
    """Proposal crops (B, 3, H, W), normalised, to theta (B, 2, 3).

    Theta maps target to source coordinates in [-1, 1] with corners on pixel centres (align_corners=True);
    it is the identity at the start of training.
    """

    def __init__(self, config: LocaliserConfig) -> None:
        super().__init__()
        self.config = config
        self.preact = SEResNet(
            config.stem, config.stem_width, config.block, config.depths, config.planes, config.se_reduction
        )
        self.squeeze = nn.Conv2d(self.preact.widths[-1], config.squeeze, 1)
        rows, columns = config.grid
        self.fc = nn.Linear(config.squeeze * rows * columns, 6)
        nn.init.zeros_(self.fc.weight)
        with torch.no_grad():
            self.fc.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]))

    def forward(self, x: Tensor) -> Tensor:
        y = self.preact(F.avg_pool2d(x, self.config.shrink))[-1]
        y = F.adaptive_avg_pool2d(torch.relu(self.squeeze(y)), self.config.grid).flatten(1)
        theta: Tensor = self.fc(y)
        return theta.view(-1, 2, 3)

    def begin_from(self, backbone: nn.Module) -> int:
        """Copy the tensors of an estimator's backbone that have the same name and shape; return how many."""
        own, other = self.preact.state_dict(), backbone.state_dict()
        same = {key: value for key, value in other.items() if key in own and own[key].shape == value.shape}
        self.preact.load_state_dict(same, strict=False)
        return len(same)
