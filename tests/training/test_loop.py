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
from torch.utils.data import DataLoader

from poseviewer.core.errors import CallError, DeviceError, KnownError, MediaError
from poseviewer.training.batches import Batch, _Numbered, ahead
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


def losses_in(precision: str, folder: Path) -> list[float]:
    learner = make_learner(steps=60, rate=3e-3, precision=precision)
    stream = run(learner, lambda start: ahead(make_batch, start), [Row(folder / f"{precision}.csv")])
    assert learner.precision == precision
    return list(stream)


def test_half_precision_falls_as_single_precision_does(tmp_path: Path) -> None:
    single, half, brain = (losses_in(name, tmp_path) for name in ("float32", "fp16", "bf16"))
    for other in (half, brain):
        assert other != single
        assert sum(other[-30:]) == pytest.approx(sum(single[-30:]), rel=0.1)
    assert sum(half[-5:]) < 0.15 * sum(half[:5])


def begin_scale(learner: Learner[Batch], scale: float) -> None:
    learner.scaler.load_state_dict({**learner.scaler.state_dict(), "scale": scale})


def test_the_network_answers_in_half_and_the_scale_is_taken_out_of_the_gradient() -> None:
    told: list[torch.dtype] = []

    def watched(forward: Forward, batch: Batch) -> Tensor:
        def answer(x: Tensor) -> Tensor:
            found: Tensor = forward(x)
            told.append(found.dtype)
            return found

        return objective(answer, batch)

    gradients = []
    for precision in ("float32", "fp16"):
        learner = make_learner(precision=precision, clip=1e9, warm_up=10**6)
        learner.objective = watched
        if precision == "fp16":
            begin_scale(learner, 1024.0)
        learner.learn(make_batch(0))
        # Clipping takes the scale out first, so what is left in the parameters is the gradient itself.
        gradients.append(torch.cat([p.grad.flatten() for p in learner.net.parameters() if p.grad is not None]))
        assert learner.scaler.is_enabled() == (precision == "fp16")
    assert told == [torch.float32, torch.float16]
    assert float((gradients[1] - gradients[0]).norm()) < 0.02 * float(gradients[0].norm())


@pytest.mark.parametrize("clip", [1.0, 0.0])
def test_a_step_that_overflows_is_left_out_and_halves_the_scale(clip: float) -> None:
    learner = make_learner(precision="fp16", clip=clip)
    begin_scale(learner, 1024.0)
    learner.learn(make_batch(0))
    before, moments = learner.net.state_dict(), learner.optimiser.state_dict()["state"]
    before = {name: value.clone() for name, value in before.items() if "running" not in name and "num_" not in name}
    steps = {key: float(state["step"]) for key, state in moments.items()}
    # Ten times too large for half precision once it is scaled, and a finite loss all the same.
    learner.objective = lambda forward, batch: 1e6 * objective(forward, batch)
    learner.learn(make_batch(1))
    assert learner.scaler.get_scale() == 512.0
    after = learner.net.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert {k: float(s["step"]) for k, s in learner.optimiser.state_dict()["state"].items()} == steps
    assert learner.take_loss() > 0
    # The batch is used up all the same, so that a resumed training draws the same ones.
    assert learner.step == 2
    learner.objective = objective
    learner.learn(make_batch(2))
    assert learner.scaler.get_scale() == 512.0
    assert not torch.equal(learner.net[0].weight, before["0.weight"])  # type: ignore[arg-type]


def test_the_scale_survives_a_resumption(tmp_path: Path) -> None:
    def batches(start: int) -> Any:
        return ahead(make_batch, start)

    def train(learner: Learner[Batch]) -> None:
        learner.scaler.set_growth_interval(5)
        list(run(learner, batches, []))

    straight = make_learner(precision="fp16")
    train(straight)
    first = make_learner(precision="fp16", steps=13, warm_up=4)
    first.config = make_learner(precision="fp16").config
    first.scaler.set_growth_interval(5)
    for number in range(13):
        first.learn(make_batch(number))
    first.save(tmp_path / "checkpoint.pt")
    again = make_learner(precision="fp16")
    assert again.restore(tmp_path / "checkpoint.pt")
    assert again.scaler.get_scale() == first.scaler.get_scale() != make_learner(precision="fp16").scaler.get_scale()
    assert again.scaler.state_dict()["_growth_tracker"] == first.scaler.state_dict()["_growth_tracker"]
    train(again)
    assert again.scaler.get_scale() == straight.scaler.get_scale()
    for ours, theirs in zip(again.average.module.parameters(), straight.average.module.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    # A training that goes on in another precision begins with a scale of its own, or without one.
    plain = make_learner()
    assert plain.restore(tmp_path / "checkpoint.pt")
    plain.save(tmp_path / "plain.pt")
    assert make_learner(precision="fp16").restore(tmp_path / "plain.pt")


def test_weights_that_are_no_numbers_do_not_replace_a_checkpoint(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pt"
    learner = make_learner()
    learner.learn(make_batch(0))
    learner.best = 0.5
    learner.save(file)
    learner.objective = lambda forward, batch: objective(forward, batch) * float("nan")
    learner.learn(make_batch(1))
    assert not learner.is_sound()
    learner.save(file)
    again = make_learner()
    assert again.restore(file)
    assert (again.step, again.best) == (1, 0.5)
    assert again.is_sound()


def test_a_checkpoint_of_something_else_is_refused_and_an_older_one_is_not(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.pt"
    learner = make_learner()
    learner.mark = "this"
    learner.learn(make_batch(0))
    learner.save(file)
    other = make_learner()
    other.mark = "that"
    with pytest.raises(CallError, match="another training"):
        other.restore(file)
    # Before there were marks.
    torch.save({name: value for name, value in learner.state().items() if name not in ("mark", "best")}, file)
    assert other.restore(file)
    assert (other.step, other.best) == (1, -1.0)


def batch_or_error(number: int) -> Batch:
    """A batch, until a picture cannot be read."""
    if number > 3:
        raise MediaError("The picture a.png is damaged.", remedy="Remove it.")
    return make_batch(number)


def exhausted_maker(number: int) -> Batch:
    raise MemoryError


def test_reader_processes_make_the_same_batches_and_say_what_a_thread_says() -> None:
    for readers in (0, 1):
        stream = ahead(batch_or_error, 3, readers=readers)
        assert torch.equal(next(stream).crops, make_batch(3).crops)
        with pytest.raises(MediaError) as caught:
            next(stream)
        stream.close()
        assert str(caught.value) == "The picture a.png is damaged. Remove it."


def test_too_little_memory_for_batches_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError, match="memory does not suffice for the batches"):
        next(ahead(exhausted_maker, 0))
    assert isinstance(_Numbered(exhausted_maker)[0], DeviceError)

    def killed(self: Any) -> Any:
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")

    monkeypatch.setattr(DataLoader, "__iter__", killed)
    with pytest.raises(DeviceError, match="memory does not suffice for 2 readers"):
        next(ahead(make_batch, 0, readers=2))


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
