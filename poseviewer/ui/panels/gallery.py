"""The gallery of all joints' heatmaps: small tiles, selectable, with one for the maximum over all joints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QPersistentModelIndex,
    QRect,
    QRectF,
    QSize,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtGui import QImage, QPainter, QPainterPath, QPaintEvent, QPen, QPixmap, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from poseviewer.core.skeleton import Skeleton
from poseviewer.core.values import Array, CropEvidence
from poseviewer.ui import theme
from poseviewer.ui.panels.heat import grey_image, heat_image
from poseviewer.ui.panels.joints import elide_mode, short_finger
from poseviewer.ui.panels.mapview import heat_transform
from poseviewer.ui.panels.widgets import paint_focus
from poseviewer.ui.text import tr

if TYPE_CHECKING:
    pass

LABEL = 15
GAP = 5
TILE_ROLE = Qt.ItemDataRole.UserRole + 1
NAME_ROLE = Qt.ItemDataRole.UserRole + 2
Index = QModelIndex | QPersistentModelIndex


def short_name(name: str) -> str:
    """Return a joint's name for a tile: "l wrist", "r shldr"."""
    words = {"left": tr("l"), "right": tr("r"), "shoulder": tr("shldr")}
    translated = tr(name)
    if translated != name:
        return translated
    return short_finger(" ".join(words.get(word, word) for word in name.split()))


class GalleryModel(QAbstractListModel):
    """One entry per joint, the last one for the maximum over all."""

    def __init__(self) -> None:
        super().__init__()
        self._names: tuple[str, ...] = ()
        self._peaks: tuple[float, ...] = ()
        self._maps: Array = np.zeros((0, 1, 1), np.float32)
        self._tiles: dict[int, QPixmap] = {}
        self._grey = QImage()
        self._crop: CropEvidence | None = None
        self._shared = True
        self._size = QSize(48, 56)
        self._ratio = 1.0

    def show_crop(self, crop: CropEvidence | None, skeleton: Skeleton, *, shared: bool, colours: str) -> None:
        """Show another crop's maps; tiles are painted when they are first seen.

        Args:
            crop: whose maps, or None for none.
            skeleton: for the names.
            shared: one scale for all; otherwise each map is stretched to its own maximum.
            colours: name of the colour table.
        """
        names = tuple(short_name(name) for name in skeleton.joints) if crop is not None else ()
        same = len(names) == len(self._names)
        if not same:
            self.beginResetModel()
        self._names, self._crop, self._shared, self._colours = names, crop, shared, colours
        self._tiles.clear()
        if crop is not None:
            self._maps = crop.heatmaps
            self._peaks = tuple(float(v) for v in crop.heatmaps.reshape(len(crop.heatmaps), -1).max(axis=1))
            self._grey = grey_image(crop.picture, 0.5)
        if not same:
            self.endResetModel()
        elif names:
            self.dataChanged.emit(self.index(0), self.index(self.rowCount() - 1))

    def set_tile(self, size: QSize, ratio: float) -> None:
        """Paint tiles in another size."""
        if size != self._size or ratio != self._ratio:
            self._size, self._ratio = size, ratio
            self._tiles.clear()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        """Return K + 1, or 0 without evidence."""
        return 0 if parent.isValid() or not self._names else len(self._names) + 1

    def name(self, place: int) -> str:
        """Return the words under a tile."""
        return self._names[place] if place < len(self._names) else tr("all, max")

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return a tile's name, figure or picture."""
        if not index.isValid() or index.row() >= self.rowCount():
            return None
        place = index.row()
        if role == TILE_ROLE:
            return self.tile(place)
        if role == NAME_ROLE:
            return self.name(place)
        if role in (
            Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole, Qt.ItemDataRole.ToolTipRole
        ):  # fmt: skip
            peak = self._peaks[place] if place < len(self._peaks) else max(self._peaks, default=0.0)
            return f"{self.name(place)}, {peak:.2f}"
        return None

    def tile(self, place: int) -> QPixmap:
        """Return the picture of a tile, painting it on first use."""
        if place not in self._tiles:
            self._tiles[place] = self._paint(place)
        return self._tiles[place]

    def _paint(self, place: int) -> QPixmap:
        values = self._maps[place] if place < len(self._maps) else self._maps.max(axis=0)
        if not self._shared:
            values = values / max(float(values.max()), 1e-6)
        pixmap = QPixmap(self._size * self._ratio)
        pixmap.setDevicePixelRatio(self._ratio)
        painter = QPainter(pixmap)
        try:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            scale = max(self._size.width() / self._grey.width(), self._size.height() / self._grey.height())
            painter.scale(scale, scale)
            # Cover the tile and keep the middle; a person stands in the middle of the crop.
            painter.translate(0, (self._size.height() / scale - self._grey.height()) / 2)
            painter.drawImage(0, 0, self._grey)
            if self._crop is not None:
                painter.setTransform(heat_transform(self._crop), True)
            painter.drawImage(0, 0, heat_image(values, name=self._colours))
        finally:
            painter.end()
        return pixmap


