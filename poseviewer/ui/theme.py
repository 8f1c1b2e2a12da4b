"""Tokens, palette, fonts and stylesheet: the only place that knows colours.

Views ask ``theme.current().colour("t1")`` while painting and repaint on ``theme.changed()``; colours of data (sides,
tracks) are the same in both themes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFont, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication, QStyleFactory

from poseviewer.core.resources import resource

Name = Literal["dark", "light"]
Pin = Literal["system", "dark", "light"]

DOCK_LEFT, DOCK_RIGHT, TIMELINE = 268, 344, 212
"""Widths of the side docks and height of the timeline, logical px."""


@cache
def _tokens(name: str) -> dict[str, Any]:
    tokens: dict[str, Any] = json.loads(resource(f"themes/{name}.json").read_text(encoding="utf-8"))
    return tokens


@dataclass(frozen=True)
class Theme:
    """One theme, dark or light."""

    name: Name

    def text(self, token: str) -> str:
        """Return the colour of ``token`` as "#rrggbb"."""
        return str(_tokens(self.name)[token])

    def colour(self, token: str, alpha: float = 1.0) -> QColor:
        """Return the colour of ``token`` (look.md section 1), with ``alpha`` 0..1."""
        return _colour(self.text(token), alpha)

    @property
    def dark(self) -> bool:
        """Whether this is the dark theme."""
        return self.name == "dark"


@cache
def _colour(text: str, alpha: float = 1.0) -> QColor:
    colour = QColor(text)
    colour.setAlphaF(alpha)
    return colour


def data_colour(name: str, alpha: float = 1.0) -> QColor:
    """Return a data colour: "left", "right", "centre", "halo", "inside", "mark", "ink", "pill", ..."""
    return _colour(str(_tokens("data")[name]), alpha)


def track_colour(track: int | None) -> QColor:
    """Return the colour of a track (numbered from 1); tracks beyond twelve repeat."""
    if track is None:
        return data_colour("centre")
    tracks = _tokens("data")["tracks"]
    return _colour(tracks[(track - 1) % len(tracks)])


class _Keeper(QObject):
    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.theme = Theme("dark")
        self.pin: Pin = "system"
        self.scale = 1.0


@cache
def _keeper() -> _Keeper:
    return _Keeper()


def current() -> Theme:
    """Return the theme in use."""
    return _keeper().theme


def notifier() -> _Keeper:
    """Return the object whose ``changed`` signal tells that theme or text size changed."""
    return _keeper()


def font(size: float = 12, weight: int = 400) -> QFont:
    """Return the window's font at ``size`` px of look.md (scaled by the text scale) with tabular figures."""
    made = QFont(QApplication.font())
    made.setPixelSize(max(round(size * _keeper().scale), 7))
    made.setWeight(QFont.Weight(weight))
    made.setFeature(QFont.Tag("tnum"), 1)
    return made


def pinned() -> Pin:
    """Return which theme the person chose."""
    return _keeper().pin


def apply(pin: Pin = "system", scale: float | None = None) -> None:
    """Use the theme ``pin``, or the system's, for the whole application; ``scale`` is the text scale 0.9..1.5."""
    keeper = _keeper()
    keeper.pin = pin
    if scale is not None:
        keeper.scale = min(max(scale, 0.9), 1.5)
    name: Name = "dark"
    if pin != "system":
        name = pin
    elif QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Light:
        name = "light"
    keeper.theme = Theme(name)
    application = QApplication.instance()
    if isinstance(application, QApplication):
        base = QFont(application.font())
        base.setPixelSize(round(12 * keeper.scale))
        base.setFeature(QFont.Tag("tnum"), 1)
        application.setFont(base)
        application.setPalette(palette(keeper.theme))
        application.setStyleSheet(stylesheet(keeper.theme))
    keeper.changed.emit()


