"""Train a FastPose estimator on person crops.

    python -m poseviewer.training.estimator --data FOLDER --out FOLDER (--minutes 120 | --until 13:20)

`train` is a generator of events; the command prints them. A run that was killed continues from its last
checkpoint when it is started again with the same `--out`.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import msgspec
import torch
from torch import Tensor

from poseviewer.core.errors import FormatError, KnownError
from poseviewer.core.files import atomic_write
from poseviewer.core.skeleton import Skeleton, skeleton
from poseviewer.nets.fastpose import FastPose, FastPoseConfig, initialise
from poseviewer.nets.weights import EstimatorHeader, EstimatorSpec, save_estimator
from poseviewer.ops.targets import foreground_mse, gaussian_heatmaps
from poseviewer.training.augment import AugmentConfig
from poseviewer.training.batches import Batch, Mixture, ahead
from poseviewer.training.datasets import PersonSet, shared_people
from poseviewer.training.ema import Average
from poseviewer.training.validate import (
    GivenBoxes,
    cut_given_boxes,
    normalise,
    oks_ap,
    pck,
    predict,
    validation_people,
)

STRIDE = 4
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
COMPACT = FastPoseConfig(
    stem="strided",
    stem_width=32,
    block="basic",
    depths=(2, 2, 3, 2),
    planes=(48, 96, 192, 320),
    se_reduction=4,
    duc=(384, 256),
    laterals=True,
)
HARD_JOINTS = {"elbow": 1.2, "knee": 1.2, "wrist": 1.5, "ankle": 1.5}


class Stage(msgspec.Struct, frozen=True):
    """From which part of the training (0..1) on which input size and target width (in cells) are used."""

    start: float
    input_wh: tuple[int, int]
    sigma: float


class TrainConfig(msgspec.Struct, frozen=True):
    """Everything that decides a training.

    Attributes:
        data: folder with the training sets (see `datasets.shared_people`).
        out: folder for checkpoint, metrics and weights.
        seconds: wall-clock budget, counted over all starts; the schedule follows it.
        network: what is trained.
        skeleton: joint set.
        stages: input sizes in turn.
        batch: crops a step at the first stage.
        rate: highest learning rate; decay: weight decay; warm_up: steps.
        average: EMA decay.
        gentle: part of the training over which augmentation grows to full.
        save_every, validate_every: seconds.
        bfloat16: autocast; measure it against float32 on the machine at hand.
        seed: of weights and draws.
    """

    data: Path
    out: Path
    seconds: float
    network: FastPoseConfig = COMPACT
    skeleton: str = "coco_17"
    stages: tuple[Stage, ...] = (Stage(0.0, (128, 192), 1.75), Stage(0.78, (192, 256), 2.0))
    batch: int = 64
    rate: float = 2e-3
    decay: float = 0.02
    warm_up: int = 300
    average: float = 0.999
    gentle: float = 0.33
    augment: AugmentConfig = AugmentConfig()
    save_every: float = 180.0
    validate_every: float = 600.0
    bfloat16: bool = True
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """The mean loss since the last report; `progress` 0..1 of the budget, `rate` crops a second."""

    step: int
    crops: int
    progress: float
    loss: float
    rate: float


@dataclass(frozen=True, slots=True)
class Measured:
    """Validation figures of the averaged weights."""

    step: int
    crops: int
    progress: float
    lspet_pck: float
    coco_ap: float
    coco_ap50: float


@dataclass(frozen=True, slots=True)
class Finished:
    """The training is over; `weights` is the file of the averaged weights."""

    weights: Path


TrainEvent = Step | Measured | Finished


class Trainer:
    """State of one training: network, average, optimiser, counters; saved and restored as one checkpoint."""

    def __init__(self, config: TrainConfig) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.net = FastPose(config.network)
        initialise(self.net)
        self.net = self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = Average(self.net, config.average)
        self.optimiser = torch.optim.AdamW(_groups(self.net, config.decay), lr=config.rate, fused=True)
        self.shape = skeleton(config.skeleton)
        self.joint_weights = torch.tensor(_joint_weights(self.shape))
        self.step = 0
        self.crops = 0
        self.elapsed = 0.0

    @property
    def progress(self) -> float:
        """Part of the budget that is used, 0..1."""
        return min(self.elapsed / self.config.seconds, 1.0)

    @property
    def stage(self) -> Stage:
        """The stage that the progress has reached."""
        return [stage for stage in self.config.stages if stage.start <= self.progress][-1]

    @property
    def strength(self) -> float:
        """Of the augmentation, 0..1."""
        return min(1.0, 0.2 + 0.8 * self.progress / self.config.gentle)

    def rate(self) -> float:
        """Learning rate: linear warm-up by steps, cosine by the part of the budget used."""
        warm = min(1.0, (self.step + 1) / self.config.warm_up)
        cosine = 0.5 * (1 + math.cos(math.pi * self.progress))
        return self.config.rate * warm * max(cosine, 0.002)

    def learn(self, batch: Batch) -> float:
        """One optimiser step on a batch; returns the loss."""
        spec = estimator_spec(self.config, self.stage)
        x = normalise(batch.crops, spec)
        targets, weights = gaussian_heatmaps(
            batch.joints / STRIDE, batch.weights * self.joint_weights, _heatmap_wh(x), sigma=self.stage.sigma
        )
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.config.bfloat16):
            heatmaps = self.net(x)
        loss = foreground_mse(heatmaps, targets, weights)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimiser.step()
        self.average.update(self.net)
        self.step += 1
        self.crops += len(x)
        return float(loss.detach())

    def save(self) -> None:
        """Write the checkpoint; a crash leaves the last one whole."""
        with atomic_write(self.config.out / "checkpoint.pt") as stream:
            torch.save(
                {
                    "net": self.net.state_dict(),
                    "average": self.average.module.state_dict(),
                    "updates": self.average.updates,
                    "optimiser": self.optimiser.state_dict(),
                    "step": self.step,
                    "crops": self.crops,
                    "elapsed": self.elapsed,
                },
                stream,
            )

    def restore(self) -> None:
        """Continue from the checkpoint, if there is one."""
        path = self.config.out / "checkpoint.pt"
        if not path.exists():
            return
        saved = torch.load(path, map_location="cpu", weights_only=True)
        self.net.load_state_dict(saved["net"])
        self.average.module.load_state_dict(saved["average"])
        self.average.updates = saved["updates"]
        self.optimiser.load_state_dict(saved["optimiser"])
        self.step, self.crops, self.elapsed = saved["step"], saved["crops"], saved["elapsed"]

    def export(self, path: Path) -> None:
        """Write the averaged weights as an estimator file at the present stage's input size."""
        spec = estimator_spec(self.config, self.stage)
        note = f"{self.crops} crops, {self.progress:.0%} of the planned training"
        header = EstimatorHeader(spec=spec, network=self.config.network, note=note)
        net = self.average.module
        if isinstance(net, FastPose):
            save_estimator(path, net, header)


