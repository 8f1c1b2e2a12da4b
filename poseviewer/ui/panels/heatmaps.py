"""Where did the network think this joint was, and how sure? The chosen joint's map large, all joints as a gallery."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QImage, QPainter, QPainterPath, QPaintEvent, QPixmap
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from poseviewer.core.values import ABSENT, VISIBLE, Array, CropEvidence, Evidence, Person
from poseviewer.pipeline.peaks import around_box
from poseviewer.ui.canvas.heat import colour_table
from poseviewer.ui.panels.evidence_panel import EvidencePanel
from poseviewer.ui.panels.gallery import Gallery
from poseviewer.ui.panels.glyphs import draw_side
from poseviewer.ui.panels.mapview import MapView, ProfilePlot
from poseviewer.ui.panels.peaks import JointView, Peak, look_at, profile
from poseviewer.ui.panels.widgets import Figure, Heading, Label, Segments, SmallButton, Tick, row
from poseviewer.ui.text import tr

if TYPE_CHECKING:
    from poseviewer.ui.desk import Desk

NEAR_PX = 3.0
"""A joint within this distance of a peak sits on it."""


class ColourBar(QWidget):
    """The colour table from 0 to 1."""

    def __init__(self) -> None:
        super().__init__()
        self._name = "inferno"
        self.setFixedSize(104, 9)
        self.setAccessibleName(tr("Heat from 0 to 1"))

    def show_table(self, name: str) -> None:
        """Show another colour table."""
        self._name = name
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the table."""
        colours = colour_table(self._name)
        image = QImage(colours.data, 256, 1, 768, QImage.Format.Format_RGB888).copy()
        painter = QPainter(self)
        shape = QPainterPath()
        shape.addRoundedRect(QRectF(self.rect()), 2, 2)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setClipPath(shape)
        painter.drawImage(QRectF(self.rect()), image)
        painter.end()


class JointTitle(QWidget):
    """The chosen joint's glyph and name."""

    def __init__(self) -> None:
        super().__init__()
        self._side = "centre"
        self._glyph = QLabel()
        self._glyph.setFixedSize(14, 16)
        self.name = Heading("")
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(6)
        line.addWidget(self._glyph)
        line.addWidget(self.name, 1)

    def show_joint(self, side: str, name: str) -> None:
        """Show another joint."""
        pixmap = QPixmap(self._glyph.size() * self.devicePixelRatioF())
        pixmap.setDevicePixelRatio(self.devicePixelRatioF())
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        draw_side(painter, side, QRectF(0, 0, 14, 16).center(), 4.8)
        painter.end()
        self._glyph.setPixmap(pixmap)
        self.name.setText(name)


