"""How much of the bare forward-and-backward rate the training loop keeps, everything included.

    python tests/benchmarks/bench_training.py [--device cpu] [--batch 32] [--readers 0] [--rounds 5] [--objective sikr]

The bare version runs forward, a squared error and backward on one batch that is on the device already, in the same
precision and at the same size. The loop cuts and augments crops, makes targets on the device, runs the same network,
clips, takes the optimiser's step and updates the running average. Both are measured in turns in the same run, so that
a busy machine disturbs both alike; the ratio of the medians is what counts. While the bare version runs nobody cuts
crops, and the loop is timed only after it has used up what was cut ahead: otherwise those crops would cost nothing.
On a processor the ratio of processor time is printed too: there the thread that cuts crops counts in full, and other
programs do not count.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from poseviewer.core.skeleton import skeleton
from poseviewer.nets.fastpose import FastPose, initialise
from poseviewer.training.augment import AugmentConfig
from poseviewer.training.batches import Batch, Mixture, ahead
from poseviewer.training.datasets import gather, read_annotations
from poseviewer.training.estimator import COMPACT, IMAGENET_MEAN, IMAGENET_STD, EstimatorSpec
from poseviewer.training.loop import Learner, LoopConfig
from poseviewer.training.objectives import OBJECTIVES
from poseviewer.training.validate import normalise
from tests.training.people import draw_people

AHEAD = 3
"""Batches that are made ahead, as in a training."""


def seconds_of(work: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """How long some work takes, waiting for the device at its end: by the clock, and of the processor."""
    began, busy = time.perf_counter(), time.process_time()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began, time.process_time() - busy


def seconds_in_loop(
    learner: Learner[Batch], make: Callable[[int], Batch], options: argparse.Namespace
) -> tuple[float, float]:
    """How long the steps of a round take once the loop has come to its own pace."""
    with contextlib.closing(ahead(make, learner.step, AHEAD, readers=options.readers)) as stream:

        def loop(steps: int) -> None:
            for _ in range(steps):
                learner.learn(next(stream))

        # Every reader makes so many ahead.
        loop(AHEAD * max(options.readers, 1) + 1)
        return seconds_of(partial(loop, options.steps), learner.device)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=("auto", "float32", "bf16", "fp16"), default="auto")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", default="128x192", help="input width x height")
    parser.add_argument("--readers", type=int, default=0, help="processes that cut crops (0: a thread)")
    parser.add_argument("--objective", choices=sorted(OBJECTIVES), default="heatmap")
    parser.add_argument("--steps", type=int, default=8, help="steps a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    width, height = (int(side) for side in options.size.split("x"))
    shape = skeleton()
    spec = EstimatorSpec(
        "fastpose", "coco_17", 17, (width, height), (width // 4, height // 4), IMAGENET_MEAN, IMAGENET_STD, "master"
    )
    net = FastPose(COMPACT)
    initialise(net)
    config = LoopConfig(steps=10**9, precision=options.precision, device=options.device)
    learner: Learner[Batch] = Learner(net, OBJECTIVES[options.objective](spec, shape), config)
    with tempfile.TemporaryDirectory() as place:
        file = draw_people(Path(place), "train", 64)
        people = gather("drawn", read_annotations(file, Path(place) / "images", shape))
        mixture = Mixture([(1.0, people)], Path(place) / "pixels", shape, AugmentConfig())
        make = partial(mixture.batch, size=options.batch, input_wh=(width, height), strength=1.0)
        fixed = normalise(make(0).to(learner.device).crops, spec)

        def bare(steps: int) -> None:
            for _ in range(steps):
                learner.net.zero_grad(set_to_none=True)
                learner.forward(fixed).float().square().mean().backward()

        rounds = []
        learner.net.train()
        bare(1)
        for _ in range(options.rounds):
            without = seconds_of(partial(bare, options.steps), learner.device)
            rounds.append((without, seconds_in_loop(learner, make, options)))
    crops = options.steps * options.batch
    without, with_all = (statistics.median(seconds for seconds, _ in column) for column in zip(*rounds, strict=True))
    busy, busy_all = (statistics.median(seconds for _, seconds in column) for column in zip(*rounds, strict=True))
    words = f"{crops / without:.1f} crops/s bare, {crops / with_all:.1f} crops/s in the loop"
    print(f"{learner.device}, {learner.precision}, batch {options.batch}, {options.size}: {words}")
    print(f"ratio {without / with_all:.2f} (aim: at least 0.9)")
    if learner.device.type == "cpu" and not options.readers:
        print(f"ratio of processor time {busy / busy_all:.2f}")


if __name__ == "__main__":
    main()