def train(config: TrainConfig) -> Iterator[TrainEvent]:
    """Train until the budget is used; continues a run that was cut off.

    Raises:
        FormatError: no usable data.
        MediaError: a picture is missing.
    """
    config.out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(config)
    trainer.restore()
    sets = list(shared_people(config.data, trainer.shape))
    mixture = Mixture(sets, config.out / "pixels", trainer.shape, config.augment, config.seed)
    judge = Judge(config, trainer.shape)
    last_save = last_judged = trainer.elapsed
    while trainer.progress < 1.0:
        yield from _run_stage(trainer, mixture)
        if trainer.elapsed - last_judged >= config.validate_every or trainer.progress >= 1.0:
            last_judged = trainer.elapsed
            yield judge.measure(trainer)
            trainer.export(config.out / "estimator.safetensors")
        if trainer.elapsed - last_save >= config.save_every or trainer.progress >= 1.0:
            last_save = trainer.elapsed
            trainer.save()
    trainer.export(config.out / "estimator.safetensors")
    yield Finished(config.out / "estimator.safetensors")


def _run_stage(trainer: Trainer, mixture: Mixture, seconds: float = 60.0) -> Iterator[Step]:
    """Train for about a minute at one input size, then report; time is counted as it passes."""
    config, stage, strength = trainer.config, trainer.stage, trainer.strength
    batches = ahead(lambda n: mixture.batch(n, config.batch, stage.input_wh, strength), trainer.step)
    began, crops, losses = time.monotonic(), trainer.crops, 0.0
    before, steps = trainer.elapsed, 0
    for batch in batches:
        losses += trainer.learn(batch)
        steps += 1
        trainer.elapsed = before + time.monotonic() - began
        if trainer.elapsed - before >= seconds or trainer.progress >= 1.0:
            break
    batches.close()  # type: ignore[attr-defined]
    pace = (trainer.crops - crops) / max(trainer.elapsed - before, 1e-9)
    yield Step(trainer.step, trainer.crops, trainer.progress, losses / max(steps, 1), pace)


