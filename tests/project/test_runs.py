"""Runs: storing, continuing, and that corrections and deletions outlast every later run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_up import contents, media_info, pose, result
from processes import run_python

from poseviewer.core.errors import ProjectError
from poseviewer.project import CORRECTED, EMPTY, PREDICTED, Project, edits

Run = Callable[..., int]


def test_a_run_is_described_and_its_frames_are_listed_empty_ones_too(project: Project, media: int) -> None:
    run = project.start_run(media, {"iou": 0.5}, {"estimator": {"sha256": "ab"}}, [0, 1, 2, 10, 20, 30])
    project.store_results(run, [result(0, pose()), result(1)])
    assert project.unfinished(run) == (2, 10, 20, 30)
    (row,) = project.runs(media)
    assert (row.outcome, row.finished, row.frame_count, row.done_count) == ("running", None, 6, 2)
    assert row.config == {"iou": 0.5}
    states = [project.frame_row(media, frame) for frame in (0, 1, 2)]
    assert [held.state if held else None for held in states] == [PREDICTED, EMPTY, None]
    project.store_results(run, [result(frame) for frame in (2, 10, 20, 30)])
    project.finish_run(run, "done", "6 frames")
    assert project.unfinished(run) == ()
    (row,) = project.runs()
    assert (row.outcome, row.note) == ("done", "6 frames")
    assert row.finished is not None


def test_poses_come_back_bit_for_bit(project: Project, media: int, run: Run) -> None:
    given = pose(1 / 3, 1e-7, noise=5, track=4)
    run(result(7, given))
    (person,) = project.people(media, 7)
    np.testing.assert_array_equal(person.pose.keypoints, given.keypoints)
    np.testing.assert_array_equal(person.pose.scores, given.scores)
    np.testing.assert_array_equal(person.pose.box, given.box)
    assert (person.pose.score, person.pose.track) == (given.score, 4)
    assert person.visibility.tolist() == [2] * 17


def test_joints_without_a_score_are_absent(project: Project, media: int, run: Run) -> None:
    given = pose()
    given.scores[3] = 0.01
    given.keypoints[4] = np.nan
    run(result(0, given))
    assert project.people(media, 0)[0].visibility.tolist()[2:6] == [2, 0, 0, 2]
    project.apply(edits.AcceptPrediction(media, 0, project.people(media, 0)[0].key))
    assert np.isfinite(project.people(media, 0)[0].pose.keypoints).all()


def test_poses_of_another_skeleton_are_refused(project: Project, media: int) -> None:
    run = project.start_run(media, {}, {}, [0])
    wrong = pose()
    wrong = type(wrong)(wrong.keypoints[:16], wrong.scores[:16], wrong.box, 0.5)
    with pytest.raises(ProjectError, match="16 joints"):
        project.store_results(run, [result(0, wrong)])
    with pytest.raises(ProjectError, match="no run 77"):
        project.store_results(77, [result(0, pose())])
    with pytest.raises(ProjectError, match="no media 5"):
        project.start_run(5, {}, {}, [0])


def test_storing_a_frame_again_changes_nothing(project: Project, media: int, run: Run) -> None:
    made = run(result(0, pose()))
    before = contents(project)
    project.store_results(made, [result(0, pose(300))])
    assert contents(project) == before


def test_the_newest_run_of_a_frame_is_shown_and_an_older_one_can_still_be_read(
    project: Project, media: int, run: Run
) -> None:
    older = run(result(0, pose()), result(1, pose()))
    newer = run(result(1, pose(200), pose(400)))
    assert [len(project.people(media, frame)) for frame in (0, 1)] == [1, 2]
    assert len(project.predictions(media, 1, older)) == 1
    project.store_results(older, [result(1, pose(5)), result(2, pose())])
    assert len(project.people(media, 1)) == 2
    assert len(project.predictions(media, 1, newer)) == 2


def test_a_correction_outlasts_a_run_that_finds_the_person_again(project: Project, media: int, run: Run) -> None:
    run(result(0, pose(), pose(300)))
    first, second = project.people(media, 0)
    project.apply(edits.MoveJoint(media, 0, first.key, 9, 1, 2))
    run(result(0, pose(301, noise=1), pose(101, noise=2)))
    people = project.people(media, 0)
    assert [person.state for person in people] == ["predicted", "corrected"]
    assert people[1].key == first.key
    assert people[1].pose.keypoints[9].tolist() == [1, 2]
    assert people[1].prediction is not None
    np.testing.assert_array_equal(people[1].prediction.keypoints, pose(101, noise=2).keypoints)
    row = project.frame_row(media, 0)
    assert row is not None
    assert (row.state, row.people) == (CORRECTED, 2)
    project.apply(edits.RevertToPrediction(media, 0, first.key))
    assert [person.state for person in project.people(media, 0)] == ["predicted", "predicted"]
    assert second.key not in [person.key for person in project.people(media, 0)]


def test_a_deletion_outlasts_later_runs_and_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "a.poseproj"
    for attempt in range(3):
        project = Project.open(path) if attempt else Project.create(path)
        with project:
            media = project.add_media(media_info())
            run = project.start_run(media, {}, {}, [0])
            project.store_results(run, [result(0, pose(noise=attempt + 1), pose(300, noise=attempt + 9))])
            if attempt == 0:
                project.apply(edits.DeletePerson(media, 0, project.people(media, 0)[0].key))
            (left,) = project.people(media, 0)
            assert left.pose.box[0] == 300


def test_deleting_a_double_does_not_take_the_person_who_stayed(project: Project, media: int, run: Run) -> None:
    run(result(0, pose(), pose(102, noise=1)))
    double = project.people(media, 0)[1]
    project.apply(edits.DeletePerson(media, 0, double.key))
    run(result(0, pose(101, noise=2)))
    assert len(project.people(media, 0)) == 1
    run(result(0, pose(101, noise=3), pose(99, noise=4)))
    assert len(project.people(media, 0)) == 1


def test_people_who_embrace_stay_two(project: Project, media: int, run: Run) -> None:
    run(result(0, pose(), pose(110, 103)))
    first = project.people(media, 0)[0]
    project.apply(edits.MoveJoint(media, 0, first.key, 0, 1, 1))
    assert [person.state for person in project.people(media, 0)] == ["corrected", "predicted"]


def test_a_person_added_by_hand_covers_what_a_later_run_finds_there(project: Project, media: int, run: Run) -> None:
    run(result(0))
    project.apply(edits.AddPerson(media, 0, pose().keypoints))
    key = project.last_person
    run(result(0, pose(101, noise=1), pose(400)))
    assert project.people(media, 0)[0].key == key
    assert len(project.people(media, 0)) == 2
    project.apply(edits.DeletePerson(media, 0, key or ""))
    (left,) = project.people(media, 0)
    assert left.pose.box[0] == 400


def test_a_box_covers_where_a_pose_cannot(project: Project, media: int, run: Run) -> None:
    run(result(0, pose()))
    key = project.people(media, 0)[0].key
    other = pose()
    project.apply(edits.ReplacePose(media, 0, key, other.keypoints[::-1], None, other.box))
    run(result(0, pose(101, noise=1)))
    (person,) = project.people(media, 0)
    assert (person.key, person.state) == (key, "corrected")


def test_an_edit_of_a_person_whom_a_newer_run_replaced_meanwhile_is_not_lost(
    project: Project, media: int, run: Run
) -> None:
    run(result(0, pose()))
    key = project.people(media, 0)[0].key
    run(result(0, pose(101, noise=1)))
    project.apply(edits.MoveJoint(media, 0, key, 9, 1, 2))
    (person,) = project.people(media, 0)
    assert (person.key, person.state) == (key, "corrected")
    assert person.pose.keypoints[9].tolist() == [1, 2]


def test_a_run_never_touches_corrections(project: Project, media: int, run: Run) -> None:
    run(*[result(frame, pose(), pose(300)) for frame in range(20)])
    for frame in range(0, 20, 2):
        project.apply(edits.MoveJoint(media, frame, project.people(media, frame)[0].key, 3, 4, 5))
    before = contents(project)["correction"]
    run(*[result(frame, pose(103, noise=frame + 1), pose(50)) for frame in range(20)])
    assert contents(project)["correction"] == before


def test_corrections_carry_the_fingerprint_and_time_of_their_frame(project: Project, media: int, run: Run) -> None:
    run(result(25, pose()))
    project.apply(edits.AcceptPrediction(media, 25, project.people(media, 25)[0].key))
    with project._database.read() as db:
        assert db.execute("SELECT fingerprint, timestamp FROM correction").fetchall() == [(f"{25:016x}", 1.0)]


def test_large_chunks_are_stored_in_short_transactions(project: Project, media: int) -> None:
    run = project.start_run(media, {}, {}, range(600))
    told: list[frozenset[int] | None] = []
    project.changes.connect(lambda changes: told.append(changes.frames))
    project.store_results(run, [result(frame, pose(), pose(300)) for frame in range(600)])
    assert len(told) > 1
    assert sorted(frame for frames in told for frame in frames or ()) == list(range(600))
    assert project.revision == 2 + len(told)


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from made_up import media_info, pose, result
from poseviewer.project import Project
project = Project.create({path!r})
media = project.add_media(media_info())
run = project.start_run(media, {{}}, {{}}, range(100))
project.store_results(run, [result(frame, pose()) for frame in range(40)])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_run_keeps_what_it_finished_and_can_be_continued(tmp_path: Path) -> None:
    path = tmp_path / "a.poseproj"
    code = run_python(KILLED.format(path=str(path), tests=str(Path(__file__).parent)))
    assert code == -9
    with Project.open(path) as project:
        assert project.add_media(media_info()) == 1
        (row,) = project.runs(1)
        assert (row.outcome, row.done_count) == ("running", 40)
        assert project.unfinished(row.id) == tuple(range(40, 100))
        project.store_results(row.id, [result(frame, pose()) for frame in project.unfinished(row.id)])
        project.finish_run(row.id, "done")
        assert project.counts().predicted == 100
        assert project.check() == ()
