"""The form of one pipeline configuration: weights, thresholds, suppression, device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from PySide6.QtCore import QLocale, Signal
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from poseviewer.pipeline.config import (
    LARGEST_INPUT,
    NmsConfig,
    PipelineConfig,
    applied_flip,
    has_bundled_estimator,
    own_nms,
    reference_nms,
)
from poseviewer.ui.dialogs.base import Fields
from poseviewer.ui.dialogs.settle import SettleDialog
from poseviewer.ui.dialogs.weights_line import StartJob, WeightsLine
from poseviewer.ui.panels.verdicts import NMS_VERSIONS
from poseviewer.ui.panels.widgets import Choice, Heading, SmallButton, Tick
from poseviewer.ui.text import tr

if TYPE_CHECKING:
    from poseviewer.nets.checkpoint import Checkpoint

AS_TRAINED = -0.55
"""Stands in the field of the enlargement for what belongs to the estimator."""
OWN_NMS = ("auto", "As the estimator's")
TRACKERS = (
    ("auto", "Automatic"),
    ("kalman", "Motion and pose (Kalman)"),
    ("poseflow", "PoseFlow"),
    ("oks", "Pose alone (OKS)"),
    ("", "None"),
)
PIPELINES = (
    ("topdown", "Top-down: detector, then joints"),
    ("bottomup", "Bottom-up: joints, then people"),
    ("onestage", "One-stage: ultralytics pose"),
)
SCALES = (("1", "1"), ("1 2", "1, 2"), ("0.5 1 2", "0.5, 1, 2"))
DEVICES = (("auto", "Automatic"), ("cpu", "CPU"), ("cuda", "CUDA"))
BACKENDS = (
    ("auto", "Automatic"),
    ("torch", "torch"),
    ("eager", "torch, plain"),
    ("onnxruntime", "ONNX Runtime"),
    ("openvino", "OpenVINO"),
)
PRECISIONS = (("auto", "Automatic"), ("float32", "float32"), ("bf16", "bfloat16"), ("fp16", "float16"))


class WeightsField(QWidget):
    """A path to weights; empty means the bundled ones."""

    changed = Signal()

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title
        self.field = QLineEdit()
        self.field.setPlaceholderText(tr("Bundled"))
        self.field.setClearButtonEnabled(True)
        self.field.editingFinished.connect(self.changed)
        button = QPushButton(tr("Browse…"))
        button.setAccessibleName(tr("Browse for {what}", what=title))
        button.clicked.connect(self._browse)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.field, 1)
        row.addWidget(button)

    def _browse(self) -> None:
        start = str(Path(self.field.text()).parent) if self.field.text() else ""
        path, _ = QFileDialog.getOpenFileName(
            self,
            self._title,
            start,
            tr("Weights") + " (*.safetensors *.pt *.pth *.tar *.onnx);;" + tr("All files") + " (*)",
        )
        if path:
            self.field.setText(path)
            self.changed.emit()


class RunSettings(QWidget):
    """Edits a PipelineConfig.

    Args:
        config: to begin with.
        start: runs a job on a thread of its own, so that a chosen estimator can be described; None describes nothing.

    Signals:
        changed: a person changed something; ``config()`` gives the new value.
    """

    changed = Signal()

    def __init__(self, config: PipelineConfig, start: StartJob | None = None) -> None:
        super().__init__()
        self._base, self._flip = config, config.flip
        self._nms = config.nms
        self.pipeline = _choices(PIPELINES)
        self.detector = WeightsField(tr("Detector"))
        self.estimator = WeightsField(tr("Estimator"))
        self.about = WeightsLine(start)
        self.about.described.connect(self._weights_described)
        self.settle = SmallButton(tr("Settle…"), flat=True)
        self.settle.setToolTip(tr("Say what the file does not: joints, colours, decoding"))
        self.settle.clicked.connect(self.ask_about_weights)
        self.settle.hide()
        self._settling = ""
        self._report: Checkpoint | None = None
        self.confidence = _number(0, 1, 0.05, 2)
        self.iou = _number(0, 1, 0.05, 2)
        self.enlargement = _number(AS_TRAINED, 4, 0.05, 2)
        self.enlargement.setSpecialValueText(tr("As trained"))
        self.input_size = QSpinBox()
        self.input_size.setRange(0, LARGEST_INPUT)
        self.input_size.setSingleStep(64)
        self.input_size.setSpecialValueText(tr("As trained"))
        _pad(self.input_size)
        self.scales = _choices(SCALES)
        self.stn = Tick(tr("Spatial transformer, where the estimator has one"))
        self.flip = Tick(tr("Average with the mirrored picture (slower)"))
        self.suppress = Tick(tr("Suppress doubled people"))
        self.version = _choices((OWN_NMS, *NMS_VERSIONS))
        self.gamma = _number(0, 100, 0.5, 2)
        self.matches = _number(0, 136, 1, 0)
        self.floor = _number(0, 1, 0.05, 2)
        self.tracker = _choices(TRACKERS)
        self.device = _choices(DEVICES)
        self.precision = _choices(PRECISIONS)
        self.backend = _choices(BACKENDS)
        self.batch_frames, self.batch_people = QSpinBox(), QSpinBox()
        for box in (self.batch_frames, self.batch_people):
            box.setRange(1, 512)
            _pad(box)
        self._lay_out()
        self.show_config(config)
        self._listen()

    def _lay_out(self) -> None:
        find, pose, track, nms, device = Fields(), Fields(), Fields(), Fields(), Fields()
        find.add(tr("Pipeline"), self.pipeline)
        find.add(tr("Detector"), self.detector)
        find.add(tr("Least score"), self.confidence)
        find.add(tr("Box overlap (IoU)"), self.iou)
        pose.add(tr("Estimator"), self.estimator)
        told = QHBoxLayout()
        told.addWidget(self.about, 1)
        told.addWidget(self.settle)
        pose.addLayout(told, pose.rowCount(), 1)
        pose.add(tr("Enlarge boxes by"), self.enlargement, tr("0.3 as in RMPE: 15 % on each side"))
        pose.add(tr("Input size (px)"), self.input_size)
        pose.add(tr("Scales"), self.scales)
        pose.addWidget(self.stn, pose.rowCount(), 1)
        pose.addWidget(self.flip, pose.rowCount(), 1)
        track.add(tr("Tracker"), self.tracker, tr("Automatic: motion and pose in videos, none in pictures"))
        nms.addWidget(self.suppress, nms.rowCount(), 1)
        nms.add(tr("Pose NMS"), self.version)
        nms.add(tr("Pose similarity above"), self.gamma)
        nms.add(tr("Matched joints, at least"), self.matches)
        nms.add(tr("Score floor"), self.floor)
        device.add(tr("Device"), self.device)
        device.add(tr("Precision"), self.precision)
        device.add(tr("Backend"), self.backend)
        device.add(tr("Frames at once"), self.batch_frames)
        device.add(tr("People at once"), self.batch_people)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(28)
        for parts in (
            ((tr("Find people"), find), (tr("Find joints"), pose), (tr("Follow people"), track)),
            ((tr("Suppression"), nms), (tr("Computing"), device)),
        ):
            column = QVBoxLayout()
            column.setSpacing(8)
            widest = max(fields.widest() for _, fields in parts)
            for title, fields in parts:
                fields.setColumnMinimumWidth(0, max(fields.columnMinimumWidth(0), widest))
                column.addWidget(Heading(title))
                column.addLayout(fields)
                column.addSpacing(8)
            column.addStretch(1)
            row.addLayout(column, 1)

    def _listen(self) -> None:
        for field in (self.detector, self.estimator):
            field.changed.connect(self._edited)
        for number in (self.confidence, self.iou, self.enlargement, self.gamma, self.matches, self.floor):
            number.valueChanged.connect(self._edited)
        for whole in (self.batch_frames, self.batch_people, self.input_size):
            whole.valueChanged.connect(self._edited)
        self.flip.toggled.connect(self._take_flip)
        for check in (self.stn, self.flip, self.suppress):
            check.toggled.connect(self._edited)
        self.version.currentIndexChanged.connect(self._take_version)
        self.pipeline.currentIndexChanged.connect(self._show_flip)
        choices = (self.pipeline, self.scales, self.version, self.tracker, self.device, self.precision, self.backend)
        for choice in choices:
            choice.currentIndexChanged.connect(self._edited)

    def _edited(self) -> None:
        self._enable()
        # Weights of one-stage pipelines are ultralytics' own.
        path = "" if self.pipeline.currentData() == "onestage" else self.estimator.field.text().strip()
        if path != self._settling:
            self._settling, self._report = path, None
            self.settle.hide()
            if self.version.currentData() == "auto":
                self._take_version()
        self.about.look_at(path)
        self.changed.emit()

    def _enable(self) -> None:
        """Let a person touch only what the chosen pipeline uses."""
        pipeline = self.pipeline.currentData()
        top_down, bottom_up = pipeline == "topdown", pipeline == "bottomup"
        for control in (self.detector, self.enlargement, self.stn, self.batch_people):
            control.setEnabled(top_down)
        for control in (self.iou, self.suppress):
            control.setEnabled(not bottom_up)
        self.flip.setEnabled(pipeline != "onestage")
        self.input_size.setEnabled(not top_down)
        self.scales.setEnabled(bottom_up)
        on = top_down and self.suppress.isChecked()
        self.version.setEnabled(on)
        for part in (self.gamma, self.matches, self.floor):
            part.setEnabled(on and self.version.currentData() != "auto")
        bundled = has_bundled_estimator(pipeline)
        self.estimator.field.setPlaceholderText(tr("Bundled") if bundled else tr("A file is needed"))

    def _show_flip(self) -> None:
        """Tick what the chosen pipeline will do: as chosen, or else as its published systems do."""
        self.flip.setChecked(self._flip_with(self._flip))

    def _take_flip(self, ticked: bool) -> None:
        """Keep what was chosen, also past a pipeline without a flip test; as published again means not chosen."""
        if ticked != self._flip_with(self._flip):
            as_before = self._base.flip is None and ticked == self._flip_with(None)
            self._flip = None if as_before else ticked

    def _flip_with(self, choice: bool | None) -> bool:
        return applied_flip(PipelineConfig(pipeline=self.pipeline.currentData(), flip=choice))

    def _take_version(self) -> None:
        """Show the numbers of the chosen form of pose NMS, or those that belong to the estimator."""
        version, spec = self.version.currentData(), self._report.spec if self._report is not None else None
        own = own_nms(spec.joints, spec.decode) if spec is not None else NmsConfig()
        if version == "auto":
            if spec is not None or not self._settling:  # of a file that is being read they are not known yet
                self._show_nms(msgspec.structs.replace(own, auto=True))
        else:
            self._show_nms(own if version == own.version else reference_nms(version))

    def _show_nms(self, nms: NmsConfig) -> None:
        self._nms = nms
        own = tr(OWN_NMS[1])
        if nms.auto:
            own = tr("As the estimator's: {name}", name=tr(dict(NMS_VERSIONS).get(nms.version, nms.version)))
        self.version.setItemText(0, own)
        self.gamma.setValue(nms.gamma)
        self.matches.setValue(nms.match_threshold)
        self.floor.setValue(nms.score_floor)

    def _weights_described(self, report: Checkpoint) -> None:
        """Offer to settle what the file does not say; ask at once where something was guessed."""
        self._report = report
        if self.version.currentData() == "auto":
            self._take_version()
        self.settle.setVisible(report.spec is not None)
        if report.open_facts:
            self.ask_about_weights()

    def ask_about_weights(self) -> None:
        """Ask what the chosen weights do not say, and remember it beside the file."""
        if self._report is None or self._report.spec is None:
            return
        dialog = SettleDialog(self._report.file, self._report, self)
        dialog.accepted.connect(self.about.look_again)
        dialog.accepted.connect(self.changed)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def show_config(self, config: PipelineConfig) -> None:
        """Show ``config`` in the form without a signal."""
        self._base, self._flip = config, config.flip
        before = self.blockSignals(True)
        _pick(self.pipeline, config.pipeline)
        self.input_size.setValue(config.input_size)
        _pick(self.scales, _scales_key(config.scales))
        self.detector.field.setText(config.detector)
        self.estimator.field.setText(config.estimator)
        self.confidence.setValue(config.confidence)
        self.iou.setValue(config.iou)
        self.enlargement.setValue(AS_TRAINED if config.enlargement is None else config.enlargement)
        self.stn.setChecked(config.stn)
        self._show_flip()
        self.suppress.setChecked(config.nms.enabled)
        _pick(self.version, "auto" if config.nms.auto else config.nms.version)
        self._show_nms(config.nms)
        _pick(self.tracker, config.tracker)
        _pick(self.device, config.device)
        _pick(self.precision, config.precision)
        _pick(self.backend, config.backend)
        self.batch_frames.setValue(config.batch_frames)
        self.batch_people.setValue(config.batch_people)
        self._edited()
        self.blockSignals(before)

    def config(self) -> PipelineConfig:
        """Return what the form says; everything it does not show stays as it was."""
        nms = msgspec.structs.replace(
            self._nms,
            enabled=self.suppress.isChecked(),
            gamma=self.gamma.value(),
            match_threshold=self.matches.value(),
            score_floor=self.floor.value(),
        )
        enlargement = self.enlargement.value()
        return msgspec.structs.replace(
            self._base,
            pipeline=self.pipeline.currentData(),
            input_size=self.input_size.value(),
            scales=tuple(float(part) for part in self.scales.currentData().split()),
            detector=self.detector.field.text().strip(),
            estimator=self.estimator.field.text().strip(),
            confidence=self.confidence.value(),
            iou=self.iou.value(),
            enlargement=None if enlargement <= AS_TRAINED else enlargement,
            stn=self.stn.isChecked(),
            flip=self._flip,
            nms=nms,
            tracker=self.tracker.currentData(),
            device=self.device.currentData(),
            precision=self.precision.currentData(),
            backend=self.backend.currentData(),
            batch_frames=self.batch_frames.value(),
            batch_people=self.batch_people.value(),
        )


def _scales_key(scales: tuple[float, ...]) -> str:
    """Scales as the choice has them."""
    return " ".join(f"{scale:g}" for scale in scales)


def _number(low: float, high: float, step: float, decimals: int) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    # Figures are written as in the papers and files, with a point, in every language.
    box.setLocale(QLocale.c())
    box.setDecimals(decimals)
    box.setRange(low, high)
    box.setSingleStep(step)
    _pad(box)
    return box


def _pad(box: QAbstractSpinBox) -> None:
    """Keep figures off the edge: the stylesheet's padding does not reach the field inside."""
    for field in box.findChildren(QLineEdit):
        field.setTextMargins(6, 0, 6, 0)


def _choices(rows: tuple[tuple[str, str], ...]) -> Choice:
    box = Choice()
    for key, text in rows:
        box.addItem(tr(text), key)
    return box


def _pick(box: Choice, key: str) -> None:
    if box.findData(key) < 0:
        box.addItem(key, key)
    box.setCurrentIndex(box.findData(key))
