"""SimpleBaseline: the same network as SimplePose under the HRNet repository's names (Xiao et al. 2018).

The backbone's tensors carry no prefix, and files trained there expect another preparation of the picture than
AlphaPose's (reference/hrnet_ae_mmpose.md section 4), so it is a family of its own.
"""

from __future__ import annotations

from torch import Tensor

from poseviewer.nets.blocks import UpsampleHead
from poseviewer.nets.se_resnet import ResidualTrunk
from poseviewer.nets.simplepose import SimplePoseConfig, final_layer, published, sniff_upsampling
from poseviewer.nets.sniffing import Shapes

__all__ = ["SimpleBaseline", "published", "sniff"]


class SimpleBaseline(ResidualTrunk):
    """Images (B, 3, H, W), H and W multiples of 32, to heatmaps (B, joints, H/4, W/4)."""

    def __init__(self, config: SimplePoseConfig) -> None:
        super().__init__(*config.backbone.arguments())
        self.config = config
        self.deconv_layers = UpsampleHead(self.widths[-1], config.head)
        self.final_layer = final_layer(config)

    def forward(self, x: Tensor) -> Tensor:
        heatmaps: Tensor = self.final_layer(self.deconv_layers(self.stages(x)[-1]))
        return heatmaps


def sniff(shapes: Shapes) -> SimplePoseConfig | None:
    """The network whose backbone's names have no prefix; None for any other state dict.

    The Caffe form of the backbone has the same names and shapes and has to be asked for:
    ``msgspec.structs.replace(config.backbone, stride_first=True)``.
    """
    return sniff_upsampling(shapes, "")
