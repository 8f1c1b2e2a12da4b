"""The loop every training shares: it goes on after kill -9 as if nothing had happened, and says what is wrong."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from poseviewer.core.errors import CallError, DeviceError, KnownError
from poseviewer.training.batches import Batch, ahead
from poseviewer.training.loop import Forward, Learner, LoopConfig, Save, StopFile, freeze_norms, run

ROOT = Path(__file__).resolve().parents[2]
STEPS = 24


def make_batch(number: int) -> Batch:
    """Eight noise crops whose one joint is where the brightest patch is."""
    draw = torch.Generator().manual_seed(number)
    places = torch.randint(1, 7, (8, 2), generator=draw)
    crops = torch.randint(0, 60, (8, 32, 32, 3), generator=draw, dtype=torch.uint8)
    for crop, (x, y) in zip(crops, places.tolist(), strict=True):
        crop[4 * y - 2 : 4 * y + 3, 4 * x - 2 : 4 * x + 3] = 250
    return Batch(crops, 4.0 * places[:, None].float(), torch.ones(8, 1))


def objective(forward: Forward, batch: Batch) -> Tensor:
    """Where the patch is, as two numbers."""
    found: Tensor = forward(batch.crops.permute(0, 3, 1, 2).float() / 255)
    return (found.float() - batch.joints[:, 0] / 32).square().mean()


def make_learner(**changes: Any) -> Learner[Batch]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 5, 4, 2), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 64, 2))
    fields: dict[str, Any] = {"steps": STEPS, "rate": 1e-2, "warm_up": 4, "precision": "float32", "average": 0.9}
    return Learner(net, objective, LoopConfig(**{**fields, **changes}))


class Row:
    """Hook: the loss of every step into a table, at once."""

    def __init__(self, file: Path, pause: float = 0.0) -> None:
        self.file, self.pause = file, pause

    def __call__(self, learner: Learner[Any]) -> Iterable[float]:
        loss = learner.take_loss()
        with self.file.open("a", newline="") as stream:
            csv.writer(stream).writerow([learner.step, repr(loss)])
        time.sleep(self.pause)
        yield loss


def train_here(folder: Path, pause: float = 0.0) -> Learner[Batch]:
    """Train to the end with a checkpoint after every step."""
    learner = make_learner()
    learner.restore(folder / "checkpoint.pt")
    list(
        run(
            learner,
            lambda start: ahead(make_batch, start),
            [Row(folder / "loss.csv", pause), Save(0.0, folder / "checkpoint.pt")],
        )
    )
    return learner


def rows(folder: Path) -> dict[int, float]:
    """The table; a step that was done twice must have had the same loss."""
    found: dict[int, float] = {}
    with (folder / "loss.csv").open() as stream:
        for step, loss in csv.reader(stream):
            assert found.get(int(step), float(loss)) == float(loss)
            found[int(step)] = float(loss)
    return found


def test_a_training_killed_at_any_moment_repeats_the_uninterrupted_curve(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    straight = train_here(whole)
    script = (
        "import sys; from pathlib import Path; import torch; torch.set_num_threads(1);"
        "from tests.training.test_loop import train_here; train_here(Path(sys.argv[1]), 0.15)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(cut)], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and child.poll() is None:
            if (cut / "loss.csv").exists() and len(rows(cut)) >= 5:
                break
            time.sleep(0.02)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    before = len(rows(cut))
    assert 5 <= before < STEPS
    again = train_here(cut)
    assert rows(cut) == rows(whole)
    for ours, theirs in zip(again.average.module.parameters(), straight.average.module.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_loss_falls(tmp_path: Path) -> None:
    learner = make_learner(steps=60)
    losses = list(run(learner, lambda start: ahead(make_batch, start), [Row(tmp_path / "loss.csv")]))
    assert sum(losses[-5:]) < 0.3 * sum(losses[:5])


def test_reader_processes_make_the_same_batches() -> None:
    stream = ahead(make_batch, 3, readers=1)
    first = next(stream)
    stream.close()
    assert torch.equal(first.crops, make_batch(3).crops)


def test_a_file_ends_the_training_and_goes_away(tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    learner = make_learner()
    stop.touch()
    list(run(learner, lambda start: ahead(make_batch, start), [StopFile(stop)]))
    assert learner.step == 1
    assert not stop.exists()


def test_frozen_norms_keep_their_statistics() -> None:
    learner = make_learner(frozen_norms=True)
    norm = learner.net[1]
    assert isinstance(norm, nn.BatchNorm2d)
    mean, scale = norm.running_mean.clone(), norm.weight.clone()  # type: ignore[union-attr]
    learner.learn(make_batch(0))
    assert torch.equal(norm.running_mean, mean)  # type: ignore[arg-type]
    assert not torch.equal(norm.weight, scale)
    freeze_norms(learner.net)
    assert not norm.training


def test_what_is_wrong_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="needs an end"):
        make_learner(steps=0)
    learner = make_learner()
    learner.objective = lambda forward, batch: objective(forward, batch) * float("nan")
    learner.learn(make_batch(0))
    with pytest.raises(KnownError, match="stopped being a number"):
        learner.take_loss()

    def exhausted(forward: Forward, batch: Batch) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    learner.objective = exhausted
    with pytest.raises(DeviceError, match="batch of 8"):
        learner.learn(make_batch(0))
    torch.save({"net": {}}, tmp_path / "other.pt")
    with pytest.raises(CallError, match="another training"):
        make_learner().restore(tmp_path / "other.pt")
