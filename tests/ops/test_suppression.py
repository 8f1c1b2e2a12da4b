"""Pose NMS against a plain loop, and its invariances; the published code's numbers are those of check_pose_nms.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loop_nms import loop_nms, scene

from poseviewer.core.values import (
    BELOW_FLOOR,
    BY_BOTH,
    BY_MATCHES,
    BY_SIMILARITY,
    KEPT,
    TOO_SMALL,
)
from poseviewer.ops.nms_config import NmsConfig, reference_nms
from poseviewer.ops.suppression import Suppressed, suppress_poses

torch.set_num_threads(1)
REMOVED = (BY_SIMILARITY, BY_MATCHES, BY_BOTH)


def run(arrays, config=None) -> Suppressed:
    return suppress_poses(*(torch.from_numpy(np.array(array)) for array in arrays), config=config)


# --- a plain loop ---


@pytest.mark.parametrize(
    ("joints", "config"),
    [
        (17, NmsConfig()),
        (17, NmsConfig(gamma=10.0, match_threshold=3.0, score_floor=0.5, min_box_area=3000.0, alpha=0.2)),
        (26, NmsConfig(delta1=0.5, delta2=6.0, mu=1.0)),
        (133, reference_nms("master", 133)),
        (136, reference_nms("master", 136, regression=True)),
        (17, reference_nms("old")),
        (17, reference_nms("train")),
        (17, reference_nms("2017")),
        (16, reference_nms("2017_mpii")),
    ],
)
def test_equals_the_plain_loop(joints: int, config: NmsConfig) -> None:
    rng = np.random.default_rng(joints)
    removed = 0
    for _ in range(6):
        arrays = scene(rng, int(rng.integers(1, 14)), joints, 4)
        picks, groups, points, scores = loop_nms(*arrays, config)
        result = run(arrays, config)
        assert result.report.kept.tolist() == picks
        assert [group.tolist() for group in result.groups] == groups
        np.testing.assert_allclose(result.keypoints, points.reshape(result.keypoints.shape), atol=2e-3)
        np.testing.assert_allclose(result.scores, scores.reshape(result.scores.shape), atol=1e-4)
        removed += len(arrays[0]) - len(picks)
    assert removed > 3


# --- the report ---


def test_report_names_the_remover_and_the_figures() -> None:
    rng = np.random.default_rng(3)
    pose = rng.uniform(0, 200, (17, 2)).astype(np.float32)
    # 0 and 1 are one person a pixel apart, 2 shares six joints with 0, 3 is far away, 4 is unsure, 5 is tiny.
    half = pose + 60
    half[:6] = pose[:6] + 4
    tiny = np.full((17, 2), 500, dtype=np.float32) + rng.uniform(0, 1, (17, 2)).astype(np.float32)
    poses = np.stack([pose, pose + 0.5, half, pose + 1000, pose + 2000, tiny]).astype(np.float32)
    scores = np.stack([np.full(17, value) for value in (0.9, 0.8, 0.7, 0.6, 0.2, 0.5)]).astype(np.float32)
    boxes = np.concatenate([poses.min(1), poses.max(1)], 1)
    boxes[5] = (480, 480, 560, 560)
    result = run((boxes, np.ones(6, np.float32), poses, scores), NmsConfig(min_box_area=100.0))
    report = result.report
    assert report.outcome.tolist() == [KEPT, BY_BOTH, BY_MATCHES, KEPT, BELOW_FLOOR, TOO_SMALL]
    assert report.by.tolist() == [-1, 0, 0, -1, -1, -1]
    assert report.kept.tolist() == [0, 3]
    assert report.nearest.tolist()[:4] == [-1, 0, 0, 0]
    assert report.matches.tolist()[:3] == [0, 17, 6]
    distance = np.sqrt(0.5)
    expected = 17 * (np.tanh(0.9) * np.tanh(0.8) + 1.7 * np.exp(-distance / 2.65))
    assert report.similarity[1] == pytest.approx(expected, rel=1e-4)
    assert [group.tolist() for group in result.groups] == [[0, 1, 2], [3]]


def test_disabled_keeps_everything_best_first() -> None:
    arrays = scene(np.random.default_rng(0), 9, 17, 3)
    result = run(arrays, NmsConfig(enabled=False))
    assert sorted(result.report.kept.tolist()) == list(range(9))
    means = np.where(arrays[3] == 0, 1e-5, arrays[3]).mean(1)[result.report.kept]
    assert (np.diff(means) <= 1e-6).all()
    np.testing.assert_array_equal(result.keypoints, arrays[2][result.report.kept])


@pytest.mark.parametrize("version", ["master", "old", "train", "2017", "2017_mpii", "paper", "corrected"])
def test_nobody_and_empty_boxes_are_no_error(version) -> None:
    none = tuple(np.zeros(shape, np.float32) for shape in ((0, 4), (0,), (0, 17, 2), (0, 17)))
    assert len(run(none, reference_nms(version)).keypoints) == 0
    boxes, box_scores, poses, scores = scene(np.random.default_rng(0), 5, 17, 2)
    result = run((np.zeros_like(boxes), box_scores, poses, scores), reference_nms(version))
    assert len(result.report.outcome) == 5


# --- invariances ---

seeds = st.integers(0, 10_000)
versions = st.sampled_from(["master", "old", "train", "2017", "corrected", "paper"])


@settings(max_examples=40, deadline=None)
@given(seed=seeds, version=versions, joints=st.sampled_from([17, 26]))
def test_order_of_candidates_does_not_matter(seed: int, version, joints: int) -> None:
    rng = np.random.default_rng(seed)
    boxes, box_scores, poses, scores = scene(rng, 8, joints, 3)
    scores += rng.uniform(0, 0.01, (8, 1)).astype(np.float32)  # no two equally good
    shuffle = rng.permutation(8)
    one = run((boxes, box_scores, poses, scores), reference_nms(version))
    other = run((boxes[shuffle], box_scores[shuffle], poses[shuffle], scores[shuffle]), reference_nms(version))
    assert shuffle[other.report.kept].tolist() == one.report.kept.tolist()
    assert one.report.outcome[shuffle].tolist() == other.report.outcome.tolist()
    np.testing.assert_allclose(one.keypoints, other.keypoints, atol=1e-3)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, version=versions, shift=st.tuples(st.integers(-64, 64), st.integers(-64, 64)))
def test_a_shifted_picture_gives_shifted_poses(seed: int, version, shift: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    boxes, box_scores, poses, scores = scene(rng, 8, 17, 3)
    poses, boxes = np.round(poses * 8) / 8, np.round(boxes)  # so that shifting is exact
    move = np.array(shift, dtype=np.float32)
    one = run((boxes, box_scores, poses, scores), reference_nms(version))
    other = run((boxes + np.tile(move, 2), box_scores, poses + move, scores), reference_nms(version))
    assert one.report.outcome.tolist() == other.report.outcome.tolist()
    np.testing.assert_allclose(one.keypoints + move, other.keypoints, atol=1e-3)


@settings(max_examples=60, deadline=None)
@given(seed=seeds, joints=st.sampled_from([14, 17, 133, 136]), copies=st.integers(1, 12))
def test_corrected_form_lets_no_near_copy_of_a_better_pose_survive(seed: int, joints: int, copies: int) -> None:
    rng = np.random.default_rng(seed)
    boxes, box_scores, poses, scores = scene(rng, 10, joints, 5, jitter=0.0)
    sides = (boxes[:, 2:] - boxes[:, :2]).max(1)
    chosen = rng.integers(0, 10, copies)
    # "Near": every joint within a hundredth of the box side.
    noise = rng.uniform(-1, 1, (copies, joints, 2)) * 0.007 * sides[chosen, None, None]
    poses = np.concatenate([poses, poses[chosen] + noise]).astype(np.float32)
    scores = np.concatenate([scores, scores[chosen] * 0.9])
    boxes, box_scores = np.concatenate([boxes, boxes[chosen]]), np.concatenate([box_scores, box_scores[chosen]])
    result = run((boxes, box_scores, poses, scores), reference_nms("corrected"))
    assert not set(result.report.kept.tolist()) & set(range(10, 10 + copies))
    assert len(set(result.report.kept.tolist())) == len(result.report.kept)


def test_master_lets_doubles_survive_where_corrected_does_not() -> None:
    """The whole-body form's oddity that the corrected form is for: many people, and the match count is diluted."""
    rng = np.random.default_rng(1)
    boxes, box_scores, poses, scores = scene(rng, 12, 133, 12, jitter=0.0)
    apart = np.arange(12, dtype=np.float32)[:, None] * 1000
    poses, boxes = poses + apart[..., None], boxes + apart
    scores = 0.5 + 0.5 * rng.random(scores.shape).astype(np.float32)
    double = tuple(np.concatenate([array, array]) for array in (boxes, box_scores, poses, scores * 0.95))
    survivors = {
        version: len(run(double, reference_nms(version, 133)).report.kept) for version in ("master", "corrected")
    }
    assert survivors["master"] > 12
    assert survivors["corrected"] == 12


