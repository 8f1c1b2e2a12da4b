"""The square crop and the multi-scale test of pose-ae-train."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from goldenfolder import Comparison, Vectors, check, close

from poseviewer.core.skeleton import skeleton
from poseviewer.ops import grouping, multiscale_ae

TRANSFORM, PEOPLE = "hrnet_ae/transform_ae.npz", "hrnet_ae/multiperson_ae.npz"
SCALES = {"single": (1.0,)}


@check(TRANSFORM, "map, inverse and points")
def transform(data: Vectors) -> Iterator[Comparison]:
    for row, rotation in enumerate(data["rot"]):
        size = (int(data["res"][row, 0]), int(data["res"][row, 1]))
        parts = data.tensor("center")[row], data.tensor("scale")[row]
        matrix = multiscale_ae.square_matrix(*parts, size, rotation=float(rotation))
        yield close(f"map {row}", matrix, data["matrix"][row], 1e-6)
        yield close(f"inverse {row}", torch.linalg.inv(matrix)[:2], data["inverse"][row], 1e-6)
        points = data.tensor("points")[row] @ matrix[:2, :2].T + matrix[:2, 2]
        yield close(f"points {row}", points, data["points_t"][row], 1e-4)


@check(PEOPLE, "people over all scales")
def people(data: Vectors) -> Iterator[Comparison]:
    for options in data.json():
        case = options["case"]
        scales = SCALES.get(str(options["mode"]), (2.0, 1.0, 0.5))
        height, width = options["hw"]
        total = multiscale_ae.ScaleSum((width, height), skeleton().flip, scales)
        for number, scale in enumerate(scales):
            total.add(scale, *(data.tensor(f"c{case}_out{2 * number + call}") for call in (0, 1)))
        found, scores = total.people()
        yield close(f"people {case}", found, data[f"c{case}_grouped"], 1e-3)
        yield close(f"scores {case}", scores, data[f"c{case}_scores"], 1e-5)
        written = multiscale_ae.written_joints(found).flatten(1)
        wanted = [entry["keypoints"] for entry in options["dt"]]
        yield close(f"written {case}", written, torch.tensor(wanted).view(written.shape), 1e-3)
        # The stored detections still carry the mean value after filling, where a filled joint counts 1.
        values = grouping.person_scores(found)
        yield close(f"written scores {case}", values, [entry["score"] for entry in options["dt"]], 1e-5)
