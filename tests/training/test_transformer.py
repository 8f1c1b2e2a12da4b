"""The transformer's geometry is exact, and training brings erring proposals back to the person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from poseviewer.core.errors import CallError
from poseviewer.core.geometry import transform
from poseviewer.core.skeleton import skeleton
from poseviewer.media.pictures import read_picture
from poseviewer.nets.fastpose import FastPose, initialise
from poseviewer.nets.stn import LocaliserConfig
from poseviewer.nets.weights import EstimatorHeader, load_estimator, read_own, save_estimator
from poseviewer.training import transformer, validate
from poseviewer.training.augment import NONE, box_window, cut, window_matrix
from poseviewer.training.datasets import Source, load_sources
from poseviewer.training.estimator import estimator_spec
from poseviewer.training.loop import Learner, LoopConfig, checkpoint_of
from poseviewer.training.schedule import Stage
from tests.training.people import draw_people
from tests.training.test_estimator import TINY, tiny_config

SHAPE = skeleton()
INPUT = (64, 96)


def drawn(folder: Path) -> tuple[Source, ...]:
    file = draw_people(folder / "coco", "train", 8)
    return (Source("drawn", file, folder / "coco" / "images"),)


def mixture(folder: Path) -> transformer.ProposalMixture:
    return transformer.ProposalMixture(load_sources(drawn(folder), SHAPE), folder / "cache", SHAPE, NONE, 0)


def test_the_wanted_theta_cuts_the_centred_crop(tmp_path: Path) -> None:
    batch = mixture(tmp_path).proposals(0, 6, INPUT)
    context = batch.context.permute(0, 3, 1, 2).float()
    crops = transformer.sample_through(context, batch.theta, INPUT)
    left = SHAPE.joints.index("left shoulder")
    for crop, joints in zip(crops, batch.joints, strict=True):
        x, y = (round(float(v)) for v in joints[left])
        red, _, blue = (float(v) for v in crop[:, y, x])
        # A drawn shoulder's dot is red or, where the person was mirrored, blue; the background is grey.
        assert abs(red - blue) > 80


def test_the_identity_cuts_the_proposal_itself(tmp_path: Path) -> None:
    batch = mixture(tmp_path).proposals(0, 3, INPUT)
    context = batch.context.permute(0, 3, 1, 2).float()
    found = transformer.sample_through(context, torch.eye(2, 3).expand(3, 2, 3), INPUT)
    torch.testing.assert_close(found, transformer.proposal_part(context, INPUT), atol=0.05, rtol=0)


def test_theta_agrees_with_the_matrices() -> None:
    given, wanted = np.array([10.0, 20.0, 40.0, 90.0]), np.array([14.0, 15.0, 50.0, 85.0])
    proposal, target = (window_matrix(box_window(box, INPUT), INPUT) for box in (given, wanted))
    theta = transformer.normalised_theta(proposal, target, INPUT)
    point = np.array([[30.0, 50.0]])
    unit = (transform(target, point) / (np.array(INPUT) - 1)) * 2 - 1
    source = (transform(theta, unit) + 1) / 2 * (np.array(INPUT) - 1)
    np.testing.assert_allclose(source, transform(proposal, point), atol=1e-9)


def test_cutting_with_theta_equals_cutting_from_the_picture(tmp_path: Path) -> None:
    people = load_sources(drawn(tmp_path), SHAPE)[0][1]
    picture, box = read_picture(people.images[0]), people.boxes[0]
    proposal = window_matrix(box_window(box + np.array([3, -2, 3, -2]), INPUT), INPUT)
    target = window_matrix(box_window(box, INPUT), INPUT)
    theta = torch.from_numpy(transformer.normalised_theta(proposal, target, INPUT))[None].float()
    first = torch.from_numpy(cut(picture, proposal, INPUT)).permute(2, 0, 1)[None].float()
    found = transformer.sample_through(first, theta, INPUT)[0].permute(1, 2, 0).numpy()
    wanted = cut(picture, target, INPUT).astype(float)
    inside = (slice(12, -12), slice(12, -12))
    # Sampled twice against once: the same place, a little softer.
    assert np.abs(found[inside] - wanted[inside]).mean() < 8


class CentringOracle(torch.nn.Module):
    """Answers with thetas made beforehand."""

    def __init__(self, theta: torch.Tensor) -> None:
        super().__init__()
        self.theta = theta

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.theta[: len(x)]


def test_the_right_theta_turns_erring_boxes_into_the_given_ones(tmp_path: Path) -> None:
    draw_people(tmp_path / "coco", "val", 5)
    people = validate.validation_people(tmp_path, "coco", SHAPE)
    spec = estimator_spec(tiny_config(tmp_path, 1.0), Stage(0.0, INPUT, 2.0))
    rng = np.random.default_rng(0)
    erring = validate.cut_given_boxes(people, INPUT, np.array([validate.erring_box(p.box, rng) for p in people]))
    exact = validate.cut_given_boxes(people, INPUT)
    assert np.abs(erring.matrices - exact.matrices).max() > 1
    pairs = zip(erring.matrices, exact.matrices, strict=True)
    theta = np.array([transformer.normalised_theta(a, b, INPUT) for a, b in pairs])
    found = validate.through_transformer(CentringOracle(torch.from_numpy(theta)), spec, erring)
    np.testing.assert_allclose(found.matrices, exact.matrices, atol=1e-6)
    assert np.abs(found.crops.astype(int) - exact.crops).mean() < 0.1


def config_for(folder: Path, **loop: Any) -> transformer.TransformerConfig:
    torch.manual_seed(0)
    net = FastPose(TINY)
    initialise(net)
    spec = estimator_spec(tiny_config(folder, 1.0), Stage(0.0, INPUT, 2.0))
    save_estimator(folder / "plain.safetensors", net, EstimatorHeader(spec, TINY))
    return transformer.TransformerConfig(
        folder / "plain.safetensors",
        drawn(folder),
        folder / "with.safetensors",
        folder / "cache",
        LoopConfig(rate=3e-3, warm_up=5, precision="bf16", **loop),
        batch=16,
        localiser=LocaliserConfig(stem_width=8, depths=(1, 1, 1), planes=(16, 24, 32), shrink=1),
    )


def test_training_lowers_the_loss_below_the_untouched_proposals(tmp_path: Path) -> None:
    config = config_for(tmp_path, steps=160)
    weights = config.weights
    trainer = transformer.TransformerTrainer(config)
    makes = mixture(tmp_path)
    for number in range(80):
        trainer.learner.learn(makes.proposals(number, 16, INPUT))
        if number == 59:
            trainer.report()
    report = trainer.report()
    assert report.theta < 0.8 * report.untouched
    assert report.heatmap > 0
    frozen = trainer.estimator.module.state_dict()
    trainer.write()
    loaded = load_estimator(config.out)
    again = transformer.TransformerTrainer(msgspec.structs.replace(config, weights=config.out))
    for key, value in trainer.learner.average.module.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(again.learner.net.state_dict()[key], value, atol=2e-3, rtol=2e-3)
    other = msgspec.structs.replace(config.localiser, shrink=2)
    begun = transformer.TransformerTrainer(msgspec.structs.replace(config, begin=config.out, localiser=other))
    torch.testing.assert_close(begun.learner.net.fc.weight, again.learner.net.fc.weight)
    with pytest.raises(CallError, match="no spatial transformer"):
        transformer.TransformerTrainer(msgspec.structs.replace(config, begin=weights))
    assert loaded.spec == msgspec.structs.replace(trainer.estimator.spec, stn=True)
    assert loaded.stn is not None
    for key, value in loaded.module.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, frozen[key])


def test_a_training_that_was_cut_off_repeats_the_uninterrupted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = msgspec.structs.replace(config_for(tmp_path, steps=8), batch=4, heatmap_every=2)
    straight = msgspec.structs.replace(config, out=tmp_path / "straight.safetensors")
    (last,) = transformer.train_transformer(straight)
    assert (last.step, last.progress) == (8, 1.0)
    assert last.heatmap > 0
    learn, taken = Learner.learn, 0

    def killed(self: Learner[Any], batch: Any) -> torch.Tensor:
        nonlocal taken
        taken += 1
        if taken > 5:
            raise KeyboardInterrupt
        return learn(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(transformer, "SAVE_SECONDS", 0.0)
        patch.setattr(Learner, "learn", killed)
        with pytest.raises(KeyboardInterrupt):
            list(transformer.train_transformer(config))
    assert checkpoint_of(config.out).exists()
    assert not config.out.exists()
    # The checkpoint is of these weights and no others.
    with pytest.raises(CallError, match="another training"):
        list(transformer.train_transformer(msgspec.structs.replace(config, weights=straight.out)))
    (last,) = transformer.train_transformer(config)
    assert last.step == 8
    assert not checkpoint_of(config.out).exists()
    one, other = (read_own(file)[1] for file in (straight.out, config.out))
    assert any(name.startswith("stn") for name in one)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_command_trains_and_refuses_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = config_for(tmp_path, steps=1)
    draw_people(tmp_path / "data" / "coco", "train", 4)
    words = ["--weights", config.weights, "--data", tmp_path / "data", "--out", config.out]
    words += ["--cache", config.cache, "--steps", 2, "--shrink", 1]
    assert transformer.main([str(word) for word in words]) == 0
    assert "TransformerStep(step=2" in capsys.readouterr().out
    assert load_estimator(config.out).stn is not None
    (tmp_path / "none").mkdir()
    assert transformer.main([str(word) for word in (*words, "--data", tmp_path / "none")]) == 1
    said = capsys.readouterr().err.strip()
    assert said
    assert "\n" not in said
