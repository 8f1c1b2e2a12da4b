"""The timeline's aggregates against a plain recomputation, tracks, jumps to the next of a kind, and counts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import contents, pose, result

from poseviewer.project import CORRECTED, EMPTY, NONE, PREDICTED, Project, Span, edits
from poseviewer.project.lanes import quantised

Run = Callable[..., int]
RARITY = {NONE: 0, PREDICTED: 1, EMPTY: 2, CORRECTED: 3}


def test_each_frame_in_its_own_column(project: Project, media: int, run: Run) -> None:
    run(result(1), result(2, pose(score=0.5)), result(3, pose(score=0.25), pose(300, score=0.75)))
    project.apply(edits.AddPerson(media, 5, pose().keypoints))
    lanes = project.lanes(media, 0, 5, 6, joint=4)
    assert lanes.starts.tolist() == [0, 1, 2, 3, 4, 5]
    assert lanes.state.tolist() == [NONE, EMPTY, PREDICTED, PREDICTED, NONE, CORRECTED]
    assert lanes.people.tolist() == [0, 0, 1, 2, 0, 1]
    np.testing.assert_array_equal(np.isnan(lanes.conf_mean), [True, True, False, False, True, True])
    assert (lanes.conf_min[3], lanes.conf_mean[3], lanes.conf_max[3]) == (0.25, 0.5, 0.75)
    assert lanes.joint is not None
    np.testing.assert_allclose(lanes.joint[2:4], [0.5, 0.25], atol=0.5 / 254)
    assert np.isnan(lanes.joint[[0, 1, 4, 5]]).all()


@given(
    states=st.lists(st.sampled_from([NONE, EMPTY, PREDICTED, CORRECTED]), min_size=1, max_size=30),
    first=st.integers(500, 520),
    columns=st.integers(1, 50),
)
@settings(max_examples=25, deadline=None)
def test_columns_agree_with_a_plain_recomputation(
    tmp_path_factory: pytest.TempPathFactory, states: list[int], first: int, columns: int
) -> None:
    from made_up import media_info

    with Project.create(tmp_path_factory.mktemp("lanes") / "a.poseproj") as project:
        media = project.add_media(media_info())
        scores = {first + i: 0.25 + (i % 4) / 8 for i in range(len(states))}
        shown = [first + i for i, state in enumerate(states) if state != NONE]
        run = project.start_run(media, {}, {}, shown)
        frames = [(f, states[f - first]) for f in shown]
        project.store_results(
            run, [result(f, *([] if state == EMPTY else [pose(score=scores[f])])) for f, state in frames]
        )
        for frame, state in frames:
            if state == CORRECTED:
                project.apply(edits.AcceptPrediction(media, frame, project.people(media, frame)[0].key))
        last = first + len(states) - 1
        lanes = project.lanes(media, first, last, columns)
        for column in range(columns):
            begin = column * len(states) // columns
            end = max((column + 1) * len(states) // columns, begin + 1)
            inside = states[begin:end]
            assert lanes.state[column] == max(inside, key=RARITY.__getitem__)
            held = [scores[first + begin + i] for i, state in enumerate(inside) if state in (PREDICTED, CORRECTED)]
            if held:
                figures = (lanes.conf_min[column], lanes.conf_mean[column], lanes.conf_max[column])
                np.testing.assert_allclose(figures, (min(held), np.mean(held), max(held)), rtol=1e-3)
            else:
                assert np.isnan(lanes.conf_mean[column])
        counts = project.counts()
        assert (counts.empty, counts.predicted, counts.corrected) == tuple(
            states.count(state) for state in (EMPTY, PREDICTED, CORRECTED)
        )


def test_lanes_far_from_anything_are_empty_and_senseless_ranges_are_refused(project: Project, media: int) -> None:
    lanes = project.lanes(media, 10**6, 10**6 + 9, 4)
    assert lanes.state.tolist() == [0, 0, 0, 0]
    with pytest.raises(ValueError, match="make no sense"):
        project.lanes(media, 5, 4, 10)


def test_quantised_scores_come_back_within_half_a_step() -> None:
    scores = np.linspace(0, 1, 1001, dtype=np.float32)
    steps = quantised(scores)
    assert steps.min() == 1
    np.testing.assert_allclose((steps - 1) / 254, scores, atol=0.5 / 254 + 1e-6)
    assert quantised(np.array([np.nan], dtype=np.float32)).tolist() == [0]


def test_rebuilding_gives_the_same_tables(project: Project, media: int, run: Run) -> None:
    run(*[result(frame, *[pose(track=1)] * (frame % 3)) for frame in range(0, 1100, 7)])
    project.apply(edits.MoveJoint(media, 7, project.people(media, 7)[0].key, 0, 1, 1))
    project.apply(edits.AddPerson(media, 3000, pose().keypoints, track=9))
    before = contents(project)
    with project._database.write() as transaction:
        for table in ("lane", "joint_lane", "track_lane"):
            transaction.db.execute(f"DELETE FROM {table}")
    project.rebuild()
    assert contents(project) == before


def test_next_of_a_kind(project: Project, media: int, run: Run) -> None:
    run(result(2), result(4, pose()), result(6, pose()), result(8, pose(), pose(101, noise=1)), result(9))
    project.apply(edits.AcceptPrediction(media, 6, project.people(media, 6)[0].key))
    assert project.next_of(media, 0, "empty") == 2
    assert project.next_of(media, 2, "empty") == 9
    assert project.next_of(media, 9, "empty", -1) == 2
    assert project.next_of(media, 0, "predicted") == 4
    assert project.next_of(media, 4, "predicted") == 8
    assert project.next_of(media, 9, "corrected", -1) == 6
    assert project.next_of(media, 6, "corrected") is None
    assert project.next_of(media, 0, "doubt") == 8
    assert project.next_of(media, 8, "doubt") is None
    with pytest.raises(ValueError, match="no kind"):
        project.next_of(media, 0, "nice")  # type: ignore[arg-type]


# --- tracks ---


def test_spans_and_renaming_from_here_on(project: Project, media: int, run: Run) -> None:
    frames = [frame for frame in range(505, 530) if frame != 520]
    run(*[result(frame, pose(track=1), pose(300, track=2)) for frame in frames])
    assert project.tracks(media, 0, 999) == (
        Span(1, 505, 519), Span(1, 521, 529), Span(2, 505, 519), Span(2, 521, 529),
    )  # fmt: skip
    assert project.tracks(media, 510, 512) == (Span(1, 510, 512), Span(2, 510, 512))
    key = project.people(media, 515)[0].key
    changes = project.apply(edits.SetTrack(media, 515, key, 7, "forward"))
    assert changes.kinds == {"tracks"}
    assert changes.frames is None
    assert [p.pose.track for p in project.people(media, 514)] == [1, 2]
    assert [p.pose.track for p in project.people(media, 529)] == [7, 2]
    assert project.people(media, 529)[0].state == "predicted"
    assert project.tracks(media, 0, 999)[:2] == (Span(1, 505, 514), Span(2, 505, 519))
    project.undo()
    assert project.tracks(media, 515, 515) == (Span(1, 515, 515), Span(2, 515, 515))


def test_taking_a_number_that_somebody_has_exchanges_the_two(project: Project, media: int, run: Run) -> None:
    run(*[result(frame, pose(track=1), pose(300, track=2)) for frame in range(10)])
    project.apply(edits.MoveJoint(media, 8, project.people(media, 8)[0].key, 0, 1, 1))
    project.apply(edits.SetTrack(media, 5, project.people(media, 5)[0].key, 2, "forward"))
    tracks = [[p.pose.track for p in project.people(media, frame)] for frame in (4, 5, 8, 9)]
    assert tracks == [[1, 2], [2, 1], [2, 1], [2, 1]]
    assert project.tracks(media, 0, 9) == (Span(1, 0, 9), Span(2, 0, 9))
    project.apply(edits.SetTrack(media, 2, project.people(media, 2)[1].key, 1))
    assert [p.pose.track for p in project.people(media, 2)] == [2, 1]
    assert [p.pose.track for p in project.people(media, 3)] == [1, 2]
    assert [p.state for p in project.people(media, 2)] == ["corrected", "corrected"]


def test_edits_of_one_frame_show_in_the_spans(project: Project, media: int, run: Run) -> None:
    run(*[result(frame, pose(track=1), pose(300, track=2)) for frame in range(5)])
    project.apply(edits.SetTrack(media, 2, project.people(media, 2)[0].key, 8))
    project.apply(edits.DeletePerson(media, 3, project.people(media, 3)[1].key))
    project.apply(edits.AddPerson(media, 6, pose().keypoints, track=2))
    wanted = (Span(1, 0, 1), Span(1, 3, 4), Span(2, 0, 2), Span(2, 4, 4), Span(2, 6, 6), Span(8, 2, 2))
    assert project.tracks(media, 0, 9) == wanted
    for _ in range(3):
        project.undo()
    assert project.tracks(media, 0, 9) == (Span(1, 0, 4), Span(2, 0, 4))


def test_a_rule_is_for_one_run_only(project: Project, media: int, run: Run) -> None:
    run(*[result(frame, pose(track=1)) for frame in range(5)])
    project.apply(edits.SetTrack(media, 0, project.people(media, 0)[0].key, 9, "all"))
    run(*[result(frame, pose(track=1)) for frame in range(3)])
    assert [project.people(media, frame)[0].pose.track for frame in range(5)] == [1, 1, 1, 9, 9]
    assert project.tracks(media, 0, 9) == (Span(1, 0, 2), Span(9, 3, 4))
