"""AlphaPose's pose NMS in all its versions."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import msgspec
import numpy as np
import torch
from goldenfolder import Array, Check, Comparison, Vectors, check, close, same

from poseviewer.ops.nms_config import NmsConfig, reference_nms
from poseviewer.ops.suppression import Suppressed, suppress_poses

Case = dict[str, Array]
PIXELS, SHARE = 1e-3, 1e-4


def scenes(data: Vectors) -> Iterator[tuple[int, Case]]:
    """The numbered scenes of a file."""
    for number in range(int(data["n"])):
        prefix = f"{number}_"
        yield number, {name.removeprefix(prefix): data[name] for name in data.names(prefix)}


def run(case: Case, config: NmsConfig) -> Suppressed:
    if "area" in case:
        config = msgspec.structs.replace(config, min_box_area=float(case["area"]))
    boxes, poses = (torch.from_numpy(np.array(case[name])) for name in ("boxes", "poses"))
    scores = torch.from_numpy(np.array(case["scores"])).reshape(poses.shape[:2])
    given = np.array(case.get("box_scores", np.zeros(len(boxes), dtype=np.float32)))
    return suppress_poses(boxes, torch.from_numpy(given), poses, scores, config)


def poses_of(number: int, case: Case, found: Suppressed) -> Iterator[Comparison]:
    """The survivors' joints and scores; a scene of which nobody is left stores empty arrays or none."""
    wanted = case.get("out_kp", np.zeros_like(found.keypoints))
    yield same(f"{number} survivors", len(found.keypoints), len(wanted))
    if len(found.keypoints) == len(wanted) and len(wanted):
        # The README asks for 1e-3 pixels; float32 holds no more where a picture is thousands wide.
        allowed = max(PIXELS, 1e-5 * float(np.nanmax(np.abs(wanted), initial=0.0)))
        yield close(f"{number} joints", found.keypoints, wanted, allowed)
        yield close(f"{number} scores", found.scores, case["out_sc"].reshape(found.scores.shape), SHARE)


def written(number: int, case: Case, found: Suppressed, name: str) -> Iterator[Comparison]:
    if len(found.keypoints):
        wanted = np.asarray(case[name], dtype=np.float64).reshape(-1)
        yield close(f"{number} persons' scores", found.person_scores, wanted, SHARE * 4)


@check("alphapose/nms_master_*.npz", "survivors, groups and scores")
def master(data: Vectors) -> Iterator[Comparison]:
    leaked = "leak" in data.path.stem
    for number, case in scenes(data):
        joints = case["poses"].shape[1]
        regression = "regression" in data.path.stem
        # What is left behind by a whole-body regression call is the 136 joints' constants.
        found = run(case, reference_nms("master", 136 if leaked else joints, regression=regression))
        yield from poses_of(number, case, found)
        yield same(f"{number} picks", found.report.kept, case["pick"])
        yield same(f"{number} group sizes", [len(group) for group in found.groups], case["group_len"])
        ids = np.concatenate([np.zeros(0, dtype=np.int64), *found.groups])
        yield same(f"{number} groups", ids, case["group_ids"])
        yield same(f"{number} boxes", found.boxes, case["out_boxes"].reshape(-1, 4))
        yield same(f"{number} boxes' scores", found.box_scores, case["out_box_scores"].reshape(-1))
        yield from written(number, case, found, "proposal")


def release(version: str, score: str) -> Check:
    def part(data: Vectors, config: NmsConfig, score: str) -> Iterator[Comparison]:
        for number, case in scenes(data):
            found = run(case, config)
            yield from poses_of(number, case, found)
            if "out_pick" in case:
                # Of exactly doubled candidates any twin is right.
                picked = case["poses"][np.asarray(case["out_pick"], dtype=np.int64)]
                yield same(f"{number} picks", case["poses"][found.report.kept], picked)
            yield from written(number, case, found, score)

    return partial(part, config=reference_nms(version), score=score)


check("alphapose/nms_old*.npz", "survivors and scores")(release("old", "out_prop"))
check("alphapose/nms_train*.npz", "survivors and scores")(release("train", "out_prop"))
check("alphapose/nms_2017_COCO*.npz", "survivors and scores")(release("2017", "out_score"))
check("alphapose/nms_2017_MPII*.npz", "survivors and scores")(release("2017_mpii", "out_score"))
