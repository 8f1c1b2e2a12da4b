"""Lower precision really runs, here by autocast on the processor, and stays as near to float32 as its digits allow.

A number of ``u`` relative rounding error meets L layers, each of which rounds its weights, its input and its result:
3 L independent errors of about u / sqrt(3) add up to sqrt(L) u, relative to the size of what is computed. The largest
of thousands of errors is some times the typical one, as the largest value is some times the typical value, so that
sqrt(L) u of the largest value is the bound.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dot_people import DotFrames, make_networks
from small_zoo import ZOO, Small
from tag_people import tag_networks
from torch import nn

from poseviewer.core.errors import DeviceError
from poseviewer.core.values import Frame
from poseviewer.nets.families import families
from poseviewer.nets.weights import LoadedEstimator
from poseviewer.pipeline.config import NmsConfig, PipelineConfig
from poseviewer.pipeline.devices import DTYPES
from poseviewer.pipeline.loading import load_networks
from poseviewer.pipeline.networks import Networks
from poseviewer.pipeline.workers import make_worker

torch.set_num_threads(1)
CPU = torch.device("cpu")
LOW = ("bf16", "fp16")


def rounding(precision: str) -> float:
    """Largest relative error of one rounding."""
    return torch.finfo(DTYPES[precision]).eps / 2


def bound(net: nn.Module, precision: str) -> float:
    """What the module's docstring derives, as a share of the largest value."""
    layers = sum(isinstance(one, nn.Conv2d | nn.ConvTranspose2d | nn.Linear) for one in net.modules())
    return float(np.sqrt(layers) * rounding(precision))


def parts(answer: Any) -> list[torch.Tensor]:
    return list(answer) if isinstance(answer, list | tuple) else [answer]


def difference(found: Any, wanted: Any) -> float:
    pairs = zip(parts(found), parts(wanted), strict=True)
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)


def in_networks(small: Small, net: nn.Module, precision: Any) -> Networks:
    """The network in a pipeline's hands; its specification plays no part here."""
    spec = tag_networks("higher").spec
    return Networks(LoadedEstimator(net, spec, "0" * 64), CPU, precision)


def test_the_zoo_has_every_family() -> None:
    assert {small.family for small in ZOO.values()} == {family.name for family in families()}


@pytest.mark.parametrize("precision", LOW)
@pytest.mark.parametrize("name", ZOO)
def test_every_family_runs_in_lower_precision(name: str, precision: Any) -> None:
    net = ZOO[name].build().to(memory_format=torch.channels_last)
    inputs = ZOO[name].input().contiguous(memory_format=torch.channels_last)
    used: set[torch.dtype] = set()
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.ConvTranspose2d):
            module.register_forward_hook(lambda module, given, result: used.add(result.dtype))
    with torch.inference_mode():
        wanted = in_networks(ZOO[name], net, "float32").answer(inputs)
        assert used == {torch.float32}
        used.clear()
        found = in_networks(ZOO[name], net, precision).answer(inputs)
    assert DTYPES[precision] in used
    assert all(part.dtype == torch.float32 for part in parts(found))
    assert 0 < difference(found, wanted) < bound(net, precision)


@pytest.mark.parametrize("name", ZOO)
def test_the_faster_layout_changes_the_last_bits_alone(name: str) -> None:
    small = ZOO[name]
    net, inputs = small.build(), small.input()
    with torch.inference_mode():
        plain = net(inputs)
        fast = net.to(memory_format=torch.channels_last)(inputs.contiguous(memory_format=torch.channels_last))
    # float32 has 24 binary digits; sums of thousands of terms in another order lose a few of them.
    assert difference(fast, plain) < 1e-5


FILES = {
    "fast_res50_64x64.pth": "FastPose",
    "pose_hrnet_w32_64x64.pth": "HRNet",
    "pose_resnet_50_64x64.pth.tar": "SimpleBaseline",
    "rtmpose-t.pth": "RTMPose",
    "td-hm_vitpose.pth": "ViTPose",
    "td-reg_64x64.pth": "regression",
    "pose_higher_hrnet_w32_512.pth": "HigherHRNet",
    "checkpoint.pth.tar": "PoseNet",
}
"""Files of published spelling, for both directions and every kind of answer."""


