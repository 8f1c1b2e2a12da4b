"""Train a FastPose estimator on person crops.

    python -m poseviewer.training.estimator --data FOLDER --out FOLDER (--minutes 120 | --until 13:20)

`train` is a generator of events; the command prints them and writes them to tables. A run that was killed
continues from its last checkpoint when it is started again with the same `--out`.
"""

from __future__ import annotations

import argparse
import contextlib
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
from torch import Tensor, nn

from poseviewer.core.errors import CallError, KnownError
from poseviewer.core.files import atomic_write
from poseviewer.core.skeleton import Skeleton, skeleton
from poseviewer.nets.fastpose import FastPose, FastPoseConfig, initialise
from poseviewer.nets.weights import EstimatorHeader, EstimatorSpec, load_estimator, save_estimator
from poseviewer.ops.targets import foreground_mse, gaussian_heatmaps
from poseviewer.training.augment import AugmentConfig
from poseviewer.training.batches import Batch, Mixture, ahead
from poseviewer.training.datasets import Source, load_sources, standard_sources
from poseviewer.training.ema import Average
from poseviewer.training.objectives import OUTSIDE
from poseviewer.training.schedule import Stage, cosine_rate, growing, stage_at
from poseviewer.training.validate import GivenBoxes, cut_given_boxes, normalise, oks_ap, pck, predict, validation_people

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
STAGES = (Stage(0.0, (128, 192), 1.75), Stage(0.78, (192, 256), 2.0))
HARD_JOINTS = {"elbow": 1.2, "knee": 1.2, "wrist": 1.5, "ankle": 1.5}
CHECKPOINT = "checkpoint.pt"
WEIGHTS = "estimator.safetensors"


class TrainConfig(msgspec.Struct, frozen=True):
    """Everything that decides a training.

    Attributes:
        sources: what is trained on (see `datasets.standard_sources`).
        out: folder for checkpoint, pixels, metrics and weights.
        seconds: wall-clock budget, counted over all starts; the schedule follows it.
        validation: folder with lspet/val.json and coco/val.json, measured now and then; None is never.
        network: what is trained.
        start_from: weights to begin with instead of random ones; their network must be `network`.
        skeleton: joint set.
        stages: input sizes in turn.
        batch: crops a step.
        rate: highest learning rate; decay: weight decay; warm_up: steps.
        average: EMA decay.
        gentle: part of the training over which augmentation grows to `strength` (1 is full).
        report_every, save_every, validate_every: seconds.
        bfloat16: autocast; measure it against float32 on the machine at hand.
        seed: of weights and draws.
    """

    sources: tuple[Source, ...]
    out: Path
    seconds: float
    validation: Path | None = None
    network: FastPoseConfig = COMPACT
    start_from: Path | None = None
    skeleton: str = "coco_17"
    stages: tuple[Stage, ...] = STAGES
    batch: int = 64
    rate: float = 2e-3
    decay: float = 0.02
    warm_up: int = 300
    average: float = 0.999
    gentle: float = 0.33
    strength: float = 1.0
    augment: AugmentConfig = AugmentConfig()
    report_every: float = 60.0
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
    """Validation figures of the averaged weights, single pass; NaN where a set is absent."""

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
        self.net: nn.Module = FastPose(config.network)
        initialise(self.net)
        if config.start_from is not None:
            self.net.load_state_dict(load_estimator(config.start_from).module.state_dict())
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
        return stage_at(self.config.stages, self.progress)

    def learn(self, batch: Batch) -> float:
        """One optimiser step on a batch; returns the loss."""
        config = self.config
        x = normalise(batch.crops, estimator_spec(config, self.stage))
        targets, weights = gaussian_heatmaps(
            batch.joints / STRIDE,
            batch.weights * self.joint_weights,
            _heatmap_wh(x),
            sigma=self.stage.sigma,
            outside=OUTSIDE,
        )
        for group in self.optimiser.param_groups:
            group["lr"] = cosine_rate(config.rate, self.progress, self.step, config.warm_up)
        with torch.autocast("cpu", torch.bfloat16, enabled=config.bfloat16):
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
        with atomic_write(self.config.out / CHECKPOINT) as stream:
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
        path = self.config.out / CHECKPOINT
        if not path.exists():
            return
        saved = torch.load(path, map_location="cpu", weights_only=True)
        self.net.load_state_dict(saved["net"])
        self.average.module.load_state_dict(saved["average"])
        self.average.updates = saved["updates"]
        self.optimiser.load_state_dict(saved["optimiser"])
        self.step, self.crops, self.elapsed = saved["step"], saved["crops"], saved["elapsed"]

    def export(self) -> Path:
        """Write the averaged weights as an estimator file at the present stage's input size."""
        path = self.config.out / WEIGHTS
        note = f"{self.crops} crops, {self.progress:.0%} of the planned training"
        spec = estimator_spec(self.config, self.stage)
        header = EstimatorHeader(spec=spec, network=self.config.network, note=note)
        save_estimator(path, self.average.module, header)
        return path


