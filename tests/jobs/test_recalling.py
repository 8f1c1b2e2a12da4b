"""Numbers of people go on where a run begins in the middle, or is taken up again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from poseviewer.core.values import Frame, FrameResult, MediaInfo, Pose
from poseviewer.jobs.recalling import tracker_for
from poseviewer.pipeline.config import PipelineConfig
from poseviewer.project import Project, edits

INFO = MediaInfo("walk.mp4", "video", 40, (640, 360), 25.0, 1.6, "h264", 0, "f" * 16)
CONFIG = PipelineConfig()
PIXELS = np.zeros((360, 640, 3), dtype=np.uint8)


def pose_at(x: float, track: int | None = None) -> Pose:
    points = np.stack([np.linspace(x, x + 60, 17), np.linspace(40, 240, 17)], axis=1).astype(np.float32)
    box = np.array([x, 40, x + 60, 240], dtype=np.float32)
    return Pose(points, np.full(17, 0.9, np.float32), box, 0.9, track)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Frames 0 to 19 of 40 hold tracks 4 and 6; frame 30 holds 9."""
    with Project.create(tmp_path / "walk.poseproj") as made:
        media = made.add_media(INFO)
        run = made.start_run(media, {}, {}, range(40))
        frames = [FrameResult(at, at / 25, (pose_at(100 + at, 4), pose_at(400, 6))) for at in range(20)]
        made.store_results(run, [*frames, FrameResult(30, 1.2, (pose_at(10, 9),))])
        made.finish_run(run, "cancelled")
        yield made


def numbers(project: Project | None, frame: int, people: list[Pose], frames: range, run: int | None = None) -> list:
    tracker = tracker_for(project, INFO, 1, CONFIG, "coco_17", frames, run)
    assert tracker is not None
    return [pose.track for pose in tracker.update(Frame(frame, frame / 25, PIXELS), people)]


def test_a_run_of_a_part_goes_on_with_the_numbers_before_it(project: Project) -> None:
    people = [pose_at(400), pose_at(120), pose_at(540)]
    assert numbers(project, 20, people, range(20, 30)) == [6, 4, 10]


def test_the_first_frame_takes_the_numbers_after_it(project: Project) -> None:
    assert numbers(project, 0, [pose_at(400), pose_at(100)], range(1)) == [6, 4]


def test_a_second_run_of_everything_numbers_as_the_first(project: Project) -> None:
    assert numbers(project, 0, [pose_at(400), pose_at(100), pose_at(10)], range(40)) == [6, 4, 9]


def test_a_gap_is_bridged_by_what_the_project_shows_in_it(project: Project) -> None:
    tracker = tracker_for(project, INFO, 1, CONFIG, "coco_17", range(0, 40, 10), None)
    assert tracker is not None
    tracker.update(Frame(0, 0.0, PIXELS), [pose_at(100), pose_at(400)])
    later = tracker.update(Frame(10, 0.4, PIXELS), [pose_at(110), pose_at(400)])
    assert [pose.track for pose in later] == [4, 6]


def test_a_continued_run_goes_on_with_its_own_numbers(project: Project) -> None:
    """They were swapped by hand meanwhile: the swap is a rule, which holds for the frames to come too."""
    one, other = (person.key for person in project.people(1, 5))
    project.apply(edits.SwapTracks(1, 5, one, other))
    people = [pose_at(120), pose_at(400)]
    assert numbers(project, 20, people, range(20, 40), run=1) == [4, 6]
    assert numbers(project, 20, people, range(20, 40)) == [6, 4]


def test_without_a_project_numbers_begin_at_one() -> None:
    assert numbers(None, 20, [pose_at(100)], range(20, 30)) == [1]
