"""How fast the steps of tracking are, as ratios to the plain loops of tests/ops/loop_tracking.py in the same run.

    python tests/benchmarks/bench_tracking.py [--people 12]

Then the trackers themselves, in milliseconds a frame of made-up walkers of 640x360.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "ops"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "pipeline"))
from bench_nms import best_of
from loop_tracking import loop_kalman, loop_poses
from moving_people import Walker, scenes

from poseviewer.ops import kalman, poseflow
from poseviewer.pipeline.tracking import make_tracker

POINTS = 300
"""Correspondences of the loop's case; the loop's time grows with them."""


def main() -> None:
    """Print one line a case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=12)
    people = parser.parse_args().people
    rng = np.random.default_rng(0)
    config = poseflow.PoseFlowConfig()
    poses, others = rng.uniform(0, 600, (2, people, 17, 2))
    places = rng.uniform(0, 600, (POINTS, 2))
    points = poseflow.Correspondences(places, places + rng.normal(0, 4, places.shape))
    corners = rng.uniform(0, 500, (people, 2))
    measured = kalman.measurements(np.concatenate([corners, corners + rng.uniform(30, 120, (people, 2))], axis=1))
    start = kalman.begin(measured)
    cases = (
        ("pose overlap", lambda: poseflow.pose_overlaps(poses, others, config),
         lambda: loop_poses(poses, others, None, config)),
        (f"pose overlap by {POINTS} points", lambda: poseflow.pose_shared_points(poses, others, points, config),
         lambda: loop_poses(poses, others, points, config)),
        ("Kalman predict and update", lambda: kalman.update(*kalman.predict(*start), measured + 1),
         lambda: loop_kalman(*start, measured + 1)),
    )  # fmt: skip
    print(f"{f'{people} people':34}{'vectorised ms':>14}{'loop ms':>10}{'ratio':>8}")
    for name, fast, slow in cases:
        quick, plain = best_of(fast, 10), best_of(slow, 1)
        print(f"{name:34}{quick:14.2f}{plain:10.1f}{plain / quick:8.0f}")
    walkers = [Walker((60 + 80 * at, 260 + 15 * at), ((-1) ** at * 3.0, 0), turn=60, size=0.8) for at in range(6)]
    stream = list(scenes(walkers, 20))
    print(f"\n{'tracker, 6 people':34}{'ms a frame':>14}")
    for name in ("oks", "kalman", "poseflow"):

        def follow(name: str = name) -> None:
            tracker = make_tracker(name, "coco_17")
            for frame, found, _ in stream:
                tracker.update(frame, found)

        print(f"{name:34}{best_of(follow, 2) / len(stream):14.1f}")


if __name__ == "__main__":
    main()
