"""The tags panel: figures equal the evidence, the sentence says why, and the selection is everybody's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt

from poseviewer.core.values import BY_TAG, NO_JOINT, REFINED, STARTED, Grouping, GroupingPeaks, GroupingRules
from poseviewer.pipeline.config import PipelineConfig
from poseviewer.pipeline.regrouping import regroup
from poseviewer.ui.canvas.tagmap import tag_image
from poseviewer.ui.panels.tags import TagsPanel
from poseviewer.ui.panels.tagviews import short_joint
from poseviewer.ui.panels.tagwords import (
    Call,
    Calls,
    between_words,
    group_words,
    means_before,
    measure_of,
    reason_words,
    tag_text,
)
from tests.ui.fake_desk import FakeDesk

JOINTS = 17
ORDER = (*range(7), 11, 12, 7, 8, 9, 10, 13, 14, 15, 16)
NAMES = ("person 1", "person 2", "candidate 3", "person 3", "candidate 5")


def grouping(dimensions: int = 1, *, measure: float = 1.0) -> Grouping:
    """Why five candidates came about: 0, 1 and 3 became people; the left wrist (9) of 1 almost went to 0."""
    rng = np.random.default_rng(3)
    tags = np.repeat(np.array([1.6, 0.2, 1.6, 3.1, 9.0])[:, None, None], JOINTS, axis=1)
    tags = (tags + rng.normal(0, 0.03, (5, JOINTS, 1))).repeat(dimensions, axis=2).astype(np.float32)
    tags[1, 9] = 0.8
    how = np.full((5, JOINTS), BY_TAG, dtype=np.uint8)
    how[:, 0] = STARTED
    how[3, 0], how[3, 5] = NO_JOINT, STARTED
    how[3, 1:5] = NO_JOINT
    how[1, 16], how[0, 15] = REFINED, NO_JOINT
    how[4, 1:] = NO_JOINT
    distance = np.full((5, JOINTS), np.nan, dtype=np.float32)
    for person in range(5):
        own: list[np.ndarray] = []
        for joint in ORDER:
            if how[person, joint] == BY_TAG:
                distance[person, joint] = measure * np.linalg.norm(tags[person, joint] - np.mean(own, axis=0))
            if how[person, joint] in (STARTED, BY_TAG):
                own.append(tags[person, joint].astype(np.float64))
    means = [tags[p][np.isin(how[p], (STARTED, BY_TAG))].mean(axis=0) for p in range(5)]
    maps = np.zeros((JOINTS, 30, 40, dimensions), dtype=np.float32)
    joint_tags = np.where(how[..., None] == NO_JOINT, np.nan, tags).astype(np.float32)
    place = np.array([[16.0, 0, 7.5], [0, 16.0, 7.5]])
    return Grouping(maps, place, joint_tags, np.array(means, np.float32), distance, how, ORDER, 1.0)


def two_people() -> Grouping:
    """Why two people came about, with the peaks it began with: the left wrist of 1 is 0.5 from its mean."""
    tags = np.array([0.0, 3.0])[:, None, None].repeat(JOINTS, axis=1).astype(np.float32)
    tags[1, 9] = 2.5
    cells = np.stack([np.arange(JOINTS) + 20 * person for person in range(2)], axis=1)[..., None].repeat(2, axis=2)
    values = np.full((JOINTS, 2), 0.9, dtype=np.float32)
    rules = GroupingRules()
    peaks = GroupingPeaks(values, cells, tags.transpose(1, 0, 2), rules)
    how = np.full((2, JOINTS), BY_TAG, dtype=np.uint8)
    how[:, 0] = STARTED
    distance = np.zeros((2, JOINTS), dtype=np.float32)
    distance[1, 9] = 0.5
    maps, place = np.zeros((JOINTS, 30, 40, 1), dtype=np.float32), np.array([[16.0, 0, 7.5], [0, 16.0, 7.5]])
    means = tags.mean(axis=1)
    return Grouping(maps, place, tags, means, distance, how, ORDER, 1.0, peaks)


@pytest.fixture
def desk() -> FakeDesk:
    made = FakeDesk()
    give(made, grouping())
    return made


def give(desk: FakeDesk, why: Grouping | None) -> None:
    """Let the desk's evidence have grouped its joints for this reason."""
    assert desk.evidence is not None
    desk.evidence = replace(desk.evidence, evidence=replace(desk.evidence.evidence, grouping=why))


