"""What screenshots showed to be cut off or in the way: dialogs on small screens, messages, ticks, the gallery."""

from __future__ import annotations

import itertools

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QApplication, QLineEdit, QSpinBox

from poseviewer.ui import theme
from poseviewer.ui.dialogs.export import ExportDialog
from poseviewer.ui.dialogs.run import RunDialog
from poseviewer.ui.messages import Message
from poseviewer.ui.panels.widgets import Tick


def test_a_message_never_moves_the_picture(window, mouse, qtbot):
    """It may come while a joint is dragged: a run ends, a file turns out to be damaged."""
    before = window.canvas.mapToGlobal(window.canvas.rect().topLeft()), window.canvas.size()
    for number in range(2):
        window.desk.tell(Message(f"Message {number}.", "What to do.", "warning"))
    qtbot.waitUntil(lambda: window.messages.height() > 80, timeout=2_000)
    assert (window.canvas.mapToGlobal(window.canvas.rect().topLeft()), window.canvas.size()) == before
    assert window.messages.width() == window.canvas.width()
    for card in window.messages.cards:
        assert card.height() >= card.sizeHint().height()
        assert window.messages.rect().contains(card.geometry())
    window.resize(window.width() + 60, window.height())
    qtbot.waitUntil(lambda: window.messages.width() == window.canvas.width(), timeout=2_000)
    window.messages.clear()
    assert not window.messages.isVisible()


@pytest.mark.parametrize("name", ["dark", "light"])
def test_a_tick_can_be_seen_on_its_panel(qtbot, name):
    theme.apply(name)
    tick = Tick("Average with the mirrored crop")
    qtbot.addWidget(tick)
    tick.resize(tick.sizeHint())
    looks = theme.current()
    image = tick.grab().toImage()
    middle = image.height() // 2
    edge = [QColor(image.pixel(x, middle)) for x in range(4)]
    panel = looks.colour("panel")
    assert max(abs(colour.lightness() - panel.lightness()) for colour in edge) > 50
    tick.setChecked(True)
    inside = QColor(tick.grab().toImage().pixel(4, middle - 3))
    assert abs(inside.hue() - looks.colour("fill").hue()) < 20
    theme.apply("dark")


def test_a_tick_is_as_wide_as_its_words_and_clicks_anywhere(qtbot):
    tick = Tick("Spatial transformer, where the estimator has one")
    qtbot.addWidget(tick)
    assert tick.minimumSizeHint().width() > tick.fontMetrics().horizontalAdvance(tick.text()) + Tick.SIDE
    tick.resize(tick.sizeHint())
    qtbot.mouseClick(tick, Qt.MouseButton.LeftButton, pos=tick.rect().center())
    assert tick.isChecked()


def test_dialogs_give_every_control_its_room(window, qtbot):
    """A minimum width that is set takes the place of the layout's own; wrapped words need more height."""
    room = window.screen().availableSize()
    for dialog in (RunDialog(window.desk, window), ExportDialog(window.desk, window)):
        dialog.show()
        # The export's count arrives a moment later, and its words make the dialog higher.
        qtbot.waitUntil(lambda: not window.desk._jobs, timeout=5000)
        qtbot.wait(50)
        layout = dialog.layout()
        assert dialog.width() >= min(layout.totalMinimumSize().width(), room.width())
        needed = max(layout.totalMinimumHeightForWidth(dialog.width()), layout.totalMinimumSize().height())
        assert dialog.height() >= min(needed, room.height() - 40)
        dialog.close()


def test_figures_keep_off_the_edge_of_their_field(window):
    dialog = RunDialog(window.desk, window)
    for box in dialog.settings.findChildren(QSpinBox):
        assert all(field.textMargins().left() >= 4 for field in box.findChildren(QLineEdit))
    dialog.close()


def test_the_gallery_does_not_scroll_inside_a_panel_that_scrolls(evident, qtbot):
    gallery = evident.inspector.widget(0).gallery
    for width in (280, 420, 640):
        gallery.resize(width, gallery.height())
        assert gallery.minimumHeight() == min(gallery.full_height(width), 360)


def test_on_a_narrow_window_the_empty_page_fits_its_width(bare_window, qtbot):
    bare_window.resize(1280, 800)
    QApplication.processEvents()
    page = bare_window.empty
    assert page.widget().minimumSizeHint().width() < 560
    assert page.horizontalScrollBar().maximum() == 0


def test_lane_names_have_room_for_their_letters_on_a_low_timeline():
    """Chinese letters fill their whole height, so names of neighbouring lanes ran into each other."""
    from poseviewer.ui.timeline.paint import TRACK, TRACK_GAP, Rows

    rows = Rows.of(144 - 38)
    middles = [
        top + height / 2 for top, height in (rows.worth, rows.state, (rows.confidence[0], rows.confidence[1] / 2))
    ]
    assert min(b - a for a, b in itertools.pairwise(middles)) >= 11.5
    assert rows.strip[0] + rows.strip[1] / 2 >= 6
    assert rows.tracks[1] >= 2 * TRACK + TRACK_GAP