@settings(max_examples=30, deadline=None)
@given(seed=seeds, version=versions)
def test_the_report_is_consistent(seed: int, version) -> None:
    arrays = scene(np.random.default_rng(seed), 12, 17, 3)
    result = run(arrays, reference_nms(version))
    report = result.report
    assert set(np.flatnonzero(report.outcome == KEPT)) == set(report.kept.tolist())
    removed = np.isin(report.outcome, REMOVED)
    assert ((report.by >= 0) == removed).all()
    human = np.where(arrays[3] == 0, 1e-5, arrays[3]).mean(1)
    if version != "train":  # its picking order uses scores of its own
        assert (human[report.by[removed]] >= human[removed] - 1e-6).all()
    assert not removed[report.by[removed]].any()
    assert sorted(index for group in result.groups for index in group) == sorted(
        np.flatnonzero((report.outcome == KEPT) | (removed & np.isin(report.by, report.kept))).tolist()
    )


@settings(max_examples=40, deadline=None)
@given(seed=seeds)
def test_merging_adds_in_the_order_of_the_candidates(seed: int) -> None:
    """Where copies lie on whole pixels, the rounding of the sums decides which whole pixel the 2017 release writes."""
    rng = np.random.default_rng(seed)
    pose = rng.integers(0, 600, (16, 2)).astype(np.float32)
    poses = np.repeat(pose[None], 12, axis=0)
    scores = (rng.integers(5, 17, (12, 16)) / 16).astype(np.float32)
    boxes = np.tile(np.array([0, 0, 700, 700], np.float32), (12, 1))
    result = run((boxes, np.ones(12, np.float32), poses, scores), reference_nms("2017_mpii"))
    wide = scores.astype(np.float64)
    total = np.zeros(16)
    for row in wide:
        total = total + row
    merged = np.zeros((16, 2))
    for row in wide:
        merged = merged + pose.astype(np.float64) * (row / total)[:, None]
    assert len(result.keypoints) == 1
    np.testing.assert_array_equal(result.keypoints[0], np.trunc(merged))


def test_a_box_turned_inside_out_matches_everybody_as_in_the_reference() -> None:
    boxes, box_scores, poses, scores = scene(np.random.default_rng(2), 9, 17, 4)
    poses += np.arange(9, dtype=np.float32)[:, None, None] * 900
    best = int(np.where(scores == 0, 1e-5, scores).mean(1).argmax())
    boxes[best] = boxes[best][[2, 3, 0, 1]]
    result = run((boxes, box_scores, poses, scores), NmsConfig())
    assert [group.tolist() for group in result.groups] == [list(range(9))]
