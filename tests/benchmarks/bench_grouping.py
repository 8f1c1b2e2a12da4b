"""How fast grouping by tags is, as a ratio to the plain loops of tests/ops in the same run.

    python tests/benchmarks/bench_grouping.py

The published code needs 40 to 48 ms for 17 x 128 x 128 x 2 with up to 30 people; a fifth of that is the aim.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "ops"))
from loop_ae_mmpose import loop_decode
from loop_grouping import crowd, loop_group

from poseviewer.core.values import REFINED
from poseviewer.ops import grouping
from poseviewer.ops.codec_ae_mmpose import published


def best_of(work, repeats: int) -> float:
    """Return the shortest processor time in milliseconds (one thread): other work on the machine does not count."""
    work()
    times = []
    for _ in range(repeats):
        start = time.thread_time()
        work()
        times.append(time.thread_time() - start)
    return 1000 * min(times)


def main() -> None:
    """Print one line a case."""
    torch.set_num_threads(1)
    print(f"{'17 x 128 x 128 x 2':24}{'people':>8}{'missing':>9}{'ms':>9}{'loops ms':>11}{'ratio':>8}")
    for form, rules in (("pose-ae-train", grouping.AE_RULES), ("HigherHRNet", grouping.HIGHER_RULES)):
        for people in (1, 5, 15, 30):
            heat, tags = crowd(people, seed=people)
            found, _ = grouping.group_people(heat, tags, rules, fill=False)
            missing = int((found[..., 2] == 0).sum())
            fast = best_of(lambda h=heat, t=tags, r=rules: grouping.group_people(h, t, r), 15)
            slow = best_of(lambda h=heat, t=tags, r=rules: loop_group(h, t, r), 2)
            print(f"{form:24}{len(found):8}{missing:9}{fast:9.1f}{slow:11.0f}{slow / fast:8.1f}")
    print("MMPose, from maps to people; 512 is the size of the picture, to which its published settings bring the maps")
    for side, udp in ((128, False), (512, False), (128, True), (512, True)):
        for people in (5, 30):
            heat, tags = crowd(people, seed=people)
            maps, tag_maps = (
                F.interpolate(part[None], (side, side), mode="bilinear")
                for part in (heat, tags.permute(3, 0, 1, 2).flatten(0, 1))
            )
            codec = replace(published((512, 512), (side, side)), udp=udp)
            found = codec.decode(maps, tag_maps)[0]
            fast = best_of(lambda c=codec, m=maps, t=tag_maps: c.decode(m, t), 7)
            slow = best_of(lambda c=codec, m=maps, t=tag_maps: loop_decode(m[0], t[0], c), 1)
            form = f"{side} x {side}{', UDP' if udp else ''}"
            missing = int((found.how == REFINED).sum())
            print(f"{form:24}{len(found.joints):8}{missing:9}{fast:9.1f}{slow:11.0f}{slow / fast:8.1f}")


if __name__ == "__main__":
    main()