class HeatmapPanel(EvidencePanel):
    """Where did the network think this joint was, and how sure?"""

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        question = tr("Where did the network think this joint was, and how sure?")
        super().__init__(desk, tr("Heatmaps"), question, "heat", parent)
        self.map = MapView()
        self.title = JointTitle()
        self.peak = Figure(tr("Peak"))
        self.spread = Figure(tr("Spread σ"))
        self.second = Figure(tr("Second peak"))
        self.use = SmallButton(tr("Use second peak"), "snap")
        self.use.clicked.connect(self.use_other_peak)
        self.profile = ProfilePlot()
        self.profile_name = Label("", size=11, token="t2")
        self.scale = Segments(tr("Scale"), (("each", tr("each")), ("shared", tr("shared"))))
        self.scale.chosen.connect(lambda key: desk.show(heat_shared=key == "shared"))
        self.gallery = Gallery()
        self.gallery.chosen.connect(lambda joint: desk.select(joint=joint))
        self.bar = ColourBar()
        self.range = Label("", size=11, token="t2")
        self.on_picture = Tick(tr("on the picture"))
        self.on_picture.clicked.connect(lambda checked: desk.show(heat=checked))
        self._target: Peak | None = None
        self._shown: tuple[object, ...] = ()
        self._lay_out()
        desk.display_changed.connect(self.mark)
        desk.config_changed.connect(self.mark)
        self.refresh()

    def _lay_out(self) -> None:
        figures = QVBoxLayout()
        figures.setSpacing(8)
        for widget in (self.title, self.peak, self.spread, self.second):
            figures.addWidget(widget)
        figures.addStretch(1)
        figures.addWidget(self.use)
        upper = QHBoxLayout()
        upper.setSpacing(12)
        upper.addWidget(self.map, 0, Qt.AlignmentFlag.AlignTop)
        upper.addLayout(figures, 1)
        self.body.addLayout(upper)
        self.body.addLayout(row(self.profile_name, None, Label("px", size=11, token="t3")))
        self.body.addWidget(self.profile)
        self.body.addLayout(row(Heading(tr("All joints")), None, Label(tr("scale"), size=11, token="t2"), self.scale))
        self.gallery.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.body.addWidget(self.gallery, 1)
        self.body.addLayout(row(self.bar, self.range, None, self.on_picture))

    def fit(self, width: int) -> None:
        """Give the map half of the width, and the crop's aspect."""
        beside = width - 12 - max(self.use.sizeHint().width(), 120)
        wide = int(max(min(0.525 * width, beside, 0.38 * self.height(), 320), 96))
        self.map.setFixedSize(wide, self.map.heightForWidth(wide))

    def show_evidence(self, evidence: Evidence) -> bool:
        """Show the selected person's maps."""
        found = self.person_crop(evidence)
        if found is None:
            self._shown = ()
            return False
        person, candidate, crop = found
        skeleton, display = self.desk.skeleton, self.desk.display
        if len(crop.heatmaps) != skeleton.count:
            self.say_empty(tr("The network's joints are not those of this project"))
            return False
        if not crop.heatmaps.size:
            self._shown = ()
            self.say_empty(tr("There are no heatmaps: this network answers with joints"))
            return False
        shown = (id(crop.heatmaps), display.heat_shared, display.heat_map)
        if shown != self._shown:
            self._shown = shown
            self._crop = crop
            self.gallery.show_crop(crop, skeleton, shared=display.heat_shared, colours=display.heat_map)
        joint = self.desk.joint
        self.gallery.choose(joint)
        self.scale.choose("shared" if display.heat_shared else "each")
        self.on_picture.setChecked(display.heat)
        self.bar.show_table(display.heat_map)
        self.range.setText(tr("0 to 1") if display.heat_shared else tr("0 to each map's peak"))
        # A bottom-up network's maps are everybody's; this person's peaks are those near its box.
        box = evidence.candidates.boxes[candidate] if evidence.grouping is not None else None
        self._show_joint(person, crop, joint, box)
        return True

    def _show_joint(self, person: Person, crop: CropEvidence, joint: int | None, box: Array | None) -> None:
        display = self.desk.display
        if joint is None or joint >= len(crop.heatmaps):
            whole = crop.heatmaps.max(axis=0)
            self.map.show_map(crop, whole, (), shared=display.heat_shared, colours=display.heat_map)
            self._show_no_joint()
        else:
            values = crop.heatmaps[joint]
            near = values if box is None else around_box(values, crop.heatmap_to_frame, box)
            view = look_at(near, crop.heatmap_to_frame)
            self.map.show_map(
                crop, values, view.peaks, shared=display.heat_shared, colours=display.heat_map,
                half_peak=display.half_peak,
            )  # fmt: skip
            self.title.show_joint(self.desk.skeleton.sides[joint], tr(self.desk.skeleton.joints[joint]))
            self._show_figures(person, joint, view)
            self._show_profile(crop, joint, view)
        self.map.setAccessibleName(self.peak.accessibleName())
        self.fit_again()

    def _show_no_joint(self) -> None:
        self.title.show_joint("centre", tr("all joints, max"))
        for figure in (self.peak, self.spread, self.second):
            figure.show_value("–")
        self.peak.show_value("–", remark=tr("Choose a joint below, or with S"))
        self._target = None
        self.use.setEnabled(False)
        self.profile_name.setText(tr("Profile"))
        self.profile.show_profile(np.zeros(0), np.zeros(0), (), 0.0)

    def _show_figures(self, person: Person, joint: int, view: JointView) -> None:
        first, second = view.first, view.second
        if first is None:
            for figure in (self.peak, self.spread, self.second):
                figure.show_value("–")
            self.peak.show_value("0.00", remark=tr("the map is empty"), token="warn")
        else:
            low = first.value < self.desk.config.nms.score_floor
            where = tr("at {x}, {y}", x=f"{first.at[0]:.1f}", y=f"{first.at[1]:.1f}")
            self.peak.show_value(f"{first.value:.2f}", remark=where, token="warn" if low else "t1")
            share = tr("{share} of the crop", share=f"{view.share:.3f}")
            self.spread.show_value(f"{view.spread:.1f}", unit="px", remark=share)
        if first is None or second is None:
            self.second.show_value("–", remark=tr("none above 0.10"))
        else:
            away = first.distance(*second.at)
            words = tr("{distance} px away", distance=f"{away:.1f}")
            other = nearest_joint(person, joint, second)
            if other is not None:
                name = tr(self.desk.skeleton.joints[other])
                words = tr("{distance} px away, nearest: {joint}", distance=f"{away:.1f}", joint=name)
            strong = second.value >= 0.5 * first.value
            self.second.show_value(f"{second.value:.2f}", remark=words, token="warn" if strong else "t1")
        self._choose_target(person, joint, view)

    def _choose_target(self, person: Person, joint: int, view: JointView) -> None:
        """Offer the second peak, or the first where the joint already sits on the second."""
        x, y = (float(v) for v in person.pose.keypoints[joint])
        target, text = view.second, tr("Use second peak")
        absent = person.visibility[joint] == ABSENT
        if target is not None and not absent and target.distance(x, y) < NEAR_PX:
            target, text = view.first, tr("Use first peak")
        self._target = target
        self.use.setText(text)
        self.use.setAccessibleName(text)
        self.use.setEnabled(target is not None)

    def _show_profile(self, crop: CropEvidence, joint: int, view: JointView) -> None:
        if view.first is None:
            self.profile.show_profile(np.zeros(0), np.zeros(0), (), 0.0)
            return
        places, values, second_at = profile(crop.heatmaps[joint], crop.heatmap_to_frame, view.first, view.second)
        marks = [(0.0, view.first.value)]
        name = tr("Profile across the peak")
        if view.second is not None:
            marks.append((second_at, view.second.value))
            name = tr("Profile from first to second peak")
        self.profile_name.setText(name)
        self.profile.setAccessibleName(name)
        self.profile.show_profile(places, values, tuple(marks), self.desk.config.nms.score_floor)

    def use_other_peak(self) -> None:
        """Move the joint to the peak that the button offers, as one edit."""
        person, joint, target = self.desk.person, self.desk.joint, self._target
        if person is None or joint is None or target is None or self.desk.evidence is None:
            return
        from poseviewer.project import edits

        visibility = VISIBLE if person.visibility[joint] == ABSENT else None
        media, frame = self.desk.place()
        self.desk.apply(edits.MoveJoint(media, frame, person.key, joint, target.at[0], target.at[1], visibility))


def nearest_joint(person: Person, joint: int, peak: Peak) -> int | None:
    """Return the present joint of ``person``, other than ``joint``, that lies nearest to a peak; None if far away.

    Far is more than a tenth of the box's longer side.
    """
    distance = np.hypot(person.pose.keypoints[:, 0] - peak.at[0], person.pose.keypoints[:, 1] - peak.at[1])
    distance = np.where(person.visibility == ABSENT, np.inf, distance)
    distance[joint] = np.inf
    nearest = int(distance.argmin())
    x1, y1, x2, y2 = (float(v) for v in person.pose.box)
    return nearest if distance[nearest] <= 0.1 * max(x2 - x1, y2 - y1) else None
