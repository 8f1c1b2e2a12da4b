"""SimplePose: a plain ResNet and three transposed convolutions (Xiao et al. 2018; reference section 1.4)."""

from __future__ import annotations

from torch import Tensor, nn

from poseviewer.nets.blocks import BN_EPS
from poseviewer.nets.fastpose import PUBLISHED_DEPTHS
from poseviewer.nets.se_resnet import SEResNet

DECONV_WIDTH = 256


class SimplePose(nn.Module):
    """Images (B, 3, H, W), H and W multiples of 32, to heatmaps (B, joints, H/4, W/4).

    Raises KeyError for a depth other than 50, 101 or 152.
    """

    def __init__(self, depth: int = 50, joints: int = 17) -> None:
        super().__init__()
        planes = (64, 128, 256, 512)
        self.preact = SEResNet("pool", 64, "bottleneck", PUBLISHED_DEPTHS[depth], planes, 0)
        layers: list[nn.Module] = []
        width = self.preact.widths[3]
        for _ in range(3):
            layers += [
                nn.ConvTranspose2d(width, DECONV_WIDTH, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(DECONV_WIDTH, eps=BN_EPS),
                nn.ReLU(inplace=True),
            ]
            width = DECONV_WIDTH
        self.deconv_layers = nn.Sequential(*layers)
        self.final_layer = nn.Conv2d(width, joints, 1)

    def forward(self, x: Tensor) -> Tensor:
        heatmaps: Tensor = self.final_layer(self.deconv_layers(self.preact(x)[3]))
        return heatmaps
