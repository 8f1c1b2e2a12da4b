"""The symmetric transformer end to end: heatmaps come back to where they were, and the STN learns to centre."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from torch import Tensor, nn

from poseviewer.core.errors import WeightsError
from poseviewer.core.skeleton import skeleton
from poseviewer.nets.fastpose import FastPose, FastPoseConfig, initialise
from poseviewer.nets.stn import Localiser, LocaliserConfig
from poseviewer.nets.weights import (
    EstimatorHeader,
    EstimatorSpec,
    LoadedEstimator,
    load_estimator,
    read_own,
    save_estimator,
)
from poseviewer.ops.targets import gaussian_heatmaps
from poseviewer.training import sstn
from poseviewer.training.augment import NONE, AugmentConfig
from poseviewer.training.batches import Batch, Mixture
from poseviewer.training.datasets import gather, read_annotations
from poseviewer.training.loop import Learner, LoopConfig, checkpoint_of
from poseviewer.training.objectives import HeatmapObjective
from poseviewer.training.sstn import (
    SstnObjective,
    SymmetricNetwork,
    joints_in_proposal,
    main,
    symmetric_network,
    take_back,
)
from poseviewer.training.transformer import ProposalMixture, Proposals
from tests.training.people import draw_people

SHAPE = skeleton()
WH = (64, 96)
SPEC = EstimatorSpec(
    family="fastpose", skeleton="coco_17", joints=17, input_wh=WH, heatmap_wh=(16, 24),
    mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), decode="master",
)  # fmt: skip
TINY = FastPoseConfig(
    stem="strided", stem_width=8, block="basic", depths=(1, 1, 1, 1), planes=(16, 24, 32, 48), se_reduction=4,
    duc=(64, 64), laterals=True,
)  # fmt: skip
SMALL = LocaliserConfig(stem_width=8, depths=(1, 1), planes=(12, 16), squeeze=8, grid=(3, 2))


def test_the_inverse_transformer_puts_heatmaps_where_the_joints_are_in_the_proposal() -> None:
    torch.manual_seed(0)
    theta = torch.tensor([[0.8, 0.1, 0.15], [-0.05, 0.75, -0.1]]).expand(4, 2, 3)
    joints = torch.rand(4, 17, 2) * torch.tensor([30.0, 50.0]) + 16
    batch = Proposals(torch.zeros(4, 1, 1, 3), theta, joints, torch.ones(4, 17))
    centred, _ = gaussian_heatmaps(joints / 4, batch.weights, (16, 24), sigma=1.5)
    back = take_back(centred, theta, WH)
    where = joints_in_proposal(batch, WH) / 4
    top = back.flatten(2).argmax(2)
    found = torch.stack((top % 16, top // 16), dim=2).float()
    assert (found - where).abs().max() <= 0.75


class Constant(nn.Module):
    """A localisation network that answers the same to everything: what it learns can be read off."""

    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.eye(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.theta.expand(len(x), 2, 3)


OFF = (6, -8)
"""Crop pixels by which every proposal misses its person."""


def shifted(batch: Batch) -> Proposals:
    """Proposals that all miss their person by the same."""
    context = torch.zeros(len(batch), 144, 96, 3, dtype=torch.uint8)
    top, left = 24 + OFF[1], 16 + OFF[0]
    context[:, top : top + 96, left : left + 64] = batch.crops
    theta = torch.tensor([[1.0, 0.0, 2 * OFF[0] / (WH[0] - 1)], [0.0, 1.0, 2 * OFF[1] / (WH[1] - 1)]])
    return Proposals(context, theta.expand(len(batch), 2, 3), batch.joints, batch.weights)


def test_the_transformer_learns_to_centre_by_heatmaps_alone(tmp_path: Path) -> None:
    file = draw_people(tmp_path, "train", 12)
    people = gather("drawn", read_annotations(file, tmp_path / "images", SHAPE))
    mixture = Mixture([(1.0, people)], tmp_path / "pixels", SHAPE, AugmentConfig(0.1, 5.0, 0.05, 0.0, 0.0, 0.0, 0.0))
    torch.manual_seed(0)
    sppe: Any = FastPose(TINY)
    initialise(sppe)
    config = LoopConfig(steps=70, rate=5e-3, warm_up=5, precision="float32", average=0.9)
    alone: Learner[Batch] = Learner(sppe, HeatmapObjective(SPEC, torch.ones(17), 1.5), config)
    for number in range(70):
        alone.learn(mixture.batch(number, 8, WH, 1.0))
    sppe = alone.average.module
    frozen = copy.deepcopy(sppe).eval().requires_grad_(False)
    before = [p.clone() for p in frozen.parameters()]
    stn = Constant()
    net = SymmetricNetwork(stn, sppe, WH).requires_grad_(True)
    config = LoopConfig(steps=45, rate=1e-2, warm_up=1, decay=0.0, precision="float32", frozen_norms=True)
    learner: Learner[Any] = Learner(net, SstnObjective(SPEC, frozen, torch.ones(17), 1.5, centring=3.0), config)
    wanted = shifted(mixture.batch(0, 2, WH, 1.0)).theta[0]
    was = float((stn.theta.detach() - wanted)[:, 2].abs().sum())
    own = [p.detach().clone() for p in sppe.parameters()]
    for number in range(45):
        learner.learn(shifted(mixture.batch(number, 6, WH, 1.0)))
    assert float((stn.theta.detach() - wanted)[:, 2].abs().sum()) < 0.5 * was
    assert all(torch.equal(old, new) for old, new in zip(before, frozen.parameters(), strict=True))
    assert not all(torch.equal(old, new) for old, new in zip(own, sppe.parameters(), strict=True))


def test_transformer_and_estimator_learn_together_in_half_precision(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, stn = FastPose(TINY), Localiser(SMALL)
    initialise(net)
    file = draw_people(tmp_path / "data", "train", 4)
    people = gather("drawn", read_annotations(file, tmp_path / "data" / "images", skeleton()))
    mixture = ProposalMixture([(1.0, people)], tmp_path / "pixels", skeleton(), NONE, 0)
    losses = {}
    for precision in ("float32", "fp16"):
        both = SymmetricNetwork(copy.deepcopy(stn), copy.deepcopy(net), WH).requires_grad_(True)
        config = LoopConfig(steps=9, rate=1e-4, warm_up=1, precision=precision, frozen_norms=True)  # type: ignore[arg-type]
        frozen = copy.deepcopy(net).eval().requires_grad_(False)
        learner: Learner[Any] = Learner(both, SstnObjective(SPEC, frozen, torch.ones(17)), config)
        learner.objective = SstnObjective(SPEC, learner.in_precision(frozen), torch.ones(17))
        learner.scaler.load_state_dict(learner.scaler.state_dict() and {**learner.scaler.state_dict(), "scale": 64.0})
        before = [value.clone() for value in both.parameters()]
        losses[precision] = [float(learner.learn(mixture.proposals(number, 4, WH))) for number in range(2)]
        moved = [not torch.equal(old, new) for old, new in zip(before, both.parameters(), strict=True)]
        assert sum(moved) > 0.9 * len(moved)
    assert losses["fp16"] != losses["float32"]
    assert losses["fp16"] == pytest.approx(losses["float32"], rel=0.03)


def test_weights_without_a_transformer_are_told() -> None:
    with pytest.raises(WeightsError, match="no spatial transformer"):
        symmetric_network(LoadedEstimator(FastPose(TINY), SPEC, ""))
    loaded = LoadedEstimator(FastPose(TINY).requires_grad_(False), SPEC, "", Localiser(SMALL).requires_grad_(False))
    assert all(p.requires_grad for p in symmetric_network(loaded).parameters())
    assert not any(p.requires_grad for p in loaded.module.parameters())


def test_the_command_trains_and_writes_both_networks(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, stn = FastPose(TINY), Localiser(SMALL)
    initialise(net)
    spec = msgspec.structs.replace(SPEC, stn=True)
    header = EstimatorHeader(spec=spec, network=TINY, localiser=SMALL, licence="none")
    save_estimator(tmp_path / "old.safetensors", net, header, stn)
    file = draw_people(tmp_path / "data", "train", 4)
    words = ["--weights", tmp_path / "old.safetensors", "--data", file, "--out", tmp_path / "new.safetensors"]
    words += ["--cache", tmp_path / "cache", "--steps", 3, "--batch", 4]
    assert main([str(word) for word in words]) == 0
    old, new = (load_estimator(tmp_path / f"{name}.safetensors") for name in ("old", "new"))
    assert new.spec == old.spec
    assert new.stn is not None
    assert old.stn is not None
    for before, after in ((old.module, new.module), (old.stn, new.stn)):
        pairs = zip(before.parameters(), after.parameters(), strict=True)
        assert any(not torch.equal(first, then) for first, then in pairs)
    assert not (tmp_path / "new-checkpoint.pt").exists()
    assert main(["--weights", str(tmp_path / "none"), *map(str, words[2:])]) == 1


def test_a_training_that_was_cut_off_repeats_the_uninterrupted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    net, stn = FastPose(TINY), Localiser(SMALL)
    initialise(net)
    header = EstimatorHeader(spec=msgspec.structs.replace(SPEC, stn=True), network=TINY, localiser=SMALL)
    save_estimator(tmp_path / "old.safetensors", net, header, stn)
    file = draw_people(tmp_path / "data", "train", 4)
    loop = LoopConfig(steps=5, rate=1e-3, warm_up=1, precision="float32", frozen_norms=True)

    def train(name: str) -> None:
        sstn.train_sstn(tmp_path / "old.safetensors", file, tmp_path / f"{name}.safetensors", tmp_path / "c", loop, 4)

    train("straight")
    learn, taken = Learner.learn, 0

    def killed(self: Learner[Any], batch: Any) -> Tensor:
        nonlocal taken
        taken += 1
        if taken > 3:
            raise KeyboardInterrupt
        return learn(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(sstn, "SAVE_SECONDS", 0.0)
        patch.setattr(Learner, "learn", killed)
        with pytest.raises(KeyboardInterrupt):
            train("resumed")
    assert checkpoint_of(tmp_path / "resumed.safetensors").exists()
    train("resumed")
    assert "going on from step 3" in capsys.readouterr().out
    one, other = (read_own(tmp_path / f"{name}.safetensors")[1] for name in ("straight", "resumed"))
    assert all(torch.equal(one[name], other[name]) for name in one)
