"""The main window: menus, toolbar, message bar, canvas or the empty page, docks, status bar."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QByteArray, QEvent, QSize, Qt, QTimer
from PySide6.QtGui import (
    QCloseEvent,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QGuiApplication,
    QKeyEvent,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QApplication,
    QComboBox,
    QDockWidget,
    QFileDialog,
    QInputDialog,
    QMainWindow,
    QSplitter,
    QStackedWidget,
    QTabBar,
    QVBoxLayout,
    QWidget,
)

from poseviewer.core.progress import FrameDone, Progress
from poseviewer.ui import settings, theme
from poseviewer.ui.canvas.view import Canvas
from poseviewer.ui.desk import Desk
from poseviewer.ui.dialogs.opener import Dialogs
from poseviewer.ui.durations import time_left
from poseviewer.ui.empty import EmptyPage
from poseviewer.ui.identities import ask_swap
from poseviewer.ui.inspector import Inspector
from poseviewer.ui.menus import Actions, MenuBar, build_menus
from poseviewer.ui.messagebar import MessageBar
from poseviewer.ui.messages import Message
from poseviewer.ui.statusbar import StatusBar
from poseviewer.ui.text import tr
from poseviewer.ui.toolbar import ToolBar

if TYPE_CHECKING:
    from PySide6.QtGui import QAction

log = logging.getLogger("poseviewer.window")

LAYOUT_VERSION = 1
WIDE = 1400
"""From this width on the docks have their full room by default."""
VIDEO = "*.mp4 *.mov *.mkv *.avi *.webm *.m4v *.ts *.mpg *.mpeg *.wmv *.flv"
PICTURES = "*.jpg *.jpeg *.png *.bmp *.tif *.tiff *.webp"


class Window(QMainWindow):
    """Shows one desk.

    Attributes:
        desk: what every view is given.
        canvas, timeline, people, joints, inspector: the views.
        dialogs: opens dialogs by action id.
        messages: the bar under the toolbar.
    """

    def __init__(self, desk: Desk | None = None) -> None:
        super().__init__()
        self.desk = desk if desk is not None else Desk(self)
        self.setObjectName("window")
        self.setWindowTitle("PoseViewer")
        self.setAcceptDrops(True)
        self._busy = False
        self._laid_narrow: bool | None = None
        """How the docks were laid out; None once the layout is somebody's own."""
        self.setDockOptions(QMainWindow.DockOption.AnimatedDocks)
        self.actions_ = Actions(self.desk, self)
        self._bar = MenuBar(self)
        self.setMenuBar(self._bar)
        self.menus = build_menus(self._bar, self.actions_, self.desk)
        self.toolbar = ToolBar(self.desk, self.actions_, self)
        self.addToolBar(self.toolbar)
        self.dialogs = Dialogs(self.desk, self)
        self._build_middle()
        self._build_docks()
        self.status = StatusBar(self.desk, self)
        self.setStatusBar(self.status)
        self._connect()
        self._restore_layout()
        self._opened()

    # --- building ---

    def _build_middle(self) -> None:
        middle = QWidget(self)
        column = QVBoxLayout(middle)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self.messages = MessageBar(middle)
        self.stack = QStackedWidget(middle)
        self.empty = EmptyPage(self.stack)
        self.canvas = Canvas(self.desk, self.stack)
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self.canvas)
        column.addWidget(self.stack, 1)
        self.messages.raise_()
        middle.setAutoFillBackground(True)
        self._middle = middle
        self.setCentralWidget(middle)

    def _build_docks(self) -> None:
        from poseviewer.ui.panels.compare import ComparePanel
        from poseviewer.ui.panels.crops import CropsPanel
        from poseviewer.ui.panels.heatmaps import HeatmapPanel
        from poseviewer.ui.panels.joints import JointsPanel
        from poseviewer.ui.panels.people import PeoplePanel
        from poseviewer.ui.panels.suppression import SuppressionPanel
        from poseviewer.ui.panels.tags import TagsPanel
        from poseviewer.ui.timeline.dock import TimelineDock

        self.people, self.joints = PeoplePanel(self.desk), JointsPanel(self.desk)
        self.left = QSplitter(Qt.Orientation.Vertical)
        self.left.setChildrenCollapsible(False)
        self.left.setHandleWidth(1)
        self.left.addWidget(self.people)
        self.left.addWidget(self.joints)
        self.left.setSizes([220, 420])
        self.inspector = Inspector()
        for panel, text in (
            (HeatmapPanel(self.desk), tr("Heatmaps")),
            (CropsPanel(self.desk), tr("Crops")),
            (SuppressionPanel(self.desk), tr("Suppression")),
            (TagsPanel(self.desk), tr("Tags")),
            (ComparePanel(self.desk), tr("Compare")),
        ):
            self.inspector.setTabToolTip(self.inspector.addTab(panel, text), text)
        self.timeline = TimelineDock(self.desk)
        area = Qt.DockWidgetArea
        self.docks: dict[str, QDockWidget] = {}
        for name, title, widget, where in (
            ("people", tr("People and joints"), self.left, area.LeftDockWidgetArea),
            ("inspector", tr("Inspector"), self.inspector, area.RightDockWidgetArea),
            ("timeline", tr("Timeline"), self.timeline, area.BottomDockWidgetArea),
        ):
            self._add_dock(name, title, widget, where)

    def _add_dock(self, name: str, title: str, widget: QWidget, where: Qt.DockWidgetArea) -> None:
        dock = QDockWidget(title, self)
        dock.setObjectName(name)
        dock.setFeatures(QDockWidget.DockWidgetFeature.DockWidgetClosable)
        # Panels carry their own headings; an empty bar takes no room.
        bar = QWidget(dock)
        bar.setFixedHeight(0)
        dock.setTitleBarWidget(bar)
        dock.setWidget(widget)
        self.addDockWidget(where, dock)
        self.docks[name] = dock
        toggle = self.actions_.by_id[f"panel_{name}"]
        dock.visibilityChanged.connect(lambda _: toggle.setChecked(not dock.isHidden()))

    def _connect(self) -> None:
        desk = self.desk
        desk.project_opened.connect(self._opened)
        desk.opening_changed.connect(self._opening)
        desk.message.connect(self.messages.show_message)
        desk.withdrawn.connect(self.messages.withdraw)
        desk.action_requested.connect(self._act)
        self.messages.asked.connect(self._message_action)
        self.empty.asked.connect(desk.do)
        self.empty.opened.connect(lambda path: desk.open_paths([path]))
        self.canvas.pointed.connect(self.status.show_place)
        self.canvas.box_mode_changed.connect(self.actions_.by_id["draw_box"].setChecked)
        theme.notifier().changed.connect(self._new_theme)
        self._new_theme()

    def _new_theme(self) -> None:
        palette = self._middle.palette()
        palette.setColor(palette.ColorRole.Window, theme.current().colour("canvas"))
        self._middle.setPalette(palette)

    # --- layout ---

    def _restore_layout(self) -> None:
        geometry = settings.settings().value("geometry")
        if not (isinstance(geometry, QByteArray) and self.restoreGeometry(geometry)):
            screen = QGuiApplication.primaryScreen()
            room = screen.availableSize() if screen is not None else QSize(1600, 1000)
            self.resize(min(1600, room.width()), min(1000, room.height()))
        state = settings.settings().value("layout")
        if not (isinstance(state, QByteArray) and self.restoreState(state, LAYOUT_VERSION)):
            self._default_layout()
        parts = settings.settings().value("left")
        if isinstance(parts, QByteArray):
            self.left.restoreState(parts)

    def _default_layout(self) -> None:
        for dock in self.docks.values():
            dock.setVisible(True)
        self._lay_out_docks()
        self.left.setSizes([220, 420])

    def _lay_out_docks(self) -> None:
        """Give every dock the room that suits this width, the inspector enough for the names of its panels."""
        narrow = self._laid_narrow = self.width() < WIDE
        left, right = (220, 320 if self.width() >= 1280 else 300) if narrow else (theme.DOCK_LEFT, theme.DOCK_RIGHT)
        right = max(right, min(self.inspector.names.needed(tight=narrow), self.width() // 3))
        across = Qt.Orientation.Horizontal
        self.resizeDocks([self.docks["people"], self.docks["inspector"]], [left, right], across)
        self.resizeDocks([self.docks["timeline"]], [144 if narrow else theme.TIMELINE], Qt.Orientation.Vertical)

    def _save_layout(self) -> None:
        settings.set_value("geometry", self.saveGeometry())
        settings.set_value("layout", self.saveState(LAYOUT_VERSION))
        settings.set_value("left", self.left.saveState())

    # --- what is open ---

    def _opened(self) -> None:
        desk = self.desk
        self.stack.setCurrentWidget(self.canvas if desk.info is not None else self.empty)
        name = Path(desk.project.path).name if desk.project is not None else ""
        self._bar.show_name(name)
        self.setWindowTitle(f"{name} - PoseViewer" if name else "PoseViewer")
        if desk.info is None:
            self.empty.refresh()
        else:
            self.canvas.setFocus(Qt.FocusReason.OtherFocusReason)

    def _opening(self) -> None:
        # The override is a stack: it is pushed once, however many openings overtake each other.
        if self.desk.opening and not self._busy:
            QApplication.setOverrideCursor(Qt.CursorShape.BusyCursor)
        elif self._busy and not self.desk.opening:
            QApplication.restoreOverrideCursor()
        self._busy = bool(self.desk.opening)

    # --- actions that are the window's ---

    def _act(self, action_id: str) -> None:
        acts: dict[str, Callable[[], object]] = {
            "open": self.ask_open,
            "open_folder": self.ask_folder,
            "open_project": lambda: self.ask_open(tr("Projects") + " (*.poseproj)"),
            "open_demo": self.open_demo,
            "find_media": self.ask_media,
            "quit": self.close,
            "go_to": self.ask_frame,
            "swap_tracks": lambda: ask_swap(self.desk, self.canvas),
            "panels": self.toggle_panels,
            "focus_next": lambda: self.move_focus(1),
            "focus_previous": lambda: self.move_focus(-1),
            "full_screen": self.toggle_full_screen,
            "layout_reset": self._default_layout,
        }
        if action_id.startswith("panel_"):
            dock = self.docks[action_id.removeprefix("panel_")]
            dock.setVisible(dock.isHidden())
        elif action_id in acts:
            acts[action_id]()
        else:
            self.dialogs.do(action_id)

    def _message_action(self, act: str | Callable[[], object]) -> None:
        if callable(act):
            act()
        else:
            self.desk.do(act)

    def ask_open(self, wanted: str = "") -> None:
        """Ask for a video, pictures or a project."""
        everything = tr("Everything PoseViewer opens") + f" ({VIDEO} {PICTURES} *.poseproj)"
        kinds = [everything, tr("Videos") + f" ({VIDEO})", tr("Pictures") + f" ({PICTURES})"]
        kinds += [tr("Projects") + " (*.poseproj)", tr("All files") + " (*)"]
        folder = str(settings.value("folder", str(Path.home())))
        names, _ = QFileDialog.getOpenFileNames(self, tr("Open"), folder, ";;".join(kinds), wanted or everything)
        if names:
            settings.set_value("folder", str(Path(names[0]).parent))
            self.desk.open_paths(names)

    def ask_folder(self) -> None:
        """Ask for a folder of pictures."""
        folder = QFileDialog.getExistingDirectory(self, tr("Open folder"), str(settings.value("folder", "")))
        if folder:
            settings.set_value("folder", folder)
            self.desk.open_paths([folder])

    def ask_media(self) -> None:
        """Ask where the media that is not at its place is now."""
        start = str(Path(self.desk.project.path).parent) if self.desk.project is not None else ""
        name, _ = QFileDialog.getOpenFileName(
            self, tr("Find {file}", file=Path(self.desk.media_missing).name), start, tr("All files") + " (*)"
        )
        if name:
            self.desk.relink(name)

    def ask_frame(self) -> None:
        """Ask for a frame number."""
        info = self.desk.info
        if info is None:
            return
        last = info.frame_count - 1
        frame, chosen = QInputDialog.getInt(
            self, tr("Go to frame"), tr("Frame, 0 to {last}", last=last), self.desk.selection.frame, 0, last
        )
        if chosen:
            self.desk.select(frame=frame)

    def open_demo(self) -> None:
        """Make the demo among the person's own files if need be, then open it."""
        from poseviewer.core.resources import state_folder
        from poseviewer.jobs.demo import make_demo

        thread = self.desk.start_job(make_demo(state_folder() / "demo"))
        thread.job_event.connect(self._demo_step)
        thread.result.connect(self._demo_made)

    def _demo_made(self, path: Path) -> None:
        self.desk.tell(
            Message(tr("The demo is ready: somebody is there twice; N leads to it."), level="done", key="demo")
        )
        self.desk.open_paths([path])

    def _demo_step(self, event: object) -> None:
        """Say how far the demo is; the same line of the message bar is replaced."""
        if isinstance(event, FrameDone):
            # It says nothing of the time left, and would make the line flicker.
            return
        text = tr("Making the demo: a clip, its predictions and a few corrections.")
        left = ""
        if isinstance(event, Progress) and event.seconds_left is not None:
            left = time_left(event.seconds_left)
        self.desk.tell(Message(text, left, key="demo"))

    # --- panels and focus ---

    def toggle_panels(self) -> None:
        """Hide all panels, or show them all."""
        any_shown = any(not dock.isHidden() for dock in self.docks.values())
        for dock in self.docks.values():
            dock.setVisible(not any_shown)

    def toggle_full_screen(self) -> None:
        """Fill the screen, or leave it."""
        self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)

    def move_focus(self, step: int) -> None:
        """Move the focus to the next panel in reading order."""
        tab = self.inspector.currentWidget()
        rooms: list[QWidget] = [self.people, self.canvas, self.inspector, self.joints, self.timeline]
        rooms = [room for room in rooms if room.isVisible()]
        if not rooms:
            return
        focus = QApplication.focusWidget()
        now = next((i for i, room in enumerate(rooms) if room is focus or room.isAncestorOf(focus or self)), -1)
        target = rooms[(now + step) % len(rooms)]
        if target is self.inspector and tab is not None:
            self.inspector.tabBar().setFocus(Qt.FocusReason.ShortcutFocusReason)
            return
        self._focus(target)

    def _focus(self, target: QWidget) -> None:
        if target.focusPolicy() != Qt.FocusPolicy.NoFocus or target.focusProxy() is not None:
            target.setFocus(Qt.FocusReason.ShortcutFocusReason)
            return
        for child in target.findChildren(QWidget):
            if child.isVisible() and child.isEnabled() and child.focusPolicy() & Qt.FocusPolicy.TabFocus:
                child.setFocus(Qt.FocusReason.ShortcutFocusReason)
                return

    # --- events ---

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Lay docks that nobody moved out anew where the window got wide or narrow, as when a desktop enlarges it."""
        super().resizeEvent(event)
        if self._laid_narrow not in (None, event.size().width() < WIDE):
            self._lay_out_docks()

    def event(self, event: QEvent) -> bool:
        """Let focused buttons, sliders and tabs keep their own keys; count how long a key is held."""
        if event.type() == QEvent.Type.MouseButtonPress:
            # No view wanted it, so it is at a dock's edge, which may now be moved.
            self._laid_narrow = None
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            self.desk.count_repeats(repeated=event.isAutoRepeat())
            if keeps_key(QApplication.focusWidget(), event):
                event.accept()
                return True
        return super().event(event)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take files."""
        if dropped_paths(event):
            event.acceptProposedAction()
            self.empty.target.set_lit(lit=True)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """Nothing was dropped."""
        self.empty.target.set_lit(lit=False)

    def dropEvent(self, event: QDropEvent) -> None:
        """Open what was dropped."""
        paths = dropped_paths(event)
        self.empty.target.set_lit(lit=False)
        if paths:
            event.acceptProposedAction()
            # Opening may take a while; the drop is answered first.
            QTimer.singleShot(0, lambda: self.desk.open_paths(paths))

    def closeEvent(self, event: QCloseEvent) -> None:
        """Remember the layout, let runs finish their step, stop every thread."""
        self._save_layout()
        self.dialogs.close_all()
        self.desk.shutdown()
        super().closeEvent(event)

    def action_of(self, action_id: str) -> QAction:
        """Return the QAction of a bound action."""
        return self.actions_.by_id[action_id]


def dropped_paths(event: QDropEvent) -> list[str]:
    """Return the local files that are dragged."""
    return [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]


def keeps_key(focus: QWidget | None, event: QKeyEvent) -> bool:
    """Return whether the focused control needs this key itself, so that no shortcut takes it."""
    if event.modifiers() & ~Qt.KeyboardModifier.ShiftModifier & ~Qt.KeyboardModifier.KeypadModifier:
        return False
    key = Qt.Key
    press: Sequence[Qt.Key] = (key.Key_Space, key.Key_Return, key.Key_Enter)
    arrows = (key.Key_Left, key.Key_Right, key.Key_Up, key.Key_Down, key.Key_Home, key.Key_End)
    if isinstance(focus, QAbstractButton):
        return event.key() in press
    if isinstance(focus, QComboBox):
        return event.key() in (*press, *arrows)
    return isinstance(focus, (QAbstractSlider, QTabBar)) and event.key() in arrows