class TileDelegate(QStyledItemDelegate):
    """Draws a tile with its name."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Draw one tile; the chosen one has an accent frame."""
        looks = theme.current()
        cell: QRect = option.rect
        state: QStyle.StateFlag = option.state
        pixmap: QPixmap = index.data(TILE_ROLE)
        size = pixmap.deviceIndependentSize()
        box = QRectF(cell.left() + 2, cell.top() + 2, size.width(), size.height())
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        shape = QPainterPath()
        shape.addRoundedRect(box, 4, 4)
        painter.setClipPath(shape)
        painter.drawPixmap(box.topLeft(), pixmap)
        painter.setClipping(False)
        chosen = bool(state & QStyle.StateFlag.State_Selected)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if chosen:
            painter.setPen(QPen(looks.colour("accent"), 2))
            painter.drawRoundedRect(box.adjusted(-1, -1, 1, 1), 5, 5)
        elif state & QStyle.StateFlag.State_MouseOver:
            painter.setPen(QPen(looks.colour("edge"), 1))
            painter.drawRoundedRect(box, 4, 4)
        painter.setFont(theme.font(10))
        painter.setPen(looks.colour("t1" if chosen else "t2"))
        words = QRectF(cell.left() + 2, box.bottom() + 1, cell.width() - 2, LABEL)
        name = str(index.data(NAME_ROLE))
        name = painter.fontMetrics().elidedText(name, elide_mode(name), int(words.width()))
        painter.drawText(words, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, name)
        painter.restore()


MOST_HEIGHT = 360
"""Logical pixels: a gallery that needs more scrolls by itself."""


class Gallery(QListView):
    """The tiles as a grid. ``chosen`` carries a joint that a person clicked."""

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName(tr("All joints"))
        self.tiles = GalleryModel()
        self.setModel(self.tiles)
        self.setItemDelegate(TileDelegate(self))
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setMovement(QListView.Movement.Static)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setUniformItemSizes(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMouseTracking(True)
        self.setSpacing(0)
        self.selectionModel().currentChanged.connect(self._current_changed)
        # Tiles are laid out by the event loop, so a place to scroll to is known only after that.
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._show_chosen)
        self._quiet = False

    def show_crop(self, crop: CropEvidence | None, skeleton: Skeleton, *, shared: bool, colours: str) -> None:
        """Show another crop's maps."""
        self._quiet = True
        self.tiles.show_crop(crop, skeleton, shared=shared, colours=colours)
        self._fit()
        self._quiet = False

    def choose(self, joint: int | None) -> None:
        """Show which joint is selected, without a signal."""
        self._quiet = True
        if joint is None or joint >= self.tiles.rowCount():
            self.clearSelection()
            self.setCurrentIndex(QModelIndex())
        else:
            self.setCurrentIndex(self.tiles.index(joint))
        self._quiet = False
        self._soon.start()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint, with a ring while the keyboard is here."""
        super().paintEvent(event)
        paint_focus(self)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit six tiles into a row, five where it is narrow, more where it is wide."""
        self._fit()
        super().resizeEvent(event)

    def full_height(self, width: int) -> int:
        """Return the height at which every tile is seen in ``width`` without scrolling."""
        cell, _, rows = self._grid(width)
        return rows * (round(0.82 * (cell - GAP)) + LABEL + 5) + 4

    def _grid(self, width: int) -> tuple[int, int, int]:
        """Return the width of a tile's place, how many there are in a row, and how many rows."""
        # The scroll bar's room is kept free, or the last tile of a row would wrap when it appears.
        width -= self.verticalScrollBar().sizeHint().width() + 2
        across = max(round(width / 54), 3)
        return max(width // across, 1), across, max(-(-self.tiles.rowCount() // across), 1)

    def _fit(self) -> None:
        cell, _, rows = self._grid(self.width())
        # The panel scrolls as a whole rather than a list inside it, unless there are very many joints.
        self.setMinimumHeight(min(self.full_height(self.width()), MOST_HEIGHT))
        # A few rows share the height, so that none is cut; many rows scroll.
        room = (self.viewport().height() - 2) // rows - LABEL - 5
        tile = QSize(cell - GAP, round(min(max(room, 0.82 * (cell - GAP)), 1.2 * (cell - GAP))))
        self.tiles.set_tile(tile, self.devicePixelRatioF())
        self.setGridSize(QSize(cell, tile.height() + LABEL + 5))
        self._soon.start()

    def _show_chosen(self) -> None:
        """Scroll to the chosen tile; among a hundred it is mostly elsewhere."""
        chosen = self.currentIndex()
        # The panel may show only the upper rows of this list, so "visible" is what is seen of it.
        seen = self.viewport().visibleRegion().boundingRect()
        if chosen.isValid() and not seen.contains(self.visualRect(chosen).center()):
            self.scrollTo(chosen, QAbstractItemView.ScrollHint.PositionAtTop)

    def _current_changed(self, index: QModelIndex, _before: QModelIndex) -> None:
        if not self._quiet and index.isValid() and index.row() < self.tiles.rowCount() - 1:
            self.chosen.emit(index.row())
