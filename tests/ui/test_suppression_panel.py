"""The suppression panel: figures equal the report, sliders ask the desk, words say what would change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt

from poseviewer.core.skeleton import skeleton
from poseviewer.core.values import BY_SIMILARITY, KEPT, Candidates, Suppression
from poseviewer.ops.nms_config import NmsConfig, reference_nms
from poseviewer.ui.panels import candidatepicture
from poseviewer.ui.panels.candidatestable import MATCHES, NUMBER, OUTCOME, ROW_ROLE, SCORE, SIMILARITY
from poseviewer.ui.panels.suppression import SuppressionPanel
from poseviewer.ui.panels.verdicts import candidate_rows, form_words, owners, reason_words, warnings, what_if_words
from tests.ui.fake_desk import FakeDesk


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk()


@pytest.fixture
def panel(qtbot: Any, desk: FakeDesk) -> SuppressionPanel:
    made = SuppressionPanel(desk)  # type: ignore[arg-type]
    qtbot.addWidget(made)
    made.resize(344, 900)
    made.show()
    return made


def texts(panel: SuppressionPanel, row: int) -> list[str]:
    model = panel.table.candidates
    return [str(model.data(model.index(row, column))) for column in (NUMBER, SCORE, OUTCOME, SIMILARITY, MATCHES)]


def test_the_table_equals_the_report(panel: SuppressionPanel, desk: FakeDesk) -> None:
    scores = desk.evidence.evidence.candidates.scores  # type: ignore[union-attr]
    assert texts(panel, 0) == ["1", f"{scores[0].mean():.2f}", "kept", "–", "–"]
    assert texts(panel, 2) == ["3", f"{scores[2].mean():.2f}", "removed by 1", "31.50", "12"]
    assert texts(panel, 3)[2:] == ["kept", "20.40 to 2", "3"]
    assert texts(panel, 4)[2:] == ["below the floor", "–", "–"]
    assert panel.summary.text() == "3 kept, 1 removed, 1 below the floor"
    tip = panel.table.candidates.data(panel.table.candidates.index(2, 0), Qt.ItemDataRole.ToolTipRole)
    assert tip == "similarity 31.50 above 22.48, and 12 matched joints, 5 suffice"


def test_the_selected_persons_candidate_is_selected(panel: SuppressionPanel, desk: FakeDesk) -> None:
    assert panel.table.currentIndex().row() == 0
    desk.session.select(person="p4")
    panel.flush()
    assert panel.table.currentIndex().row() == 3


def test_a_kept_candidate_selects_its_person_and_a_removed_one_stays(
    qtbot: Any, panel: SuppressionPanel, desk: FakeDesk
) -> None:
    for row in (1, 2):
        place = panel.table.visualRect(panel.table.candidates.index(row, OUTCOME)).center()
        qtbot.mouseClick(panel.table.viewport(), Qt.MouseButton.LeftButton, pos=place)
        panel.flush()
        assert panel.table.currentIndex().row() == row
    assert desk.selection.person == "p2"
    assert panel._reason(panel.table.candidates.data(panel.table.candidates.index(3, 0), ROW_ROLE), NmsConfig()) == (
        "4, person 3: similarity to 2 is 20.40, not above 22.48; 3 matched joints, 5 needed."
    )
    assert panel.reason.text() == "3: similarity 31.50 above 22.48, and 12 matched joints, 5 suffice."


def test_numbers_on_the_picture_are_clicked(qtbot: Any, panel: SuppressionPanel) -> None:
    panel.grab()
    place = panel.picture._badges[2]
    qtbot.mouseClick(panel.picture, Qt.MouseButton.LeftButton, pos=QPoint(int(place.x()), int(place.y())))
    panel.flush()
    assert panel.table.currentIndex().row() == 2


def asked(desk: FakeDesk) -> list[NmsConfig]:
    return [call[1] for call in desk.calls if call[0] == "what_if_nms"]


def test_a_lower_limit_removes_one_more(qtbot: Any, panel: SuppressionPanel, desk: FakeDesk) -> None:
    similarity = panel.limits[0]
    assert similarity.value == 22.48
    similarity.slider.setValue(190)
    qtbot.waitUntil(lambda: len(asked(desk)) == 1, timeout=2000)
    assert asked(desk)[-1] == NmsConfig(gamma=pytest.approx(19.0))
    panel.flush()
    assert texts(panel, 3)[2:4] == ["removed by 2", "20.40"]
    assert panel.summary.text() == "2 kept, 2 removed, 1 below the floor"
    assert panel.answer.text() == "At 19.00: candidate 4 goes, 2 people stay"
    assert desk.config.nms == NmsConfig(auto=True)


def test_limits_can_be_used_and_taken_back(qtbot: Any, panel: SuppressionPanel, desk: FakeDesk) -> None:
    assert not panel.use.isEnabled()
    panel.limits[2].box.setText("0.45")
    panel.limits[2].box.editingFinished.emit()
    qtbot.waitUntil(lambda: len(asked(desk)) == 1, timeout=2000)
    panel.flush()
    qtbot.mouseClick(panel.use, Qt.MouseButton.LeftButton)
    assert desk.config.nms == NmsConfig(score_floor=0.45)
    qtbot.mouseClick(panel.reset, Qt.MouseButton.LeftButton)
    panel.flush()
    assert [limit.value for limit in panel.limits] == [22.48, 5.0, 0.3]
    assert texts(panel, 3)[2] == "kept"
    assert panel.answer.text() == "Move a threshold to see what changes"


def test_dragging_asks_seldom(qtbot: Any, panel: SuppressionPanel, desk: FakeDesk) -> None:
    for value in range(100, 200):
        panel.limits[0].slider.setValue(value)
    qtbot.waitUntil(lambda: bool(asked(desk)), timeout=2000)
    qtbot.wait(80)
    assert len(asked(desk)) <= 3
    assert asked(desk)[-1].gamma == pytest.approx(19.9)


def test_the_threshold_in_the_strip_is_dragged(qtbot: Any, panel: SuppressionPanel, desk: FakeDesk) -> None:
    strip = panel.strip
    qtbot.mouseClick(strip, Qt.MouseButton.LeftButton, pos=QPoint(round(strip._x(10.0)), 20))
    assert panel.limits[0].value == pytest.approx(10.0, abs=0.15)
    qtbot.waitUntil(lambda: bool(asked(desk)), timeout=2000)


def test_tried_limits_are_asked_again_for_the_next_frame(qtbot: Any, panel: SuppressionPanel, desk: FakeDesk) -> None:
    panel.limits[0].slider.setValue(190)
    qtbot.waitUntil(lambda: len(asked(desk)) == 1, timeout=2000)
    result = desk.evidence
    assert result is not None
    assert result.evidence is not None
    desk.what_if = None
    desk.evidence = replace(result, frame=813, evidence=replace(result.evidence))
    desk.evidence_changed.emit()
    qtbot.waitUntil(lambda: len(asked(desk)) == 2, timeout=2000)
    assert asked(desk)[1].gamma == pytest.approx(19.0)


def test_sliders_follow_the_run(panel: SuppressionPanel, desk: FakeDesk) -> None:
    import msgspec

    desk.run_config = msgspec.structs.replace(desk.run_config, nms=NmsConfig(gamma=11.25, match_threshold=7))
    desk.evidence_changed.emit()
    panel.flush()
    assert [limit.value for limit in panel.limits] == [11.25, 7.0, 0.3]
    assert asked(desk) == []


def test_the_form_and_its_other_numbers_are_shown(panel: SuppressionPanel, desk: FakeDesk) -> None:
    assert panel.form.text() == "Of the run: AlphaPose, current; δ₁ 1, δ₂ 2.65, μ 1.7, α 0.1"
    regression = reference_nms("master", 136, regression=True)
    assert form_words(regression, 136) == "Of the run: AlphaPose, current, whole body; δ₁ 1, δ₂ 8, μ 1.65, α 0.15"
    assert form_words(NmsConfig("box"), 17) == ""


def test_replaced_weights_are_told(panel: SuppressionPanel, desk: FakeDesk) -> None:
    assert panel.status.isHidden()
    desk.replaced = (3, ("mine.pth",))
    desk.evidence_changed.emit()
    panel.flush()
    assert panel.status.text() == "Computed with other weights than run 3 had: mine.pth was replaced since"
    assert not panel.status.isHidden()


def test_a_candidate_added_by_hand_has_no_verdict_of_other_limits(desk: FakeDesk) -> None:
    evidence = desk.evidence.evidence  # type: ignore[union-attr]
    old = evidence.suppression
    shorter = Suppression(old.outcome[:4], old.by[:4], old.similarity[:4], old.nearest[:4], old.matches[:4], old.kept)
    assert len(candidate_rows(evidence.candidates, shorter, old)) == 4


def poses(*shifts: float) -> Candidates:
    base = FakeDesk().evidence.evidence.candidates  # type: ignore[union-attr]
    points = np.stack([base.keypoints[0] + [shift, 0] for shift in shifts]).astype(np.float32)
    boxes = np.stack([base.boxes[0] + [shift, 0, shift, 0] for shift in shifts]).astype(np.float32)
    count = len(shifts)
    return Candidates(points, np.repeat(base.scores[:1], count, 0), boxes, np.ones(count, np.float32))


def report(outcome: list[int], by: list[int], nearest: list[int]) -> Suppression:
    count = len(outcome)
    return Suppression(
        np.array(outcome), np.array(by), np.full(count, 9.0, np.float32), np.array(nearest), np.full(count, 2),
        np.flatnonzero(np.array(outcome) == KEPT),
    )  # fmt: skip


def test_a_double_that_was_kept_is_warned_of() -> None:
    (text,) = warnings(poses(0, 4), report([KEPT, KEPT], [-1, -1], [-1, 0]), skeleton(), NmsConfig())
    assert text.startswith("<b>Candidate 2 may be candidate 1 again.</b>")
    assert "9.00, below 22.48, and 2 joints match, 5 needed" in text


def test_a_pose_that_mixes_two_is_warned_of() -> None:
    candidates = poses(0, 400, 0)
    candidates.keypoints[2, 9:] += [400, 0]
    found = warnings(candidates, report([KEPT] * 3, [-1] * 3, [-1, 0, 0]), skeleton(), NmsConfig())
    assert [text.split(".")[0] for text in found] == ["<b>Candidate 3 mixes two people"]


def test_a_removed_neighbour_is_warned_of() -> None:
    found = warnings(poses(0, 150), report([KEPT, BY_SIMILARITY], [-1, 0], [-1, 0]), skeleton(), NmsConfig())
    assert found[0].startswith("<b>Candidate 2 may be another person.</b> It was removed by 1")


def test_distinct_people_and_a_plain_double_give_no_warning() -> None:
    candidates = poses(0, 400, 3)
    found = report([KEPT, KEPT, BY_SIMILARITY], [-1, -1, 0], [-1, 0, 0])
    assert warnings(candidates, found, skeleton(), NmsConfig()) == []


def test_words_of_changes() -> None:
    run = NmsConfig()
    before = report([KEPT, KEPT, BY_SIMILARITY], [-1, -1, 0], [-1, 0, 0])
    same = what_if_words(before, before, NmsConfig(gamma=22.0), run)
    assert same == "At 22.00: nothing changes, 2 people stay"
    fewer = report([KEPT, BY_SIMILARITY, BY_SIMILARITY], [-1, 0, 0], [-1, 0, 0])
    assert what_if_words(before, fewer, NmsConfig(match_threshold=3), run) == (
        "At 3 joints: candidate 2 goes, 1 person stays"
    )
    more = report([KEPT] * 3, [-1] * 3, [-1, 0, 0])
    assert what_if_words(fewer, more, NmsConfig(gamma=30.0, score_floor=0.1), run) == (
        "At 30.00, floor 0.10: candidates 2 and 3 stay too, 3 people stay"
    )


def test_owners_follow_removers_to_a_kept_one() -> None:
    chain = report([KEPT, BY_SIMILARITY, BY_SIMILARITY, BY_SIMILARITY], [-1, 0, 1, 3], [-1, 0, 1, 3])
    assert owners(chain).tolist() == [0, 0, 0, -1]


def test_a_kept_one_says_why_it_stayed() -> None:
    row = candidate_rows(poses(0, 400), report([KEPT, KEPT], [-1, -1], [-1, 0]))[1]
    assert reason_words(row, NmsConfig()) == ("similarity to 1 is 9.00, not above 22.48; 2 matched joints, 5 needed")


def test_boxes_decide_for_one_stage_networks(qtbot: Any, desk: FakeDesk) -> None:
    from poseviewer.pipeline.config import PipelineConfig

    desk.config = desk.run_config = PipelineConfig(pipeline="onestage", iou=0.6, confidence=0.25)
    evidence = desk.evidence.evidence  # type: ignore[union-attr]
    report = Suppression(
        np.array([KEPT, KEPT, BY_SIMILARITY, KEPT, 4]), np.array([-1, -1, 0, -1, -1]),
        np.array([0, 0.1, 0.8, 0.2, 0], np.float32), np.array([-1, 0, 0, 1, -1]), np.zeros(5, int), np.array([0, 1, 3]),
    )  # fmt: skip
    desk.evidence = replace(desk.evidence, evidence=replace(evidence, suppression=report))
    panel = SuppressionPanel(desk)  # type: ignore[arg-type]
    qtbot.addWidget(panel)
    panel.resize(344, 900)
    panel.show()
    assert [limit.name for limit in panel.limits if limit.box.isVisibleTo(panel)] == [
        "Box overlap (IoU)", "Least score"
    ]  # fmt: skip
    assert [panel.limits[0].value, panel.limits[2].value] == [0.6, 0.25]
    assert panel.table.isColumnHidden(MATCHES)
    boxes = evidence.candidates.box_scores
    assert texts(panel, 2)[1:4] == [f"{boxes[2]:.2f}", "removed by 1", "0.80"]
    tips = [panel.table.candidates.tip(panel.table.candidates.row_at(row), 0) for row in range(5)]  # type: ignore[arg-type]
    assert tips == [
        "no better box overlaps its own",
        "its box overlaps 1's by 0.10, not above 0.60",
        "its box overlaps 1's by 0.80, above 0.60",
        "its box overlaps 2's by 0.20, not above 0.60",
        "score 0.30, not above 0.25",
    ]
    panel.limits[0].box.show_value(0.9)
    panel.limits_moved()
    panel.flush()
    panel.use_limits()
    assert (desk.config.pipeline, desk.config.iou, desk.config.confidence) == ("onestage", 0.9, 0.25)
    assert desk.config.nms == PipelineConfig().nms


def test_grouping_suppresses_nobody(qtbot: Any, desk: FakeDesk) -> None:
    from poseviewer.pipeline.config import PipelineConfig

    desk.config = desk.run_config = PipelineConfig(pipeline="bottomup")
    panel = SuppressionPanel(desk)  # type: ignore[arg-type]
    qtbot.addWidget(panel)
    panel.show()
    assert [limit.name for limit in panel.limits if limit.box.isVisibleTo(panel)] == ["Least score"]
    assert not panel.strip.isVisibleTo(panel)
    entry = panel.table.candidates.row_at(0)
    assert entry is not None
    assert panel.table.candidates.tip(entry, 0) == "grouping suppresses nobody whose score is above 0.20"


def test_where_many_are_near_only_some_are_numbered(panel: SuppressionPanel, desk: FakeDesk) -> None:
    picture = panel.picture
    report = desk.evidence.evidence.suppression  # type: ignore[union-attr]
    removed, kept = [2], [0, 1, 3]
    picture._selected = None
    assert picture._numbered(report, removed, kept, 9) == [2, 0, 1, 3]
    assert picture._numbered(report, removed, kept, 2) == [2, 0], "where somebody was removed"
    assert picture._numbered(report, removed, kept, 3) == [2, 0, 1], "then the best"
    picture._selected = 3
    assert picture._numbered(report, removed, kept, 1) == [3]
    assert picture._numbered(report, removed, kept, 3) == [2, 0, 3]
    picture._selected = 2
    assert picture._numbered(report, removed, kept, 0) == [2]
    assert picture._numbered(report, removed, kept, 2) == [2, 0]


def test_who_has_no_number_is_clicked_in_the_box(
    qtbot: Any, panel: SuppressionPanel, desk: FakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidatepicture, "ROOM", 1e9)
    boxes = desk.evidence.evidence.candidates.boxes  # type: ignore[union-attr]
    for index in (1, 3, 0):
        panel.grab()
        box, scale = panel.picture.placement()
        # Just inside the corner, where no other box of the example is.
        x, y = (float(value) * scale + 2 for value in boxes[index][:2] + 0.5)
        qtbot.mouseClick(panel.picture, Qt.MouseButton.LeftButton, pos=QPoint(int(box.left() + x), int(box.top() + y)))
        panel.flush()
        assert panel.table.currentIndex().row() == index
        panel.grab()
        assert list(panel.picture._badges) == [index]
