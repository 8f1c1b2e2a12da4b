"""Trackers on made-up walkers whose identity is known, and in run()."""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import pytest
from dot_people import make_networks
from moving_people import SIZE, Walker, pose_of, scenes, switches

from poseviewer.core.values import Frame, Pose
from poseviewer.pipeline.config import NmsConfig, PipelineConfig, config_hash
from poseviewer.pipeline.run import run
from poseviewer.pipeline.tracking import KalmanTracker, Tracker, make_tracker, numbered

NAMES = ("oks", "poseflow", "kalman")
CROSSING = [Walker((60, 300), (4, 0)), Walker((580, 330), (-4, 0))]
SLOW = [Walker((200, 300), (1.5, 0)), Walker((440, 320), (-1.5, 0))]
LEAVING = [Walker((200, 300), (-5, 0), turn=55), Walker((450, 320), (0.5, 0))]
HIDDEN = [Walker((100, 300), (3, 0), hidden=range(30, 50)), Walker((450, 320), (0.5, 0))]
APART = [Walker((80, 300), (2, 0)), Walker((300, 300), (1, 0)), Walker((500, 320), (-0.5, 0))]


def follow(tracker: Tracker, walkers: list[Walker], frames: int, seed: int = 0) -> tuple[int, int]:
    """How often a number was switched, and the highest number."""
    truth, numbers = [], []
    for frame, poses, people in scenes(walkers, frames, seed=seed):
        tracked = tracker.update(frame, poses)
        assert [pose.keypoints is old.keypoints for pose, old in zip(tracked, poses, strict=True)] == [True] * len(
            poses
        )
        given = [pose.track for pose in tracked]
        assert None not in given
        assert len(set(given)) == len(given), "two people of a frame share a number"
        truth.append(people)
        numbers.append(given)
    return switches(truth, numbers), max(number for given in numbers for number in given)


@pytest.mark.parametrize("name", NAMES)
def test_people_who_stay_apart_keep_their_numbers(name: str) -> None:
    assert follow(make_tracker(name, "coco_17"), APART, 25) == (0, 3)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("walkers", "frames"),
    [(CROSSING, 120), (SLOW, 150), (LEAVING, 110), (HIDDEN, 100)],
    ids=["crossing", "slow crossing", "leaving and coming back", "hidden for 20 frames"],
)
def test_motion_keeps_numbers_through_crossings_and_gaps(walkers: list[Walker], frames: int, seed: int) -> None:
    assert follow(make_tracker("kalman", "coco_17"), walkers, frames, seed) == (0, 2)


def test_pose_alone_loses_whoever_moves_while_hidden() -> None:
    """What the plain tracker cannot do, and why it is not the default."""
    assert follow(make_tracker("oks", "coco_17"), HIDDEN, 100)[0] > 0


def test_appearance_decides_where_motion_cannot() -> None:
    """Two people change places while nobody sees them; features tell them apart, motion does not."""
    places = [(200, 300), (300, 300)]
    looks = np.eye(2)
    who = [0, 1]

    def features(frame: Frame, poses: list[Pose]) -> np.ndarray:
        return looks[who]

    rng = np.random.default_rng(0)
    outcome = []
    for appearance in (None, features):
        tracker = KalmanTracker(appearance=appearance)
        pixels = np.zeros((SIZE[1], SIZE[0], 3), dtype=np.uint8)
        for index in range(30):
            who = [0, 1] if index < 15 else [1, 0]
            poses = [pose_of(Walker(places[at], (0, 0)).joints(0), rng, 0.5) for at in (0, 1)]
            if 10 <= index < 15:
                tracker.update(Frame(index, index / 25, pixels), [])
                continue
            last = tracker.update(Frame(index, index / 25, pixels), poses)
        outcome.append([pose.track for pose in last])
    assert outcome[0] == [1, 2]
    assert outcome[1] == [2, 1]


