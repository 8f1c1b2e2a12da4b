"""The loupe: six times larger, pixel by pixel, in the corner farthest from the pointer."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QImage, QPainter, QPen

from poseviewer.ui import theme
from poseviewer.ui.canvas.place import to_picture
from poseviewer.ui.text import tr

TIMES = 6
SIZE = (140.0, 112.0)
CAPTION = 22.0
MARGIN = 12.0
TOP = 52.0
"""Room for the bar at the top."""


def loupe_rect(viewport: QRectF, pointer: QPointF) -> QRectF:
    """Return where the loupe goes in a viewport: the corner farthest from the pointer."""
    width, height = SIZE[0], SIZE[1] + CAPTION
    left = pointer.x() > viewport.center().x()
    top = pointer.y() > viewport.center().y()
    x = viewport.left() + MARGIN if left else viewport.right() - MARGIN - width
    y = viewport.top() + TOP if top else viewport.bottom() - TOP - height
    return QRectF(x, y, width, height)


def paint_loupe(painter: QPainter, image: QImage, rect: QRectF, scene: QPointF) -> None:
    """Paint the picture around scene point ``scene`` into ``rect``, with cross-hair and figures."""
    painter.save()
    try:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        painter.setPen(QPen(theme.current().colour("line"), 1))
        painter.setBrush(theme.current().colour("float"))
        painter.drawRoundedRect(rect, 6, 6)
        glass = QRectF(rect.x() + 4, rect.y() + 4, rect.width() - 8, rect.height() - CAPTION - 4)
        painter.setClipRect(glass)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        painter.fillRect(glass, theme.current().colour("canvas"))
        # One picture pixel becomes TIMES px whatever the zoom of the view is.
        corner = glass.center() - scene * TIMES
        painter.drawImage(QRectF(corner.x(), corner.y(), image.width() * TIMES, image.height() * TIMES), image)
        _cross(painter, glass)
        painter.setClipping(False)
        x, y = to_picture(scene)
        painter.setFont(theme.font(11))
        painter.setPen(theme.current().colour("t2"))
        caption = QRectF(glass.x() + 2, glass.bottom(), glass.width() - 4, CAPTION)
        middle = int(Qt.AlignmentFlag.AlignVCenter)
        painter.drawText(caption, middle | int(Qt.AlignmentFlag.AlignLeft), tr("Loupe {n}×", n=TIMES))
        painter.drawText(caption, middle | int(Qt.AlignmentFlag.AlignRight), f"{x:.1f}, {y:.1f}")
    finally:
        painter.restore()


def _cross(painter: QPainter, glass: QRectF) -> None:
    middle = glass.center()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
    for colour, width in ((theme.data_colour("halo", 0.6), 3.0), (theme.data_colour("mark"), 1.0)):
        painter.setPen(QPen(colour, width))
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            painter.drawLine(middle + QPointF(4 * dx, 4 * dy), middle + QPointF(16 * dx, 16 * dy))
