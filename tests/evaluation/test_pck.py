"""PCK by hand-worked cases and by what must not change it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poseviewer.core.skeleton import skeleton
from poseviewer.evaluation.pck import PckPerson, count_pck, torso_length

KIT = skeleton("coco_17")
TORSO = KIT.torso()
BOX = np.array([0.0, 0.0, 100.0, 200.0])


def standing() -> np.ndarray:
    """Shoulders at (30, 40) and (70, 40), hips at (40, 120) and (60, 120); the rest on a line."""
    points = np.column_stack([np.linspace(10, 90, 17), np.linspace(10, 190, 17)])
    for joint, place in ((5, (70, 40)), (6, (30, 40)), (11, (60, 120)), (12, (40, 120))):
        points[joint] = place
    return points


def person(points: np.ndarray, labelled: np.ndarray | None = None, box: np.ndarray = BOX) -> PckPerson:
    return PckPerson(points, np.ones(17, bool) if labelled is None else labelled, box)


def test_the_torso_is_the_mean_of_the_labelled_diagonals() -> None:
    points = standing()
    points[11] = (60, 110)
    both = (np.hypot(30, 80) + np.hypot(30, 70)) / 2
    assert torso_length(person(points), TORSO) == pytest.approx(both)
    labelled = np.ones(17, bool)
    labelled[6] = False
    assert torso_length(person(points, labelled), TORSO) == pytest.approx(np.hypot(30, 80))
    labelled[5] = False
    assert torso_length(person(points, labelled), TORSO) is None
    assert torso_length(person(np.zeros((17, 2))), TORSO) is None


def test_the_border_of_a_fifth_of_the_torso() -> None:
    length = np.hypot(30, 80)
    inside, outside = standing(), standing()
    inside[0, 0] += 0.2 * length - 1e-9
    outside[0, 0] += 0.2 * length + 1e-6
    for points, right in ((inside, 17), (outside, 16)):
        count = count_pck([[person(standing())]], [[person(points)]], 17, TORSO)
        assert count.right.sum() == right
    assert count.by_joint()[0] == 0
    assert count.by_joint()[1] == 1
    assert count.overall() == pytest.approx(16 / 17)


def test_unlabelled_joints_do_not_count() -> None:
    labelled = np.ones(17, bool)
    labelled[:5] = False
    wrong = standing()
    wrong[:5] += 500
    count = count_pck([[person(standing(), labelled)]], [[person(wrong)]], 17, TORSO)
    assert count.overall() == 1
    assert count.by_joint()[:5] == [None] * 5


def test_who_is_not_found_is_all_wrong() -> None:
    far = person(standing(), box=BOX + 150)
    count = count_pck([[person(standing())], [person(standing())]], [[far], []], 17, TORSO)
    assert (count.persons, count.not_found, count.overall()) == (2, 2, 0.0)


def test_the_best_overlapping_result_is_compared() -> None:
    near, off = person(standing()), person(standing() + 60, box=BOX + 30)
    assert count_pck([[person(standing())]], [[off, near]], 17, TORSO).overall() == 1


def test_nobody_at_all() -> None:
    count = count_pck([[]], [[]], 17, TORSO)
    assert count.overall() is None
    assert count.by_joint() == [None] * 17


@given(
    shift=st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
    scale=st.floats(0.1, 20),
    seed=st.integers(0, 50),
)
def test_moving_and_scaling_everything_changes_nothing(shift: tuple[float, float], scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    found = standing() + rng.normal(0, 12, (17, 2))
    plain = count_pck([[person(standing())]], [[person(found)]], 17, TORSO)
    move = np.asarray(shift)
    box = scale * BOX + np.tile(move, 2)
    moved = count_pck(
        [[person(scale * standing() + move, box=box)]], [[person(scale * found + move, box=box)]], 17, TORSO
    )
    np.testing.assert_array_equal(plain.right, moved.right)
