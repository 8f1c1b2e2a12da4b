"""Undo and redo: every table comes back, also after a restart; what makes one step; what is selected afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_up import contents, media_info, pose, result

from poseviewer.core.errors import ProjectError
from poseviewer.project import Project, SelectionImage, edits

Run = Callable[..., int]
FRAMES = 4


class Clock:
    """A clock that stands still until told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_undo_and_redo_restore_people_and_selection(project: Project, media: int, run: Run) -> None:
    run(result(5, pose()))
    before = contents(project)
    key = project.people(media, 5)[0].key
    selected = SelectionImage(media, 5, key, 3)
    project.apply(edits.MoveJoint(media, 5, key, 9, 1, 2), selection=selected)
    after = contents(project)
    assert (project.undo_name, project.redo_name) == ("Move left wrist", None)
    heard = []
    project.changes.connect(lambda told: heard.append(told))
    undone = project.undo()
    assert undone is not None
    assert contents(project) == before
    assert (undone.name, undone.media, undone.frame, undone.person, undone.joint) == (
        "Move left wrist",
        media,
        5,
        key,
        3,
    )
    assert (undone.changes.origin, undone.changes.kinds, undone.changes.frames) == ("undo", {"corrections"}, {5})
    assert heard == [undone.changes]
    assert (project.can_undo, project.can_redo) == (False, True)
    redone = project.redo()
    assert redone is not None
    assert (redone.person, redone.joint) == (key, 9)
    assert contents(project) == after
    assert project.redo() is None


def test_undo_of_added_and_deleted_people(project: Project, media: int, run: Run) -> None:
    run(result(0, pose()))
    project.apply(edits.AddPerson(media, 0, pose(300).keypoints))
    added = project.last_person
    project.apply(edits.DeletePerson(media, 0, added or ""))
    undone = project.undo()
    assert undone is not None
    assert undone.person == added
    assert [person.key for person in project.people(media, 0)][1] == added
    project.undo()
    assert len(project.people(media, 0)) == 1
    project.redo()
    assert project.people(media, 0)[1].key == added


def test_a_new_edit_discards_what_was_undone(project: Project, media: int, run: Run) -> None:
    run(result(0, pose()))
    key = project.people(media, 0)[0].key
    for joint in (1, 2, 3):
        project.apply(edits.MoveJoint(media, 0, key, joint, 5, 5))
    project.undo()
    project.undo()
    assert project.redo_name == "Move right eye"
    project.apply(edits.SetVisibility(media, 0, key, (4,), 1))
    assert not project.can_redo
    assert project.undo_name == "Mark right ear occluded"
    project.undo()
    assert project.undo_name == "Move left eye"


def test_undo_survives_a_restart_and_a_deletion_too(tmp_path: Path) -> None:
    path = tmp_path / "a.poseproj"
    with Project.create(path) as project:
        media = project.add_media(media_info())
        run = project.start_run(media, {}, {}, [0])
        project.store_results(run, [result(0, pose(), pose(300))])
        before = contents(project)
        first, second = (person.key for person in project.people(media, 0))
        project.apply(edits.DeletePerson(media, 0, first))
        project.apply(edits.MoveJoint(media, 0, second, 0, 1, 1))
    with Project.open(path) as project:
        assert [person.key for person in project.people(media, 0)] == [second]
        assert project.undo_name == "Move nose"
        project.undo()
    with Project.open(path) as project:
        assert project.redo_name == "Move nose"
        project.undo()
        assert contents(project) == before
    with Project.open(path) as project:
        project.redo()
        project.redo()
        assert [person.key for person in project.people(media, 0)] == [second]
        assert project.people(media, 0)[0].pose.keypoints[0].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("change", "steps"),
    [
        ({}, 1),
        ({"pause": 0.9}, 1),
        ({"pause": 1.1}, 2),
        ({"joint": 8}, 2),
        ({"frame": 1}, 2),
        ({"person": 1}, 2),
        ({"nudge": False}, 2),
        ({"kind": "visibility"}, 2),
        ({"break": True}, 2),
        ({"undo_redo": True}, 2),
    ],
)
def test_nudges_of_one_joint_within_a_second_are_one_step(tmp_path: Path, change: dict[str, Any], steps: int) -> None:
    clock = Clock()
    with Project.create(tmp_path / "a.poseproj", clock=clock) as project:
        media = project.add_media(media_info())
        run = project.start_run(media, {}, {}, [0, 1])
        project.store_results(run, [result(0, pose(), pose(300)), result(1, pose(), pose(300))])
        keys = [[person.key for person in project.people(media, frame)] for frame in (0, 1)]
        project.apply(edits.MoveJoint(media, 0, keys[0][0], 9, 1, 1, nudge=True))
        clock.now += change.get("pause", 0.5)
        if "break" in change:
            project.break_group()
        if "undo_redo" in change:
            project.undo()
            project.redo()
        frame = change.get("frame", 0)
        person = keys[frame][change.get("person", 0)]
        nudge = edits.MoveJoint(media, frame, person, change.get("joint", 9), 2, 1, nudge=change.get("nudge", True))
        project.apply(edits.SetVisibility(media, 0, person, (9,), 1) if "kind" in change else nudge)
        undone = 0
        while project.undo() is not None:
            undone += 1
        assert undone == steps


