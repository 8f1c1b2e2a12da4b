"""The window: menus, keys, messages, themes, focus, layout, dropping."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QAction, QDragEnterEvent, QDropEvent, QKeySequence
from PySide6.QtWidgets import QApplication, QLineEdit

from poseviewer.session.actions import ACTIONS
from poseviewer.ui import settings, theme
from poseviewer.ui.app import destroy
from poseviewer.ui.messages import Message, install_hooks, of_error
from poseviewer.ui.window import Window


def test_every_bound_action_is_in_a_menu_with_its_keys(bare_window):
    listed = set()
    for menu in bare_window.menus.values():
        listed |= {made.objectName() for made in menu.actions()}
    for submenu in bare_window.menus["Pose"].actions():
        if submenu.menu() is not None:
            listed |= {made.objectName() for made in submenu.menu().actions()}
    for entry in ACTIONS:
        if entry.where != "window":
            continue
        assert entry.id in listed, entry.id
        made = bare_window.action_of(entry.id)
        assert [key.toString() for key in made.shortcuts()] == [QKeySequence(key).toString() for key in entry.keys]
        assert all(key.toString() for key in made.shortcuts()), entry.id


def test_nothing_open_shows_the_empty_page_and_no_dead_buttons(bare_window):
    assert bare_window.stack.currentWidget() is bare_window.empty
    for name in ("run_all", "export", "retrain", "undo", "redo", "swap_sides", "play"):
        assert not bare_window.action_of(name).isEnabled(), name


def test_an_open_media_shows_the_canvas(window):
    assert window.stack.currentWidget() is window.canvas
    assert "square.poseproj" in window.windowTitle()
    assert window.action_of("run_all").isEnabled()


def test_keys_work_in_the_window_but_not_in_a_text_field(window, qtbot):
    desk = window.desk
    window.canvas.setFocus()
    qtbot.keyClick(window.canvas, Qt.Key.Key_D)
    assert desk.selection.frame == 1
    qtbot.keyClick(window.canvas, Qt.Key.Key_A)
    assert desk.selection.frame == 0
    qtbot.keyClick(window.canvas, Qt.Key.Key_H)
    assert not desk.display.skeleton
    field = QLineEdit(window)
    field.show()
    field.setFocus()
    qtbot.waitUntil(field.hasFocus, timeout=2000)
    qtbot.keyClicks(field, "dh")
    assert field.text() == "dh"
    assert desk.selection.frame == 0
    assert not desk.display.skeleton


def test_a_focused_button_keeps_the_space_bar(window, qtbot):
    button = window.toolbar._theme
    button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    button.setFocus()
    before = theme.current().name
    qtbot.keyClick(button, Qt.Key.Key_Space)
    assert not window.desk.playhead.playing
    assert theme.current().name != before
    window.canvas.setFocus()
    qtbot.keyClick(window.canvas, Qt.Key.Key_Space)
    assert window.desk.playhead.playing


def test_undo_names_the_step(window):
    desk = window.desk
    assert not window.action_of("undo").isEnabled()
    desk.select(person=desk.people[0].key, joint=9)
    desk.do("absent")
    assert window.action_of("undo").isEnabled()
    assert "left wrist" in window.action_of("undo").text()
    window.action_of("undo").trigger()
    assert not window.action_of("undo").isEnabled()
    assert window.action_of("redo").isEnabled()


def test_messages_stay_or_leave_by_their_level(bare_window, qtbot, monkeypatch):
    import poseviewer.ui.messagebar as messagebar

    monkeypatch.setattr(messagebar, "NOTICE_MS", 60)
    desk, bar = bare_window.desk, bare_window.messages
    desk.tell(Message("Exported 3 frames.", level="done"))
    desk.tell(Message("a.mp4 could not be opened: it is empty.", "Copy it again.", "error"))
    assert [card.message.level for card in bar.cards] == ["done", "error"]
    qtbot.waitUntil(lambda: len(bar.cards) == 1, timeout=3000)
    assert bar.cards[0].message.level == "error"
    bar.cards[0].closed.emit(bar.cards[0])
    assert not bar.isVisible()


def test_a_message_of_the_same_key_replaces_its_forerunner_and_three_is_enough(bare_window):
    bar = bare_window.messages
    for number in range(5):
        bare_window.desk.tell(Message(f"Frame {number} is damaged.", level="warning", key="damage"))
    assert [card.message.sentence for card in bar.cards] == ["Frame 4 is damaged."]
    for number in range(5):
        bare_window.desk.tell(Message(f"Note {number}", level="warning"))
    assert len(bar.cards) == 3


def test_a_messages_button_does_its_action(bare_window, qtbot):
    done = []
    bare_window.desk.action_requested.connect(done.append)
    bare_window.desk.tell(
        Message("Where is it?", "", "warning", (("Full", "full_screen"), ("Call", lambda: done.append("x"))))
    )
    card = bare_window.messages.cards[0]
    from PySide6.QtWidgets import QPushButton

    first, second = card.findChildren(QPushButton)
    second.click()
    assert done == ["x"]
    assert not bare_window.messages.cards
    assert first.text() == "Full"


def test_a_bug_is_one_sentence_and_the_traceback_goes_to_the_log(bare_window, tmp_path, monkeypatch):
    import sys

    monkeypatch.setenv("POSEVIEWER_STATE", str(tmp_path / "state"))
    from poseviewer.core.log import log_path, start_log

    start_log()
    said = []
    restore = install_hooks(said.append)
    try:
        try:
            raise RuntimeError("inner secret")
        except RuntimeError as error:
            sys.excepthook(type(error), error, error.__traceback__)
    finally:
        restore()
    assert len(said) == 1
    assert "inner secret" not in said[0].sentence + said[0].remedy
    assert str(log_path()) in said[0].remedy
    written = log_path().read_text()
    assert "inner secret" in written
    assert "Traceback" in written


def test_known_errors_keep_their_own_sentence():
    from poseviewer.core.errors import MediaError

    message = of_error(MediaError("a.mp4 is empty.", remedy="Copy it again."))
    assert (message.sentence, message.remedy, message.level) == ("a.mp4 is empty.", "Copy it again.", "error")


def test_the_theme_can_be_pinned_and_everything_follows(window):
    from poseviewer.ui.menus import pin_theme

    dark = window.grab().toImage().pixelColor(4, 4)
    pin_theme("light")
    assert theme.current().name == "light"
    assert settings.value("theme", "") == "light"
    light = window.grab().toImage().pixelColor(4, 4)
    assert dark.lightness() < 60 < 200 < light.lightness()
    pin_theme("dark")
    assert QApplication.palette().window().color() == theme.current().colour("bg")


@pytest.mark.parametrize("name", ["dark", "light"])
def test_text_is_readable_on_every_ground(name):
    looks = theme.Theme(name)

    def luminance(token):
        parts = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
                 for value in looks.colour(token).getRgbF()[:3]]  # fmt: skip
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    def contrast(a, b):
        low, high = sorted((luminance(a), luminance(b)))
        return (high + 0.05) / (low + 0.05)

    for ground in ("bg", "panel", "raised"):
        for text, least in (
            ("t1", 7.0),
            ("t2", 5.5),
            ("t3", 4.5),
            ("accent", 4.5),
            ("ok", 4.5),
            ("warn", 4.5),
            ("err", 4.5),
        ):
            assert contrast(text, ground) >= least, (text, ground)
    assert contrast("t1", "selected") >= 7.0
    assert contrast("on_fill", "fill") >= 4.5


def test_f6_goes_round_the_panels(window):
    seen = []
    window.canvas.setFocus()
    for _ in range(6):
        window.desk.do("focus_next")
        focus = QApplication.focusWidget()
        rooms = (window.people, window.canvas, window.inspector, window.joints, window.timeline)
        seen += [room for room in rooms if room is focus or room.isAncestorOf(focus)]
    assert len(set(seen)) >= 4


def test_panels_hide_and_come_back(window):
    window.desk.do("panels")
    assert all(dock.isHidden() for dock in window.docks.values())
    window.desk.do("panels")
    assert not any(dock.isHidden() for dock in window.docks.values())
    window.desk.do("panel_inspector")
    assert window.docks["inspector"].isHidden()
    window.desk.do("layout_reset")
    assert not window.docks["inspector"].isHidden()


def test_the_layout_is_remembered(bare_window, qtbot):
    bare_window.docks["inspector"].setVisible(False)
    bare_window.resize(1100, 700)
    bare_window.close()
    again = Window()
    again.show()
    qtbot.waitExposed(again)
    height, hidden = again.height(), again.docks["inspector"].isHidden()
    again.close()
    # Now, not when Python's collector comes by: that would be while another window lives.
    destroy(again)
    assert (height, hidden) == (700, True)


def test_a_dropped_file_is_opened(bare_window, clip_file, tmp_path, qtbot):
    copy = tmp_path / "dropped.mp4"
    copy.write_bytes(clip_file.read_bytes())
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(copy))])
    arguments = (Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    enter = QDragEnterEvent(QPoint(300, 300), *arguments)
    bare_window.dragEnterEvent(enter)
    assert enter.isAccepted()
    assert bare_window.empty.target.lit
    bare_window.dropEvent(QDropEvent(QPointF(300, 300), *arguments))
    qtbot.waitUntil(lambda: bare_window.desk.frame_exact, timeout=20_000)
    assert Path(bare_window.desk.info.path).name == "dropped.mp4"


def test_recent_files_are_listed_and_a_missing_one_says_so(bare_window, tmp_path):
    from PySide6.QtWidgets import QLabel

    there = tmp_path / "there.mp4"
    there.write_bytes(b"x")
    settings.remember(str(tmp_path / "gone.mp4"), "12 s, 25 fps")
    settings.remember(str(there), "3 s, 25 fps")
    bare_window.empty.refresh()
    words = " ".join(label.text() for label in bare_window.empty.findChildren(QLabel))
    assert "there.mp4" in words
    assert "gone.mp4" in words
    assert "Not at its place any more" in words


def test_the_status_bar_tells_frame_time_place_and_selection(window, mouse):
    desk = window.desk
    desk.select(frame=6)
    desk.select(person=desk.people[0].key, joint=9)
    mouse.move(100, 50)
    status = window.status
    assert status._frame.text() == "frame 6 / 24"
    assert status._time.text() == "00:00.240"
    assert status._chosen.text() == "person 1 · left wrist"
    assert status._place.text().startswith("x ")
    assert abs(float(status._place.text().split()[1].rstrip(",")) - 100) < 1
    desk.do("nudge_left")
    assert status._light.state == "saved"
    assert status._saved.text() == "Saved"
    assert status._saved_more.text().startswith("edit 1, ")


def test_every_icon_button_has_a_name_for_screen_readers(window):
    from PySide6.QtWidgets import QAbstractButton

    for button in window.findChildren(QAbstractButton):
        if not button.text() and button.isVisible() and button.objectName() not in ("qt_toolbar_ext_button",):
            assert button.accessibleName() or button.toolTip(), button


def test_a_pipeline_that_comes_with_its_network_is_chosen_without_a_file(window, monkeypatch):
    desk, box = window.desk, window.toolbar._pipeline

    def offered() -> dict[str, QAction]:
        box.menu().aboutToShow.emit()
        return {made.text(): made for made in box.menu().actions() if made.text()}

    monkeypatch.setattr("poseviewer.pipeline.config.has_bundled_estimator", lambda name: name != "onestage")
    desk.set_config(msgspec.structs.replace(desk.config, estimator="/somewhere/mine.pth"))
    assert offered()["Top-down"].isChecked()
    assert "One-stage" not in offered()
    offered()["Bottom-up"].trigger()
    assert (desk.config.pipeline, desk.config.estimator) == ("bottomup", "")
    assert "Bottom-up" in box.text()
    offered()["Bottom-up"].trigger()
    assert desk.config.pipeline == "bottomup"
    monkeypatch.setattr("poseviewer.pipeline.config.has_bundled_estimator", lambda name: name == "topdown")
    assert set(offered()) >= {"Top-down", "Bottom-up"}
    offered()["Top-down"].trigger()
    assert "Bottom-up" not in offered()
