"""What a person met at the real window: dialogs on low screens, messages that outlived their offer, and the like."""

from __future__ import annotations

import shlex
from pathlib import Path

import msgspec
import pytest
from desk_tools import write_clip
from PySide6.QtCore import QCoreApplication, QEvent, QRect
from PySide6.QtWidgets import QApplication, QWidget
from shiboken6 import isValid
from window_tools import people_of, result_of, store_people

from poseviewer.cli.parser import build_parser
from poseviewer.core.progress import FrameDone, Progress
from poseviewer.core.values import FrameResult
from poseviewer.jobs.predict import PredictReport
from poseviewer.pipeline.config import NmsConfig, PipelineConfig
from poseviewer.pipeline.engine import Answer
from poseviewer.ui.dialogs.base import Dialog, ScrolledPart
from poseviewer.ui.dialogs.export import ExportDialog
from poseviewer.ui.dialogs.run import RunDialog
from poseviewer.ui.dialogs.run_progress import RunProgress
from poseviewer.ui.dialogs.weights_line import WeightsLine
from poseviewer.ui.messages import DELETE_SCOPE, Message


class LowScreen:
    """A screen of 1280 x 800 with a panel of 40 px at its top."""

    def availableGeometry(self) -> QRect:
        """What a window may cover."""
        return QRect(0, 40, 1280, 760)


def test_the_run_panel_scrolls_where_the_screen_is_low(window, monkeypatch, qtbot):
    monkeypatch.setattr(Dialog, "screen", lambda _self: LowScreen())
    dialog = RunDialog(window.desk, window)
    qtbot.addWidget(dialog)
    dialog.show()
    dialog.progress.setVisible(True)
    qtbot.waitUntil(lambda: dialog.height() <= 720, timeout=5_000)
    dialog.resize(dialog.minimumSize())
    QApplication.processEvents()
    part = dialog.findChild(ScrolledPart)
    assert dialog.layout().totalMinimumSize().height() <= dialog.height() <= 720
    assert part.verticalScrollBar().maximum() > 0
    assert part.horizontalScrollBar().maximum() == 0
    assert dialog.geometry().bottom() <= 799
    for row in (dialog.range, dialog.progress, dialog.earlier, dialog.start):
        assert row.height() >= row.minimumSizeHint().height()
        assert dialog.rect().contains(QRect(row.mapTo(dialog, row.rect().topLeft()), row.size()))


def test_the_run_panel_shows_all_settings_where_there_is_room(window, monkeypatch, qtbot):
    class HighScreen:
        def availableGeometry(self) -> QRect:
            return QRect(0, 0, 3840, 2160)

    monkeypatch.setattr(Dialog, "screen", lambda _self: HighScreen())
    dialog = RunDialog(window.desk, window)
    qtbot.addWidget(dialog)
    dialog.show()
    QApplication.processEvents()
    assert dialog.findChild(ScrolledPart).verticalScrollBar().maximum() == 0
    dialog.progress.setVisible(True)
    QApplication.processEvents()
    assert dialog.findChild(ScrolledPart).verticalScrollBar().maximum() == 0


def test_earlier_runs_name_networks_and_show_a_run_that_is_going(window, qtbot):
    desk = window.desk
    dialog = RunDialog(desk, window)
    qtbot.addWidget(dialog)
    dialog.show()
    networks = {
        "backend": {"name": "torch", "difference": None},
        "detector": {"name": "people.safetensors"},
        "estimator": {"name": "joints.safetensors"},
    }
    desk.project.start_run(desk.media_id, {}, networks, range(3))
    qtbot.waitUntil(lambda: dialog.earlier.rowCount() == 2, timeout=5_000)
    words = [dialog.earlier.item(0, column).text() for column in (2, 3, 4)]
    assert words == ["people.safetensors + joints.safetensors", "0 / 3", "running"]


