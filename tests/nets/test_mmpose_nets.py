"""MMPose's networks: what shapes say, what outputs mean, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import torch
from torch import nn

from poseviewer.nets.hrnet import TrunkConfig
from poseviewer.nets.mmpose.gau import GatedAttention, ScaleNorm
from poseviewer.nets.mmpose.heatmaps import ResnetHeatmapsConfig
from poseviewer.nets.mmpose.hourglass import HourglassConfig, HourglassPose
from poseviewer.nets.mmpose.hrnet import HrnetPose, HrnetPoseConfig
from poseviewer.nets.mmpose.integral import IntegralConfig, IntegralResnet
from poseviewer.nets.mmpose.mspn import Mspn, MspnConfig
from poseviewer.nets.mmpose.regression import RegressionConfig
from poseviewer.nets.mmpose.rtmpose import Rtmpose, RtmposeConfig, published
from poseviewer.nets.mmpose.simcc import SimccConfig
from poseviewer.nets.mmpose.table import FAMILIES, NAMED_ONLY, Family, named_only, recognise
from poseviewer.nets.mmpose.vit import Vitpose, VitposeConfig
from poseviewer.nets.se_resnet import ResidualConfig

DEEP = ResidualConfig(depths=(3, 4, 23, 3))
SMALL_RTMPOSE = RtmposeConfig(5, (8, 16, 16, 24, 32), (2, 1, 1, 1), 6, (128, 192), 32, 48, 16)
SMALL_VIT = VitposeConfig(5, 64, 2, 1, 96, 12, (16,))
CASES: list[tuple[str, Any]] = [
    ("mmpose_resnet", ResnetHeatmapsConfig(26, DEEP, (256, 128))),
    ("mmpose_hrnet", HrnetPoseConfig(133, TrunkConfig(width=48))),
    ("mmpose_hrnet", HrnetPoseConfig(17, TrunkConfig(width=32), tags=True)),
    ("mmpose_rtmpose", published("l", 133, (288, 384))),
    ("mmpose_rtmpose", SMALL_RTMPOSE),
    ("mmpose_simcc", SimccConfig(21, DEEP, cells=64 * 64, bins=(512, 512))),
    ("mmpose_integral", IntegralConfig(14, map_wh=(48, 64))),
    ("mmpose_regression", RegressionConfig(16, DEEP)),
    ("mmpose_vitpose", VitposeConfig(17, 768, 12, 12, 3072, 432, (256, 256))),
    ("mmpose_vitpose", VitposeConfig(17, 384, 12, 12, 1536, 192, (), 3)),
    ("mmpose_vitpose", SMALL_VIT),
    ("mmpose_hourglass", HourglassConfig(16, (16, 24, 32), (2, 1, 3))),
    ("mmpose_mspn", MspnConfig(17, (3, 4, 23, 3), 128)),
]


def shapes_of(name: str, config: Any) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        net = family(name).build(config)
    return {key: tuple(value.shape) for key, value in net.state_dict().items()}


def family(name: str) -> Family:
    return next(family for family in FAMILIES if family.name == name)


@pytest.mark.parametrize(("name", "config"), CASES)
def test_shapes_say_the_family_and_all_that_it_is_made_of(name: str, config: Any) -> None:
    shapes = shapes_of(name, config)
    assert [(one.name, found) for one in FAMILIES if (found := one.sniff(shapes)) is not None] == [(name, config)]
    without = {key: shape for key, shape in shapes.items() if not key.endswith("num_batches_tracked")}
    assert recognise(without) == (family(name), config)


@pytest.mark.parametrize(("name", "config"), CASES)
def test_an_impossible_or_cut_off_file_is_nobodys(name: str, config: Any) -> None:
    shapes = shapes_of(name, config)
    assert recognise({key: shape for key, shape in shapes.items() if not key.startswith("head.")}) is None
    assert recognise({key: shape for key, shape in shapes.items() if not key.startswith("backbone.")}) is None
    huge = {key: tuple(side * 100_000 for side in shape) for key, shape in shapes.items()}
    assert recognise(huge) is None
    assert recognise(dict.fromkeys(shapes, ())) is None
    assert recognise({}) is None


@pytest.mark.parametrize(("name", "config"), CASES)
def test_configurations_travel_as_json(name: str, config: Any) -> None:
    assert msgspec.json.decode(msgspec.json.encode(config), type=type(config)) == config


@pytest.mark.parametrize(
    ("name", "config", "input_wh", "heatmap_wh", "output"),
    [
        ("mmpose_resnet", ResnetHeatmapsConfig(), (192, 256), (48, 64), "heatmaps"),
        ("mmpose_hrnet", HrnetPoseConfig(tags=True), (512, 512), (128, 128), "tags"),
        ("mmpose_rtmpose", published("m", 17, (288, 384)), (288, 384), (576, 768), "simcc"),
        ("mmpose_simcc", SimccConfig(), (192, 256), (384, 512), "simcc"),
        ("mmpose_integral", IntegralConfig(), (256, 256), (256, 256), "regression"),
        ("mmpose_vitpose", VitposeConfig(tokens=192), (192, 256), (48, 64), "heatmaps"),
        ("mmpose_vitpose", VitposeConfig(tokens=432), (288, 384), (72, 96), "heatmaps"),
        ("mmpose_vitpose", VitposeConfig(tokens=256), (256, 256), (64, 64), "heatmaps"),
        ("mmpose_mspn", MspnConfig(), (192, 256), (48, 64), "heatmaps"),
    ],
)
def test_the_input_follows_from_the_configuration(
    name: str, config: Any, input_wh: tuple[int, int], heatmap_wh: tuple[int, int], output: str
) -> None:
    facts = family(name).spec_of(config)
    assert (facts.joints, facts.input_wh, facts.heatmap_wh, facts.output) == (17, input_wh, heatmap_wh, output)


@pytest.mark.parametrize(
    ("size", "config"),
    [
        ("t", RtmposeConfig()),
        (
            "m",
            RtmposeConfig(widths=(48, 96, 192, 384, 768), blocks=(2, 4, 4, 2), cells=48, bins=(384, 512)),
        ),
    ],
)
def test_published_sizes_of_rtmpose(size: str, config: RtmposeConfig) -> None:
    assert published(size) == config


@pytest.mark.parametrize(
    ("build", "input_hw", "shapes"),
    [
        (lambda: Rtmpose(SMALL_RTMPOSE), (96, 64), [(2, 5, 128), (2, 5, 192)]),
        (lambda: Vitpose(SMALL_VIT), (64, 48), [(2, 5, 8, 6)]),
        (lambda: Vitpose(msgspec.structs.replace(SMALL_VIT, deconvs=(), kernel=3)), (64, 48), [(2, 5, 16, 12)]),
        (lambda: HourglassPose(HourglassConfig(5, (16, 24, 32), (2, 1, 3))), (32, 48), [(2, 5, 8, 12)]),
        (lambda: Mspn(MspnConfig(5, (1, 1, 1, 1), 16)), (64, 32), [(2, 5, 64, 48)]),
        (lambda: HrnetPose(HrnetPoseConfig(5, TrunkConfig(width=4))), (32, 64), [(2, 5, 8, 16)]),
        (lambda: HrnetPose(HrnetPoseConfig(5, TrunkConfig(width=4), tags=True)), (32, 32), [(2, 10, 8, 8)]),
    ],
)
def test_outputs_have_their_shapes(
    build: Callable[[], nn.Module], input_hw: tuple[int, int], shapes: list[tuple[int, ...]]
) -> None:
    with torch.inference_mode():
        found = build().eval()(torch.randn(2, 3, *input_hw))
    outputs = (found,) if isinstance(found, torch.Tensor) else found
    assert [tuple(output.shape) for output in outputs] == shapes


def test_integral_regression_of_one_bright_cell_is_that_cell() -> None:
    with torch.device("meta"):
        net = IntegralResnet(IntegralConfig(2, map_wh=(8, 4)))
    head = type(net.head)(IntegralConfig(2, map_wh=(8, 4)))
    maps = torch.zeros(1, 2, 4, 8)
    maps[0, 0, 3, 2] = maps[0, 1, 0, 7] = 100.0
    head.simplebaseline_head = nn.Identity()  # type: ignore[assignment]
    joints, share = head(maps)
    torch.testing.assert_close(joints[0], torch.tensor([[2 / 8, 3 / 4], [7 / 8, 0.0]]))
    torch.testing.assert_close(share.sum(dim=(2, 3)), torch.ones(1, 2))


def test_scale_norm_leaves_the_size_out_and_gated_attention_keeps_its_input_where_it_is_shut() -> None:
    norm = ScaleNorm(6)
    x = torch.randn(3, 6)
    torch.testing.assert_close(norm(x), norm(7 * x))
    torch.testing.assert_close(norm(x).square().mean(dim=1), torch.ones(3))
    unit = GatedAttention(6, 8, 4)
    nn.init.zeros_(unit.o.weight)
    tokens = torch.randn(2, 5, 6)
    torch.testing.assert_close(unit(tokens), tokens)


@pytest.mark.parametrize("name", ["RTMO", "MSPN of several stages", "a hourglass network of several stacks"])
def test_what_is_known_but_not_built_is_named_and_not_taken_for_another(name: str) -> None:
    of_one = {
        "MSPN of several stages": ("mmpose_mspn", MspnConfig()),
        "a hourglass network of several stacks": ("mmpose_hourglass", HourglassConfig()),
    }
    shapes = shapes_of(*of_one[name]) if name in of_one else {}
    assert named_only(shapes) == ""
    more = {**shapes, NAMED_ONLY[name]: (1, 1, 1, 1)}
    assert named_only(more) == name
    assert recognise(more) is None
