"""Edits: what each one does, and that predictions stay as they are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from made_up import JOINTS, media_info, pose, result

from poseviewer.core.errors import ProjectError
from poseviewer.project import Project, edits

Run = Callable[..., int]


def test_moving_a_joint_makes_a_correction_with_the_prediction_beneath(project: Project, media: int, run: Run) -> None:
    run(result(5, pose(), pose(300)))
    before = project.people(media, 5)[0]
    heard = []
    project.changes.connect(lambda told: heard.append(told))
    changes = project.apply(edits.MoveJoint(media, 5, before.key, 9, 12.5, 34.25))
    after = project.people(media, 5)
    assert [person.key for person in after] == [person.key for person in project.people(media, 5)]
    assert after[0].key == before.key
    assert after[0].state == "corrected"
    assert after[0].pose.keypoints[9].tolist() == [12.5, 34.25]
    assert after[0].prediction is not None
    np.testing.assert_array_equal(after[0].prediction.keypoints, before.pose.keypoints)
    np.testing.assert_array_equal(after[0].pose.scores, before.pose.scores)
    assert after[1].state == "predicted"
    assert heard == [changes]
    assert changes.kinds == {"corrections"}
    assert changes.frames == {5}
    assert project.last_person == before.key


def test_an_absent_joint_that_is_placed_becomes_visible(project: Project, media: int, run: Run) -> None:
    run(result(0, pose()))
    key = project.people(media, 0)[0].key
    project.apply(edits.SetVisibility(media, 0, key, (3, 4), 0))
    assert project.people(media, 0)[0].visibility.tolist()[2:6] == [2, 0, 0, 2]
    project.apply(edits.MoveJoint(media, 0, key, 3, 1, 2))
    assert project.people(media, 0)[0].visibility.tolist()[2:6] == [2, 2, 0, 2]
    project.apply(edits.MoveJoint(media, 0, key, 4, 1, 2, visibility=1))
    assert project.people(media, 0)[0].visibility.tolist()[2:6] == [2, 2, 1, 2]


def test_added_person_comes_last_and_is_named(project: Project, media: int, run: Run) -> None:
    run(result(0, pose()))
    added = pose(400)
    project.apply(edits.AddPerson(media, 0, added.keypoints, np.full(JOINTS, 2), track=7, extra='{"id": 12}'))
    people = project.people(media, 0)
    assert len(people) == 2
    assert people[1].key == project.last_person == f"c{people[1].correction_id}"
    np.testing.assert_allclose(people[1].pose.keypoints, added.keypoints)
    assert people[1].pose.scores.tolist() == [0.0] * JOINTS
    assert people[1].pose.track == 7
    assert people[1].pose.box[0] < added.keypoints[:, 0].min()
    assert project.extras(media, 0) == {people[1].key: '{"id": 12}'}


def test_swap_sides_exchanges_pairs_only(project: Project, media: int, run: Run) -> None:
    run(result(0, pose()))
    before = project.people(media, 0)[0]
    project.apply(edits.SwapSides(media, 0, before.key, (9,)))
    after = project.people(media, 0)[0].pose.keypoints
    np.testing.assert_array_equal(after[9], before.pose.keypoints[10])
    np.testing.assert_array_equal(after[10], before.pose.keypoints[9])
    np.testing.assert_array_equal(after[7], before.pose.keypoints[7])
    project.apply(edits.SwapSides(media, 0, before.key, (9, 10)))
    np.testing.assert_array_equal(project.people(media, 0)[0].pose.keypoints, before.pose.keypoints)
    project.apply(edits.SwapSides(media, 0, before.key))
    np.testing.assert_array_equal(
        project.people(media, 0)[0].pose.keypoints, before.pose.keypoints[list(project.skeleton.flip)]
    )


def test_box_replace_accept_revert(project: Project, media: int, run: Run) -> None:
    run(result(0, pose()))
    key = project.people(media, 0)[0].key
    project.apply(edits.SetBox(media, 0, key, (50, 60, 10, 20)))
    assert project.people(media, 0)[0].pose.box.tolist() == [10, 20, 50, 60]
    other = pose(200)
    project.apply(edits.ReplacePose(media, 0, key, other.keypoints, None, other.box, other.scores, 0.5))
    person = project.people(media, 0)[0]
    np.testing.assert_array_equal(person.pose.keypoints, other.keypoints)
    assert person.pose.score == 0.5
    project.apply(edits.RevertToPrediction(media, 0, key))
    assert project.people(media, 0)[0].state == "predicted"
    project.apply(edits.AcceptPrediction(media, 0, key))
    assert project.people(media, 0)[0].state == "corrected"
    assert not project.apply(edits.AcceptPrediction(media, 0, key)).kinds
    assert project.corrected_frames(media) == (0,)


def test_deletion_is_a_fact_and_can_be_reverted(project: Project, media: int, run: Run) -> None:
    run(result(0, pose(), pose(300)))
    first, second = project.people(media, 0)
    project.apply(edits.DeletePerson(media, 0, first.key))
    assert [person.key for person in project.people(media, 0)] == [second.key]
    assert project.last_person is None
    with pytest.raises(ProjectError, match="no longer"):
        project.apply(edits.MoveJoint(media, 0, first.key, 0, 1, 1))
    project.apply(edits.RevertToPrediction(media, 0, first.key))
    assert [person.key for person in project.people(media, 0)] == [first.key, second.key]


def test_a_person_added_by_hand_can_be_deleted_but_not_reverted(project: Project, media: int) -> None:
    project.apply(edits.AddPerson(media, 3, pose().keypoints))
    key = project.last_person or ""
    with pytest.raises(ProjectError, match="by hand"):
        project.apply(edits.RevertToPrediction(media, 3, key))
    project.apply(edits.DeletePerson(media, 3, key))
    assert project.people(media, 3) == ()
    assert project.frame_row(media, 3) is None


def test_copying_meets_who_is_there_and_adds_who_is_not(project: Project, media: int, run: Run) -> None:
    run(result(0, pose(), pose(300)), result(1, pose(3, 0)), result(2, pose(104, 101, noise=3)))
    keys = [person.key for person in project.people(media, 0)]
    project.apply(edits.CopyPeople(media, 2, 0))
    here = project.people(media, 2)
    assert [person.state for person in here] == ["corrected", "corrected"]
    np.testing.assert_array_equal(here[0].pose.keypoints, pose().keypoints)
    np.testing.assert_array_equal(here[1].pose.keypoints, pose(300).keypoints)
    assert here[0].key.startswith("p")
    assert here[1].key == project.last_person
    project.apply(edits.CopyPeople(media, 1, 0, keys[1]))
    assert [person.state for person in project.people(media, 1)] == ["predicted", "corrected"]
    with pytest.raises(ProjectError, match="nobody to copy"):
        project.apply(edits.CopyPeople(media, 1, 99))


def test_edits_need_a_known_media_and_a_frame_they_can_be_bound_to(project: Project) -> None:
    with pytest.raises(ProjectError, match="no media 9"):
        project.apply(edits.AddPerson(9, 0, pose().keypoints))
    media = project.add_media(media_info(fingerprint="bb", confirmed=False))
    with pytest.raises(ProjectError, match="still being indexed"):
        project.apply(edits.AddPerson(media, 0, pose().keypoints))
    project.apply(edits.AddPerson(media, 0, pose().keypoints, fingerprint="0123456789abcdef", timestamp_s=0.5))
    row = project.frame_row(media, 0)
    assert row is not None
    assert (row.fingerprint, row.timestamp_s) == ("0123456789abcdef", 0.5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: edits.MoveJoint(1, 0, "p1", 0, float("nan"), 0),
        lambda: edits.SetVisibility(1, 0, "p1", (0,), 3),
        lambda: edits.AddPerson(1, 0, np.zeros((17, 3))),
        lambda: edits.AddPerson(1, 0, np.zeros((17, 2)), np.zeros(16)),
        lambda: edits.SetBox(1, 0, "p1", (1, 2, 3)),
    ],
)
def test_edits_that_make_no_sense_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        make()


def test_a_skeleton_mismatch_is_refused_and_changes_nothing(project: Project, media: int, run: Run) -> None:
    run(result(0, pose()))
    with pytest.raises(ValueError, match="negative"):
        project.apply(edits.AddPerson(media, -1, pose().keypoints))
    with pytest.raises(ValueError, match="17 entries"):
        project.apply(edits.AddPerson(media, 0, np.zeros((16, 2))))
    with pytest.raises(ValueError, match="not all in skeleton"):
        project.apply(edits.MoveJoint(media, 0, project.people(media, 0)[0].key, 17, 0, 0))
    assert project.people(media, 0)[0].state == "predicted"
    assert not project.can_undo


def test_edits_travel_as_json() -> None:
    edit = edits.AddPerson(1, 2, pose().keypoints, np.ones(JOINTS), (1, 2, 3, 4), fingerprint="ab")
    assert edits.decode_edit(edits.encode_edit(edit)) == edit
    assert hash(edit) == hash(edits.decode_edit(edits.encode_edit(edit)))