def test_a_run_that_is_watched_from_its_middle_counts_only_the_people_it_saw(qtbot):
    progress = RunProgress()
    qtbot.addWidget(progress)
    progress.hear(Progress(90, 100, "frames", 30.0, 3.0))
    for frame in range(4):
        progress.hear(FrameDone(1, 90 + frame, 5))
    progress.hear(Progress(94, 100, "frames", 32.0, 2.0))
    assert "2.0 frames/s, 10.0 people/s" in progress.rate.text()
    assert not progress.plot.grab().isNull()


def delete_somebody(window) -> Message:
    """Delete a person of a track and return the offer to delete more."""
    desk = window.desk
    told: list[Message] = []
    desk.message.connect(told.append)
    desk.select(person=desk.people[0].key)
    desk.do("delete_person")
    assert told[-1].key == DELETE_SCOPE
    assert any(card.message.key == DELETE_SCOPE for card in window.messages.cards)
    return told[-1]


@pytest.mark.parametrize("end", ["undo", "close"])
def test_the_offer_to_delete_more_goes_with_what_it_offered(window, end):
    delete_somebody(window)
    window.desk.do(end)
    assert not any(card.message.key == DELETE_SCOPE for card in window.messages.cards)


def test_who_deletes_a_track_and_closes_at_once_loses_nothing(window, tmp_path, qtbot):
    desk, told = window.desk, []
    offer = delete_somebody(window)
    desk.message.connect(told.append)
    track = desk.project.people(desk.media_id, 5)[0].pose.track
    offer.actions[-1][1]()
    assert desk.project.people(desk.media_id, 5)[0].pose.track == track, "it has not begun"
    desk.close_media()
    desk.open_paths([tmp_path / "square.poseproj"])
    qtbot.waitUntil(lambda: desk.opening == "" and desk.frame_exact, timeout=20_000)
    for frame in range(12):
        assert track not in [person.pose.track for person in desk.project.people(desk.media_id, frame)]
    assert not [message for message in told if message.level == "error"]
    desk.project.undo()
    assert desk.project.people(desk.media_id, 5)[0].pose.track == track, "in one step"


def test_an_old_offer_deletes_nothing_in_another_project(window, tmp_path, qtbot, clip_file):
    offer = delete_somebody(window)
    other = tmp_path / "other.mp4"
    other.write_bytes(clip_file.read_bytes())
    desk = window.desk
    desk.open_paths([other])
    qtbot.waitUntil(lambda: not desk.opening and desk.editable and desk.frame_exact, timeout=20_000)
    store_people(window, range(12))
    for _text, act in offer.actions:
        act()
    qtbot.wait(200)
    assert len(desk.project.people(desk.media_id, 5)) == 2


def test_of_several_files_the_window_says_which_it_left(window, tmp_path, qtbot):
    first, second = write_clip(tmp_path / "first.mp4", 4), write_clip(tmp_path / "second.mp4", 4)
    window.desk.open_paths([first, second])
    qtbot.waitUntil(
        lambda: not window.desk.opening and window.desk.editable and window.desk.frame_exact, timeout=20_000
    )
    assert Path(window.desk.info.path).name == "first.mp4"
    told = [card.message for card in window.messages.cards]
    assert [(one.sentence, one.remedy) for one in told] == [
        ("first.mp4 is opened: one at a time.", "Not opened: second.mp4")
    ]


def test_the_copied_command_does_the_same_as_the_dialog(window, qtbot):
    dialog = ExportDialog(window.desk)
    qtbot.addWidget(dialog)
    dialog.pictures.setCurrentIndex(dialog.pictures.findData("jpg"))
    dialog.split.setCurrentIndex(2)
    dialog.overwrite.setChecked(True)
    call = build_parser().parse_args(shlex.split(dialog.command())[1:])
    options = dialog.options()
    assert (call.pictures, call.val, call.overwrite) == (options.pictures, options.val_share, options.overwrite)
    dialog.format.setCurrentIndex(dialog.format.findData("posetrack"))
    assert "--pictures" not in dialog.command()
    assert build_parser().parse_args(shlex.split(dialog.command())[1:]).overwrite