class Clock:
    """Says when something is due every so many seconds of training."""

    def __init__(self, every: float, now: float) -> None:
        self.every = every
        self.last = now

    def due(self, now: float, *, finished: bool) -> bool:
        """Whether the interval has passed, or the training is over; starts the next interval."""
        if now - self.last < self.every and not finished:
            return False
        self.last = now
        return True


def train(config: TrainConfig) -> Iterator[TrainEvent]:
    """Train until the budget is used; continues a run that was cut off.

    Raises:
        FormatError: no usable data.
        MediaError: a picture is missing.
        WeightsError: `start_from` cannot be read.
    """
    config.out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(config)
    trainer.restore()
    sets = load_sources(config.sources, trainer.shape)
    mixture = Mixture(sets, config.out / "pixels", trainer.shape, config.augment, config.seed)
    judge = Judge(config, trainer.shape)
    measuring, saving = (Clock(every, trainer.elapsed) for every in (config.validate_every, config.save_every))
    while trainer.progress < 1.0:
        yield _train_a_while(trainer, mixture)
        finished = trainer.progress >= 1.0
        if measuring.due(trainer.elapsed, finished=finished):
            yield judge.measure(trainer)
            trainer.export()
        if saving.due(trainer.elapsed, finished=finished):
            trainer.save()
    yield Finished(trainer.export())


def _train_a_while(trainer: Trainer, mixture: Mixture) -> Step:
    """Train at one input size until the next report; time is counted as it passes."""
    config, stage = trainer.config, trainer.stage
    strength = config.strength * growing(trainer.progress, config.gentle)
    began, crops, before, losses = time.monotonic(), trainer.crops, trainer.elapsed, []
    batches = ahead(lambda n: mixture.batch(n, config.batch, stage.input_wh, strength), trainer.step)
    with contextlib.closing(batches):
        for batch in batches:
            losses.append(trainer.learn(batch))
            trainer.elapsed = before + time.monotonic() - began
            if trainer.elapsed - before >= config.report_every or trainer.progress >= 1.0:
                break
    pace = (trainer.crops - crops) / max(trainer.elapsed - before, 1e-9)
    return Step(trainer.step, trainer.crops, trainer.progress, sum(losses) / len(losses), pace)


class Judge:
    """Measures the averaged weights on the validation sets, single pass, at the stage's input size."""

    def __init__(self, config: TrainConfig, shape: Skeleton) -> None:
        self.config = config
        self.shape = shape
        self._given: dict[tuple[str, tuple[int, int]], GivenBoxes] = {}

    def measure(self, trainer: Trainer) -> Measured:
        """PCK on lspet/val and OKS AP on coco/val."""
        spec = estimator_spec(self.config, trainer.stage)
        net, half = trainer.average.module, self.config.bfloat16
        sports, everyday = self._boxes("lspet", spec), self._boxes("coco", spec)
        share = ap = ap50 = math.nan
        if sports is not None:
            found, _ = predict(net, spec, sports, self.shape, flip=False, bfloat16=half)
            share = pck(found, sports.people, self.shape).mean
        if everyday is not None and self.config.validation is not None:
            found, scores = predict(net, spec, everyday, self.shape, flip=False, bfloat16=half)
            truth = self.config.validation / "coco" / "val.json"
            figures = oks_ap(truth, found, scores, everyday.people)
            ap, ap50 = figures["AP"], figures["AP50"]
        return Measured(trainer.step, trainer.crops, trainer.progress, share, ap, ap50)

    def _boxes(self, name: str, spec: EstimatorSpec) -> GivenBoxes | None:
        folder, key = self.config.validation, (name, spec.input_wh)
        if folder is None or not (folder / name / "val.json").exists():
            return None
        if key not in self._given:
            self._given[key] = cut_given_boxes(validation_people(folder, name, self.shape), spec.input_wh)
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


