"""Train a FastPose estimator on person crops.

    python -m poseviewer.training.estimator --data FOLDER --out FOLDER (--minutes 120 | --until 13:20)

`train` is a generator of events; the command prints them and writes them to tables. A run that was killed
continues from its last checkpoint when it is started again with the same `--out`.
"""

from __future__ import annotations

import argparse
import datetime
import math
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from poseviewer.core.errors import CallError
from poseviewer.core.files import write_bytes
from poseviewer.core.skeleton import Skeleton, skeleton
from poseviewer.nets.fastpose import FastPose, FastPoseConfig, initialise
from poseviewer.nets.weights import EstimatorHeader, EstimatorSpec, load_estimator, save_estimator
from poseviewer.training import ranks
from poseviewer.training.augment import AugmentConfig
from poseviewer.training.batches import Batch, Mixture, ahead
from poseviewer.training.command import run_command
from poseviewer.training.datasets import Source, load_sources, standard_sources
from poseviewer.training.loop import Every, Forward, Hook, Learner, LoopConfig, Save, run
from poseviewer.training.metrics import Metrics
from poseviewer.training.objectives import HeatmapObjective, joint_weights
from poseviewer.training.schedule import Stage, growing, seconds_until, stage_at
from poseviewer.training.validate import GivenBoxes, cut_given_boxes, oks_ap, pck, predict, validation_people

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
FULL = AugmentConfig()
CHECKPOINT = "checkpoint.pt"
WEIGHTS, BEST = "estimator.safetensors", "best.safetensors"


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
        device: "auto", "cpu", "cuda" or "cuda:N".
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
    augment: AugmentConfig = FULL
    report_every: float = 60.0
    save_every: float = 180.0
    validate_every: float = 600.0
    bfloat16: bool = True
    seed: int = 0
    device: str = "cpu"


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
    """One training: the learner, and what its progress decides."""

    def __init__(self, config: TrainConfig) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        net: nn.Module = FastPose(config.network)
        initialise(net)
        if config.start_from is not None:
            net.load_state_dict(load_estimator(config.start_from).module.state_dict())
        self.shape = skeleton(config.skeleton)
        self._joint_weights = joint_weights(self.shape)
        loop = LoopConfig(
            seconds=config.seconds,
            rate=config.rate,
            warm_up=config.warm_up,
            decay=config.decay,
            average=config.average,
            precision="bf16" if config.bfloat16 else "float32",
            device=config.device,
            seed=config.seed,
        )
        self.learner: Learner[Batch] = Learner(net, self._loss, loop)

    def _loss(self, forward: Forward, batch: Batch) -> Tensor:
        stage = self.stage
        return HeatmapObjective(estimator_spec(self.config, stage), self._joint_weights, stage.sigma)(forward, batch)

    @property
    def stage(self) -> Stage:
        """The stage that the progress has reached."""
        return stage_at(self.config.stages, self.learner.progress)

    def batches(self, mixture: Mixture, start: int) -> Generator[Batch, None, None]:
        """Batches from a number on, as the progress wants them when they are made."""
        config = self.config

        def make(number: int) -> Batch:
            strength = config.strength * growing(self.learner.progress, config.gentle)
            part = (ranks.rank(), ranks.world())
            return mixture.batch(number, config.batch, self.stage.input_wh, strength, part)

        return ahead(make, start)

    def restore(self) -> None:
        """Continue from the checkpoint, if there is one."""
        self.learner.restore(self.config.out / CHECKPOINT)

    def export(self) -> Path:
        """Write the averaged weights as an estimator file at the present stage's input size."""
        path = self.config.out / WEIGHTS
        note = f"{self.learner.seen} crops, {self.learner.progress:.0%} of the planned training"
        spec = estimator_spec(self.config, self.stage)
        header = EstimatorHeader(spec=spec, network=self.config.network, note=note)
        save_estimator(path, self.learner.average.module, header)
        return path


def train(config: TrainConfig) -> Iterator[TrainEvent]:
    """Train until the budget is used; continues a run that was cut off.

    Raises:
        FormatError: no usable data.
        MediaError: a picture is missing.
        WeightsError: `start_from` cannot be read.
        DeviceError: the device is not there or its memory does not suffice.
    """
    config.out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(config)
    trainer.restore()
    sets = load_sources(config.sources, trainer.shape)
    mixture = Mixture(sets, config.out / "pixels", trainer.shape, config.augment, config.seed)
    hooks: list[Hook[TrainEvent]] = [
        Report(config.report_every),
        Measure(trainer, config.validate_every),
        Save(config.save_every, config.out / CHECKPOINT),
    ]
    yield from run(trainer.learner, partial(trainer.batches, mixture), hooks)
    yield Finished(trainer.export())


