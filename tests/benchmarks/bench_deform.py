"""Deformable convolution as a ratio to the plain loop of tests/ops/loop_deform.py and to the ordinary convolution.

    python tests/benchmarks/bench_deform.py [--persons 4]

The shapes are those of FastPose with deformable stages at 256 x 192. The loop is timed on one output row in the
middle, and scaled to all of them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "ops"))
from loop_deform import deform_conv2d_by_loops

from poseviewer.ops.deform import deform_conv2d

STAGES = ((128, 32, 24), (256, 16, 12), (512, 8, 6))


def best_of(work: Callable[[], object], repeats: int) -> float:
    """Return the shortest time in milliseconds: what the code needs when nothing else runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1000 * min(times)


def main() -> None:
    """Print one line a stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--persons", type=int, default=4)
    persons = parser.parse_args().persons
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with torch.inference_mode():
        for channels, height, width in STAGES:
            print(measured(persons, channels, height, width), flush=True)


def measured(persons: int, channels: int, height: int, width: int) -> str:
    """Time one stage; the loop computes one row, whose place in the picture is written into the offsets."""
    x, weight = torch.randn(persons, channels, height, width), torch.randn(channels, channels, 3, 3)
    offset = torch.randn(persons, 18, height, width)
    middle = slice(height // 2, height // 2 + 1)
    row = offset[:1, :, middle].clone()
    row[:, 0::2] += height // 2
    found, wanted = deform_conv2d(x, offset, weight), deform_conv2d_by_loops(x[:1], row, weight)
    torch.testing.assert_close(found[:1, :, middle], wanted, rtol=1e-3, atol=1e-3)
    loop = best_of(lambda: deform_conv2d_by_loops(x[:1], row, weight), 1) * height * persons
    fast = best_of(lambda: deform_conv2d(x, offset, weight), 15)
    plain = best_of(lambda: F.conv2d(x, weight, padding=1), 15)
    return (
        f"{channels} channels, {height} x {width}: {fast:.1f} ms, {loop / fast:.0f} times faster than the loop, "
        f"{fast / plain:.1f} times an ordinary convolution"
    )


if __name__ == "__main__":
    main()
