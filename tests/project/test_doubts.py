"""What is worth a look."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from made_up import media_info, pose, result

from poseviewer.core.values import Pose
from poseviewer.project import Project, edits

Run = Callable[..., int]


def moved(given: Pose, joint: int, x: float, y: float) -> Pose:
    """The pose with one joint shifted."""
    keypoints = given.keypoints.copy()
    keypoints[joint] += (x, y)
    return dataclasses.replace(given, keypoints=keypoints)


def exchanged(given: Pose, flip: tuple[int, ...]) -> Pose:
    """The pose with left and right exchanged."""
    return dataclasses.replace(given, keypoints=given.keypoints[list(flip)])


def test_a_walk_without_trouble_raises_no_doubt(project: Project, media: int, run: Run) -> None:
    run(*[result(frame, pose(100 + frame * 3, noise=frame + 1), pose(300 - frame)) for frame in range(40)])
    assert project.worth_a_look(media) == ()


def test_each_kind_is_found_where_it_is(project: Project, media: int, run: Run) -> None:
    walk = {frame: [pose(100 + frame, noise=frame + 1), pose(400, noise=frame + 50)] for frame in range(40)}
    walk[5][0] = moved(walk[5][0], 9, 60, -40)
    walk[10][1] = exchanged(walk[10][1], project.skeleton.flip)
    del walk[20][1], walk[21][1], walk[22][1]
    walk[30].append(pose(131, noise=99))
    walk[35][0] = pose(135, score=0.2)
    run(*[result(frame, *poses) for frame, poses in walk.items()])
    doubts = {(doubt.kind, doubt.frame): doubt for doubt in project.worth_a_look(media)}
    # The leap back and the exchange back are the same thing to look at.
    assert set(doubts) == {("jump", 5), ("sides", 10), ("lost", 20), ("doubled", 30), ("low_score", 35)}
    jump = doubts["jump", 5]
    assert jump.joint == 9
    np.testing.assert_allclose(jump.figure, np.hypot(61, 40), atol=3)
    assert jump.person_key == project.people(media, 5)[0].key
    assert jump.text_en.startswith("The left wrist jumps 7")
    assert doubts["lost", 20].figure == 3
    assert doubts["lost", 20].person_key == ""
    assert doubts["doubled", 30].person_key == project.people(media, 30)[2].key
    assert doubts["doubled", 30].figure > 0.5
    assert abs(doubts["low_score", 35].figure - 0.2) < 1e-6
    weights = [doubt.frame for doubt in project.worth_a_look(media, 2)]
    assert len(weights) == 2


def test_what_was_decided_is_no_longer_worth_a_look(project: Project, media: int, run: Run) -> None:
    run(result(0, pose(), pose(101, noise=1)), result(1, pose(score=0.1)))
    assert [doubt.kind for doubt in sorted(project.worth_a_look(media), key=lambda d: d.frame)] == [
        "doubled",
        "low_score",
    ]
    project.apply(edits.DeletePerson(media, 0, project.people(media, 0)[1].key))
    assert [doubt.frame for doubt in project.worth_a_look(media)] == [1]
    project.apply(edits.AcceptPrediction(media, 1, project.people(media, 1)[0].key))
    assert project.worth_a_look(media) == ()
    project.undo()
    assert [doubt.frame for doubt in project.worth_a_look(media)] == [1]


def test_what_a_correction_hides_is_not_in_doubt_again(project: Project, media: int, run: Run) -> None:
    run(result(0, pose(), pose(300)))
    project.apply(edits.AcceptPrediction(media, 0, project.people(media, 0)[0].key))
    run(result(0, pose(101, score=0.1), pose(301, score=0.1)))
    (doubt,) = project.worth_a_look(media)
    assert doubt.person_key == project.people(media, 0)[1].key


def test_a_new_run_replaces_the_doubts_of_its_frames(project: Project, media: int, run: Run) -> None:
    run(result(0, pose(score=0.1)), result(1, pose(score=0.1)))
    run(result(0, pose(score=0.9)))
    assert [doubt.frame for doubt in project.worth_a_look(media)] == [1]


def test_doubts_do_not_depend_on_how_a_run_is_cut_into_chunks(project: Project, media: int) -> None:
    frames = {frame: [pose(100 + frame * 2, noise=frame + 1)] for frame in range(30)}
    frames[7], frames[8] = [], []
    frames[15][0] = moved(frames[15][0], 4, 90, 0)
    results = [result(frame, *poses) for frame, poses in frames.items()]
    seen = []
    for size in (30, 1, 4):
        run = project.start_run(media, {}, {}, range(30))
        for first in range(0, 30, size):
            project.store_results(run, results[first : first + size])
        seen.append([(d.frame, d.kind, d.joint, d.figure) for d in project.worth_a_look(media)])
    assert seen[0] == seen[1] == seen[2]
    assert {(kind, frame) for frame, kind, _, _ in seen[0]} == {("lost", 7), ("jump", 15)}


def test_skipped_frames_say_nothing_about_motion(project: Project, media: int, run: Run) -> None:
    run(*[result(frame, moved(pose(), 9, frame, 0)) for frame in range(0, 400, 50)])
    assert project.worth_a_look(media) == ()


def test_pictures_of_a_folder_have_no_frame_before(project: Project) -> None:
    media = project.add_media(media_info("/pictures", fingerprint="ff", kind="folder", fps=0.0))
    run = project.start_run(media, {}, {}, [0, 1])
    swapped = exchanged(pose(), project.skeleton.flip)
    project.store_results(run, [result(0, pose()), result(1, swapped), result(2, pose(score=0.1))])
    assert [doubt.kind for doubt in project.worth_a_look(media)] == ["low_score"]


def test_the_key_leads_to_what_the_queue_lists(project: Project, media: int, run: Run) -> None:
    walk = {frame: [pose(100 + frame, noise=frame + 1)] for frame in range(60)}
    for frame in (10, 30, 33, 50):
        walk[frame][0] = moved(walk[frame][0], 9, 70 + frame, -40)
    run(*[result(frame, *poses) for frame, poses in walk.items()])
    listed = sorted(doubt.frame for doubt in project.worth_a_look(media))
    walked, frame = [], 0
    while (following := project.next_of(media, frame, "doubt")) is not None:
        walked.append(following)
        frame = following
    assert len(listed) == 3
    assert walked == listed
    assert project.next_of(media, listed[-1], "doubt", -1) == listed[-2]
