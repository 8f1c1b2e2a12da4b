"""Train a compact bottom-up network by associative embedding: where joints are, and tags that say whose they are.

    python -m poseviewer.training.bottomup --data FOLDER --out FOLDER (--minutes 60 | --until 13:20) [--from ESTIMATOR]

The network is a FastPose that sees the whole picture and has a tag map beside every heatmap, or a small HigherHRNet.
With `--from` it begins with an estimator of one person: what a joint looks like is known then, and whose it is remains
to be learnt. Its file opens like any other estimator, with the bottom-up pipeline.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import nn

from poseviewer.core.errors import CallError
from poseviewer.core.skeleton import skeleton
from poseviewer.nets.estimator_spec import EstimatorSpec
from poseviewer.nets.families import IMAGENET_MEAN, IMAGENET_STD
from poseviewer.nets.fastpose import FastPose, FastPoseConfig, initialise
from poseviewer.nets.header import EstimatorHeader
from poseviewer.nets.higher_hrnet import HigherHRNet, HigherHRNetConfig
from poseviewer.nets.hrnet import TrunkConfig
from poseviewer.nets.weights import load_estimator, save_estimator
from poseviewer.ops.targets import FOREGROUND
from poseviewer.pipeline.config import PipelineConfig
from poseviewer.training import ranks
from poseviewer.training.batches import ahead
from poseviewer.training.command import run_command
from poseviewer.training.estimator import COMPACT as ESTIMATOR
from poseviewer.training.estimator import Finished, Report, Step, budget, stage_option, tell
from poseviewer.training.groups import GroupBatch, GroupMixture, GroupSource, read_groups, standard_groups
from poseviewer.training.loop import Every, Forward, Hook, Learner, LoopConfig, Save, run
from poseviewer.training.metrics import Metrics
from poseviewer.training.objectives import EmbeddingObjective
from poseviewer.training.schedule import Stage, stage_at
from poseviewer.training.validate_pipeline import validate_pipeline

COMPACT = msgspec.structs.replace(ESTIMATOR, tags=ESTIMATOR.joints, ramp=(1 / 8, 1 / 24))
COMPACT_HIGHER = HigherHRNetConfig(trunk=TrunkConfig(width=16, modules=(1, 2, 1), blocks=2), width=16, blocks=2)
STAGES = (Stage(0.0, (256, 256), 1.5), Stage(0.6, (320, 320), 1.5))
CHECKPOINT, WEIGHTS = "checkpoint.pt", "bottomup.safetensors"


class BottomUpConfig(msgspec.Struct, frozen=True):
    """How a bottom-up network is trained.

    Attributes:
        sources: whole pictures with their people.
        out: folder for checkpoint, pixels, tables and weights.
        loop: budget, rates, device.
        network: what is trained.
        start_from: an estimator of the same network without tags, or a network as this one, to begin with.
        skeleton: joint set.
        stages: sides of the square pictures, multiples of 32, and widths of the targets, in turn.
        batch: pictures a step, over all processes.
        push, pull: weights of the tag losses; larger than the published 0.001, for far fewer steps.
        foreground: what a cell under a peak weighs besides, see `EmbeddingObjective`.
        validation: folder with coco/val.json, whose first `validation_pictures` are measured now and then.
        report_every, save_every, validate_every: seconds.
    """

    sources: tuple[GroupSource, ...]
    out: Path
    loop: LoopConfig
    network: FastPoseConfig | HigherHRNetConfig = COMPACT
    start_from: Path | None = None
    skeleton: str = "coco_17"
    stages: tuple[Stage, ...] = STAGES
    batch: int = 16
    push: float = 1e-2
    pull: float = 1e-2
    foreground: float = FOREGROUND
    validation: Path | None = None
    validation_pictures: int = 100
    report_every: float = 30.0
    save_every: float = 120.0
    validate_every: float = 1200.0


@dataclass(frozen=True, slots=True)
class Measured:
    """OKS AP of the averaged weights on the first pictures of coco/val, single pass."""

    step: int
    pictures: int
    progress: float
    coco_ap: float
    coco_ap50: float


BottomUpEvent = Step | Measured | Finished


class Trainer:
    """One training: the learner, and what its progress decides."""

    def __init__(self, config: BottomUpConfig) -> None:
        torch.manual_seed(config.loop.seed)
        self.config = config
        self.shape = skeleton(config.skeleton)
        self.learner: Learner[GroupBatch] = Learner(_network(config), self._loss, config.loop)

    def _loss(self, forward: Forward, batch: GroupBatch) -> torch.Tensor:
        config, stage = self.config, self.stage
        spec = spec_of(config, stage)
        objective = EmbeddingObjective(
            spec, config.push, config.pull, stage.sigma, foreground=config.foreground, placed=True
        )
        return objective(forward, batch)

    @property
    def stage(self) -> Stage:
        """The stage that the progress has reached."""
        return stage_at(self.config.stages, self.learner.progress)

    def batches(self, mixture: GroupMixture, start: int) -> Generator[GroupBatch, None, None]:
        """Batches from a number on, of the size that the progress wants when they are made."""

        def make(number: int) -> GroupBatch:
            part = (ranks.rank(), ranks.world())
            return mixture.batch(number, self.config.batch, self.stage.input_wh[0], part)

        return ahead(make, start)

    def export(self) -> Path:
        """Write the averaged weights as an estimator file at the present stage's input size."""
        config, learner = self.config, self.learner
        path = config.out / WEIGHTS
        note = f"{learner.seen} pictures, {learner.progress:.0%} of the planned training"
        header = EstimatorHeader(spec_of(config, self.stage), config.network, note=note)
        if ranks.rank() == 0:
            save_estimator(path, learner.average.module, header)
        ranks.wait_for_all()
        return path


