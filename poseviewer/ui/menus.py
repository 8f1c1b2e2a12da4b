"""Menus and shortcuts, made from the one table of actions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QAction, QActionGroup, QKeySequence, QPainter, QPaintEvent
from PySide6.QtWidgets import QMenu, QMenuBar, QWidget

from poseviewer.session.actions import ACTIONS, GROUPS, Action
from poseviewer.ui import settings, theme
from poseviewer.ui.icons import icon
from poseviewer.ui.text import tr

if TYPE_CHECKING:
    from poseviewer.ui.desk import Desk

SEPARATED = {
    "import", "settings", "close", "delete_joint", "zoom_in", "brighter", "colour_by", "joint_next", "nudge_left",
    "next_peak", "swap_sides", "cancel_run", "run_panel", "frame_first", "play", "next_doubt", "range_first",
    "panels", "focus_next", "full_screen", "draw_box", "shortcuts",
}  # fmt: skip
"""Actions that a separator goes before."""
HIDDEN = ("joint_next_tab", "joint_previous_tab")
NEEDS_MEDIA = ("Pose", "Move", "Run")
TITLES = {"Move": "Go to"}


class MenuBar(QMenuBar):
    """A menu bar that shows the project's name at its right end."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._name = ""

    def show_name(self, name: str) -> None:
        """Show ``name``."""
        self._name = name
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the menus, and the name where there is room."""
        super().paintEvent(event)
        painter = QPainter(self)
        try:
            painter.setFont(theme.font(12))
            painter.setPen(theme.current().colour("t2"))
            menus = max((self.actionGeometry(made).right() for made in self.actions()), default=0)
            area = self.rect().adjusted(menus + 16, 0, -16, 0)
            name = painter.fontMetrics().elidedText(self._name, Qt.TextElideMode.ElideLeft, max(area.width(), 0))
            painter.drawText(area, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), name)
        finally:
            painter.end()


class Actions(QObject):
    """One QAction for every bound action of the table.

    Attributes:
        by_id: the QActions.
    """

    def __init__(self, desk: Desk, parent: QWidget) -> None:
        super().__init__(parent)
        self._desk = desk
        self.by_id: dict[str, QAction] = {}
        for entry in ACTIONS:
            if entry.where == "window":
                self.by_id[entry.id] = self._make(entry, parent)
        desk.display_changed.connect(self.refresh)
        desk.playhead_changed.connect(self.refresh)
        desk.project_opened.connect(self.refresh)
        desk.changes.connect(lambda _: self.refresh_undo())
        desk.running_changed.connect(self.refresh)
        desk.media_changed.connect(self.refresh)
        theme.notifier().changed.connect(self.new_icons)
        self.refresh()

    def _make(self, entry: Action, parent: QWidget) -> QAction:
        made = QAction(tr(entry.text), parent)
        made.setObjectName(entry.id)
        made.setShortcuts([QKeySequence(key) for key in entry.keys])
        made.setAutoRepeat(entry.repeats)
        made.setCheckable(entry.checkable)
        made.setToolTip(tip(entry))
        made.setStatusTip("")
        if entry.icon:
            made.setIcon(icon(entry.icon))
            made.setIconVisibleInMenu(False)
        made.triggered.connect(lambda _=False, name=entry.id: self._desk.do(name))
        # Shortcuts work although a menu was never opened.
        parent.addAction(made)
        return made

    def refresh(self) -> None:
        """Show what is on and what can be done now."""
        desk = self._desk
        for entry in ACTIONS:
            made = self.by_id.get(entry.id)
            if made is None:
                continue
            if entry.display:
                made.setChecked(bool(getattr(desk.display, entry.display)))
            if entry.group in NEEDS_MEDIA:
                made.setEnabled(desk.info is not None)
        self.by_id["colour_by"].setChecked(desk.display.colour_by == "track")
        self.by_id["play"].setChecked(desk.playhead.playing)
        self.by_id["loop"].setChecked(desk.playhead.loop)
        self.by_id["cancel_run"].setEnabled(desk.running)
        for name in ("run_frame", "run_range", "run_all", "run_continue"):
            self.by_id[name].setEnabled(desk.info is not None and not desk.running)
        for name in ("export", "import", "retrain", "close"):
            self.by_id[name].setEnabled(desk.project is not None)
        self.refresh_undo()

    def refresh_undo(self) -> None:
        """Name the step that undo and redo would take."""
        project = self._desk.project
        for name, word in (("undo", "Undo"), ("redo", "Redo")):
            can = bool(getattr(project, f"can_{name}", False)) if project is not None else False
            step = getattr(project, f"{name}_name", None) if can else None
            made = self.by_id[name]
            made.setEnabled(can)
            made.setText(f"{tr(word)}: {step_words(step)}" if step else tr(word))

    def new_icons(self) -> None:
        """Paint the icons in the theme's colours."""
        for entry in ACTIONS:
            if entry.icon and entry.id in self.by_id:
                self.by_id[entry.id].setIcon(icon(entry.icon))