@pytest.mark.parametrize("precision", LOW)
@pytest.mark.parametrize("name", FILES)
def test_a_file_runs_through_its_pipeline(name: str, precision: Any, tmp_path: Path) -> None:
    small = ZOO[FILES[name]]
    torch.save(small.build().state_dict(), tmp_path / name)
    bottom_up = FILES[name] in ("HigherHRNet", "PoseNet")
    common = {"estimator": str(tmp_path / name), "device": "cpu", "backend": "torch", "nms": NmsConfig(enabled=False)}
    if bottom_up:
        common |= {"pipeline": "bottomup", "input_size": 64}
    pixels = np.random.default_rng(1).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    frame, boxes = Frame(0, 0.0, pixels), {0: np.array([[10.0, 5, 60, 90], [50, 20, 120, 80]])}
    answers = []
    for wanted in ("float32", precision):
        config = PipelineConfig(**common, precision=wanted)
        networks = load_networks(config)
        assert (networks.backend.name, networks.precision) == ("torch", wanted)
        given = None if bottom_up else boxes
        result = make_worker(networks, config).process([frame], boxes=given, keep_evidence=True)[0]
        assert result.evidence is not None
        assert np.isfinite(result.evidence.candidates.keypoints).all()
        answers.append(result.evidence)
    assert networks.describe()["precision"] == precision
    limit = bound(networks.estimator.module, precision)
    measured = networks.backend.difference
    assert measured is not None
    assert 0 < measured < limit
    if not bottom_up:
        # What the heatmaps say differs by rounding alone; where a flat random map is highest may differ by more.
        for plain, low in zip(answers[0].crops, answers[1].crops, strict=True):
            assert np.abs(plain.heatmaps - low.heatmaps).max() <= limit * max(1e-12, np.abs(plain.heatmaps).max())
        assert len(answers[0].crops) == 2


@pytest.mark.parametrize("precision", LOW)
def test_joints_of_people_stay_where_they_are(precision: Any, dots: DotFrames) -> None:
    config = PipelineConfig(nms=NmsConfig(enabled=False))
    frames = [dots.frame(index) for index in range(3)]
    places = {}
    for wanted in ("float32", precision):
        plain = make_networks()
        networks = Networks(plain.estimator, CPU, wanted, detector=plain.detector)
        results = make_worker(networks, config).process(frames, keep_evidence=True)
        places[wanted] = [pose for result in results for pose in result.poses]
        cell = max(float(np.abs(one.heatmap_to_frame[:, :2]).max()) for r in results for one in r.evidence.crops)
    assert len(places[precision]) == len(places["float32"]) > 0
    for plain_pose, low_pose in zip(places["float32"], places[precision], strict=True):
        # A peak one cell wide may round to its neighbour where both are nearly alike, and no farther.
        assert np.abs(plain_pose.keypoints - low_pose.keypoints).max() <= 1.5 * cell
        assert np.abs(plain_pose.scores - low_pose.scores).max() < 64 * rounding(precision)


@pytest.mark.parametrize("form", ["higher", "newell", "mmpose_ae"])
@pytest.mark.parametrize("precision", LOW)
def test_tags_tell_people_apart_in_lower_precision(form: str, precision: Any, dots: DotFrames) -> None:
    frame = dots.frame(0)
    found = {}
    for wanted in ("float32", precision):
        plain = tag_networks(form)
        networks = Networks(plain.estimator, CPU, wanted)
        result = make_worker(networks, PipelineConfig(pipeline="bottomup")).process([frame], keep_evidence=True)[0]
        found[wanted] = result.poses
        cell = 4 * float(result.evidence.crops[0].crop[0, 0])
    assert len(found["float32"]) == len(dots.joints[0])
    # Neighbours that bf16 makes equal are two peaks, and the second opens a person: the reason why "auto" groups in
    # float32. Whoever is there is found nevertheless.
    assert len(found[precision]) >= len(found["float32"])
    for pose in found["float32"]:
        apart = [np.abs(pose.keypoints - other.keypoints).max() for other in found[precision]]
        assert min(apart) <= 1.5 * cell


def test_values_beyond_fp16_are_refused_when_it_is_loaded(tmp_path: Path) -> None:
    net = ZOO["HRNet"].build()
    state = net.state_dict()
    state["final_layer.bias"] = torch.full_like(state["final_layer.bias"], 1e6)
    path = tmp_path / "pose_hrnet_w32_64x64.pth"
    torch.save(state, path)
    config = {"estimator": str(path), "device": "cpu", "backend": "torch"}
    with pytest.raises(DeviceError, match="cannot be computed in fp16") as caught:
        load_networks(PipelineConfig(**config, precision="fp16"))
    assert "bf16" in caught.value.remedy
    assert load_networks(PipelineConfig(**config, precision="bf16")).backend.difference is not None
