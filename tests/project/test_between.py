"""Interpolating between two corrections of the same person."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_up import contents, pose, result

from poseviewer.core.errors import ProjectError
from poseviewer.project import Project, edits
from poseviewer.project.between import REACH

Run = Callable[..., int]


def shift(project: Project, media: int, frame: int, dx: float, person: int = 0) -> str:
    """Correct a person by moving them; return the key."""
    one = project.people(media, frame)[person]
    keypoints = one.pose.keypoints + np.array([dx, 0])
    box = one.pose.box + np.array([dx, 0, dx, 0])
    project.apply(edits.ReplacePose(media, frame, one.key, keypoints.tolist(), one.visibility.tolist(), box.tolist()))
    return one.key


def test_the_frames_between_two_corrections_lie_on_the_straight_way(project: Project, media: int, run: Run) -> None:
    run(*(result(frame, pose(100 + frame, noise=frame + 1)) for frame in range(10)))
    before = project.people(media, 2)[0].pose.keypoints
    shift(project, media, 2, 10)
    shift(project, media, 8, 40)
    a, b = (project.people(media, frame)[0].pose.keypoints for frame in (2, 8))
    state = contents(project)
    key = project.people(media, 5)[0].key
    changes = project.apply(edits.Interpolate(media, 5, person=key))
    assert changes.frames == {3, 4, 5, 6, 7}
    for frame in range(3, 8):
        (person,) = project.people(media, frame)
        assert person.state == "corrected"
        np.testing.assert_allclose(person.pose.keypoints, a + (b - a) * (frame - 2) / 6, atol=1e-3)
    assert (
        project.people(media, 2)[0].pose.keypoints.tolist() == (before + np.array([10, 0])).astype(np.float32).tolist()
    )
    assert project.undo_name == "Interpolate"
    project.undo()
    assert contents(project) == state
    assert project.people(media, 5)[0].state == "predicted"


def test_time_divides_the_way_where_it_is_known(project: Project, media: int, run: Run) -> None:
    run(*(result(frame, pose(100)) for frame in range(4)))
    shift(project, media, 0, 0)
    shift(project, media, 3, 30)
    marks = tuple((frame, seconds, f"{frame + 90:016x}") for frame, seconds in enumerate((0.0, 0.1, 0.2, 1.0)))
    start = project.people(media, 0)[0].pose.keypoints
    project.apply(edits.Interpolate(media, 0, person=project.people(media, 0)[0].key, stamps=marks))
    for frame, share in ((1, 0.1), (2, 0.2)):
        np.testing.assert_allclose(
            project.people(media, frame)[0].pose.keypoints, start + np.array([30 * share, 0]), atol=1e-3
        )
    with project._database.read() as db:
        stored = db.execute("SELECT fingerprint, timestamp FROM correction WHERE frame = 1").fetchone()
    assert stored == (f"{91:016x}", 0.1)


def test_a_person_who_was_missed_between_is_added_and_everybody_is_filled(
    project: Project, media: int, run: Run
) -> None:
    run(
        result(0, pose(100), pose(300)),
        result(1, pose(302)),
        result(2),
        result(3, pose(106), pose(306)),
    )
    for frame, people in ((0, 2), (3, 2)):
        for person in range(people):
            shift(project, media, frame, 1, person)
    gaps = project.gaps(media, 1, None)
    assert [(gap.first, gap.last) for gap in gaps] == [(0, 3), (0, 3)]
    project.apply(edits.Interpolate(media, 1))
    for frame in (1, 2):
        places = sorted(float(person.pose.box[0]) for person in project.people(media, frame))
        assert places == pytest.approx([101 + 2 * frame, 301 + 2 * frame], abs=1e-3)
        assert all(person.state == "corrected" for person in project.people(media, frame))


def test_visibility_holds_from_the_start_and_absent_stays_unsaid(project: Project, media: int, run: Run) -> None:
    run(*(result(frame, pose(100 + frame)) for frame in range(3)))
    for frame, joint, visibility in ((0, 3, 1), (2, 4, 1), (0, 5, 0), (2, 6, 0)):
        key = project.people(media, frame)[0].key
        project.apply(edits.SetVisibility(media, frame, key, (joint,), visibility))
    project.apply(edits.Interpolate(media, 1, person=project.people(media, 1)[0].key))
    assert project.people(media, 1)[0].visibility.tolist()[3:7] == [1, 2, 0, 0]


def test_who_was_deleted_between_stays_away(project: Project, media: int, run: Run) -> None:
    run(*(result(frame, pose(100 + frame, track=4)) for frame in range(5)))
    for frame in (0, 4):
        shift(project, media, frame, 0)
        project.apply(edits.AcceptPrediction(media, frame, project.people(media, frame)[0].key))
    project.apply(edits.DeletePerson(media, 2, project.people(media, 2)[0].key))
    changes = project.apply(edits.Interpolate(media, 0, person=project.people(media, 0)[0].key))
    assert changes.frames == {1, 3}
    assert project.people(media, 2) == ()


def test_a_deleted_double_does_not_keep_the_one_who_stayed_from_being_filled(
    project: Project, media: int, run: Run
) -> None:
    run(*(result(f, pose(100 + f), *([pose(102 + f)] if f == 2 else [])) for f in range(5)))
    project.apply(edits.DeletePerson(media, 2, project.people(media, 2)[1].key))
    for frame in (0, 4):
        shift(project, media, frame, 5)
    changes = project.apply(edits.Interpolate(media, 0))
    assert changes.frames == {1, 2, 3}
    assert [person.state for person in project.people(media, 2)] == ["corrected"]


def test_tracks_that_cross_are_not_mixed_up(project: Project, media: int, run: Run) -> None:
    """Two people swap places; the number tells who is who, although the other one is nearer at the end."""
    run(*(result(f, pose(100 + 20 * f, track=1), pose(200 - 20 * f, track=2)) for f in range(6)))
    for frame in (0, 5):
        for person in project.people(media, frame):
            project.apply(edits.AcceptPrediction(media, frame, person.key))
    project.apply(edits.Interpolate(media, 0))
    for frame in range(1, 5):
        places = {person.pose.track: float(person.pose.box[0]) for person in project.people(media, frame)}
        assert places == pytest.approx({1: 100 + 20 * frame, 2: 200 - 20 * frame}, abs=1e-3)


def test_by_hand_without_a_run_the_nearest_one_is_the_same(project: Project, media: int) -> None:
    for frame, left in ((10, 100.0), (20, 190.0)):
        for shifted in (0.0, 300.0):
            one = pose(left + shifted)
            project.apply(edits.AddPerson(media, frame, one.keypoints, box=tuple(one.box.tolist())))
    assert len(project.gaps(media, 15, None)) == 2
    project.apply(edits.Interpolate(media, 15))
    assert sorted(float(p.pose.box[0]) for p in project.people(media, 15)) == pytest.approx([145, 445], abs=1e-3)


def test_at_the_last_correction_what_is_before_it_is_filled(project: Project, media: int, run: Run) -> None:
    run(*(result(frame, pose(100 + frame)) for frame in range(6)))
    shift(project, media, 1, 1)
    key = shift(project, media, 4, 1)
    changes = project.apply(edits.Interpolate(media, 4, person=key))
    assert changes.frames == {2, 3}


def test_without_a_second_correction_nothing_is_done_and_it_is_said(project: Project, media: int, run: Run) -> None:
    run(*(result(frame, pose(100 + frame)) for frame in range(4)))
    key = shift(project, media, 1, 1)
    assert project.gaps(media, 1, key) == ()
    assert project.gaps(media, 1, None) == ()
    with pytest.raises(ProjectError, match="No two corrections"):
        project.apply(edits.Interpolate(media, 1, person=key))
    shift(project, media, 2, 1)
    assert project.gaps(media, 1, key) == ()


def test_a_long_gap_is_filled_at_once_and_a_longer_one_is_none(project: Project, media: int, run: Run) -> None:
    run(*(result(frame, pose(100 + 0.1 * frame)) for frame in range(REACH + 3)))
    first = shift(project, media, 1, 1)
    shift(project, media, REACH + 1, 1)
    shift(project, media, REACH + 2, 1)
    changes = project.apply(edits.Interpolate(media, 1, person=first))
    assert len(changes.frames or ()) == REACH - 1
    project.undo()
    project.undo()
    project.undo()
    assert project.gaps(media, 1, first) == ()


def test_an_interpolation_survives_closing(project: Project, media: int, run: Run) -> None:
    run(*(result(frame, pose(100 + frame)) for frame in range(4)))
    shift(project, media, 0, 1)
    shift(project, media, 3, 7)
    project.apply(edits.Interpolate(media, 1))
    path = Path(project.path)
    told = contents(project)
    project.close()
    with Project.open(path) as again:
        assert contents(again) == told
        assert again.undo_name == "Interpolate"
        again.undo()
        assert again.people(media, 1)[0].state == "predicted"
