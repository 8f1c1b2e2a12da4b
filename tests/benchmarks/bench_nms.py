"""How fast pose NMS is, as a ratio to the plain loop of tests/ops/loop_nms.py in the same run.

    python tests/benchmarks/bench_nms.py [--loop-candidates 40]

The loop is timed with fewer candidates and scaled by their square (it compares all pairs), because it needs minutes for
300.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "ops"))
from loop_nms import loop_nms, scene

from poseviewer.ops.nms_config import reference_nms
from poseviewer.ops.suppression import suppress_poses


def best_of(work, repeats: int) -> float:
    """Return the shortest time in milliseconds: what the code needs when nothing else runs."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1000 * min(times)


def main() -> None:
    """Print one line a case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loop-candidates", type=int, default=40)
    small = parser.parse_args().loop_candidates
    torch.set_num_threads(1)
    print(f"{'case':34}{'vectorised ms':>14}{'loop ms (scaled)':>18}{'ratio':>8}")
    for joints, people, size in (
        (17, 60, (1920, 1080)),
        (17, 3, (200, 200)),
        (26, 60, (1920, 1080)),
        (136, 60, (1920, 1080)),
    ):
        config = reference_nms("master", joints)
        rng = np.random.default_rng(0)
        arrays = scene(rng, 300, joints, people, size)
        tensors = [torch.from_numpy(array) for array in arrays]
        fast = best_of(lambda t=tensors, c=config: suppress_poses(*t, config=c), 10)
        few = scene(rng, small, joints, max(1, people * small // 300), size)
        slow = best_of(lambda a=few, c=config: loop_nms(*a, c), 1) * (300 / small) ** 2
        print(
            f"300 candidates, {joints} joints, {people} people".ljust(34)
            + f"{fast:14.1f}{slow:18.0f}{slow / fast:8.0f}"
        )


if __name__ == "__main__":
    main()