class Measure:
    """Hook: writes the averaged weights now and then and measures them as the pipeline runs them."""

    def __init__(self, trainer: Trainer, seconds: float) -> None:
        self._trainer = trainer
        self._every = Every(seconds)

    def __call__(self, learner: Learner[GroupBatch]) -> Iterator[BottomUpEvent]:
        """Tell a Measured when it is due."""
        config = self._trainer.config
        if config.validation is None or not self._every.due(learner):
            return
        began = time.monotonic()
        path = self._trainer.export()
        if ranks.rank() == 0:
            how = PipelineConfig(pipeline="bottomup", estimator=str(path), device=str(learner.device))
            truth = config.validation / "coco" / "val.json"
            figures = validate_pipeline(how, truth, limit=config.validation_pictures)
            ap, ap50 = (figures[name] or 0.0 for name in ("AP", "AP50"))
            yield Measured(learner.step, learner.seen, learner.progress, ap, ap50)
        ranks.wait_for_all()
        # Looking costs the budget nothing.
        learner.pause(time.monotonic() - began)


def train_bottomup(config: BottomUpConfig) -> Iterator[BottomUpEvent]:
    """Train until the budget is used; continues a run that was cut off.

    Raises:
        FormatError: no usable data.
        MediaError: a picture is missing.
        WeightsError: `start_from` cannot be read.
        CallError: it is another network.
        DeviceError: the device is not there or its memory does not suffice.
    """
    config.out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(config)
    groups = [group for source in config.sources for group in read_groups(source, trainer.shape)]
    mixture = GroupMixture(groups, config.out / "pixels", trainer.shape, seed=config.loop.seed)
    trainer.learner.restore(config.out / CHECKPOINT)
    hooks: list[Hook[BottomUpEvent]] = [
        Report(config.report_every),  # type: ignore[list-item]  # it tells steps only
        Measure(trainer, config.validate_every),
        Save(config.save_every, config.out / CHECKPOINT),
    ]
    yield from run(trainer.learner, partial(trainer.batches, mixture), hooks)
    yield Finished(trainer.export())