def start() -> None:
    """Set the Fusion style and follow the system's colour scheme from now on."""
    QApplication.setStyle(QStyleFactory.create("Fusion"))
    QGuiApplication.styleHints().colorSchemeChanged.connect(_system_changed)


def _system_changed() -> None:
    if _keeper().pin == "system":
        apply("system")


def palette(theme: Theme) -> QPalette:
    """Return the QPalette of ``theme`` (look.md section 10)."""
    role = QPalette.ColorRole
    made = QPalette()
    for where, token in (
        (role.Window, "bg"), (role.Base, "sunken"), (role.AlternateBase, "panel"), (role.Text, "t1"),
        (role.WindowText, "t1"), (role.ButtonText, "t1"), (role.PlaceholderText, "t3"), (role.Button, "raised"),
        (role.Mid, "line"), (role.Highlight, "selected"), (role.HighlightedText, "t1"), (role.Accent, "accent"),
        (role.Link, "accent"), (role.LinkVisited, "accent"), (role.ToolTipBase, "raised"), (role.ToolTipText, "t1"),
        (role.Light, "hover"), (role.Midlight, "line"), (role.Dark, "line"), (role.BrightText, "t1"),
    ):  # fmt: skip
        made.setColor(where, theme.colour(token))
    made.setColor(role.Shadow, theme.colour("canvas"))
    for where in (role.Text, role.WindowText, role.ButtonText, role.HighlightedText):
        made.setColor(QPalette.ColorGroup.Disabled, where, theme.colour("t3"))
    return made


def stylesheet(theme: Theme) -> str:
    """Return the application's stylesheet for ``theme``."""
    values = {**_tokens(theme.name), "hint": f"{round(11 * _keeper().scale)}px"}
    return _SHEET.replace("{", "{{").replace("}", "}}").replace("<<", "{").replace(">>", "}").format(**values)