@pytest.fixture
def panel(qtbot: Any, desk: FakeDesk) -> TagsPanel:
    made = TagsPanel(desk)  # type: ignore[arg-type]
    qtbot.addWidget(made)
    made.resize(344, 1200)
    made.show()
    return made


def cells(table: Any, row: int) -> list[str]:
    return [str(table.rows.data(table.rows.index(row, column))) for column in range(table.rows.columnCount())]


# --- figures ---


def test_running_means_are_those_of_the_joints_before() -> None:
    why = grouping()
    before = means_before(why)
    for person in (0, 1, 3):
        begun = [joint for joint in ORDER if why.how[person, joint] in (STARTED, BY_TAG)]
        for place, joint in enumerate(begun[1:], 1):
            own = why.joint_tags[person, begun[:place]].astype(np.float64).mean(axis=0)
            np.testing.assert_allclose(before[person, joint], own, atol=1e-6)
            length = abs(float(why.joint_tags[person, joint, 0]) - own[0])
            assert why.distance[person, joint] == pytest.approx(length, abs=1e-6)
        assert np.isnan(before[person, begun[0]]).all()


@pytest.mark.parametrize(("dimensions", "measure"), [(1, 1.0), (2, 1.0), (2, 2**-0.5)])
def test_the_published_distance_is_recognised(dimensions: int, measure: float) -> None:
    why = grouping(dimensions, measure=measure)
    assert measure_of(why, means_before(why)) == pytest.approx(measure)
    call = Calls(why, [0, 1, 3]).call(1, 9)
    assert call is not None
    assert call.distance == pytest.approx(float(why.distance[1, 9]))
    plain = np.linalg.norm(means_before(why)[0, 9] - why.joint_tags[1, 9])
    assert call.other_distance == pytest.approx(measure * plain, abs=1e-6)


def test_the_runner_up_is_among_the_people() -> None:
    why = grouping()
    call = Calls(why, [0, 1, 3]).call(1, 9)
    assert call is not None
    assert (call.how, call.other) == (BY_TAG, 0)  # candidate 2 is as near, but nobody
    assert call.mean[0] == pytest.approx(means_before(why)[1, 9, 0])
    assert Calls(why, [0, 1, 3]).call(0, 15) is None
    assert Calls(why, [0, 1, 3]).call(9, 0) is None


def test_groups_and_closest_calls() -> None:
    why = grouping()
    calls = Calls(why, [0, 1, 3])
    groups = calls.groups()
    assert [group.candidate for group in groups] == [0, 1, 3]
    assert [group.joints for group in groups] == [16, 17, 12]
    assert groups[0].gap == pytest.approx(abs(float(why.person_tags[0, 0] - why.person_tags[1, 0])), abs=1e-6)
    assert (groups[0].nearest, groups[2].nearest) == (1, 0)
    grouped = np.isin(why.how[1], (STARTED, BY_TAG))
    assert groups[1].spread == pytest.approx(float(why.joint_tags[1, grouped, 0].std()), abs=1e-5)
    closest = calls.closest()
    assert (closest[0].candidate, closest[0].joint) == (1, 9)
    gaps = [call.other_distance - call.distance for call in closest]
    assert gaps == sorted(gaps)
    alone = Calls(why, [1])
    assert alone.closest() == []
    assert (alone.groups()[0].nearest, np.isnan(alone.groups()[0].gap)) == (-1, True)


def test_every_reason_is_one_sentence_with_its_figures() -> None:
    why = grouping()

    def said(how: int, *, distance: float = 0.07, other: int = 1, away: float = 0.92) -> str:
        mean = () if how == STARTED else (0.34,)
        return reason_words(Call(0, 9, how, (0.41,), mean, distance, other, away), why, NAMES, "Left wrist")

    assert said(BY_TAG) == (
        "Left wrist joined person 1 because its tag 0.41 is 0.07 from the mean 0.34; limit 1.00; "
        "next best person 2 at 0.92."
    )
    assert said(BY_TAG, away=0.02).endswith("; person 2 was nearer at 0.02, but got another.")
    assert said(BY_TAG, other=-1).endswith("; there was nobody else.")
    assert said(STARTED, other=-1) == "Left wrist started person 1: nobody was there before it, its tag is 0.41."
    assert said(STARTED, away=1.4).endswith("is 1.40 from person 2, the nearest, beyond the limit 1.00.")
    assert said(STARTED, away=0.4).endswith("is 0.40 from person 2, who got another.")
    assert said(REFINED).endswith("looked for afterwards: its tag 0.41 is 0.07 from person 1's mean 0.34.")
    near = Call(0, 9, BY_TAG, (0.41,), (0.1,), 0.31, 1, 0.5)
    assert between_words(near, why, NAMES, "Left wrist").startswith("<b>Left wrist sits between two people.</b>")
    assert between_words(replace(near, other_distance=0.9), why, NAMES, "x") == ""
    assert tag_text((-0.001, 1.0)) == "0.00, 1.00"
    assert group_words(Calls(why, [1]).groups()[0], NAMES).startswith("person 2 holds 17 joints; mean tag 0.2")