class Report:
    """Hook: the mean loss and the pace since the last report."""

    def __init__(self, seconds: float) -> None:
        self._every = Every(seconds)
        self._before: tuple[int, float] | None = None

    def __call__(self, learner: Learner[Batch]) -> Iterator[TrainEvent]:
        """Tell a Step when it is due."""
        if not self._every.due(learner):
            return
        crops, elapsed = self._before or (0, 0.0)
        pace = (learner.seen - crops) / max(learner.elapsed - elapsed, 1e-9)
        self._before = (learner.seen, learner.elapsed)
        yield Step(learner.step, learner.seen, learner.progress, learner.take_loss(), pace)


class Measure:
    """Hook: measures the averaged weights now and then, writes them, and keeps the best by OKS AP as a file too."""

    def __init__(self, trainer: Trainer, seconds: float) -> None:
        self._trainer = trainer
        self._every = Every(seconds)
        self._judge = Judge(trainer.config, trainer.shape)

    def __call__(self, learner: Learner[Batch]) -> Iterator[TrainEvent]:
        """Tell a Measured when it is due."""
        if not self._every.due(learner):
            return
        began = time.monotonic()
        if ranks.rank() == 0:
            found = self._judge.measure(self._trainer)
            path = self._trainer.export()
            if found.coco_ap > learner.best:
                learner.best = found.coco_ap
                write_bytes(path.with_name(BEST), path.read_bytes())
            yield found
        ranks.wait_for_all()
        # Looking costs the budget nothing.
        learner.pause(time.monotonic() - began)


class Judge:
    """Measures the averaged weights on the validation sets, single pass, at the stage's input size."""

    def __init__(self, config: TrainConfig, shape: Skeleton) -> None:
        self.config = config
        self.shape = shape
        self._given: dict[tuple[str, tuple[int, int]], GivenBoxes] = {}

    def measure(self, trainer: Trainer) -> Measured:
        """PCK on lspet/val and OKS AP on coco/val."""
        spec = estimator_spec(self.config, trainer.stage)
        learner = trainer.learner
        net, half = learner.average.module, self.config.bfloat16
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
        return Measured(learner.step, learner.seen, learner.progress, share, ap, ap50)

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


def tell(metrics: Metrics, event: Any) -> None:
    """Print an event and add it to the table of its kind."""
    print(datetime.datetime.now().strftime("%H:%M:%S"), event, flush=True)
    if not isinstance(event, Finished):
        figures = {name: float(getattr(event, name)) for name in type(event).__dataclass_fields__ if name != "step"}
        metrics.add(type(event).__name__.lower(), event.step, figures)


def stage_option(text: str) -> Stage:
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


def budget(options: argparse.Namespace, checkpoint_name: str = CHECKPOINT) -> float:
    """Seconds from --minutes, or what is left until the clock time --until plus what earlier starts in --out used.

    Raises:
        CallError: neither is given, or it is no clock time, or it has passed.
    """
    if options.minutes is not None:
        return float(options.minutes) * 60
    if options.until is None:
        raise CallError("Say when the training ends, with --minutes or --until.")
    left = seconds_until(options.until, datetime.datetime.now())
    checkpoint = options.out / checkpoint_name
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
    parser.add_argument("--until", help="clock time HH:MM at which training ends, in place of --minutes")
    parser.add_argument("--from", dest="start_from", type=Path, help="weights to begin with")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument(
        "--share", action="append", type=_share, default=[], help="NAME=SHARE of a source, e.g. lspet=0.5"
    )
    parser.add_argument("--validate-minutes", type=float, default=10, help="between two validations")
    parser.add_argument("--strength", type=float, default=1.0, help="of the augmentation when it is fully grown")
    parser.add_argument("--half-body", type=float, default=FULL.half_body, help="share of half bodies, 0..1")
    parser.add_argument("--edge", type=float, default=FULL.edge, help="share of crops cut off by an edge, 0..1")
    parser.add_argument(
        "--stage",
        action="append",
        type=stage_option,
        help="START:WIDTHxHEIGHT:SIGMA, e.g. 0.5:128x192:1.75, from which part of the budget which input size",
    )
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--tensorboard", action="store_true", help="write TensorBoard's files beside the tables")
    options = parser.parse_args(arguments)
    return run_command(lambda: _main(options), options.threads)


def _main(options: argparse.Namespace) -> None:
    device = ranks.join(options.device)
    config = TrainConfig(
        _sources(options.data, dict(options.share)),
        options.out,
        budget(options),
        validation=options.data,
        start_from=options.start_from,
        stages=tuple(options.stage or STAGES),
        batch=options.batch,
        rate=options.rate,
        strength=options.strength,
        augment=replace(FULL, half_body=options.half_body, edge=options.edge),
        validate_every=options.validate_minutes * 60,
        device=device,
    )
    options.out.mkdir(parents=True, exist_ok=True)
    metrics = Metrics(options.out, tensorboard=options.tensorboard)
    for event in train(config):
        if ranks.rank() == 0:
            tell(metrics, event)
    metrics.close()


if __name__ == "__main__":
    raise SystemExit(main())