def test_the_cancel_button_of_the_status_bar_is_not_cut_off(window):
    status = window.status
    status._show_progress("frame 3 of 9", 0.3)
    status._cancel.setVisible(True)
    QApplication.processEvents()
    button: QWidget = status._cancel
    assert button.geometry().bottom() < button.parentWidget().height()
    assert button.height() >= button.minimumSizeHint().height()


def test_recent_files_do_not_lie_over_the_words_for_none(bare_window, tmp_path):
    from poseviewer.ui import settings

    bare_window.empty.refresh()
    before = [bare_window.empty._recent.itemAt(0).widget()]
    settings.remember(str(write_clip(tmp_path / "clip.mp4", 2)), "2 s")
    bare_window.empty.refresh()
    assert all(not widget.isVisibleTo(bare_window.empty) for widget in before)


@pytest.mark.parametrize("height", [106, 200])
def test_names_and_legends_of_lanes_do_not_run_into_each_other(window, monkeypatch, height):
    from poseviewer.ui.timeline import lanes

    written: dict[str, float] = {}

    def middle(row: tuple[float, float]) -> float:
        return row[0] + row[1] / 2

    real_name, real_draw = lanes.Legend.name, lanes.Legend._draw

    def name(self, text, row, weight=400):
        written[text] = middle(row)
        return real_name(self, text, row, weight)

    def draw(self, entries, x, row):
        written[entries[-1][2]] = middle(row) if x < 20 else -1
        real_draw(self, entries, x, row)

    monkeypatch.setattr(lanes.Legend, "name", name)
    monkeypatch.setattr(lanes.Legend, "_draw", draw)
    window.desk.select(person=window.desk.people[0].key, joint=9)
    view = window.timeline.findChild(lanes.LanesWidget)
    view.resize(900, height)
    view.grab()
    if written["left wrist"] >= 0:
        assert written["left wrist"] - written["Confidence"] >= 13
    else:
        assert height == 106


def gone(widget: QWidget) -> None:
    """Destroy ``widget`` as Qt does after ``deleteLater``."""
    widget.deleteLater()
    QCoreApplication.sendPostedEvents(widget, QEvent.Type.DeferredDelete)
    assert not isValid(widget)


def test_what_ends_after_its_dialog_is_gone_tells_no_bug(window, tmp_path, qtbot):
    desk = window.desk
    ends: list[str] = []
    with qtbot.captureExceptions() as caught:
        export = ExportDialog(desk)
        export.drive(iter(()), lambda _result: gone(export))
        export._work.finished.connect(lambda: ends.append("export"))
        qtbot.waitUntil(lambda: bool(ends), timeout=10_000)
        run = RunDialog(desk)
        gone(run)
        desk.job_ended.emit(None)
        line = WeightsLine(desk.start_job)
        line.look_at(str(tmp_path / "missing.pt"))
        line._reading.finished.connect(lambda: ends.append("weights"))
        gone(line)
        qtbot.waitUntil(lambda: len(ends) == 2, timeout=30_000)
        qtbot.wait(50)
    assert caught == []


def a_run(window, frames: range, **fields) -> None:
    """Store a finished run with a configuration of its own."""
    project, media = window.desk.project, window.desk.media_id
    config = msgspec.to_builtins(PipelineConfig(**fields))
    run = project.start_run(media, config, {"estimator": {"name": "made up"}}, frames)
    project.store_results(run, [FrameResult(i, i / 25, people_of(i), f"{i:016x}") for i in frames])
    project.finish_run(run, "done")


