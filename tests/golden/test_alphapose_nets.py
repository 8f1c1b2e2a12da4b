"""Networks against the public code: state-dict keys and shapes, and outputs for reproducible weights."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from poseviewer.nets.fastpose import FastPose, published
from poseviewer.nets.hrnet import HRNet
from poseviewer.nets.simplepose import SimplePose

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "coco/resnet/256x192_res50_lr1e-3_1x": lambda: FastPose(published(50)),
    "halpe_136/resnet/256x192_res50_lr1e-3_2x-regression": lambda: FastPose(published(50, 136, 256)),
    "old_duc_se_33": lambda: FastPose(published(101, 33)),
    "x/fastpose_r152_17": lambda: FastPose(published(152)),
    "coco/resnet/256x192_res50_lr1e-3_1x-simple": SimplePose,
    "x/simplepose_r101": lambda: SimplePose(101),
    "coco/hrnet/256x192_w32_lr1e-3": HRNet,
}
FORWARD = (
    "coco/resnet/256x192_res50_lr1e-3_1x",
    "old_duc_se_33",
    "coco/resnet/256x192_res50_lr1e-3_1x-simple",
    "coco/hrnet/256x192_w32_lr1e-3",
)


def rule_weights(net: nn.Module) -> None:
    """Fill a network by the rule of the golden folder's README, so that no weights need storing."""
    state = net.state_dict()
    for key, value in state.items():
        g = np.random.default_rng(zlib.crc32(key.encode()))
        shape = tuple(value.shape)
        if key.endswith("num_batches_tracked"):
            continue
        if key.endswith("running_mean"):
            made = 0.1 * g.standard_normal(shape)
        elif key.endswith("running_var"):
            made = 0.5 + g.random(shape)
        elif value.ndim >= 2:
            scale = np.float32(np.sqrt(2 / np.prod(shape[1:])))
            made = g.standard_normal(shape, dtype=np.float32) * scale
        elif key.endswith("weight"):
            made = 0.6 + 0.1 * g.standard_normal(shape)
        else:
            made = 0.1 * g.standard_normal(shape)
        value.copy_(torch.from_numpy(np.asarray(made, dtype=np.float32)))


def rule_input(name: str, shape: list[int]) -> torch.Tensor:
    g = np.random.default_rng(zlib.crc32(f"input:{name}".encode()))
    return torch.from_numpy(g.standard_normal(shape).astype(np.float32) * np.float32(0.3))


@pytest.mark.parametrize("name", NETWORKS)
def test_keys_and_shapes_are_the_published_ones(golden: Path, name: str) -> None:
    with gzip.open(golden / "alphapose" / "state_dicts.json.gz") as stream:
        wanted = json.load(stream)[name]
    with torch.device("meta"):
        own = NETWORKS[name]().state_dict()
    assert {key: list(value.shape) for key, value in own.items()} == {k: shape_of(v) for k, v in wanted.items()}


def shape_of(text: str) -> list[int]:
    inside = text[text.index("[") + 1 : -1]
    return [int(part) for part in inside.split(",") if part.strip()]


@pytest.mark.parametrize("name", FORWARD)
def test_forward_equals_the_public_code(golden: Path, name: str) -> None:
    index = json.loads((golden / "alphapose" / "nets_index.json").read_text())[name]
    stored = np.load(golden / "alphapose" / "nets.npz")[f"{name}__out"]
    net = NETWORKS[name]().eval()
    rule_weights(net)
    with torch.no_grad():
        found = net(rule_input(name, index["input_shape"])).numpy()
    assert list(found.shape) == index["output_shape"]
    if index["stored"] != "full":
        assert index["stored"] == "[:, :, ::4, ::4]"
        assert abs(found.sum(dtype=np.float64) - index["sum"]) <= 1e-3 * index["abs_sum"]
        found = found[:, :, ::4, ::4]
    assert np.abs(found - stored).max() <= 1e-3 * np.abs(stored).max()
