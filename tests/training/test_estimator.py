"""The trainer learns drawn people, continues after being killed, and the measures are right."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from poseviewer.core.errors import FormatError, MissingPartError
from poseviewer.core.skeleton import skeleton
from poseviewer.nets.fastpose import FastPoseConfig
from poseviewer.nets.weights import load_estimator
from poseviewer.training import estimator, validate
from poseviewer.training.augment import AugmentConfig
from poseviewer.training.batches import Mixture, ahead
from poseviewer.training.datasets import Source, load_sources
from poseviewer.training.metrics import Metrics
from poseviewer.training.schedule import Stage, cosine_rate, growing, stage_at, step_rate
from tests.training.people import draw_people

SHAPE = skeleton()
TINY = FastPoseConfig(
    stem="strided",
    stem_width=8,
    block="basic",
    depths=(1, 1, 1, 1),
    planes=(16, 24, 32, 48),
    se_reduction=4,
    duc=(64, 64),
    laterals=True,
)


def tiny_config(folder: Path, seconds: float) -> estimator.TrainConfig:
    file = draw_people(folder / "coco", "train", 8)
    return estimator.TrainConfig(
        sources=(Source("drawn", file, folder / "coco" / "images"),),
        out=folder / "out",
        seconds=seconds,
        network=TINY,
        stages=(Stage(0.0, (64, 96), 2.0),),
        batch=8,
        rate=5e-3,
        warm_up=5,
        average=0.9,
        augment=AugmentConfig(0.1, 5.0, 0.02, 0.0, 0.0, 0.0, 0.5),
        report_every=seconds / 3,
        bfloat16=False,
    )


def test_learning_lowers_the_loss(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, 600.0)
    trainer = estimator.Trainer(config)
    mixture = Mixture(load_sources(config.sources, SHAPE), tmp_path / "cache", SHAPE, config.augment)
    losses = [float(trainer.learner.learn(mixture.batch(number, 8, (64, 96), 0.2))) for number in range(30)]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


def test_a_training_reports_and_writes_weights(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, 1.5)
    events = list(estimator.train(config))
    metrics = Metrics(config.out)
    for event in events:
        estimator.tell(metrics, event)
    steps = [event for event in events if isinstance(event, estimator.Step)]
    assert steps[-1].progress == 1.0
    assert steps[-1].crops == 8 * steps[-1].step
    assert isinstance(events[-1], estimator.Finished)
    loaded = load_estimator(events[-1].weights)
    assert loaded.module(torch.zeros(1, 3, 96, 64)).shape == (1, 17, 24, 16)
    assert len((config.out / "step.csv").read_text().splitlines()) == len(steps) + 1


def test_a_training_that_was_cut_off_continues(tmp_path: Path) -> None:
    config = msgspec.structs.replace(tiny_config(tmp_path, 600.0), report_every=0.2, save_every=0.2)
    events = estimator.train(config)
    while not (config.out / estimator.CHECKPOINT).exists():
        next(events)
    events.close()  # type: ignore[attr-defined]
    config = tiny_config(tmp_path, 600.0)
    trainer = estimator.Trainer(config)
    trainer.restore()
    learner = trainer.learner
    assert learner.step > 0
    assert learner.elapsed > 0
    assert learner.seen == learner.step * config.batch
    rest = msgspec.structs.replace(config, seconds=learner.elapsed + 0.5)
    events = list(estimator.train(rest))
    last = next(event for event in reversed(events) if isinstance(event, estimator.Step))
    assert last.step > learner.step


def test_the_best_of_a_training_that_goes_on_is_still_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = msgspec.structs.replace(tiny_config(tmp_path, 600.0), save_every=0.0, validate_every=0.0, report_every=9e9)
    found = iter([0.4, 0.2, 0.3, 0.6])

    def measured(self: estimator.Judge, trainer: estimator.Trainer) -> estimator.Measured:
        return estimator.Measured(trainer.learner.step, 0, 0.0, 0.0, next(found), 0.0)

    monkeypatch.setattr(estimator.Judge, "measure", measured)
    best = config.out / estimator.BEST
    kept: list[bytes] = []
    # Cut off after every second measure.
    for _ in range(2):
        events = estimator.train(config)
        for _ in range(2):
            next(events)
            kept.append(best.read_bytes())
            next_save = (config.out / estimator.CHECKPOINT).exists()
        events.close()  # type: ignore[attr-defined]
    assert next_save
    assert kept[0] == kept[1] == kept[2] != kept[3]


def test_a_table_of_a_training_that_goes_on_has_every_step_once(tmp_path: Path) -> None:
    first = Metrics(tmp_path)
    for step in (10, 20, 30, 40):
        first.add("loss", step, {"value": float(step)})
    (tmp_path / "loss.csv").open("a").write("2026-01-01T00:00:00,4")
    # The last checkpoint was that of step 25.
    again = Metrics(tmp_path, after=25)
    again.add("loss", 33, {"value": 1.5})
    again.add("loss", 43, {"value": float("nan")})
    rows = [line.split(",")[1:] for line in (tmp_path / "loss.csv").read_text().splitlines()]
    assert rows == [["step", "value"], ["10", "10"], ["20", "20"], ["33", "1.5"], ["43", ""]]
    # Where nobody says from which step it goes on, the first row does.
    Metrics(tmp_path).add("loss", 20, {"value": 2.0})
    rows = [line.split(",")[1:] for line in (tmp_path / "loss.csv").read_text().splitlines()]
    assert rows == [["step", "value"], ["10", "10"], ["20", "2"]]


def test_tensorboards_files_go_on_where_the_training_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    class Writer:
        def __init__(self, folder: str, purge_step: int | None) -> None:
            told.append((folder, purge_step))

        def add_scalar(self, *values: Any) -> None:
            told.append(values)

        def close(self) -> None:
            told.append("closed")

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=Writer))
    metrics = Metrics(tmp_path, tensorboard=True, after=4)
    metrics.add("loss", 5, {"part": 0.5, "value": 2.0, "nothing": math.nan})
    metrics.close()
    assert told == [(str(tmp_path), 5), ("loss/part", 0.5, 5), ("loss/value", 2.0, 5), "closed"]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingPartError, match="TensorBoard is not installed"):
        Metrics(tmp_path, tensorboard=True)


def test_a_batch_is_the_same_for_the_same_number(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, 1.0)
    sets = load_sources(config.sources, SHAPE)
    mixture = Mixture(sets, tmp_path / "cache", SHAPE, AugmentConfig(), seed=3)
    first, again = (mixture.batch(7, 4, (64, 96), 1.0) for _ in range(2))
    other = mixture.batch(8, 4, (64, 96), 1.0)
    assert torch.equal(first.crops, again.crops)
    assert torch.equal(first.joints, again.joints)
    assert not torch.equal(first.crops, other.crops)


def test_mirrored_people_get_the_labels_of_the_other_side(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, 1.0)
    sets = load_sources(config.sources, SHAPE)
    mixture = Mixture(sets, tmp_path / "cache", SHAPE, AugmentConfig(0, 0, 0, 0, 0, 0, flip=1.0), seed=0)
    batch = mixture.batch(0, 6, (64, 96), 0.0)
    left, right = SHAPE.joints.index("left shoulder"), SHAPE.joints.index("right shoulder")
    # The drawn people face us: their left is on our right, and mirrored people must be labelled the same way,
    # so the left shoulder lies on the dot that was the right one (blue).
    assert (batch.joints[:, left, 0] > batch.joints[:, right, 0]).all()
    for crop, joints in zip(batch.crops, batch.joints, strict=True):
        x, y = (round(float(v)) for v in joints[left])
        red, _, blue = (float(v) for v in crop[y - 1 : y + 2, x - 1 : x + 2].float().mean((0, 1)))
        assert blue > red


def test_nobody_to_train_on_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="nobody"):
        list(estimator.train(msgspec.structs.replace(tiny_config(tmp_path, 1.0), sources=())))


def test_errors_of_the_maker_reach_the_trainer() -> None:
    def make(number: int) -> int:
        if number == 2:
            raise OSError("the disk is gone")
        return number

    batches = ahead(make, 0)
    assert [next(batches), next(batches)] == [0, 1]
    with pytest.raises(OSError, match="gone"):
        next(batches)


def test_schedules() -> None:
    stages = (Stage(0.0, (64, 96), 1.0), Stage(0.5, (96, 128), 2.0))
    assert stage_at(stages, 0.49) is stages[0]
    assert stage_at(stages, 0.5) is stages[1]
    assert cosine_rate(1.0, 0.0, 0, 10) == pytest.approx(0.1)
    assert cosine_rate(1.0, 0.5, 100, 10) == pytest.approx(0.5)
    assert 0 < cosine_rate(1.0, 1.0, 100, 10) < 0.01
    assert step_rate(1.0, 0.0, 0, 10, (0.5, 0.9)) == pytest.approx(0.1)
    assert step_rate(1.0, 0.6, 100, 10, (0.5, 0.9)) == pytest.approx(0.1)
    assert step_rate(1.0, 0.95, 100, 10, (0.5, 0.9)) == pytest.approx(0.01)
    assert growing(0.0, 0.3) == pytest.approx(0.2)
    assert growing(0.9, 0.3) == 1.0


class Oracle(torch.nn.Module):
    """Answers with heatmaps whose peaks are where the joints of the crops are, in order of the batch."""

    def __init__(self, maps: torch.Tensor) -> None:
        super().__init__()
        self.maps = maps
        self.place = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        part = self.maps[self.place : self.place + len(x)]
        self.place += len(x)
        return part


def test_perfect_heatmaps_score_one(tmp_path: Path) -> None:
    from poseviewer.core.geometry import transform
    from poseviewer.ops.targets import gaussian_heatmaps

    file = draw_people(tmp_path / "coco", "val", 5)
    people = validate.validation_people(tmp_path, "coco", SHAPE)
    spec = estimator.estimator_spec(tiny_config(tmp_path, 1.0), Stage(0.0, (192, 256), 2.0))
    given = validate.cut_given_boxes(people, spec.input_wh)
    cells = np.array([transform(m, p.joints[:, :2]) / 4 for m, p in zip(given.matrices, people, strict=True)])
    maps, _ = gaussian_heatmaps(torch.from_numpy(cells), torch.ones(5, 17), spec.heatmap_wh)
    found, scores = validate.predict(Oracle(maps), spec, given, SHAPE, flip=False, batch=2)
    result = validate.pck(found, people, SHAPE)
    assert result.mean == 1.0
    assert result.persons == 5
    assert validate.oks_ap(file, found, scores, people)["AP"] == pytest.approx(1.0)
    worse = found.copy()
    worse[:, SHAPE.joints.index("left wrist")] += 100
    assert validate.pck(worse, people, SHAPE).joints["left wrist"] == 0
    assert validate.pck(worse, people, SHAPE).mean == pytest.approx(16 / 17)


def test_absent_validation_sets_are_not_a_number(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, 1.0)
    config = msgspec.structs.replace(config, validation=tmp_path / "nowhere")
    config.out.mkdir()
    measured = estimator.Judge(config, SHAPE).measure(estimator.Trainer(config))
    assert math.isnan(measured.lspet_pck)
    assert math.isnan(measured.coco_ap)


def test_the_command_refuses_a_clock_time_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert estimator.main(["--data", str(tmp_path), "--out", str(tmp_path), "--until", "noon"]) == 2
    assert "noon" in capsys.readouterr().err