def _groups(net: nn.Module, decay: float) -> list[dict[str, object]]:
    """Weight decay for matrices and kernels only, not for BN and biases."""
    kernels = [p for p in net.parameters() if p.ndim > 1]
    others = [p for p in net.parameters() if p.ndim <= 1]
    return [{"params": kernels, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def append_event(folder: Path, event: TrainEvent) -> None:
    """Add an event to the CSV table of its kind in `folder`."""
    if isinstance(event, Finished):
        return
    path = folder / f"{type(event).__name__.lower()}.csv"
    names = type(event).__dataclass_fields__.keys()
    fresh = not path.exists()
    with path.open("a", newline="") as stream:
        writer = csv.writer(stream)
        if fresh:
            writer.writerow(["time", *names])
        now = datetime.datetime.now().isoformat(timespec="seconds")
        writer.writerow([now, *(getattr(event, name) for name in names)])


def _stage(text: str) -> Stage:
    """START:WIDTHxHEIGHT:SIGMA; argparse turns a ValueError into its own message."""
    start, size, sigma = text.split(":")
    width, height = (int(side) for side in size.split("x"))
    if width % 32 or height % 32:
        raise ValueError("input sides must be multiples of 32")
    return Stage(float(start), (width, height), float(sigma))


def _share(text: str) -> tuple[str, float]:
    """NAME=SHARE; argparse turns a ValueError into its own message."""
    name, share = text.split("=")
    return name, float(share)


def _sources(data: Path, shares: dict[str, float]) -> tuple[Source, ...]:
    """The standard sources with other shares; raises CallError for a name that is none of them."""
    sources = standard_sources(data)
    unknown = sorted(shares.keys() - {source.name for source in sources})
    if unknown:
        known = ", ".join(source.name for source in sources)
        raise CallError(f"There is no source {unknown[0]}; there are {known}.")
    return tuple(msgspec.structs.replace(s, share=shares.get(s.name, s.share)) for s in sources)


def _budget(options: argparse.Namespace) -> float:
    """Seconds from --minutes, or what is left until a clock time plus what earlier starts used."""
    if options.minutes is not None:
        return float(options.minutes) * 60
    now = datetime.datetime.now()
    try:
        hour, minute = (int(part) for part in options.until.split(":"))
        left = (now.replace(hour=hour, minute=minute, second=0) - now).total_seconds()
    except ValueError as error:
        raise CallError(f"{options.until} is not a clock time such as 13:20.") from error
    if left <= 0:
        raise CallError(f"{options.until} has passed.")
    checkpoint = options.out / CHECKPOINT
    used = 0.0
    if checkpoint.exists():
        used = float(torch.load(checkpoint, map_location="cpu", weights_only=True)["elapsed"])
    return used + left


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and print; the exit code is 1 or 2 on a known error."""
    parser = argparse.ArgumentParser(description="Train a FastPose estimator.")
    parser.add_argument("--data", type=Path, required=True, help="folder with lspet/, coco/, ...")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint, metrics and weights")
    parser.add_argument("--minutes", type=float, help="budget over all starts")
    parser.add_argument("--until", default="23:59", help="clock time HH:MM at which training ends")
    parser.add_argument("--from", dest="start_from", type=Path, help="weights to begin with")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument(
        "--share", action="append", type=_share, default=[], help="NAME=SHARE of a source, e.g. lspet=0.5"
    )
    parser.add_argument("--validate-minutes", type=float, default=10, help="between two validations")
    parser.add_argument("--strength", type=float, default=1.0, help="of the augmentation when it is fully grown")
    parser.add_argument(
        "--stage",
        action="append",
        type=_stage,
        help="START:WIDTHxHEIGHT:SIGMA, e.g. 0.5:128x192:1.75, from which part of the budget which input size",
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    try:
        config = TrainConfig(
            _sources(options.data, dict(options.share)),
            options.out,
            _budget(options),
            validation=options.data,
            start_from=options.start_from,
            stages=tuple(options.stage or STAGES),
            batch=options.batch,
            rate=options.rate,
            strength=options.strength,
            validate_every=options.validate_minutes * 60,
        )
        for event in train(config):
            print(datetime.datetime.now().strftime("%H:%M:%S"), event, flush=True)
            append_event(options.out, event)
    except KnownError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
