"""Estimator weight files: what is saved is loaded, what is hostile or wrong is refused with a sentence."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from poseviewer.core.errors import WeightsError
from poseviewer.nets import simplepose
from poseviewer.nets.checkpoint import recognise
from poseviewer.nets.fastpose import FastPose, FastPoseConfig, initialise, published
from poseviewer.nets.hrnet import HRNet, HRNetConfig
from poseviewer.nets.simplepose import SimplePose
from poseviewer.nets.stn import Localiser, LocaliserConfig
from poseviewer.nets.weights import (
    METADATA_KEY,
    EstimatorHeader,
    EstimatorSpec,
    load_estimator,
    save_estimator,
)

TINY = FastPoseConfig(
    stem="strided",
    stem_width=8,
    block="basic",
    depths=(1, 1, 1, 1),
    planes=(8, 16, 16, 32),
    se_reduction=4,
    duc=(32, 32),
    laterals=True,
)
SPEC = EstimatorSpec(
    family="fastpose",
    skeleton="coco_17",
    joints=17,
    input_wh=(64, 96),
    heatmap_wh=(16, 24),
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    decode="master",
)


@pytest.fixture
def net() -> FastPose:
    torch.manual_seed(0)
    net = FastPose(TINY)
    initialise(net)
    torch.nn.init.normal_(net.conv_out.weight)
    return net.eval()


def test_a_saved_estimator_computes_the_same(net: FastPose, tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    save_estimator(path, net, EstimatorHeader(SPEC, TINY), half=False)
    loaded = load_estimator(path)
    x = torch.randn(2, 3, 96, 64)
    assert loaded.spec == SPEC
    assert len(loaded.sha256) == 64
    assert loaded.stn is None
    torch.testing.assert_close(loaded.module(x), net(x))
    assert loaded.module(x).shape == (2, 17, 24, 16)


def test_half_precision_stays_close(net: FastPose, tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    save_estimator(path, net, EstimatorHeader(SPEC, TINY))
    x = torch.randn(1, 3, 96, 64)
    wanted = net(x)
    assert (load_estimator(path).module(x) - wanted).abs().max() < 0.01 * wanted.abs().max()


def test_the_transformer_travels_along(net: FastPose, tmp_path: Path) -> None:
    config = LocaliserConfig(stem_width=8, depths=(1, 1), planes=(8, 8))
    localiser = Localiser(config)
    path = tmp_path / "small.safetensors"
    header = EstimatorHeader(msgspec.structs.replace(SPEC, stn=True), TINY, localiser=config)
    save_estimator(path, net, header, localiser)
    loaded = load_estimator(path)
    assert loaded.stn is not None
    theta = loaded.stn(torch.randn(3, 3, 96, 64))
    torch.testing.assert_close(theta, torch.eye(2, 3).expand(3, 2, 3))


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    plain, zipped = tmp_path / "evil.pth", tmp_path / "evil2.pth"
    plain.write_bytes(pickle.dumps(Trap()))
    torch.save({"conv_out.weight": Trap()}, zipped)
    for path in (plain, zipped):
        with pytest.raises(WeightsError, match=path.name):
            load_estimator(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"not weights at all", b"\xff" * 64])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_rubbish_is_refused(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"rubbish{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=path.name):
        load_estimator(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="absent"):
        load_estimator(tmp_path / "absent.safetensors")


def test_tensors_of_another_network_are_refused(net: FastPose, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    other = msgspec.structs.replace(TINY, planes=(8, 16, 16, 64))
    save_estimator(path, net, EstimatorHeader(SPEC, other))
    with pytest.raises(WeightsError, match="does not fit"):
        load_estimator(path)


@pytest.mark.parametrize(
    "change",
    [{"decode": "guess"}, {"joints": 16}, {"input_wh": (65, 96)}, {"family": "other"}],
)
def test_a_header_that_makes_no_sense_is_refused(net: FastPose, tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "odd.safetensors"
    save_estimator(path, net, EstimatorHeader(msgspec.structs.replace(SPEC, **change), TINY))
    with pytest.raises(WeightsError, match=r"odd\.safetensors"):
        load_estimator(path)


def test_a_header_for_a_gigantic_network_is_refused(net: FastPose, tmp_path: Path) -> None:
    path = tmp_path / "huge.safetensors"
    save_estimator(path, net, EstimatorHeader(SPEC, msgspec.structs.replace(TINY, stem_width=10**9)))
    with pytest.raises(WeightsError, match="impossible size"):
        load_estimator(path)


def test_safetensors_without_or_with_a_broken_header(tmp_path: Path) -> None:
    path = tmp_path / "plain.safetensors"
    for metadata in (None, {METADATA_KEY: "{"}, {METADATA_KEY: "[]"}):
        save_file({"a": torch.zeros(1)}, path, metadata=metadata)
        with pytest.raises(WeightsError, match=r"plain\.safetensors"):
            load_estimator(path)


@pytest.mark.parametrize(
    ("family", "build"),
    [
        ("fastpose", lambda: FastPose(published(50, 26))),
        ("fastpose", lambda: FastPose(published(101, 33))),
        ("fastpose", lambda: FastPose(published(152, 136, 256))),
        ("simplepose", lambda: SimplePose(simplepose.published(101))),
        ("hrnet", lambda: HRNet(HRNetConfig())),
    ],
)
def test_published_networks_are_recognised_by_their_shapes(family: str, build: Callable[[], nn.Module]) -> None:
    with torch.device("meta"):
        state = build().state_dict()
        known = recognise(state)
        assert known is not None
        assert known.family.name == family
        again = known.family.build(known.config).state_dict()
    assert {k: v.shape for k, v in again.items()} == {k: v.shape for k, v in state.items()}


def test_other_tensors_are_no_published_network() -> None:
    assert recognise({"conv_out.weight": torch.zeros(17, 128, 3, 3)}) is None
    assert recognise({}) is None


def test_a_published_file_loads(tmp_path: Path) -> None:
    net = FastPose(published(50, 26))
    path = tmp_path / "halpe26_fast_res50_256x192.pth"
    state = {key: value for key, value in net.state_dict().items() if not key.endswith("num_batches_tracked")}
    torch.save(state, path)
    loaded = load_estimator(path)
    assert loaded.spec.joints == 26
    assert loaded.spec.input_wh == (192, 256)
    torch.testing.assert_close(loaded.module.state_dict()["conv_out.weight"], net.conv_out.weight.detach())


def test_the_2018_model_gives_its_coco_joints(tmp_path: Path) -> None:
    net = FastPose(published(101, 33)).eval()
    path = tmp_path / "duc_se.pth"
    torch.save(net.state_dict(), path)
    loaded = load_estimator(path)
    x = torch.randn(1, 3, 64, 64)
    assert (loaded.spec.joints, loaded.spec.skeleton, loaded.spec.decode) == (17, "coco_17", "old")
    with torch.no_grad():
        torch.testing.assert_close(loaded.module(x), net(x)[:, :17], atol=1e-4, rtol=1e-3)