def _network(config: BottomUpConfig) -> nn.Module:
    net = FastPose(config.network) if isinstance(config.network, FastPoseConfig) else HigherHRNet(config.network)
    initialise(net)
    if isinstance(net, HigherHRNet):
        for layer in net.final_layers:
            # Near zero, so that the many empty cells do not drown the few peaks at the start.
            nn.init.normal_(layer.weight, std=0.001)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    if config.start_from is not None:
        _begin_with(net, config.start_from)
    return net


def _begin_with(net: nn.Module, weights: Path) -> None:
    """Take over another network's weights; where it has heatmaps alone, the tags keep their start values."""
    known: dict[str, Any] = load_estimator(weights).module.state_dict()
    state = net.state_dict()
    grown = {
        name: torch.cat((value, state[name][len(value) :]))
        for name, value in known.items()
        if name.startswith("conv_out.") and name in state
    }
    try:
        net.load_state_dict({**known, **grown})
    except RuntimeError as error:
        raise CallError(f"{weights.name} holds another network than the one to be trained.", file=weights) from error


def spec_of(config: BottomUpConfig, stage: Stage) -> EstimatorSpec:
    """What the trained file says about itself."""
    width, height = stage.input_wh
    compact = isinstance(config.network, FastPoseConfig)
    stride = 4 if compact else 2
    return EstimatorSpec(
        family="fastpose" if compact else "higher_hrnet",
        skeleton=config.skeleton,
        joints=config.network.joints,
        input_wh=stage.input_wh,
        heatmap_wh=(width // stride, height // stride),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        decode="higher",
        output="tags",
        flip_shift=False,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and print; the exit code is 1 or 2 on a known error."""
    parser = argparse.ArgumentParser(description="Train a compact bottom-up network.")
    parser.add_argument("--data", type=Path, help="folder with coco/, coco2/, photos/; coco/val is measured")
    parser.add_argument("--file", type=Path, action="append", default=[], help="COCO keypoint file; may be repeated")
    parser.add_argument(
        "--images", type=Path, action="append", default=[], help="its pictures (default: images/ beside)"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint, tables and weights")
    parser.add_argument("--from", dest="start_from", type=Path, help="estimator or bottom-up weights to begin with")
    parser.add_argument("--network", choices=["fastpose", "higher"], default="fastpose")
    parser.add_argument("--minutes", type=float, help="budget over all starts")
    parser.add_argument("--until", help="clock time HH:MM at which training ends, in place of --minutes")
    parser.add_argument(
        "--stage", action="append", type=stage_option, help="START:SIDExSIDE:SIGMA, e.g. 0.6:320x320:1.5"
    )
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1e-3, help="highest learning rate")
    parser.add_argument("--validate-minutes", type=float, default=20, help="between two validations")
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    if not options.data and not options.file:
        parser.error("give --data or --file")
    return run_command(lambda: _main(options), options.threads)


def _main(options: argparse.Namespace) -> None:
    folders = [*options.images, *(file.parent / "images" for file in options.file[len(options.images) :])]
    sources = [GroupSource(file, images) for file, images in zip(options.file, folders, strict=True)]
    sources += standard_groups(options.data) if options.data else []
    loop = LoopConfig(
        seconds=budget(options, CHECKPOINT), rate=options.rate, precision="bf16", device=ranks.join(options.device)
    )
    config = BottomUpConfig(
        tuple(sources),
        options.out,
        loop,
        network=COMPACT if options.network == "fastpose" else COMPACT_HIGHER,
        start_from=options.start_from,
        stages=tuple(options.stage or STAGES),
        batch=options.batch,
        validation=options.data,
        validate_every=60 * options.validate_minutes,
    )
    config.out.mkdir(parents=True, exist_ok=True)
    metrics = Metrics(config.out)
    for event in train_bottomup(config):
        if ranks.rank() == 0:
            tell(metrics, event)
    ranks.leave()


if __name__ == "__main__":
    raise SystemExit(main())