def test_people_recalled_without_features_are_found_by_motion() -> None:
    """A project stores no features; the new ones of each person are smoothed from then on."""
    walkers = APART[:2]
    pixels = np.zeros((SIZE[1], SIZE[0], 3), dtype=np.uint8)
    rng = np.random.default_rng(0)
    tracker = KalmanTracker(appearance=lambda frame, poses: np.eye(2)[: len(poses)])
    for index in range(3):
        poses = [pose_of(walker.joints(index), rng, 0.5) for walker in walkers]
        tracker.recall([dataclasses.replace(pose, track=number) for pose, number in zip(poses, (4, 2), strict=True)])
    for index in range(3, 6):
        poses = [pose_of(walker.joints(index), rng, 0.5) for walker in walkers]
        tracked = tracker.update(Frame(index, index / 25, pixels), poses)
        assert [pose.track for pose in tracked] == [4, 2]


@pytest.mark.parametrize("name", NAMES)
def test_empty_frames_and_poses_without_pixels(name: str) -> None:
    tracker = make_tracker(name, "coco_17", highest=7)
    assert tracker.update(None, []) == ()
    pose = pose_of(Walker((200, 300), (0, 0)).joints(0), np.random.default_rng(0), 0.0)
    assert tracker.update(None, [pose])[0].track == 8
    assert tracker.update(None, []) == ()
    assert tracker.update(None, [pose])[0].track == 8


@pytest.mark.parametrize("name", NAMES)
def test_numbers_go_on_from_what_is_recalled(name: str) -> None:
    rng = np.random.default_rng(0)
    people = [pose_of(walker.joints(0), rng, 0.5) for walker in APART]
    tracker = make_tracker(name, "coco_17")
    for _ in range(3):
        tracker.recall(
            [dataclasses.replace(pose, track=number) for pose, number in zip(people, (5, None, 9), strict=True)]
        )
    given = [pose.track for pose in tracker.update(None, people)]
    assert given[0] == 5
    assert given[2] == 9
    assert given[1] == 10


@pytest.mark.parametrize("name", NAMES)
def test_a_pose_that_is_no_pose_gets_no_number(name: str) -> None:
    """The run goes on to say which network answers so."""
    good = pose_of(Walker((200, 300), (0, 0)).joints(0), np.random.default_rng(0), 0.0)
    broken = dataclasses.replace(good, keypoints=np.full_like(good.keypoints, np.nan))
    tracker = make_tracker(name)
    for _ in range(2):
        assert [pose.track for pose in numbered(tracker, None, [broken, good])] == [None, 1]


def test_joints_that_no_skeleton_names_are_tracked_too() -> None:
    few = [Pose(np.eye(2, dtype=np.float32) * 9, np.ones(2, np.float32), np.array([0, 0, 9, 9], np.float32), 1.0)]
    for name in NAMES:
        tracker = make_tracker(name, "nobody knows")
        assert tracker.update(None, few)[0].track == 1
        assert tracker.update(None, few)[0].track is not None


def test_auto_tracks_videos_only() -> None:
    assert make_tracker("auto", kind="folder") is None
    assert make_tracker("auto", kind="picture") is None
    assert make_tracker("") is None
    assert isinstance(make_tracker("auto", kind="video"), KalmanTracker)
    assert make_tracker("oks", kind="folder") is not None


def test_a_run_numbers_people_in_the_order_of_frames(dots) -> None:
    plain = PipelineConfig(nms=NmsConfig(enabled=False), batch_frames=3, batch_people=4, tracker="")
    assert all(
        pose.track is None for result in run(dots, range(9), plain, networks=make_networks()) for pose in result.poses
    )
    tracked = msgspec.structs.replace(plain, tracker="oks")
    results = list(run(dots, range(9), tracked, networks=make_networks()))
    given = [pose.track for result in results for pose in result.poses]
    assert given[0] == 1
    assert set(given) == set(range(1, max(given) + 1))
    assert config_hash(plain) == config_hash(tracked), "evidence of a frame does not depend on the tracker"