# --- the panel ---


def test_the_panel_says_why_the_selected_keypoint_joined(panel: TagsPanel, desk: FakeDesk) -> None:
    desk.session.select(person="p2", joint=9)
    panel.flush()
    words = panel.reason.text.text()
    assert words.startswith("Left wrist joined person 2 because its tag 0.80 is 0.")
    assert "; limit 1.00; next best person 1 at 0." in words
    assert "sits between two people" in panel.warning.text.text()
    assert panel.warning.isVisibleTo(panel)
    assert cells(panel.groups, 1)[:2] == ["person 2", "17"]
    assert panel.groups.currentIndex().row() == 1
    assert cells(panel.closest, 0)[:3] == ["left wrist", "0.80", "person 2"]
    assert panel.closest.currentIndex().row() == 0
    desk.session.select(joint=16)
    panel.flush()
    assert "looked for afterwards" in panel.reason.text.text()
    assert not panel.warning.isVisibleTo(panel)
    desk.session.select(joint=None)
    panel.flush()
    assert panel.reason.text.text().startswith("Person 2 holds 17 joints; mean tag 0.2")
    desk.session.select(person="p1", joint=15)
    panel.flush()
    assert panel.reason.text.text() == "Left ankle was not found for person 1."
    desk.session.select(person=None, joint=None)
    panel.flush()
    assert panel.reason.text.text() == "Choose a keypoint to see why it belongs to its person."


def test_a_click_selects_the_keypoint_everywhere(qtbot: Any, panel: TagsPanel, desk: FakeDesk) -> None:
    desk.session.select(person="p1", joint=0)
    panel.flush()
    plot = panel.plot
    from PySide6.QtCore import QRectF

    box = QRectF(0.5, 0.5, plot.width() - 1, plot.height() - plot.AXIS - 1)
    at = plot._place(box, 9, 0.8)
    qtbot.mouseClick(plot, Qt.MouseButton.LeftButton, pos=QPoint(round(at.x()), round(at.y())))
    assert (desk.selection.person, desk.selection.joint) == ("p2", 9)
    # And on the picture: the third person's nose was not found, its left hip was.
    picture = panel.picture
    view = picture._view()
    x, y = desk.evidence.evidence.candidates.keypoints[3, 11]  # type: ignore[union-attr]
    spot = view.map(QPoint(round(float(x)), round(float(y))))
    qtbot.mouseClick(picture, Qt.MouseButton.LeftButton, pos=spot)
    assert (desk.selection.person, desk.selection.joint) == ("p4", 11)
    panel.flush()
    panel.groups.selectRow(0)
    assert desk.selection.person == "p1"
    panel.flush()
    panel.closest.selectRow(0)
    assert (desk.selection.person, desk.selection.joint) == ("p2", 9)


def test_the_tag_map_shows_and_both_tags_of_the_flip_test(qtbot: Any, panel: TagsPanel, desk: FakeDesk) -> None:
    assert not panel.parts.isVisibleTo(panel)
    desk.session.select(person="p2", joint=9)
    panel.flush()
    before = panel.picture.grab().toImage()
    panel.with_map.setChecked(True)
    assert desk.display.tag_map
    panel.flush()
    assert panel.picture.grab().toImage() != before
    give(desk, grouping(2))
    desk.evidence_changed.emit()
    panel.flush()
    assert panel.parts.isVisibleTo(panel)
    plain = panel.plot.grab().toImage()
    panel.parts.button("1").click()
    panel.flush()
    assert panel.plot.grab().toImage() == plain  # both tags are equal here
    assert "0.80, 0.80" in panel.reason.text.text()


