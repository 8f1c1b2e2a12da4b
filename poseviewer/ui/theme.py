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


def track_repeats(track: int | None) -> bool:
    """Return whether an earlier track has the same colour: then it gets a white stripe."""
    return track is not None and track > len(_tokens("data")["tracks"])


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
    """Return the application's stylesheet for ``theme``: ``themes/window.qss`` with tokens between @ signs."""
    text = _sheet()
    for token, value in {**_tokens(theme.name), "hint": f"{round(11 * _keeper().scale)}px"}.items():
        text = text.replace(f"@{token}@", value)
    return text


@cache
def _sheet() -> str:
    return resource("themes/window.qss").read_text(encoding="utf-8")
