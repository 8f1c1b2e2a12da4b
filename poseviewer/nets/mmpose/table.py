"""MMPose's families: how each is recognised, built, and what its input is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from poseviewer.nets.mmpose import heatmaps, hourglass, hrnet, integral, mspn, parts, regression, rtmpose, simcc, vit
from poseviewer.nets.sniffing import Shapes


@dataclass(frozen=True, slots=True)
class Family:
    """One family of networks.

    Attributes:
        name: of the family, e.g. "mmpose_rtmpose".
        sniff: a state dict's shapes to the family's configuration, None for another family.
        build: the configuration to the network.
        spec_of: the configuration to what the shapes do not say.
    """

    name: str
    sniff: Callable[[Shapes], Any]
    build: Callable[[Any], nn.Module]
    spec_of: Callable[[Any], parts.InputFacts]


FAMILIES = (
    Family("mmpose_resnet", heatmaps.sniff, heatmaps.ResnetHeatmaps, heatmaps.spec_of),
    Family("mmpose_hrnet", hrnet.sniff, hrnet.HrnetPose, hrnet.spec_of),
    Family("mmpose_rtmpose", rtmpose.sniff, rtmpose.Rtmpose, rtmpose.spec_of),
    Family("mmpose_simcc", simcc.sniff, simcc.SimccResnet, simcc.spec_of),
    Family("mmpose_integral", integral.sniff, integral.IntegralResnet, integral.spec_of),
    Family("mmpose_regression", regression.sniff, regression.RegressionResnet, regression.spec_of),
    Family("mmpose_vitpose", vit.sniff, vit.Vitpose, vit.spec_of),
    Family("mmpose_hourglass", hourglass.sniff, hourglass.HourglassPose, hourglass.spec_of),
    Family("mmpose_mspn", mspn.sniff, mspn.Mspn, mspn.spec_of),
)

NAMED_ONLY = {
    "RTMO": "head.dcc.x_bins",
    "MSPN of several stages": mspn.SECOND_STAGE,
    "a hourglass network of several stacks": hourglass.MORE_STACKS,
}
"""Networks that are told by one tensor but not built, as nothing to compare their outputs with is at hand."""


def recognise(shapes: Shapes) -> tuple[Family, Any] | None:
    """The family that a state dict's shapes belong to and its configuration, None for a stranger."""
    found = ((family, family.sniff(shapes)) for family in FAMILIES)
    return next(((family, config) for family, config in found if config is not None), None)


def named_only(shapes: Shapes) -> str:
    """What a state dict is in words, where it is a network of MMPose that is known but not built; else ""."""
    return next((name for name, key in NAMED_ONLY.items() if key in shapes), "")
