"""Pose-guided proposals: atomic poses and mixtures found again in generated data."""

from __future__ import annotations

import numpy as np
import pytest

from poseviewer.core.skeleton import skeleton
from poseviewer.training.pose_guided import (
    ProposalDraws,
    ProposalGenerator,
    aligned,
    cluster,
    fit_mixture,
    master_proposal,
    offsets,
)

TORSO = skeleton().torso()
HEAD = [[50, 10], [53, 7], [47, 7], [57, 9], [43, 9]]
ARMS = [[65, 35], [35, 35], [70, 60], [30, 60], [72, 85], [28, 85]]
LEGS = [[60, 90], [40, 90], [60, 130], [40, 130], [60, 170], [40, 170]]
STANDING = np.array([*HEAD, *ARMS, *LEGS], dtype=np.float64)
SITTING = STANDING.copy()
SITTING[[13, 14]] = [[95, 92], [85, 95]]
SITTING[[15, 16]] = [[95, 130], [85, 132]]


def people(rng: np.random.Generator, count: int) -> tuple[np.ndarray, ...]:
    """Standing and sitting persons; boxes of standing ones are found short of the feet, of sitting ones too wide."""
    sits = rng.random(count) < 0.5
    joints = np.where(sits[:, None, None], SITTING, STANDING) + rng.normal(0, 1.5, (count, 17, 2))
    joints = joints * rng.uniform(0.5, 3, (count, 1, 1)) + rng.uniform(50, 400, (count, 1, 2))
    true = np.concatenate([joints.min(axis=1), joints.max(axis=1)], axis=1)
    usual = np.where(sits[:, None], [-0.1, 0.0, 0.2, 0.0], [0.0, 0.05, 0.0, -0.3])
    moved = usual + rng.normal(0, 0.02, (count, 4))
    detected = true + moved * np.tile(true[:, 2:] - true[:, :2], 2)
    return joints, true, detected, sits


def test_aligned_poses_have_a_torso_of_length_one_at_the_origin() -> None:
    joints = np.stack([STANDING * 3 + 70, STANDING])
    poses, whole = aligned(joints, np.ones((2, 17), dtype=bool), TORSO)
    assert whole.all()
    np.testing.assert_allclose(poses[0], poses[1], atol=1e-12)
    lengths = [np.linalg.norm(poses[0, shoulder] - poses[0, hip]) for shoulder, hip in TORSO]
    assert np.mean(lengths) == pytest.approx(1)
    _, whole = aligned(joints, np.arange(17)[None] < [[17], [5]], TORSO)
    assert whole.tolist() == [True, False]


def test_clusters_are_found_again_where_coordinates_are_missing() -> None:
    rng = np.random.default_rng(3)
    middle = np.array([[0.0, 0, 0, 0], [5, 5, 5, 5], [0, 9, 0, 9]])
    truth = rng.integers(3, size=300)
    values = middle[truth] + rng.normal(0, 0.3, (300, 4))
    known = rng.random((300, 4)) > 0.2
    known[:, 0] |= ~known.any(axis=1)
    centres, label = cluster(values, 3, rng, known=known)
    found = [int(np.abs(centres - wanted).sum(axis=1).argmin()) for wanted in middle]
    assert sorted(found) == [0, 1, 2]
    assert np.mean(np.asarray(found)[truth] == label) > 0.95
    np.testing.assert_allclose(centres[found], middle, atol=0.3)


def test_a_mixture_finds_two_gaussians_again() -> None:
    rng = np.random.default_rng(4)
    first = rng.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], 600)
    second = rng.multivariate_normal([6, -4], [[0.2, 0], [0, 0.5]], 300)
    mixture = fit_mixture(np.concatenate([first, second]), 2, rng)
    order = np.argsort(mixture.means[:, 0])
    np.testing.assert_allclose(mixture.weights[order], [2 / 3, 1 / 3], atol=0.03)
    np.testing.assert_allclose(mixture.means[order], [[0, 0], [6, -4]], atol=0.15)
    np.testing.assert_allclose(mixture.covariances[order[0]], [[1, 0.8], [0.8, 1]], atol=0.15)
    one = fit_mixture(np.concatenate([first, second]), 1, rng)
    assert mixture.log_likelihood(first) > one.log_likelihood(first) + 0.3


def test_proposals_repeat_what_the_detector_does_with_each_pose() -> None:
    rng = np.random.default_rng(5)
    joints, true, detected, sits = people(rng, 600)
    seen = np.ones((600, 17), dtype=bool)
    generator = ProposalGenerator.fit(joints, seen, true, detected, TORSO, rng, atoms=4, gaussians=2)
    for sitting in (False, True):
        person = int(np.flatnonzero(sits == sitting)[0])
        drawn = [generator.propose(true[person], joints[person], seen[person], (4000, 4000), rng) for _ in range(300)]
        moved = offsets(np.stack(drawn), np.repeat(true[person][None], 300, axis=0))
        wanted = [-0.1, 0.0, 0.2, 0.0] if sitting else [0.0, 0.05, 0.0, -0.3]
        np.testing.assert_allclose(moved.mean(axis=0), wanted, atol=0.02)
        np.testing.assert_allclose(moved.std(axis=0), 0.02, atol=0.01)


def test_a_person_without_a_torso_gets_a_box_inside_the_picture() -> None:
    rng = np.random.default_rng(6)
    joints, true, detected, _ = people(rng, 60)
    seen = np.ones((60, 17), dtype=bool)
    generator = ProposalGenerator.fit(joints, seen, true, detected, TORSO, rng)
    face = np.arange(17) < 5
    assert generator.atom(joints[0], face) == -1
    for _ in range(50):
        x1, y1, x2, y2 = generator.propose(np.array([90.0, 90, 99, 99]), joints[0], face, (100, 100), rng)
        assert 0 <= x1 < x2 <= 99
        assert 0 <= y1 < y2 <= 99
    # Where nobody has one, all poses share one mixture.
    faces = ProposalGenerator.fit(joints, np.repeat(face[None], 60, axis=0), true, detected, TORSO, rng)
    assert len(faces.atoms) == len(faces.mixtures) == 0
    assert faces.atom(joints[0], np.ones(17, dtype=bool)) == -1
    with pytest.raises(ValueError, match="at least one"):
        ProposalGenerator.fit(joints[:0], np.ones((0, 17), dtype=bool), true[:0], detected[:0], TORSO, rng)


def test_the_published_proposal_stays_in_the_picture() -> None:
    rng = np.random.default_rng(7)
    for _ in range(200):
        x1, y1 = rng.uniform(0, 300, 2)
        box = [x1, y1, x1 + rng.uniform(10, 300), y1 + rng.uniform(10, 180)]
        draws = ProposalDraws.random(rng)
        found = master_proposal(box, (640, 480), draws)
        if draws.patch > 0.85:
            assert (found[:2] >= np.asarray(box[:2])).all()
            assert (found[2:] <= np.asarray(box[2:]) + 1).all()
        else:
            assert (found[:2] >= 1).all()
            assert (found[2:] <= [637, 477]).all()
