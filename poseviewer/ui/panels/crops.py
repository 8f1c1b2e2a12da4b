"""Did the network look at the right region? The proposal, what the STN made of it, and what was cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QLineF, Qt
from PySide6.QtGui import QFont, QFontDatabase, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QVBoxLayout, QWidget

from poseviewer.core.values import ABSENT, CropEvidence, Evidence
from poseviewer.ui import theme
from poseviewer.ui.panels.croppics import CropPicture, Overview
from poseviewer.ui.panels.evidence_panel import EvidencePanel
from poseviewer.ui.panels.regions import Region, StnMove, region, stn_move
from poseviewer.ui.panels.widgets import Card, Heading, Label
from poseviewer.ui.text import tr

if TYPE_CHECKING:
    from poseviewer.ui.desk import Desk

OUTSIDE_WARN = 0.20
"""A larger share of the crop outside the picture is marked."""
SINGLE = 190
"""Width of the only picture where no STN was used, logical pixels."""


class Matrix(QWidget):
    """A 2 x 3 matrix in brackets; its text can be selected."""

    def __init__(self) -> None:
        super().__init__()
        self.text = Label("")
        line = QHBoxLayout(self)
        line.setContentsMargins(8, 3, 8, 3)
        line.addWidget(self.text)
        theme.notifier().changed.connect(self._dress)
        self._dress()

    def _dress(self) -> None:
        mono = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        mono.setPixelSize(theme.font(11).pixelSize())
        mono.setStyleHint(QFont.StyleHint.Monospace)
        self.text.setFont(mono)
        self.update()

    def show_matrix(self, matrix: npt.NDArray[np.floating]) -> None:
        """Show ``(2, 3)`` numbers."""
        rows = [" ".join(f"{round(float(v), 3) + 0.0:7.3f}" for v in line) for line in matrix]
        self.text.setText("\n".join(rows).replace("-", "−"))
        self._dress()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the brackets."""
        painter = QPainter(self)
        painter.setPen(QPen(theme.current().colour("t2"), 1.2))
        height, width = self.height() - 1, self.width() - 1
        for x, turn in ((1, 1), (width - 1, -1)):
            painter.drawLine(QLineF(x, 1, x, height - 1))
            painter.drawLine(QLineF(x, 1, x + 4 * turn, 1))
            painter.drawLine(QLineF(x, height - 1, x + 4 * turn, height - 1))
        painter.end()