def step_words(name: str) -> str:
    """Return the name of an undo step ("Mark left wrist absent") in the window's language."""
    first, _, rest = name.partition(" ")
    joint, _, state = rest.rpartition(" ")
    if first == "Mark" and joint:
        return tr("Mark {joint} {state}", joint=_joint_words(joint), state=tr(state))
    if first == "Move" and rest:
        return tr("Move {joint}", joint=_joint_words(rest))
    return tr(name)


def _joint_words(joint: str) -> str:
    """Return a joint's name, or "3 joints", in the window's language."""
    number, _, rest = joint.partition(" ")
    return tr("{n} joints", n=number) if rest == "joints" and number.isdigit() else tr(joint)


def tip(entry: Action) -> str:
    """Return an action's tooltip: name, key and what it does."""
    keys = f" ({', '.join(entry.keys)})" if entry.keys else ""
    return f"{tr(entry.text).rstrip('…')}{keys}\n{tr(entry.help)}"


def build_menus(bar: QMenuBar, actions: Actions, desk: Desk) -> dict[str, QMenu]:
    """Fill the menu bar; the group Move is a submenu of View."""
    menus: dict[str, QMenu] = {}
    for group in GROUPS:
        if group == "Move":
            continue
        menus[group] = bar.addMenu(tr(group))
    menus["Move"] = QMenu(tr(TITLES["Move"]), bar)
    persons = QMenu(tr("Choose person"), bar)
    for entry in ACTIONS:
        made = actions.by_id.get(entry.id)
        if made is None or entry.id in HIDDEN:
            continue
        menu = persons if entry.id.startswith("person_") else menus[entry.group]
        if entry.id in SEPARATED:
            menu.addSeparator()
        menu.addAction(made)
        if entry.id == "open_demo":
            menus["Recent"] = menu.addMenu(tr("Open recent"))
    menus["View"].addSeparator()
    menus["View"].addMenu(menus["Move"])
    menus["View"].addMenu(_theme_menu(bar))
    menus["Pose"].addMenu(persons)
    menus["File"].insertMenu(actions.by_id["import"], menus.setdefault("Media", QMenu(tr("Media"), bar)))
    media = menus["Media"]
    media.aboutToShow.connect(lambda: _fill_media(media, desk))
    desk.project_opened.connect(lambda: media.menuAction().setVisible(_many_media(desk)))
    media.menuAction().setVisible(False)
    recent = menus["Recent"]
    recent.aboutToShow.connect(lambda: _fill_recent(recent, desk))
    return menus


def _fill_recent(menu: QMenu, desk: Desk) -> None:
    menu.clear()
    rows = settings.recent()
    for row in rows:
        made = menu.addAction(row.path)
        made.triggered.connect(lambda _=False, path=row.path: desk.open_paths([path]))
    if not rows:
        menu.addAction(tr("Nothing yet")).setEnabled(False)


def _many_media(desk: Desk) -> bool:
    return desk.project is not None and len(desk.project.media_list()) > 1


def _fill_media(menu: QMenu, desk: Desk) -> None:
    menu.clear()
    for row in desk.project.media_list() if desk.project is not None else ():
        made = menu.addAction(Path(row.path).name)
        made.setCheckable(True)
        made.setChecked(row.id == desk.media_id)
        made.triggered.connect(lambda _=False, media=row.id: desk.show_media(media))


def _theme_menu(parent: QWidget) -> QMenu:
    menu = QMenu(tr("Theme"), parent)
    group = QActionGroup(menu)
    for pin, text in (("system", tr("As the system")), ("dark", tr("Dark")), ("light", tr("Light"))):
        made = menu.addAction(text)
        made.setCheckable(True)
        made.setData(pin)
        group.addAction(made)
    group.triggered.connect(lambda made: pin_theme(made.data()))
    menu.aboutToShow.connect(lambda: _mark_theme(group))
    return menu


def _mark_theme(group: QActionGroup) -> None:
    for made in group.actions():
        made.setChecked(made.data() == theme.pinned())


def pin_theme(pin: theme.Pin) -> None:
    """Use a theme from now on, and at the next start."""
    settings.set_value("theme", pin)
    theme.apply(pin)