_SHEET = """
QMainWindow, QMenuBar, QToolBar, QStatusBar { background: <<bg>>; color: <<t1>>; }
QMainWindow::separator { background: <<line>>; width: 1px; height: 1px; }
QMenuBar { min-height: 28px; padding: 0 8px; }
QMenuBar::item { padding: 4px 9px; border-radius: 4px; background: transparent; color: <<t2>>; }
QMenuBar::item:selected { background: <<hover>>; color: <<t1>>; }
QMenu { background: <<raised>>; border: 1px solid <<line>>; border-radius: 6px; padding: 4px; }
QMenu::item { padding: 4px 22px 4px 10px; border-radius: 4px; color: <<t1>>; }
QMenu::item:selected { background: <<selected>>; }
QMenu::item:disabled { color: <<t3>>; }
QMenu::separator { height: 1px; background: <<line>>; margin: 4px 6px; }
QMenu::icon { padding-left: 6px; }
QToolTip { background: <<raised>>; color: <<t1>>; border: 1px solid <<line>>; padding: 4px 6px; }
QToolBar#toolbar { border: 0; border-bottom: 1px solid <<line>>; spacing: 4px; padding: 5px 8px; }
QToolBar::separator { background: <<line>>; width: 1px; margin: 6px 6px; }
QStatusBar { border-top: 1px solid <<line>>; min-height: 25px; color: <<t2>>; }
QStatusBar::item { border: 0; }
QDockWidget { titlebar-close-icon: none; border: 0; }
QDockWidget > QWidget, QWidget[panel="true"] { background: <<panel>>; }
QToolButton { background: transparent; border: 1px solid transparent; border-radius: 5px; padding: 3px 6px; color: <<t1>>; }
QToolButton:hover { background: <<hover>>; }
QToolButton:checked { background: <<selected>>; }
QToolButton:disabled { color: <<t3>>; }
QToolButton::menu-indicator { image: none; }
QPushButton, QComboBox { background: <<raised>>; border: 1px solid <<line>>; border-radius: 5px; padding: 0 12px;
  min-height: 26px; color: <<t1>>; }
QPushButton:hover, QComboBox:hover { background: <<hover>>; }
QPushButton:disabled, QComboBox:disabled { color: <<t3>>; }
QPushButton[primary="true"], QToolButton[primary="true"] { background: <<fill>>; color: <<on_fill>>; font-weight: 600;
  border: 1px solid <<fill>>; }
QPushButton[primary="true"]:disabled, QToolButton[primary="true"]:disabled { background: <<raised>>; color: <<t3>>;
  border-color: <<line>>; }
QPushButton[flat="true"] { background: transparent; border-color: transparent; }
QPushButton[flat="true"]:hover { background: <<hover>>; }
QPushButton[small="true"] { min-height: 22px; padding: 0 8px; }
QToolButton[segment="true"] { border-radius: 4px; padding: 2px 8px; color: <<t2>>; }
QToolButton[segment="true"]:checked { background: <<hover>>; color: <<t1>>; font-weight: 600; }
QPushButton:focus, QToolButton:focus, QComboBox:focus, QLineEdit:focus, QSpinBox:focus, QDoubleSpinBox:focus,
QCheckBox:focus, QRadioButton:focus, QSlider:focus { border: 2px solid <<accent>>; }
QLineEdit, QSpinBox, QDoubleSpinBox, QPlainTextEdit, QTextEdit { background: <<sunken>>; border: 1px solid <<line>>;
  border-radius: 4px; padding: 1px 6px; min-height: 22px; color: <<t1>>; selection-background-color: <<selected>>; }
QComboBox::drop-down { border: 0; width: 20px; }
QComboBox QAbstractItemView { background: <<raised>>; border: 1px solid <<line>>; selection-background-color: <<selected>>; }
QTabBar { background: transparent; border: 0; }
QTabBar::tab { background: transparent; border: 0; border-bottom: 2px solid transparent; padding: 7px 4px; margin: 0 6px;
  color: <<t2>>; }
QTabBar::tab:selected { color: <<t1>>; border-bottom-color: <<accent>>; font-weight: 600; }
QTabBar::tab:hover { color: <<t1>>; }
QTabBar::tab:focus { border: 2px solid <<accent>>; }
QTabWidget::pane { border: 0; border-top: 1px solid <<line>>; }
QHeaderView::section { background: <<panel>>; color: <<t2>>; border: 0; border-bottom: 1px solid <<line>>; padding: 3px 6px;
  font-size: <<hint>>; }
QTableView, QListView, QTreeView { background: <<panel>>; border: 0; outline: 0; gridline-color: transparent; }
QTableView::item:selected, QListView::item:selected { background: <<selected>>; color: <<t1>>; }
QScrollBar:vertical { background: transparent; width: 8px; margin: 0; }
QScrollBar:horizontal { background: transparent; height: 8px; margin: 0; }
QScrollBar::handle { background: <<edge>>; border-radius: 4px; min-height: 24px; min-width: 24px; }
QScrollBar::add-line, QScrollBar::sub-line, QScrollBar::add-page, QScrollBar::sub-page { background: none; border: 0;
  width: 0; height: 0; }
QSlider::groove:horizontal { height: 3px; background: <<line>>; border-radius: 1px; }
QSlider::sub-page:horizontal { background: <<accent>>; border-radius: 1px; }
QSlider::handle:horizontal { background: <<t1>>; width: 12px; height: 12px; margin: -5px 0; border-radius: 6px; }
QProgressBar { background: <<line>>; border: 0; border-radius: 2px; max-height: 4px; min-height: 4px; }
QProgressBar::chunk { background: <<accent>>; border-radius: 2px; }
QLabel[level="2"] { color: <<t2>>; }
QLabel[level="3"] { color: <<t3>>; }
QLabel[head="true"] { font-weight: 600; }
QFrame[floating="true"] { background: <<float>>; border: 1px solid <<line>>; border-radius: 7px; }
QLabel[key="true"] { background: <<hover>>; border-radius: 3px; padding: 1px 5px; color: <<t2>>; font-size: <<hint>>; }
"""