def test_two_drags_are_two_steps_however_quick(project: Project, media: int, run: Run) -> None:
    run(result(0, pose()))
    key = project.people(media, 0)[0].key
    project.apply(edits.MoveJoint(media, 0, key, 9, 1, 1))
    project.apply(edits.MoveJoint(media, 0, key, 9, 2, 2))
    project.undo()
    assert project.people(media, 0)[0].pose.keypoints[9].tolist() == [1, 1]


def test_many_edits_make_one_step_and_groups_go_on(project: Project, media: int) -> None:
    people = [edits.AddPerson(media, frame, pose().keypoints) for frame in range(6)]
    project.apply_many(people[:3], name="Import people", group="import 1")
    project.apply_many(people[3:], name="Import people", group="import 1")
    assert project.corrected_frames(media) == tuple(range(6))
    assert project.undo_name == "Import people"
    project.undo()
    assert project.corrected_frames(media) == ()
    assert not project.can_undo
    project.redo()
    assert project.counts().corrected == 6


def test_a_failing_edit_leaves_nothing_behind(project: Project, media: int) -> None:
    before = contents(project)
    with pytest.raises(ProjectError):
        project.apply_many([edits.AddPerson(media, 0, pose().keypoints), edits.DeletePerson(media, 0, "p99")], name="x")
    assert contents(project) == before
    assert not project.can_undo


def test_a_journal_that_names_another_table_is_refused(project: Project, media: int) -> None:
    project.apply(edits.AddPerson(media, 0, pose().keypoints))
    with project._database.write() as transaction:
        (images,) = transaction.db.execute("SELECT images FROM journal").fetchone()
        forged = images.replace(b"\xaacorrection", b"\xaaprediction")
        assert forged != images
        transaction.db.execute("UPDATE journal SET images = ?", (forged,))
    with pytest.raises(ProjectError, match="undo step"):
        project.undo()
    assert len(project.people(media, 0)) == 1


# --- any sequence of edits ---

Pick = tuple[str, int, int, int]
KINDS = ("move", "nudge", "hide", "add", "delete", "swap", "box", "replace", "accept", "revert", "track", "track_on")
WHERE = (st.integers(0, FRAMES - 1), st.integers(0, 5), st.integers(0, 16))
PICKS = st.tuples(
    st.sampled_from([*KINDS, "copy", "copy_one", "between", "between_all", "undo", "redo", "reopen"]), *WHERE
)
PICKS_AND_RUNS = st.one_of(PICKS, PICKS, st.tuples(st.just("run"), *WHERE))


def edit_of(project: Project, media: int, pick: Pick) -> edits.AnyEdit | None:
    """Return the edit that a pick means in the project as it is, None if it needs a person and there is none."""
    kind, frame, who, joint = pick
    if kind == "add":
        return edits.AddPerson(media, frame, pose(40 * who, 40 * joint).keypoints, track=who)
    if kind == "copy":
        return edits.CopyPeople(media, frame, (frame + 1) % FRAMES)
    people = project.people(media, frame)
    if not people:
        return None
    key = people[who % len(people)].key
    made: dict[str, Callable[[], edits.AnyEdit]] = {
        "move": lambda: edits.MoveJoint(media, frame, key, joint, who * 10, joint * 10),
        "nudge": lambda: edits.MoveJoint(media, frame, key, joint, who * 10, joint * 10, nudge=True),
        "hide": lambda: edits.SetVisibility(media, frame, key, (joint,), who % 3),
        "delete": lambda: edits.DeletePerson(media, frame, key),
        "swap": lambda: edits.SwapSides(media, frame, key, () if who % 2 else (joint,)),
        "box": lambda: edits.SetBox(media, frame, key, (0, 0, 10 + who, 10 + joint)),
        "replace": lambda: edits.ReplacePose(media, frame, key, pose(who * 30, joint * 20).keypoints),
        "accept": lambda: edits.AcceptPrediction(media, frame, key),
        "revert": lambda: edits.RevertToPrediction(media, frame, key),
        "track": lambda: edits.SetTrack(media, frame, key, who or None),
        "track_on": lambda: edits.SetTrack(media, frame, key, who or None, "forward" if joint % 2 else "all"),
        "between": lambda: edits.Interpolate(media, frame, person=key),
        "between_all": lambda: edits.Interpolate(media, frame),
        "copy_one": lambda: edits.CopyPeople(media, (frame + 1) % FRAMES, frame, key),
    }
    return made[kind]()


