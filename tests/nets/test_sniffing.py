"""Every family reads back what a network was built from, from names and shapes alone, and refuses the rest."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from poseviewer.nets import (
    fastpose,
    fastpose_duc,
    hardnet,
    higher_hrnet,
    hrnet,
    osnet,
    posenet_ae,
    reid_resnet,
    simplebaseline,
    simplepose,
)
from poseviewer.nets.hrnet import TrunkConfig
from poseviewer.nets.se_resnet import ResidualConfig
from tests.golden.netfill import FAMILIES

TINY = ResidualConfig(stem_width=8, depths=(1, 2, 1, 1), planes=(4, 8, 8, 16))
TRUNK = TrunkConfig(width=8, modules=(1, 2, 1), blocks=2)
SE = msgspec.structs.replace(TINY, se_reduction=1)
SMALL: list[tuple[str, Any]] = [
    ("fastpose", fastpose.FastPoseConfig(joints=5, stem_width=8, planes=TINY.planes, depths=TINY.depths, duc=(32, 16))),
    (
        "fastpose",
        fastpose.FastPoseConfig(
            joints=26,
            stem="strided",
            stem_width=8,
            block="basic",
            depths=(1, 1, 2, 1),
            planes=(8, 8, 16, 16),
            se_reduction=2,
            duc=(32, 16),
            laterals=True,
        ),
    ),
    (
        "fastpose",
        fastpose.FastPoseConfig(
            joints=21,
            stem_width=8,
            planes=TINY.planes,
            depths=TINY.depths,
            duc=(32, 16),
            deform=(0, 2, 1, 1),
            modulated=True,
        ),
    ),
    ("fastpose_duc", fastpose_duc.FastPoseDUCConfig(3, 0, SE, (2, 1, 1), (32, 16, 8))),
    (
        "fastpose_duc",
        fastpose_duc.FastPoseDUCConfig(3, 4, msgspec.structs.replace(SE, deform=(0, 1, 1, 1)), (1, 2, 1), (32, 16, 8)),
    ),
    (
        "fastpose_duc",
        fastpose_duc.FastPoseDUCConfig(
            3, 0, msgspec.structs.replace(SE, shuffle=True, deform=(0, 2, 1, 1)), (2, 1, 1), (32, 16, 8)
        ),
    ),
    ("simplepose", simplepose.SimplePoseConfig(7, msgspec.structs.replace(TINY, deform=(1, 2, 1, 0)), (8, 8, 16))),
    (
        "simplepose",
        simplepose.SimplePoseConfig(
            7, msgspec.structs.replace(TINY, deform=(1, 2, 0, 0), deform_strided=False, deform_groups=2), (8, 8, 16)
        ),
    ),
    (
        "simplepose",
        simplepose.SimplePoseConfig(
            7, msgspec.structs.replace(TINY, deform=(0, 2, 1, 0), modulated=True, deform_groups=2), (8, 8, 16)
        ),
    ),
    ("simplepose", simplepose.SimplePoseConfig(7, TINY, (8, 8, 16))),
    ("simplebaseline", simplepose.SimplePoseConfig(7, TINY, (8, 8, 16), 3)),
    (
        "simplebaseline",
        simplepose.SimplePoseConfig(
            7, ResidualConfig("pool", 8, "basic", (2, 2, 1, 1), (8, 8, 8, 16), plain_start=True), (8, 8, 16)
        ),
    ),
    ("hrnet", hrnet.HRNetConfig(14, TRUNK)),
    ("hrnet", hrnet.HRNetConfig(133, TRUNK, 3)),
    ("higher_hrnet", higher_hrnet.HigherHRNetConfig(5, 5, TRUNK, 4, 8, 2)),
    ("higher_hrnet", higher_hrnet.HigherHRNetConfig(5, 1, TRUNK, 3, 12, 1, concatenated=False)),
    ("higher_hrnet", higher_hrnet.HigherHRNetConfig(5, 5, TRUNK, 2, 12, 1)),
    ("posenet_ae", posenet_ae.PoseNetConfig(2, 8, 20, 8, bn=True)),
    ("posenet_ae", posenet_ae.PoseNetConfig(1, 8, 68, 16)),
    (
        "hardnet",
        hardnet.HarDNetConfig(
            joints=4,
            stem=(8, 16),
            down=(hardnet.Stage(4, 4, 24, pooled=True), hardnet.Stage(6, 4, 24, pooled=True), hardnet.Stage(6, 4)),
            bottom=hardnet.Stage(8, 4, 16),
            up=(hardnet.Stage(6, 4, 16), hardnet.Stage(4, 4, 12), hardnet.Stage(4, 4, 8)),
            kept=(4, 2, 0),
            skips=3,
            hidden=8,
        ),
    ),
    ("osnet", osnet.OSNetConfig(16, (8, 64, 96, 64), ((True, False), (False, True), (False, False)), False, 9)),
    ("reid_resnet", reid_resnet.ReIDResNetConfig(16, TINY, 3)),
]
NAMES = [f"{family}{number}" for number, (family, _) in enumerate(SMALL)]


@cache
def _shapes(family: str, config: Any) -> tuple[tuple[str, tuple[int, ...]], ...]:
    with torch.device("meta"):
        state = FAMILIES[family][1](config).state_dict()
    return tuple((key, tuple(value.shape)) for key, value in state.items())


def shapes_of(family: str, config: Any) -> dict[str, tuple[int, ...]]:
    return dict(_shapes(family, config))


@pytest.mark.parametrize(("family", "config"), SMALL, ids=NAMES)
def test_a_family_reads_its_own_networks_and_no_other(family: str, config: Any) -> None:
    shapes = shapes_of(family, config)
    found = {name: sniff(shapes) for name, (sniff, _) in FAMILIES.items()}
    assert {name for name, value in found.items() if value is not None} == {family}
    assert found[family] == config
    older = {key: shape for key, shape in shapes.items() if not key.endswith("num_batches_tracked")}
    assert FAMILIES[family][0](older) == config


@pytest.mark.parametrize(("family", "config"), SMALL, ids=NAMES)
def test_small_networks_run_in_two_sizes(family: str, config: Any) -> None:
    torch.manual_seed(0)
    net = FAMILIES[family][1](config).eval()
    with torch.inference_mode():
        for height, width in ((64, 64), (128, 64)):
            found = net(torch.rand(2, 3, height, width))
            sizes = {tuple(map_.shape[-2:]) for map_ in (found if isinstance(found, tuple) else (found,))}
            if family in ("osnet", "reid_resnet"):
                assert found.shape == (2, config.features)
            elif family == "higher_hrnet":
                assert sizes == {(height // 4, width // 4), (height // 2, width // 2)}
                assert (found[0].shape[1], found[1].shape[1]) == (config.joints + config.tags, config.joints)
            else:
                assert sizes == {(height // 4, width // 4)}


@pytest.mark.parametrize(("family", "config"), SMALL, ids=NAMES)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_damaged_lists_never_make_a_family_fail_or_build_the_impossible(
    family: str, config: Any, data: st.DataObject
) -> None:
    shapes: dict[str, tuple[int, ...]] = shapes_of(family, config)
    keys = sorted(shapes)
    for key in data.draw(st.lists(st.sampled_from(keys), max_size=4)):
        damage = data.draw(st.sampled_from(["lose", "scalar", "empty", "huge", "flat"]))
        if damage == "lose":
            shapes.pop(key, None)
        else:
            rest = shapes.get(key, (1,))
            shapes[key] = {"scalar": (), "empty": (0, *rest[1:]), "huge": (10**9, *rest[1:]), "flat": rest[:1]}[damage]
    for name, (sniff, _) in FAMILIES.items():
        found = sniff(shapes)
        if found is not None:
            assert name == family
            assert max(_numbers(msgspec.to_builtins(found))) <= 8192


def _numbers(value: Any) -> list[int]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [number for part in value for number in _numbers(part)]
    return [value] if isinstance(value, int) else [0]


def test_endless_lists_are_refused() -> None:
    shapes = shapes_of("fastpose", SMALL[0][1])
    block = {key.split("layer2.1.")[1]: shape for key, shape in shapes.items() if "layer2.1." in key}
    for number in range(2, 400):
        shapes |= {f"preact.layer2.{number}.{key}": shape for key, shape in block.items()}
    assert fastpose.sniff(shapes) is None


def test_published_sizes_are_the_documented_ones() -> None:
    """Parameter counts that the reference documents give."""
    wanted: list[tuple[Callable[[], nn.Module], int]] = [
        (lambda: fastpose.FastPose(fastpose.published(101, 33)), 59_588_321),
        (lambda: simplebaseline.SimpleBaseline(simplebaseline.published(50)), 33_999_697),
        (lambda: simplebaseline.SimpleBaseline(simplebaseline.published(101)), 52_991_825),
        (lambda: simplebaseline.SimpleBaseline(simplebaseline.published(152)), 68_635_473),
        (lambda: hrnet.HRNet(hrnet.HRNetConfig()), 28_536_113),
        (lambda: hrnet.HRNet(hrnet.HRNetConfig(trunk=TrunkConfig(width=48))), 63_595_745),
        (lambda: higher_hrnet.HigherHRNet(higher_hrnet.HigherHRNetConfig()), 28_645_331),
        (lambda: posenet_ae.PoseNet(posenet_ae.PoseNetConfig()), 138_893_840),
    ]
    with torch.device("meta"):
        assert [sum(p.numel() for p in make().parameters()) for make, _ in wanted] == [count for _, count in wanted]


def test_the_caffe_form_has_the_same_tensors_and_another_result() -> None:
    torch.manual_seed(1)
    config = simplepose.SimplePoseConfig(7, TINY, (8, 8, 16))
    caffe = msgspec.structs.replace(config, backbone=msgspec.structs.replace(TINY, stride_first=True))
    first, second = simplebaseline.SimpleBaseline(config).eval(), simplebaseline.SimpleBaseline(caffe).eval()
    second.load_state_dict(first.state_dict())
    x = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert first(x).shape == second(x).shape
        assert not torch.allclose(first(x), second(x))


def test_basic_blocks_neither_deform_nor_shuffle() -> None:
    for change in ({"deform": (0, 1, 0, 0)}, {"shuffle": True}):
        backbone = msgspec.structs.replace(TINY, block="basic", **change)
        with pytest.raises(ValueError, match="bottlenecks"):
            simplepose.SimplePose(simplepose.SimplePoseConfig(2, backbone))


def test_the_whole_network_learns_through_deformable_stages() -> None:
    """Offsets start at zero and get gradients of their own."""
    torch.manual_seed(0)
    net = fastpose.FastPose(SMALL[2][1])
    loss = net(torch.rand(2, 3, 64, 32)).square().mean()
    loss.backward()
    offsets = [p.grad for name, p in net.named_parameters() if "conv2_offset.weight" in name]
    assert len(offsets) == 4
    assert all(grad is not None and grad.abs().sum() > 0 for grad in offsets)