class Judge:
    """Measures the averaged weights on the validation sets, single pass, at the stage's input size."""

    def __init__(self, config: TrainConfig, shape: Skeleton) -> None:
        self.config = config
        self.shape = shape
        self._given: dict[tuple[str, tuple[int, int]], GivenBoxes] = {}

    def measure(self, trainer: Trainer) -> Measured:
        """PCK on lspet/val and OKS AP on coco/val."""
        spec = estimator_spec(self.config, trainer.stage)
        net = trainer.average.module
        sports, everyday = self._boxes("lspet", spec), self._boxes("coco", spec)
        found, _ = predict(net, spec, sports, self.shape, flip=False, bfloat16=self.config.bfloat16)
        result = pck(found, sports.people, self.shape)
        found, scores = predict(net, spec, everyday, self.shape, flip=False, bfloat16=self.config.bfloat16)
        figures = oks_ap(self.config.data / "coco" / "val.json", found, scores, everyday.people)
        return Measured(
            trainer.step, trainer.crops, trainer.progress, result.mean, figures["AP"], figures["AP50"]
        )

    def _boxes(self, name: str, spec: EstimatorSpec) -> GivenBoxes:
        key = (name, spec.input_wh)
        if key not in self._given:
            people = validation_people(self.config.data, name, self.shape)
            self._given[key] = cut_given_boxes(people, spec.input_wh)
        return self._given[key]


def estimator_spec(config: TrainConfig, stage: Stage) -> EstimatorSpec:
    """What the trained file says about itself."""
    width, height = stage.input_wh
    return EstimatorSpec(
        family="fastpose",
        skeleton=config.skeleton,
        joints=config.network.joints,
        input_wh=stage.input_wh,
        heatmap_wh=(width // STRIDE, height // STRIDE),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        decode="master",
    )


def _heatmap_wh(x: Tensor) -> tuple[int, int]:
    return x.shape[3] // STRIDE, x.shape[2] // STRIDE


def _joint_weights(shape: Skeleton) -> list[float]:
    """Elbows, knees, wrists and ankles count more: they are the hard ones (as in HRNet's training)."""
    return [next((w for part, w in HARD_JOINTS.items() if part in name), 1.0) for name in shape.joints]


def _groups(net: FastPose, decay: float) -> list[dict[str, object]]:
    """Weight decay for matrices and kernels only, not for BN and biases."""
    kernels = [p for p in net.parameters() if p.ndim > 1]
    others = [p for p in net.parameters() if p.ndim <= 1]
    return [{"params": kernels, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def describe(sets: Sequence[tuple[float, PersonSet]]) -> str:
    """One line on the training data."""
    return ", ".join(f"{people.name} {len(people)} ({share:.0%})" for share, people in sets)


def _append(path: Path, event: TrainEvent) -> None:
    """Add an event to the metrics table of its kind."""
    if isinstance(event, Finished):
        return
    names = type(event).__dataclass_fields__.keys()
    fresh = not path.exists()
    with path.open("a", newline="") as stream:
        writer = csv.writer(stream)
        if fresh:
            writer.writerow(["time", *names])
        now = datetime.datetime.now().isoformat(timespec="seconds")
        writer.writerow([now, *(getattr(event, name) for name in names)])


def _budget(options: argparse.Namespace) -> float:
    """Seconds from --minutes, or what is left until a clock time plus what earlier starts used."""
    if options.minutes is not None:
        return float(options.minutes) * 60
    hour, minute = (int(part) for part in options.until.split(":"))
    now = datetime.datetime.now()
    left = (now.replace(hour=hour, minute=minute, second=0) - now).total_seconds()
    checkpoint = options.out / "checkpoint.pt"
    used = 0.0
    if checkpoint.exists():
        used = float(torch.load(checkpoint, map_location="cpu", weights_only=True)["elapsed"])
    if left <= 0:
        raise FormatError(f"{options.until} has passed.")
    return used + left


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and print; the exit code is 1 on a known error."""
    parser = argparse.ArgumentParser(description="Train a FastPose estimator.")
    parser.add_argument("--data", type=Path, required=True, help="folder with lspet/, coco/, ...")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint, metrics and weights")
    parser.add_argument("--minutes", type=float, help="budget over all starts")
    parser.add_argument("--until", default="23:59", help="clock time HH:MM at which training ends")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=64)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    try:
        config = TrainConfig(options.data, options.out, _budget(options), batch=options.batch)
        for event in train(config):
            print(datetime.datetime.now().strftime("%H:%M:%S"), event, flush=True)
            _append(options.out / f"{type(event).__name__.lower()}.csv", event)
    except KnownError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