@given(picks=st.lists(PICKS, min_size=1, max_size=25))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_undo_all_is_the_beginning_and_redo_all_is_the_end(picks: list[Pick]) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        path = Path(folder) / "a.poseproj"
        project = Project.create(path)
        try:
            media = project.add_media(media_info())
            run = project.start_run(media, {}, {}, range(FRAMES))
            found = [result(f, pose(f * 2, track=1), pose(200 + f, track=2, noise=f + 1)) for f in range(FRAMES)]
            project.store_results(run, found)
            begin = contents(project)
            for pick in picks:
                if pick[0] == "reopen":
                    project.close()
                    project = Project.open(path)
                elif pick[0] in ("undo", "redo"):
                    project.undo() if pick[0] == "undo" else project.redo()
                else:
                    edit = edit_of(project, media, pick)
                    try:
                        if edit is not None:
                            project.apply(edit)
                    except ProjectError:
                        pass  # nothing to revert to, nobody to copy: said in one sentence, and nothing changed
            while project.redo() is not None:
                pass
            end = contents(project)
            steps = 0
            while project.undo() is not None:
                steps += 1
            assert contents(project) == begin
            project.close()
            project = Project.open(path)
            for _ in range(steps):
                assert project.redo() is not None
            assert not project.can_redo
            assert contents(project) == end
            assert project.check() == ()
        finally:
            project.close()


DERIVED = ("frame", "lane", "joint_lane", "track_lane")


@given(picks=st.lists(PICKS_AND_RUNS, min_size=4, max_size=25))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_runs_between_edits_leave_corrections_and_undo_alone(picks: list[Pick]) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        project = Project.create(Path(folder) / "a.poseproj")
        with project:
            media = project.add_media(media_info())
            for turn, pick in enumerate([("run", 0, 0, 0), *picks]):
                before = contents(project)
                if pick[0] == "run":
                    first = pick[1]
                    run = project.start_run(media, {}, {}, range(first, FRAMES))
                    poses = [pose(pick[2] * 9, track=1, noise=turn + 1), pose(200, track=2, noise=turn + 50)]
                    project.store_results(run, [result(f, *poses[pick[3] % 3 :]) for f in range(first, FRAMES)])
                    assert contents(project)["correction"] == before["correction"]
                elif pick[0] in ("undo", "redo"):
                    project.undo() if pick[0] == "undo" else project.redo()
                elif pick[0] != "reopen":
                    edit = edit_of(project, media, pick)
                    try:
                        if edit is not None:
                            project.apply(edit)
                    except ProjectError:
                        assert contents(project) == before
                shown = [person.key for frame in range(FRAMES) for person in project.people(media, frame)]
                assert len(shown) == len(set(shown))
            while project.redo() is not None:
                pass
            end = contents(project)
            project.rebuild()
            assert {table: contents(project)[table] for table in DERIVED} == {table: end[table] for table in DERIVED}
            steps = 0
            while project.undo() is not None:
                steps += 1
            assert contents(project)["correction"] == contents(project)["track"] == []
            for _ in range(steps):
                project.redo()
            assert contents(project) == end
            assert project.check() == ()


def test_undo_after_a_new_run_keeps_the_run(project: Project, media: int, run: Run) -> None:
    run(result(0, pose()))
    key = project.people(media, 0)[0].key
    project.apply(edits.MoveJoint(media, 0, key, 0, 3, 3))
    run(result(0, pose(102), pose(300)))
    assert [person.state for person in project.people(media, 0)] == ["corrected", "predicted"]
    project.undo()
    people = project.people(media, 0)
    assert [person.state for person in people] == ["predicted", "predicted"]
    np.testing.assert_array_equal(people[0].pose.keypoints, pose(102).keypoints)
    project.redo()
    assert project.people(media, 0)[0].key == key
