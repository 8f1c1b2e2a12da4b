"""Two answers about the same people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poseviewer.core.skeleton import skeleton
from poseviewer.core.values import FrameResult, MediaInfo, Pose
from poseviewer.evaluation.agreement import (
    ON_SCREEN,
    Answer,
    _likeness,
    agreement,
    answers,
    pair_of,
    pair_with,
    pairs,
)
from poseviewer.jobs.agreeing import agree
from poseviewer.project import Project
from poseviewer.project.edits import MoveJoint
from poseviewer.project.people import AREA_OF_BOX

KIT = skeleton()


def person(left: float = 10.0, seed: int = 0) -> Answer:
    """Somebody 100 x 200 pixels large, with every joint inside the box."""
    box = np.array([left, 20, left + 100, 220], np.float32)
    places = np.random.default_rng(seed).uniform(0, 1, (KIT.count, 2))
    keypoints = (box[:2] + places * (box[2:] - box[:2])).astype(np.float32)
    return Answer(Pose(keypoints, np.full(KIT.count, 0.9, np.float32), box, 0.9), np.full(KIT.count, 2, np.uint8))


def moved(answer: Answer, joint: int, pixels: float) -> Answer:
    keypoints = answer.pose.keypoints.copy()
    keypoints[joint, 0] += pixels
    return Answer(Pose(keypoints, answer.pose.scores, answer.pose.box, 0.9), answer.visibility)


def test_one_joint_that_moved_costs_what_coco_says() -> None:
    pair = pair_of(person(), moved(person(), 9, 12.0), KIT)
    wrist = np.exp(-(12.0**2) / (2 * AREA_OF_BOX * 100 * 200 * (2 * 0.062) ** 2))
    assert pair.distance[9] == pytest.approx(12.0, abs=1e-4)
    assert pair.joint_oks[9] == pytest.approx(wrist, rel=1e-5)
    assert pair.oks == pytest.approx((16 + wrist) / 17, rel=1e-5)
    assert pair.mean_distance == pytest.approx(12 / 17, abs=1e-5)
    assert pair.seen_differently == 0


def test_a_joint_that_one_side_lacks_counts_nothing_and_has_no_distance() -> None:
    seen = np.full(KIT.count, 2, np.uint8)
    seen[9], seen[10] = 0, 1
    pair = pair_of(person(), Answer(person().pose, seen), KIT)
    assert np.isnan(pair.distance[9])
    assert pair.joint_oks[9] == 0
    assert pair.oks == pytest.approx(16 / 17)
    assert pair.seen_differently == 2
    neither = pair_of(Answer(person().pose, seen), Answer(person().pose, seen), KIT)
    assert np.isnan(neither.joint_oks[9])
    assert neither.oks == pytest.approx(1.0)


@given(st.permutations(range(4)), st.sets(st.integers(0, 3)))
def test_everybody_is_in_one_pair_and_the_order_of_people_and_sides_does_not_matter(
    order: list[int], missed: set[int]
) -> None:
    firsts = [person(150.0 * one, one) for one in range(4)]
    seconds = [moved(firsts[one], 3, 4.0) for one in order if one not in missed]
    found = pairs(firsts, seconds, KIT)
    assert len(found) == 4
    assert sum(pair.second is None for pair in found) == len(missed)
    for pair in found:
        if pair.first is not None and pair.second is not None:
            assert np.allclose(pair.first.pose.box, pair.second.pose.box)
    assert agreement(found) == pytest.approx(agreement(pairs(seconds, firsts, KIT)))
    assert agreement(found) <= 1 - len(missed) / 4


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 99))
def test_all_pairs_at_once_are_as_like_as_one_by_one(first: int, second: int, seed: int) -> None:
    rng = np.random.default_rng(seed)

    def some(count: int) -> list[Answer]:
        people = [person(float(rng.uniform(0, 60)), int(rng.integers(99))) for _ in range(count)]
        return [Answer(one.pose, rng.integers(0, 3, KIT.count).astype(np.uint8)) for one in people]

    firsts, seconds = some(first), some(second)
    slow = [[pair_of(a, b, KIT).oks for b in seconds] for a in firsts]
    assert np.allclose(_likeness(firsts, seconds, KIT), slow)


def test_boxes_that_lie_on_each_other_are_one_person_whatever_the_joints_say() -> None:
    wild = Answer(person(seed=5).pose, person().visibility)
    found = pairs([person(seed=4)], [wild], KIT)
    assert len(found) == 1
    assert found[0].oks < 0.5


def test_nobody_on_either_side_says_nothing() -> None:
    assert pairs([], [], KIT) == ()
    assert np.isnan(agreement([]))
    alone = pairs([person()], [], KIT)
    assert agreement(alone) == 0.0
    assert np.isnan(alone[0].mean_distance)


def test_the_pair_of_somebody_is_found_on_either_side() -> None:
    found = pairs([person(), person(300)], [person(300), person(600, 2)], KIT)
    assert pair_with(person(600, 2), found, KIT) is found[-1]
    assert pair_with(person(), found, KIT).second is None  # type: ignore[union-attr]
    assert pair_with(person(2000, 7), found, KIT) is None


def test_two_runs_and_the_corrections_of_a_project_are_compared(tmp_path: Path) -> None:
    info = MediaInfo("clip.mp4", "video", 6, (640, 480), 25.0, 0.24, "h264", 0, "ff")
    with Project.create(tmp_path / "two.poseproj") as project:
        media = project.add_media(info)
        runs = []
        for shift in (0.0, 6.0):
            run = project.start_run(media, {}, {}, range(6))
            poses = [(moved(person(), 9, shift).pose,) if frame != 4 else () for frame in range(6)]
            project.store_results(run, [FrameResult(n, n / 25, found, f"{n:016x}") for n, found in enumerate(poses)])
            project.finish_run(run, "done")
            runs.append(run)
        found = drained(agree(project, media, range(6), runs[0], runs[1]))
        assert np.isnan(found[4])
        assert found[0] == pytest.approx(found[5])
        assert 0.9 < found[0] < 1
        same = drained(agree(project, media, range(6), runs[1], ON_SCREEN))
        assert same[0] == pytest.approx(1.0)
        key = project.people(media, 2)[0].key
        project.apply(MoveJoint(media, 2, key, 0, 500.0, 400.0))
        assert answers(project, media, 2, ON_SCREEN)[0].pose.keypoints[0].tolist() == [500.0, 400.0]
        until = drained(agree(project, media, range(6), runs[1], ON_SCREEN, below=0.97))
        assert list(until) == [0, 1, 2]
        short = project.start_run(media, {}, {}, [1])
        project.store_results(short, [FrameResult(1, 1 / 25, (), "01")])
        project.finish_run(short, "done")
        found = drained(agree(project, media, range(3), runs[0], short))
        assert np.isnan(found[0])
        assert found[1] == 0
        assert np.isnan(found[2])


def drained(job):
    """Run a job to its end and return its result."""
    try:
        while True:
            next(job)
    except StopIteration as end:
        return end.value
