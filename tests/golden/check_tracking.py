"""PoseFlow, the Kalman filter, the re-ID tracker and its assignment."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
from goldenfolder import Comparison, Vectors, check, close, same

from poseviewer.ops import kalman, poseflow
from poseviewer.ops.assignment import limited_assignment
from poseviewer.ops.association import AssociationConfig, Tracks, appearance, step

KALMAN = "alphapose/kalman.npz"
REID = "alphapose/tracker_reid.npz"
ASSIGNMENT = "alphapose/linear_assignment.json"
FLOW = "alphapose/poseflow.npz"
FLOW_PARTS = "alphapose/poseflow_primitives.npz"
TIGHT = 1e-9
"""Relative, as the README of the vectors asks of float64 results."""
SHORT_BUFFER = {"s2": 5}
"""Sequences that remember lost tracks for fewer frames than 240."""


@check(KALMAN, "begin, predict, gate, update")
def one_by_one(data: Vectors) -> Iterator[Comparison]:
    for track in sorted({name.split("_")[0] for name in data.names("k")}):
        get = lambda name, track=track: data[f"{track}_{name}"]  # noqa: E731
        mean, covariance = kalman.begin(get("z0")[None])
        yield close(f"{track} mean0", mean[0], get("mean0"), TIGHT, relative=True)
        yield close(f"{track} cov0", covariance[0], get("cov0"), TIGHT, relative=True)
        for at in range(len(get("z"))):
            mean, covariance = kalman.predict(mean, covariance)
            yield close(f"{track} {at} predicted", mean[0], get("pred_mean")[at], TIGHT, relative=True)
            yield close(f"{track} {at} predicted spread", covariance[0], get("pred_cov")[at], TIGHT, relative=True)
            measured = get("gate_meas")[at]
            for name, options in (
                ("maha", {}),
                ("maha_pos", {"places_only": True}),
                ("gauss", {"metric": "euclidean"}),
            ):
                found = kalman.gating_distances(mean, covariance, measured, **options)[0]
                yield close(f"{track} {at} {name}", found, get(f"gate_{name}")[at], TIGHT, relative=True)
            mean, covariance = kalman.update(mean, covariance, get("z")[at][None])
            yield close(f"{track} {at} updated", mean[0], get("upd_mean")[at], TIGHT, relative=True)
            yield close(f"{track} {at} updated spread", covariance[0], get("upd_cov")[at], TIGHT, relative=True)


@check(KALMAN, "many at once")
def many(data: Vectors) -> Iterator[Comparison]:
    mean, covariance = kalman.predict(data["multi_in_mean"], data["multi_in_cov"])
    yield close("means", mean, data["multi_out_mean"], TIGHT, relative=True)
    yield close("covariances", covariance, data["multi_out_cov"], TIGHT, relative=True)


@check(ASSIGNMENT, "matches and leftovers")
def assignments(data: Vectors) -> Iterator[Comparison]:
    for number, case in enumerate(json.loads(data.path.read_text())):
        shape = (len(case["cost"]), len(case["matches"]) + len(case["unmatched_b"]))
        cost = np.array(case["cost"], dtype=np.float64).reshape(shape)
        found = limited_assignment(cost, case["thresh"])
        yield same(f"{number} pairs", sorted(found.pairs), sorted(map(tuple, case["matches"])))
        yield same(f"{number} rows", found.rows, sorted(case["unmatched_a"]))
        yield same(f"{number} columns", found.columns, sorted(case["unmatched_b"]))


@check(REID, "whole sequences")
def reid(data: Vectors) -> Iterator[Comparison]:
    for sequence in sorted({name.split("_")[0] for name in data.names("s")}):
        config = AssociationConfig(buffer=SHORT_BUFFER.get(sequence, 240))
        tracks = Tracks()
        frames = {int(name.split("_")[1][1:]) for name in data.names(f"{sequence}_f")}
        for frame in sorted(frames):
            place = f"{sequence}_f{frame}"
            features = data[f"{place}_feat"]
            tracks = step(tracks, data[f"{place}_det_tlbr"], appearance(features), config, features=features)
            present = tracks.present
            yield same(f"{place} numbers", [track.number for track in present], data[f"{place}_out_id"])
            yield close(f"{place} boxes", tracks.boxes, data[f"{place}_out_tlbr"].reshape(-1, 4), TIGHT, relative=True)
            yield same(f"{place} detections", [track.detection for track in present], data[f"{place}_out_det_index"])
            yield same(f"{place} confirmed", [track.confirmed for track in present], data[f"{place}_out_activated"])
            yield same(f"{place} lost", sorted(t.number for t in tracks.lost), np.sort(data[f"{place}_lost_ids"]))


@check(FLOW_PARTS, "boxes and overlaps")
def primitives(data: Vectors) -> Iterator[Comparison]:
    config = poseflow.PoseFlowConfig()
    size = (240, 180)
    for row in range(len(data["pose1"])):
        one, two = data["pose1"][row][None], data["pose2"][row][None]
        boxes = [poseflow.person_boxes(pose, size) for pose in (one, two)]
        yield same(f"{row} first box", boxes[0][0], data["box1"][row])
        yield same(f"{row} second box", boxes[1][0], data["box2"][row])
        yield close(f"{row} boxes", poseflow.box_overlaps(boxes[0], boxes[1])[0], data["box_iou"][row], TIGHT)
        yield close(f"{row} poses", poseflow.pose_overlaps(one, two, config)[0, 0], data["pose_iou"][row], TIGHT)
        found = poseflow.pose_shared_points(one, two, _points(data["cors"][row]), config)[0, 0]
        yield close(f"{row} correspondences", found, data["pose_iou_dm"][row], TIGHT)


@check(FLOW, "whole sequences")
def flow(data: Vectors) -> Iterator[Comparison]:
    config = poseflow.PoseFlowConfig()
    meta = json.loads(str(data["meta"]))
    for sequence, facts in sorted(meta.items()):
        size = (int(facts["width"]), int(facts["height"]))
        history = poseflow.History()
        for frame in range(int(facts["frames"])):
            place = f"{sequence}_f{frame}"
            stored = f"{place}_cors" in data
            points = _points(data[f"{place}_cors"]) if stored else poseflow.Correspondences.still(*size)
            history, found = poseflow.link(history, data[f"{place}_kp"], points, size, config)
            yield same(f"{place} numbers", found.numbers, data[f"{place}_idx"])
            yield close(f"{place} grades", found.grades, data[f"{place}_match_score"], TIGHT, relative=True)
            yield same(f"{place} boxes", found.boxes, data[f"{place}_box_l_r_t_b"].reshape(-1, 4))


def _points(stored: np.ndarray) -> poseflow.Correspondences:
    """Correspondences of rows x1, y1, x2, y2, distance."""
    values = np.asarray(stored, dtype=np.float64)
    return poseflow.Correspondences(values[:, :2], values[:, 2:4])
