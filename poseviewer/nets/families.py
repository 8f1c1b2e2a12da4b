"""The families of networks that weight files may hold: one line each.

A family says how it is recognised from the names and shapes of its tensors, how it is built, and what its publisher
feeds it. Facts: reference/alphapose.md sections 1 and 2, reference/hrnet_ae_mmpose.md sections 1 to 6.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, get_args, get_type_hints

from torch import nn

from poseviewer.nets.estimator_spec import Crop, Decode, Output
from poseviewer.nets.sniffing import Shapes

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
ALPHAPOSE_MEAN = (0.406, 0.457, 0.480)
"""As AlphaPose subtracts it from R, G, B, without dividing (reference/alphapose.md section 0.7)."""


class Convention(NamedTuple):
    """What a publisher feeds his networks and reads out of them; fields as in ``EstimatorSpec``."""

    title: str
    input_wh: tuple[int, int] = (192, 256)
    stride: int = 4
    output: Output = "heatmaps"
    decode: Decode = "master"
    crop: Crop = "hrnet"
    flip_shift: bool = True
    bgr: bool = False
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    kernel: int = 11


ALPHAPOSE = Convention("AlphaPose", crop="alphapose_master", mean=ALPHAPOSE_MEAN, std=(1.0, 1.0, 1.0))
ALPHAPOSE_2018 = ALPHAPOSE._replace(
    title="AlphaPose of 2018", input_wh=(256, 320), decode="old", crop="alphapose", flip_shift=False
)
HRNET = Convention("HRNet", decode="hrnet")
# Trained on BGR pictures although mean and deviation are given for R, G, B: blue is met with red's figures.
SIMPLEBASELINE = HRNET._replace(title="SimpleBaseline", bgr=True, mean=IMAGENET_MEAN[::-1], std=IMAGENET_STD[::-1])
HIGHERHRNET = Convention("HigherHRNet", input_wh=(512, 512), stride=2, output="tags", decode="higher", flip_shift=False)
POSENET = HIGHERHRNET._replace(
    title="Associative embedding", stride=4, decode="newell", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)
)
MMPOSE = Convention("MMPose", crop="mmpose", decode="msra")


@dataclass(frozen=True, slots=True)
class Family:
    """One family of networks.

    Attributes:
        name: as headers, run records and ``EstimatorSpec.family`` have it.
        config: type of the value that says what a network is made of.
        sniff: shapes of a state dict to that value, None for another family.
        build: that value to the network.
        convention: that value to its publisher's convention; the input size is what shapes, or else the published
            files, say.
        fixed_size: the shapes alone say the input size.
    """

    name: str
    config: type[Any]
    sniff: Callable[[Shapes], Any]
    build: Callable[[Any], nn.Module]
    convention: Callable[[Any], Convention]
    fixed_size: bool = False


def _always(convention: Convention) -> Callable[[Any], Convention]:
    return lambda config: convention


def _fastpose(config: Any) -> Convention:
    """33 outputs on 101 layers are the 2018 model: COCO's 17 joints, then MPII's."""
    deep = len(getattr(config, "depths", ())) == 4 and tuple(config.depths) == (3, 4, 23, 3)
    return ALPHAPOSE_2018 if config.joints == 33 and deep else ALPHAPOSE


def _mmpose(facts_of: Callable[[Any], Any]) -> Callable[[Any], Convention]:
    """MMPose's families say what they are fed as ``InputFacts``."""

    def convention(config: Any) -> Convention:
        facts = facts_of(config)
        fields = {name: getattr(facts, name) for name in Convention._fields if hasattr(facts, name)}
        return MMPOSE._replace(**{**fields, "stride": max(1, facts.input_wh[0] // facts.heatmap_wh[0])})

    return convention


def _configuration(sniff: Callable[..., Any]) -> type[Any]:
    """The type that a ``sniff`` returns where it recognises something."""
    found: type[Any] = get_args(get_type_hints(sniff)["return"])[0]
    return found


@cache
def families() -> tuple[Family, ...]:
    """All families, in the order in which they are asked; the first that recognises a file has it."""
    from poseviewer.nets import (
        fastpose,
        fastpose_duc,
        hardnet,
        higher_hrnet,
        hrnet,
        posenet_ae,
        simplebaseline,
        simplepose,
    )
    from poseviewer.nets.mmpose import table

    duc, simple, base, higher = fastpose_duc, simplepose, simplebaseline, higher_hrnet
    return (
        Family("fastpose", fastpose.FastPoseConfig, fastpose.sniff, fastpose.FastPose, _fastpose),
        Family("fastpose_duc", duc.FastPoseDUCConfig, duc.sniff, duc.FastPoseDUC, _always(ALPHAPOSE)),
        Family("simplepose", simple.SimplePoseConfig, simple.sniff, simple.SimplePose, _always(ALPHAPOSE)),
        Family("simplebaseline", simple.SimplePoseConfig, base.sniff, base.SimpleBaseline, _always(SIMPLEBASELINE)),
        Family("hardnet", hardnet.HarDNetConfig, hardnet.sniff, hardnet.HarDNetPose, _always(ALPHAPOSE)),
        Family("hrnet", hrnet.HRNetConfig, hrnet.sniff, hrnet.HRNet, _always(HRNET)),
        Family("higher_hrnet", higher.HigherHRNetConfig, higher.sniff, higher.HigherHRNet, _always(HIGHERHRNET)),
        Family("posenet_ae", posenet_ae.PoseNetConfig, posenet_ae.sniff, posenet_ae.PoseNet, _always(POSENET)),
        *(
            Family(
                one.name, _configuration(one.sniff), one.sniff, one.build, _mmpose(one.spec_of), one.name in FIXED_SIZE
            )
            for one in table.FAMILIES
        ),
    )


FIXED_SIZE = ("mmpose_rtmpose", "mmpose_simcc", "mmpose_integral", "mmpose_vitpose")
"""MMPose's networks whose tensors say the input size."""


def family(name: str) -> Family | None:
    """The family called ``name``, or None."""
    return next((one for one in families() if one.name == name), None)
