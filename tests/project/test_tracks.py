"""Swapping identities from a frame on: across runs and corrections, with undo, and where the lanes show it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from poseviewer.core.errors import ProjectError
from poseviewer.core.values import FrameResult, MediaInfo, Pose
from poseviewer.project import Project, edits

JOINTS = 17


def pose_at(x: float, track: int | None) -> Pose:
    points = np.stack([np.linspace(x, x + 40, JOINTS), np.linspace(20, 180, JOINTS)], axis=1).astype(np.float32)
    box = np.array([x, 20, x + 40, 180], dtype=np.float32)
    return Pose(points, np.full(JOINTS, 0.9, np.float32), box, 0.9, track)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Twenty frames: two people in two runs (frames 0-9 and 10-19), a third without a number in frame 12."""
    with Project.create(tmp_path / "walk.poseproj") as made:
        info = MediaInfo("walk.mp4", "video", 20, (640, 360), 25.0, 0.8, "h264", 0, "f" * 16)
        media = made.add_media(info)
        for first in (0, 10):
            run = made.start_run(media, {}, {}, range(first, first + 10))
            results = []
            for frame in range(first, first + 10):
                poses = [pose_at(50 + 2 * frame, 1), pose_at(400 - 2 * frame, 2)]
                if frame == 12:
                    poses.append(pose_at(560, None))
                results.append(FrameResult(frame, frame / 25, tuple(poses), f"{frame:016x}"))
            made.store_results(run, results)
            made.finish_run(run, "done")
        yield made


def tracks_of(project: Project, frame: int) -> list[int | None]:
    return [person.pose.track for person in project.people(1, frame)]


def spans_of(project: Project) -> list[tuple[int, int, int]]:
    return [(span.track, span.first, span.last) for span in project.tracks(1, 0, 19)]


def test_tracks_are_swapped_in_all_frames_that_follow(project: Project) -> None:
    one, other = (person.key for person in project.people(1, 5))
    changes = project.apply(edits.SwapTracks(1, 5, one, other))
    assert "tracks" in changes.kinds
    assert [tracks_of(project, frame) for frame in (0, 4, 5, 9)] == [[1, 2], [1, 2], [2, 1], [2, 1]]
    assert tracks_of(project, 10) == [2, 1], "the frames of another run too"
    assert tracks_of(project, 19) == [2, 1]
    assert spans_of(project) == [(1, 0, 19), (2, 0, 19)]
    assert project.undo_name == "Swap tracks"
    project.undo()
    assert {tuple(tracks_of(project, frame)) for frame in range(12)} == {(1, 2)}
    project.redo()
    assert tracks_of(project, 7) == [2, 1]


def test_swaps_add_up_and_stay_after_closing(project: Project) -> None:
    for frame in (4, 8):
        one, other = (person.key for person in project.people(1, frame))
        project.apply(edits.SwapTracks(1, frame, one, other))
    assert [tracks_of(project, frame) for frame in (3, 4, 7, 8, 19)] == [[1, 2], [2, 1], [2, 1], [1, 2], [1, 2]]
    path = project.path
    project.close()
    with Project.open(path) as again:
        assert tracks_of(again, 5) == [2, 1]
        assert [pose.track for pose in again.predictions(1, 5, 1)] == [2, 1]
        assert [pose.track for pose in again.predictions(1, 5, 1, as_found=True)] == [1, 2]


def test_corrections_follow_their_track(project: Project) -> None:
    one, _ = (person.key for person in project.people(1, 7))
    project.apply(edits.MoveJoint(1, 7, one, 0, 70.0, 30.0))
    keys = [person.key for person in project.people(1, 5)]
    project.apply(edits.SwapTracks(1, 5, *keys))
    assert tracks_of(project, 7) == [2, 1]
    project.undo()
    assert tracks_of(project, 7) == [1, 2]


def test_a_track_can_be_taken_from_nobody(project: Project) -> None:
    """Somebody comes back under a new number: from there on they are who they were, though nobody has it here."""
    one = project.people(1, 10)[0].key
    project.apply(edits.SetTrack(1, 10, one, 7, "forward"))
    assert tracks_of(project, 9) == [1, 2]
    assert tracks_of(project, 10) == [7, 2]
    assert spans_of(project) == [(1, 0, 9), (2, 0, 19), (7, 10, 19)]
    project.apply(edits.SetTrack(1, 10, one, 1, "forward"))
    assert spans_of(project) == [(1, 0, 19), (2, 0, 19)]


def test_who_has_no_track_cannot_be_swapped(project: Project) -> None:
    keys = [person.key for person in project.people(1, 12)]
    with pytest.raises(ProjectError, match="without a track"):
        project.apply(edits.SwapTracks(1, 12, keys[0], keys[2]))
    assert not project.can_undo


def test_an_edit_travels_as_text() -> None:
    edit = edits.SwapTracks(1, 5, "p1", "p2")
    assert edits.decode_edit(edits.encode_edit(edit)) == edit
    assert edits.edit_person(edit) == "p1"


def changes_of(project: Project) -> list[tuple[int, tuple[int, ...]]]:
    return [(change.frame, change.tracks) for change in project.track_changes(1, 0, 19)]


def swap(project: Project, frame: int) -> None:
    keys = [person.key for person in project.people(1, frame)][:2]
    project.apply(edits.SwapTracks(1, frame, *keys))


def test_the_timeline_knows_where_tracks_were_swapped(project: Project) -> None:
    swap(project, 15)
    swap(project, 5)
    assert changes_of(project) == [(5, (1, 2)), (15, (1, 2))]
    assert [change.frame for change in project.track_changes(1, 6, 19)] == [15]
    swap(project, 15)
    assert changes_of(project) == [(5, (1, 2))], "two swaps of one frame cancel"
    project.undo()
    project.undo()
    assert changes_of(project) == [(15, (1, 2))]


def test_a_later_change_renames_an_earlier_mark(project: Project) -> None:
    swap(project, 15)
    project.apply(edits.SetTrack(1, 3, project.people(1, 3)[0].key, 8, "all"))
    assert changes_of(project) == [(15, (2, 8))]
    assert spans_of(project) == [(2, 0, 19), (8, 0, 19)]