class CropsPanel(EvidencePanel):
    """Did the network look at the right region?"""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(desk, tr("Crops"), tr("Did the network look at the right region?"), "boxes", parent)
        self.overview = Overview()
        self.before = CropPicture(tr("proposal"))
        self.after = CropPicture(tr("after STN"))
        self.words = Card()
        self.theta = Matrix()
        self.input = Label("")
        self.ratio = Label("", wrap=True)
        self.cells: dict[tuple[str, str], Label] = {}
        self._lay_out()
        desk.frame_changed.connect(self.mark)
        self.refresh()

    def _lay_out(self) -> None:
        pictures = QHBoxLayout()
        pictures.setSpacing(10)
        pictures.addWidget(self.before, 1, Qt.AlignmentFlag.AlignTop)
        pictures.addWidget(self.after, 1, Qt.AlignmentFlag.AlignTop)
        figures = QHBoxLayout()
        figures.setSpacing(16)
        for name, parts in ((tr("theta"), (self.theta,)), (tr("network input"), (self.input, self.ratio))):
            part = QVBoxLayout()
            part.setSpacing(2)
            part.addWidget(Label(name, size=11, token="t2"))
            for widget in parts:
                part.addWidget(widget)
            part.addStretch(1)
            figures.addLayout(part, 0 if name == tr("theta") else 1)
        self.body.addWidget(self.overview)
        self.body.addLayout(pictures)
        self.body.addSpacing(4)
        self.body.addWidget(Heading(tr("What the STN did")))
        self.body.addWidget(self.words)
        self.body.addLayout(figures)
        self.body.addLayout(self._table())
        self.body.addStretch(1)

    def _table(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setVerticalSpacing(4)
        grid.setHorizontalSpacing(10)
        grid.setColumnStretch(0, 1)
        for place, text in enumerate((tr("Region"), tr("Proposal"), tr("After STN"))):
            head = Label(text, size=11, token="t2")
            grid.addWidget(head, 0, place, Qt.AlignmentFlag.AlignRight if place else Qt.AlignmentFlag.AlignLeft)
        rows = (
            ("filled", tr("Person fills the crop")), ("outside", tr("Outside the picture")),
            ("cut", tr("Joints cut off at the edge")), ("score", tr("Mean score")),
        )  # fmt: skip
        for line, (key, name) in enumerate(rows, 1):
            grid.addWidget(Label(name), line, 0)
            for place, side in ((1, "before"), (2, "after")):
                cell = Label("–", weight=600 if key == "score" else 400)
                cell.setAccessibleName(f"{name}, {(tr('Proposal'), tr('After STN'))[place - 1]}")
                self.cells[key, side] = cell
                grid.addWidget(cell, line, place, Qt.AlignmentFlag.AlignRight)
        return grid

    def show_evidence(self, evidence: Evidence) -> bool:
        """Show the selected person's crop."""
        found = self.person_crop(evidence)
        if found is None:
            return False
        _, candidate, crop = found
        desk = self.desk
        # The network's own answer, not a hand's correction, shows what it made of this window.
        points, scores = evidence.candidates.keypoints[candidate], evidence.candidates.scores[candidate]
        visibility = np.where(scores >= 0.05, 2, ABSENT).astype(np.uint8)
        if len(points) != desk.skeleton.count:
            self.say_empty(tr("The network's joints are not those of this project"))
            return False
        frame_wh = desk.info.size_wh if desk.info is not None else (0, 0)
        if desk.frame is not None:
            frame_wh = (desk.frame.pixels.shape[1], desk.frame.pixels.shape[0])
        move = stn_move(crop)
        self.overview.show_crop(desk.frame if desk.frame_exact else None, crop, same=move.identity)
        for view, pixels, matrix in (
            (self.before, crop.proposal_picture, crop.proposal), (self.after, crop.picture, crop.crop)
        ):  # fmt: skip
            view.show_picture(pixels, matrix, frame_wh, points, visibility, desk.skeleton, desk.joint)
        self.after.setVisible(not move.identity)
        self.before.set_name(tr("window") if move.identity else tr("proposal"))
        self.before.setMaximumWidth(SINGLE if move.identity else 16777215)
        height, width = crop.picture.shape[:2]
        size = (width, height)
        regions = tuple(
            region(matrix, size, evidence.candidates.boxes[candidate], points[visibility > ABSENT], frame_wh)
            for matrix in (crop.proposal, crop.crop)
        )
        self._show_figures(crop, move, regions[0], regions[1], float(scores.mean()))
        return True

    def _show_figures(self, crop: CropEvidence, move: StnMove, before: Region, after: Region, score: float) -> None:
        height, width = crop.picture.shape[:2]
        self.words.text.setText(stn_words(move, after.kept))
        self.theta.show_matrix(crop.theta)
        self.input.setText(f"{width} × {height} px")
        self.ratio.setText(tr("{ratio} picture px per input px", ratio=f"{after.pixels:.2f}"))
        for side, figures in (("before", before), ("after", after)):
            self.cells["filled", side].setText(f"{100 * figures.filled:.0f} %")
            outside = self.cells["outside", side]
            outside.setText(f"{100 * figures.outside:.0f} %")
            outside.set_token("warn" if figures.outside > OUTSIDE_WARN else "t1")
            cut = self.cells["cut", side]
            cut.setText(str(figures.cut))
            cut.set_token("warn" if figures.cut else "t1")
        # The proposal was never fed to the network when the STN moved it, so it has no score.
        self.cells["score", "before"].setText(f"{score:.2f}" if move.identity else "–")
        self.cells["score", "after"].setText(f"{score:.2f}")


def stn_words(move: StnMove, kept: float) -> str:
    """Return in words what the STN did, with bold figures."""
    stays = tr("<b>{share} %</b> of the box stays inside.", share=f"{100 * min(kept, 1.0):.0f}")
    if move.identity:
        return tr("Nothing: the network was fed the proposal itself.") + " " + stays
    if move.zoom >= 1.005:
        zoom = tr("Zoomed in <b>{zoom}×</b>", zoom=f"{move.zoom:.2f}")
    elif move.zoom <= 0.995:
        zoom = tr("Zoomed out <b>{zoom}×</b>", zoom=f"{1 / move.zoom:.2f}")
    else:
        zoom = tr("Kept the size")
    shifts = []
    if abs(move.right) >= 0.5:
        text = tr("<b>{n} px right</b>") if move.right > 0 else tr("<b>{n} px left</b>")
        shifts.append(text.format(n=f"{abs(move.right):.0f}"))
    if abs(move.down) >= 0.5:
        text = tr("<b>{n} px down</b>") if move.down > 0 else tr("<b>{n} px up</b>")
        shifts.append(text.format(n=f"{abs(move.down):.0f}"))
    moved = tr(" and ").join(shifts)
    first = tr("{zoom}, moved {shift}.", zoom=zoom, shift=moved) if moved else tr("{zoom}, did not move.", zoom=zoom)
    return " ".join([first, _turn_words(move), stays])


def _turn_words(move: StnMove) -> str:
    turned, sheared = abs(move.rotation) >= 0.5, abs(move.shear) >= 0.5
    stretched = not 0.98 <= move.stretch <= 1.02
    parts = []
    if turned:
        text = tr("Turned <b>{n}° clockwise</b>.") if move.rotation > 0 else tr("Turned <b>{n}° anticlockwise</b>.")
        parts.append(text.format(n=f"{abs(move.rotation):.1f}"))
    if sheared:
        parts.append(tr("Sheared by <b>{n}°</b>.", n=f"{abs(move.shear):.1f}"))
    if stretched:
        parts.append(tr("Width against height <b>{n}×</b>.", n=f"{move.stretch:.2f}"))
    if not turned and not sheared:
        parts.append(tr("No rotation, no shear."))
    return " ".join(parts)