def test_evidence_is_of_the_run_that_found_the_people_of_the_frame(window, engine, qtbot):
    desk = window.desk
    a_run(window, range(12), confidence=0.35)
    a_run(window, range(4, 5), confidence=0.45)
    desk.select(frame=4)
    assert desk.evidence_config().confidence == 0.45
    desk.select(frame=3)
    assert desk.evidence_config().confidence == 0.35
    desk.select(frame=20)
    assert desk.evidence_config().confidence == 0.45


def test_weights_that_were_replaced_since_the_run_are_told(window, engine, qtbot):
    desk = window.desk
    project, media = desk.project, desk.media_id
    networks = {"estimator": {"name": "mine.pth", "sha256": "aa"}, "detector": {"name": "d.pt", "sha256": "dd"}}
    run = project.start_run(media, msgspec.to_builtins(PipelineConfig()), networks, range(12))
    project.store_results(run, [FrameResult(i, i / 25, people_of(i), f"{i:016x}") for i in range(12)])
    project.finish_run(run, "done")
    now = {"estimator": {"name": "mine.pth", "sha256": "bb", "fed": "1"}, "detector": {"name": "d.pt", "sha256": "dd"}}
    desk.select(frame=3)
    qtbot.waitUntil(lambda: bool(engine.asked), timeout=5_000)
    result = result_of(3, people_of(3))
    for weights, names in ((networks, ()), (now, ("mine.pth",))):
        desk.request_evidence()
        engine.answer.emit(Answer(engine.asked[-1].id, 3, result, weights=weights))
        assert desk.other_weights() == (run, names)
    desk.select(frame=4)
    assert desk.other_weights() == (0, ()), "nothing is shown yet"
    desk.select(frame=3)
    assert desk.other_weights() == (run, ("mine.pth",)), "it was kept with the evidence"


def test_the_next_run_follows_the_estimator_of_the_one_that_ended(window, qtbot):
    desk = window.desk
    report = PredictReport(1, 1, 1, 0.1, {"estimator": {"joints": 136, "decode": "integral"}})
    desk.runs._ended(report)
    assert (desk.config.nms.gamma, desk.config.nms.auto) == (3.6, True)
    desk.set_config(PipelineConfig(nms=NmsConfig(gamma=9.0)))
    desk.runs._ended(report)
    assert desk.config.nms == NmsConfig(gamma=9.0)


def test_evidence_is_asked_for_anew_after_another_run_of_the_frame(evident, engine, qtbot):
    desk = evident.desk
    desk.set_config(msgspec.structs.replace(desk.config, confidence=0.6))
    assert desk.evidence_state == "stale"
    a_run(evident, range(1), confidence=0.6)
    qtbot.waitUntil(lambda: bool(engine.asked), timeout=5_000)
    assert engine.asked[-1].config.confidence == 0.6
    engine.reply(engine.asked[-1], people_of(0))
    assert desk.evidence_state == "ready"
    asked = len(engine.asked)
    qtbot.wait(300)
    assert len(engine.asked) == asked


def test_the_time_left_of_the_demo_does_not_flicker(bare_window):
    bare_window._demo_step(Progress(30, 150, "frames", 10.0, 40.0))
    bare_window._demo_step(FrameDone(1, 30, 2))
    (card,) = bare_window.messages.cards
    assert card.message.remedy == "40 s left"


def test_what_if_switches_on_a_suppression_that_was_off(window, engine, qtbot):
    desk = window.desk
    a_run(window, range(12), nms=NmsConfig(enabled=False))
    desk.request_evidence()
    engine.reply(engine.asked[-1], people_of(0))
    window.inspector.setCurrentIndex(2)
    panel = window.inspector.currentWidget()
    assert panel.nms == NmsConfig(enabled=False)
    panel.limits[0].show_value(5.0)
    panel.limits_moved()
    qtbot.waitUntil(lambda: hasattr(engine.asked[-1], "nms"), timeout=5_000)
    assert engine.asked[-1].nms == NmsConfig(gamma=5.0)
