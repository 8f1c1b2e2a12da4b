"""Icons from ``icons.svg``: one element per icon, painted in a colour of the theme."""

from __future__ import annotations

from functools import lru_cache

from PySide6.QtCore import QByteArray, QRectF, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from poseviewer.core.resources import resource
from poseviewer.ui import theme

_DRAWN = "#808690"
"""The one stroke colour of the file, replaced when an icon is painted."""


@lru_cache(maxsize=32)
def _renderer(colour: str) -> QSvgRenderer:
    text = resource("icons/icons.svg").read_text(encoding="utf-8").replace(_DRAWN, colour)
    return QSvgRenderer(QByteArray(text.encode()))


@lru_cache(maxsize=2048)
def pixmap(name: str, colour: str, size: int = 16, ratio: float = 1.0) -> QPixmap:
    """Return icon ``name`` as a pixmap of ``size`` logical px in ``colour`` ("#rrggbb") for a pixel ratio.

    Raises:
        KeyError: if icons.svg has no such element.
    """
    renderer = _renderer(colour)
    if not renderer.elementExists(name):
        raise KeyError(name)
    side = round(size * ratio)
    made = QPixmap(side, side)
    made.fill(Qt.GlobalColor.transparent)
    painter = QPainter(made)
    try:
        renderer.render(painter, name, QRectF(0, 0, side, side))
    finally:
        painter.end()
    made.setDevicePixelRatio(ratio)
    return made


def icon(name: str, colour: str | QColor | None = None, *, size: int = 16) -> QIcon:
    """Return icon ``name``: in ``colour``, or t2 (accent when checked, off when disabled) of the theme in use.

    Ask again when the theme changes.
    """
    looks = theme.current()
    plain = colour.name() if isinstance(colour, QColor) else colour or looks.text("t2")
    lit = plain if colour is not None else looks.text("accent")
    made = QIcon()
    off = looks.text("off")
    for ratio in (1.0, 1.5, 2.0):
        made.addPixmap(pixmap(name, plain, size, ratio), QIcon.Mode.Normal, QIcon.State.Off)
        made.addPixmap(pixmap(name, lit, size, ratio), QIcon.Mode.Normal, QIcon.State.On)
        made.addPixmap(pixmap(name, off, size, ratio), QIcon.Mode.Disabled, QIcon.State.Off)
        made.addPixmap(pixmap(name, off, size, ratio), QIcon.Mode.Disabled, QIcon.State.On)
    return made
