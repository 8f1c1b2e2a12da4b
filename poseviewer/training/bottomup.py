"""Train a compact bottom-up network by associative embedding: where joints are, and tags that say whose they are.

    python -m poseviewer.training.bottomup --data FILE.json --images FOLDER --out FOLDER --minutes 60

The network is a small HigherHRNet. Its file opens like any other estimator, with the bottom-up pipeline.
"""

from __future__ import annotations

import argparse
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec
import torch
from torch import nn

from poseviewer.core.skeleton import skeleton
from poseviewer.nets.estimator_spec import EstimatorSpec
from poseviewer.nets.families import IMAGENET_MEAN, IMAGENET_STD
from poseviewer.nets.fastpose import initialise
from poseviewer.nets.header import EstimatorHeader
from poseviewer.nets.higher_hrnet import HigherHRNet, HigherHRNetConfig
from poseviewer.nets.hrnet import TrunkConfig
from poseviewer.nets.weights import save_estimator
from poseviewer.training import ranks
from poseviewer.training.batches import ahead
from poseviewer.training.command import run_command
from poseviewer.training.estimator import Finished, Report, Step, tell
from poseviewer.training.groups import GroupBatch, GroupMixture, read_groups
from poseviewer.training.loop import Hook, Learner, LoopConfig, Save, run
from poseviewer.training.metrics import Metrics
from poseviewer.training.objectives import EmbeddingObjective

COMPACT = HigherHRNetConfig(trunk=TrunkConfig(width=16, modules=(1, 2, 1), blocks=2), width=16, blocks=2)
CHECKPOINT, WEIGHTS = "checkpoint.pt", "bottomup.safetensors"


class BottomUpConfig(msgspec.Struct, frozen=True):
    """How a bottom-up network is trained.

    Attributes:
        data: (COCO keypoint file, folder of its pictures) pairs.
        out: folder for checkpoint, pixels, tables and weights.
        loop: budget, rates, device.
        network: what is trained.
        skeleton: joint set.
        side: of the square pictures, a multiple of 32.
        batch: pictures a step, over all processes.
        push, pull: weights of the tag losses; larger than the published 0.001, for far fewer steps.
        report_every, save_every: seconds.
    """

    data: tuple[tuple[Path, Path], ...]
    out: Path
    loop: LoopConfig
    network: HigherHRNetConfig = COMPACT
    skeleton: str = "coco_17"
    side: int = 256
    batch: int = 16
    push: float = 5e-3
    pull: float = 5e-3
    report_every: float = 30.0
    save_every: float = 120.0


def train_bottomup(config: BottomUpConfig) -> Iterator[Step | Finished]:
    """Train until the budget is used; continues a run that was cut off.

    Raises:
        FormatError: no usable data.
        MediaError: a picture is missing.
        DeviceError: the device is not there or its memory does not suffice.
    """
    config.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.loop.seed)
    shape = skeleton(config.skeleton)
    groups = [group for file, images in config.data for group in read_groups(file, images, shape)]
    mixture = GroupMixture(groups, config.out / "pixels", shape, seed=config.loop.seed)
    net = HigherHRNet(config.network)
    initialise(net)
    for layer in net.final_layers:
        # Near zero, so that the many empty cells do not drown the few peaks at the start.
        nn.init.normal_(layer.weight, std=0.001)  # type: ignore[arg-type]
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    objective = EmbeddingObjective(spec_of(config), config.push, config.pull)
    learner: Learner[GroupBatch] = Learner(net, objective, config.loop)
    learner.restore(config.out / CHECKPOINT)
    hooks: list[Hook[Step | Finished]] = [
        Report(config.report_every),  # type: ignore[list-item]  # it tells steps only
        Save(config.save_every, config.out / CHECKPOINT),
    ]
    yield from run(learner, partial(_batches, mixture, config), hooks)
    yield Finished(_export(config, learner))


def _batches(mixture: GroupMixture, config: BottomUpConfig, start: int) -> Generator[GroupBatch, None, None]:
    part = (ranks.rank(), ranks.world())
    return ahead(partial(mixture.batch, size=config.batch, side=config.side, part=part), start)


def _export(config: BottomUpConfig, learner: Learner[GroupBatch]) -> Path:
    path = config.out / WEIGHTS
    header = EstimatorHeader(spec_of(config), config.network, note=f"{learner.seen} pictures")
    if ranks.rank() == 0:
        save_estimator(path, learner.average.module.cpu(), header)
    ranks.wait_for_all()
    return path


def spec_of(config: BottomUpConfig) -> EstimatorSpec:
    """What the trained file says about itself."""
    return EstimatorSpec(
        family="higher_hrnet",
        skeleton=config.skeleton,
        joints=config.network.joints,
        input_wh=(config.side, config.side),
        heatmap_wh=(config.side // 2, config.side // 2),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        decode="higher",
        output="tags",
        flip_shift=False,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and print; the exit code is 1 or 2 on a known error."""
    parser = argparse.ArgumentParser(description="Train a compact bottom-up network.")
    parser.add_argument("--data", type=Path, action="append", required=True, help="COCO keypoint file; may be repeated")
    parser.add_argument(
        "--images", type=Path, action="append", default=[], help="its pictures (default: images/ beside)"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint, tables and weights")
    parser.add_argument("--minutes", type=float, default=60.0, help="budget over all starts")
    parser.add_argument("--steps", type=int, default=0, help="budget in steps")
    parser.add_argument("--side", type=int, default=256, help="of the square pictures, pixels")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    return run_command(lambda: _main(options), options.threads)


def _main(options: argparse.Namespace) -> None:
    folders = [*options.images, *(file.parent / "images" for file in options.data[len(options.images) :])]
    device = ranks.join(options.device)
    loop = LoopConfig(seconds=60 * options.minutes, steps=options.steps, rate=options.rate, device=device)
    config = BottomUpConfig(
        tuple(zip(options.data, folders, strict=True)), options.out, loop, side=options.side, batch=options.batch
    )
    config.out.mkdir(parents=True, exist_ok=True)
    metrics = Metrics(config.out)
    for event in train_bottomup(config):
        if ranks.rank() == 0:
            tell(metrics, event)
    ranks.leave()


if __name__ == "__main__":
    raise SystemExit(main())
