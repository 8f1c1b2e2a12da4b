"""How the window opens the first time: every panel's name and every button readable; and whose layout stays."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QStyle, QStyleOptionTab

from poseviewer.ui import text, theme
from poseviewer.ui.app import destroy
from poseviewer.ui.window import Window

SIZES = ((1280, 800), (1440, 900), (1920, 1080))


@pytest.fixture(autouse=True)
def _english_afterwards() -> Iterator[None]:
    yield
    text.set_language("en")
    theme.apply("dark", 1.0)


def opened(qtbot, width: int, height: int, language: str = "en") -> Window:
    text.set_language(language)
    theme.start()
    theme.apply("dark")
    window = Window()
    window.resize(width, height)
    window.show()
    qtbot.waitExposed(window)
    QApplication.processEvents()
    return window


def put_away(window: Window) -> None:
    window.close()
    destroy(window)


def shown_names(window: Window) -> list[tuple[str, str, int, int]]:
    """Return of every tab its name, what is drawn of it, and the px it has and needs as the tab in front."""
    bar, found = window.inspector.tabBar(), []
    for index in range(bar.count()):
        window.inspector.setCurrentIndex(index)
        for other in range(bar.count()):
            option = QStyleOptionTab()
            bar.initStyleOption(option, other)
            room = bar.style().subElementRect(QStyle.SubElement.SE_TabBarTabText, option, bar)
            needed = option.fontMetrics.horizontalAdvance(bar.tabText(other))
            found.append((bar.tabText(other), option.text, room.width(), needed))
    window.inspector.setCurrentIndex(0)
    return found


def cut_buttons(window: Window) -> list[tuple[str, int, int]]:
    """Return the buttons with words that have less room than they ask for."""
    return [
        (button.text(), button.width(), button.sizeHint().width())
        for button in window.inspector.findChildren(QAbstractButton)
        if button.text() and button.isVisible() and button.width() < button.sizeHint().width()
    ]


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_no_name_of_a_panel_is_cut(qtbot, language):
    window = opened(qtbot, *SIZES[0], language)
    bar = window.inspector.tabBar()
    for size in SIZES:
        window.resize(*size)
        QApplication.processEvents()
        for name, drawn, room, needed in shown_names(window):
            assert drawn == name
            assert room >= needed, name
        assert bar.tabRect(bar.count() - 1).right() < window.inspector.width()
    put_away(window)


def test_names_of_panels_are_whole_in_larger_text(qtbot):
    window = opened(qtbot, 1440, 900)
    theme.apply("dark", 1.25)
    window.desk.do("layout_reset")
    QApplication.processEvents()
    assert all(drawn == name for name, drawn, _, _ in shown_names(window))
    put_away(window)


def test_no_button_of_the_inspector_is_cut(evident):
    evident.inspector.widget(3).parts.show()
    for size in SIZES:
        evident.resize(*size)
        for index in range(evident.inspector.count()):
            evident.inspector.setCurrentIndex(index)
            QApplication.processEvents()
            assert not cut_buttons(evident)


def test_a_window_that_grows_gives_the_inspector_its_room(qtbot):
    """A desktop may enlarge the window after it was made; the first layout is for the size that a person sees."""
    window = opened(qtbot, 1280, 800)
    window.resize(1440, 900)
    QApplication.processEvents()
    assert window.docks["inspector"].width() >= theme.DOCK_RIGHT
    assert window.docks["people"].width() >= theme.DOCK_LEFT
    put_away(window)


def test_a_layout_of_ones_own_stays(qtbot):
    window = opened(qtbot, 1280, 800)
    edge = window.docks["inspector"].geometry().topLeft() + QPoint(-1, 40)
    QTest.mousePress(window, Qt.MouseButton.LeftButton, pos=edge)
    QTest.mouseRelease(window, Qt.MouseButton.LeftButton, pos=edge)
    window.resizeDocks([window.docks["inspector"]], [262], Qt.Orientation.Horizontal)
    QApplication.processEvents()
    mine = window.docks["inspector"].width()
    assert mine < 290
    window.resize(1440, 900)
    QApplication.processEvents()
    assert window.docks["inspector"].width() == mine
    put_away(window)
    again = Window()
    again.show()
    qtbot.waitExposed(again)
    QApplication.processEvents()
    assert again.docks["inspector"].width() == mine
    put_away(again)


@pytest.mark.parametrize(("width", "height"), SIZES[:2])
def test_the_empty_page_needs_no_scrolling(bare_window, width, height):
    bare_window.resize(width, height)
    bare_window.desk.do("layout_reset")
    for _ in range(3):
        QApplication.processEvents()
    assert bare_window.empty.verticalScrollBar().maximum() == 0
