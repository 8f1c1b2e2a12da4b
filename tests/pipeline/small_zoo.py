"""A small network of every family that weight files may hold, with weights that give lively maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import torch
from torch import nn

from poseviewer.nets import (
    fastpose,
    fastpose_duc,
    hardnet,
    higher_hrnet,
    hrnet,
    posenet_ae,
    simplepose,
)
from poseviewer.nets.families import family
from poseviewer.nets.mmpose import heatmaps, hourglass, integral, mspn, regression, rtmpose, simcc, vit
from poseviewer.nets.mmpose import hrnet as mmpose_hrnet
from poseviewer.nets.se_resnet import ResidualConfig

TRUNK = hrnet.TrunkConfig(width=4, modules=(1, 1, 1), blocks=1)
FLAT = ResidualConfig(depths=(1, 1, 1, 1))
NARROW = ResidualConfig(depths=(1, 1, 1, 1), planes=(8, 8, 16, 16))
STAGE = hardnet.Stage


@dataclass(frozen=True)
class Small:
    """One network.

    Attributes:
        family: its family's name.
        config: what it is made of.
        input_wh: a small input that it takes.
    """

    family: str
    config: Any
    input_wh: tuple[int, int] = (64, 64)

    def build(self, seed: int = 7) -> nn.Module:
        """The network in evaluation mode; statistics of normalisation are as if it had been trained."""
        known = family(self.family)
        if known is None:
            raise KeyError(self.family)
        torch.manual_seed(seed)
        net = known.build(self.config).eval()
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
        return net.requires_grad_(False)

    def input(self, count: int = 2) -> torch.Tensor:
        """Normalised noise ``(count, 3, h, w)``."""
        generator = torch.Generator().manual_seed(3)
        return torch.randn(count, 3, self.input_wh[1], self.input_wh[0], generator=generator)


SMALL_FAST = fastpose.FastPoseConfig(depths=(1, 1, 1, 1), planes=(8, 8, 16, 32), duc=(64, 64))
ZOO = {
    "FastPose": Small("fastpose", SMALL_FAST),
    "FastPose DCN": Small("fastpose", msgspec.structs.replace(SMALL_FAST, deform=(0, 1, 1, 1))),
    "FastPose with tags": Small("fastpose", msgspec.structs.replace(SMALL_FAST, tags=17, ramp=(0.1, 0.1))),
    "FastPose DUC": Small(
        "fastpose_duc",
        fastpose_duc.FastPoseDUCConfig(
            backbone=msgspec.structs.replace(FLAT, se_reduction=1), convolutions=(1, 1, 1), widths=(64, 32, 32)
        ),
    ),
    "SimplePose": Small("simplepose", simplepose.SimplePoseConfig(backbone=NARROW, head=(16, 16, 16))),
    "SimpleBaseline": Small("simplebaseline", simplepose.SimplePoseConfig(backbone=NARROW, head=(16, 16, 16))),
    "HarDNet": Small("hardnet", hardnet.HarDNetConfig()),
    "HRNet": Small("hrnet", hrnet.HRNetConfig(trunk=TRUNK)),
    "HigherHRNet": Small("higher_hrnet", higher_hrnet.HigherHRNetConfig(trunk=TRUNK, width=4, blocks=1)),
    "PoseNet": Small("posenet_ae", posenet_ae.PoseNetConfig(stacks=2, width=8, increase=4)),
    "MMPose ResNet": Small("mmpose_resnet", heatmaps.ResnetHeatmapsConfig(backbone=FLAT, deconvs=(16, 16, 16))),
    "MMPose HRNet": Small("mmpose_hrnet", mmpose_hrnet.HrnetPoseConfig(trunk=TRUNK)),
    "MMPose AE": Small("mmpose_hrnet", mmpose_hrnet.HrnetPoseConfig(trunk=TRUNK, tags=True)),
    "RTMPose": Small(
        "mmpose_rtmpose",
        rtmpose.RtmposeConfig(widths=(8, 8, 16, 16, 32), blocks=(1, 1, 1, 1), hidden=32, gate=64, key=16),
        (192, 256),
    ),
    "SimCC": Small(
        "mmpose_simcc",
        simcc.SimccConfig(backbone=FLAT, deconvs=(16, 16, 16), cells=16 * 16, bins=(128, 128)),
    ),
    "integral": Small("mmpose_integral", integral.IntegralConfig(backbone=FLAT, deconvs=(16, 16, 16), map_wh=(16, 16))),
    "regression": Small("mmpose_regression", regression.RegressionConfig(backbone=FLAT)),
    "ViTPose": Small(
        "mmpose_vitpose", vit.VitposeConfig(width=64, layers=2, heads=1, hidden=64, deconvs=(16, 16)), (192, 256)
    ),
    "Hourglass": Small("mmpose_hourglass", hourglass.HourglassConfig(widths=(16, 24, 32), blocks=(1, 1, 1))),
    "MSPN": Small("mmpose_mspn", mspn.MspnConfig(blocks=(1, 1, 1, 1), width=16, map_wh=(16, 16))),
}