def test_another_limit_is_tried_at_once_and_used_next(panel: TagsPanel, desk: FakeDesk, qtbot: Any) -> None:
    give(desk, two_people())
    desk.config = desk.run_config = PipelineConfig(pipeline="bottomup")
    desk.evidence_changed.emit()
    panel.flush()
    assert panel.foot.isVisibleTo(panel)
    assert (panel.trial.value, panel.use.isEnabled(), panel.reset.isVisibleTo(panel)) == (1.0, False, False)
    assert panel.answer.text() == "Joints join whose mean tag is nearer than 1.00"
    panel.trial.slider.setValue(40)
    qtbot.waitUntil(lambda: ("what_if_grouping", 0.4) in desk.calls)
    panel.flush()
    assert panel.answer.text() == "At 0.40: 3 people instead of 2; left wrist leaves person 2."
    panel.trial.box.changed.emit(0.6)
    qtbot.waitUntil(lambda: ("what_if_grouping", 0.6) in desk.calls)
    panel.flush()
    assert panel.answer.text() == "At 0.60 nothing changes."
    panel.use.click()
    assert desk.config.grouping_limit == 0.6
    panel.flush()
    assert not panel.use.isEnabled()
    panel.reset.click()
    panel.flush()
    assert (panel.trial.value, panel.reset.isVisibleTo(panel)) == (1.0, False)


def test_merged_people_lose_their_joints() -> None:
    found = regroup(two_people(), 9.0, 0.0)
    assert found is not None
    # Costs still keep the two apart where both have a peak.
    assert (found.before, found.after, found.moved) == (2, 2, ())
    assert regroup(grouping(), 0.5, 0.0) is None
    strict = regroup(two_people(), 0.4, 0.2)
    assert strict is not None
    # The wrist alone has a mean of 0.9 / 17, less than what is asked.
    assert (strict.before, strict.after, strict.moved) == (2, 2, ((1, 9),))
    part = {name: getattr(two_people(), name)[1:] for name in ("joint_tags", "person_tags", "distance", "how")}
    alone = regroup(replace(two_people(), **part), 0.4, 0.2)
    assert alone is not None
    assert alone.moved == ((0, 9),)


def test_other_pipelines_have_no_tags(panel: TagsPanel, desk: FakeDesk) -> None:
    assert panel.showing
    give(desk, None)
    desk.evidence_changed.emit()
    panel.flush()
    assert not panel.showing
    assert panel.empty.sentence.text() == "There are no tags: this pipeline does not group joints"


def test_an_empty_frame_and_another_joint_set_are_told(panel: TagsPanel, desk: FakeDesk) -> None:
    why = grouping()
    rows = {name: getattr(why, name)[:0] for name in ("joint_tags", "person_tags", "distance", "how")}
    give(desk, replace(why, **rows))
    desk.evidence_changed.emit()
    panel.flush()
    assert panel.empty.sentence.text() == "Nobody was found in this frame"
    short = {name: getattr(why, name)[:, :5] for name in ("joint_tags", "distance", "how")}
    give(desk, replace(why, **short))
    desk.evidence_changed.emit()
    panel.flush()
    assert "joints are not those" in panel.empty.sentence.text()


def test_tag_pictures_go_from_low_to_high() -> None:
    image = tag_image(np.array([[-1.0, 0.5], [np.nan, 3.0]]), (0.0, 1.0))
    assert (image.width(), image.height()) == (2, 2)
    assert image.pixelColor(0, 0) == image.pixelColor(0, 1)
    assert image.pixelColor(1, 1).green() > image.pixelColor(1, 0).green() > image.pixelColor(0, 0).green()
    assert short_joint("left knee") == "l knee"
    assert short_joint("nose") == "nose"


def test_who_is_added_by_hand_keeps_its_reasons(desk: FakeDesk) -> None:
    from poseviewer.ui.evidence import append

    first = desk.evidence
    assert first is not None
    why = first.evidence.grouping  # type: ignore[union-attr]
    assert why is not None
    both = append(first, first).evidence
    assert both is not None
    assert both.grouping is not None
    assert len(both.grouping.how) == len(both.crops) == 2 * len(why.how)
    np.testing.assert_array_equal(both.grouping.joint_tags[len(why.how) :], why.joint_tags)
    assert both.grouping.tags is why.tags
    give(desk, None)
    assert append(first, desk.evidence).evidence.grouping is why  # type: ignore[arg-type, union-attr]
