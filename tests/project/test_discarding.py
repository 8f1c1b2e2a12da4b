"""Discarding a run: predictions go, corrections and undo stay."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from made_up import contents, media_info, pose, result

from poseviewer.core.errors import ProjectError
from poseviewer.project import Project, edits
from poseviewer.project.discarding import FRAMES_AT_ONCE

Run = Callable[..., int]


def discard(project: Project, run: int) -> list[tuple[int, int]]:
    """Discard a run to its end."""
    return list(project.discard_run(run))


def test_the_only_run_goes_and_leaves_nothing(project: Project, media: int, run: Run) -> None:
    empty = contents(project)
    made = run(*(result(f, pose(f, track=1), pose(300 + f, track=2, score=0.1)) for f in range(FRAMES_AT_ONCE + 5)))
    assert project.worth_a_look(media)
    assert discard(project, made)[-1] == (FRAMES_AT_ONCE + 5, FRAMES_AT_ONCE + 5)
    assert project.runs(media) == ()
    assert project.counts().runs == 0
    after = contents(project)
    assert len(after.pop("run")) == 1
    empty.pop("run")
    assert after == empty
    assert project.check() == ()


def test_the_run_before_shows_again_with_its_doubts(project: Project, media: int, run: Run) -> None:
    run(*(result(f, pose(10 + f, score=0.1)) for f in range(4)))
    before = contents(project)
    newer = run(*(result(f, pose(10 + f), pose(200)) for f in range(2, 6)))
    assert len(project.people(media, 3)) == 2
    discard(project, newer)
    assert len(project.people(media, 3)) == 1
    after = contents(project)
    for told in (before, after):
        told.pop("run")
        told["doubt"] = [row[1:] for row in told["doubt"]]
    assert sorted(after.pop("doubt"), key=repr) == sorted(before.pop("doubt"), key=repr)
    assert after == before


def test_an_older_run_goes_unseen(project: Project, media: int, run: Run) -> None:
    older = run(*(result(f, pose(10 + f)) for f in range(4)))
    run(*(result(f, pose(10 + f), pose(200)) for f in range(4)))
    shown = [[person.key for person in project.people(media, f)] for f in range(4)]
    lanes = project.lanes(media, 0, 3, 4).state.tolist()
    discard(project, older)
    assert [[person.key for person in project.people(media, f)] for f in range(4)] == shown
    assert project.lanes(media, 0, 3, 4).state.tolist() == lanes
    assert len(contents(project)["prediction"]) == 8


def test_corrections_stay_and_undo_goes_all_the_way_back(project: Project, media: int, run: Run) -> None:
    made = run(*(result(f, pose(100 + f), pose(300 + f)) for f in range(6)))
    first, _ = project.people(media, 1)
    project.apply(edits.MoveJoint(media, 1, first.key, 9, 5, 6))
    project.apply(edits.DeletePerson(media, 2, project.people(media, 2)[0].key))
    project.apply(edits.AcceptPrediction(media, 4, project.people(media, 4)[1].key))
    project.undo()
    discard(project, made)
    (left,) = project.people(media, 1)
    assert left.pose.keypoints[9].tolist() == [5, 6]
    assert left.prediction is not None
    np.testing.assert_array_equal(left.prediction.keypoints, first.pose.keypoints)
    assert project.people(media, 0) == project.people(media, 4) == project.people(media, 2) == ()
    assert project.corrected_frames(media) == (1, 2)
    assert project.check() == ()
    assert project.redo() is not None
    assert [person.state for person in project.people(media, 4)] == ["corrected"]
    for _ in range(3):
        assert project.undo() is not None
    assert not project.can_undo
    assert project.corrected_frames(media) == ()
    for _ in range(3):
        assert project.redo() is not None
    assert project.corrected_frames(media) == (1, 2, 4)
    assert project.check() == ()


def test_an_edit_that_is_made_and_undone_meanwhile_can_be_redone(project: Project, media: int, run: Run) -> None:
    made = run(*(result(f, pose(100 + f)) for f in range(2 * FRAMES_AT_ONCE)))
    going = project.discard_run(made)
    next(going)
    frame = 2 * FRAMES_AT_ONCE - 1
    project.apply(edits.MoveJoint(media, frame, project.people(media, frame)[0].key, 0, 1, 1))
    project.undo()
    list(going)
    assert project.redo() is not None
    assert project.people(media, frame)[0].pose.keypoints[0].tolist() == [1, 1]
    assert project.check() == ()


def test_what_was_stopped_half_way_can_be_discarded_again(project: Project, media: int, run: Run) -> None:
    made = run(*(result(f, pose(100 + f)) for f in range(2 * FRAMES_AT_ONCE)))
    going = project.discard_run(made)
    next(going)
    going.close()
    (row,) = project.runs(media)
    assert row.done_count == FRAMES_AT_ONCE
    assert project.people(media, 0) == ()
    assert len(project.people(media, FRAMES_AT_ONCE)) == 1
    discard(project, made)
    assert project.runs(media) == ()
    assert project.counts().frames == 0


def test_a_new_run_never_gets_the_number_of_a_discarded_one(project: Project, media: int, run: Run) -> None:
    made = run(result(0, pose()))
    discard(project, made)
    assert run(result(0, pose())) > made


def test_a_run_that_is_not_there(project: Project) -> None:
    project.add_media(media_info("/videos/b.mp4", fingerprint="bb"))
    with pytest.raises(ProjectError, match="no run 7"):
        discard(project, 7)
