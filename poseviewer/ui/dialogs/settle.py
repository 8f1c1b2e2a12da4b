"""What a weight file does not say about itself, asked once and remembered beside the file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtWidgets import QWidget

from poseviewer.core.errors import KnownError
from poseviewer.core.skeleton import skeleton, skeleton_names
from poseviewer.ui.dialogs.base import Dialog, Fields
from poseviewer.ui.panels.widgets import Choice, Label, Segments
from poseviewer.ui.text import tr, tr_joint_set, tr_sentence

if TYPE_CHECKING:
    from poseviewer.nets.checkpoint import Checkpoint

SIZES = ((128, 192), (192, 256), (256, 256), (288, 384), (256, 320), (384, 288), (384, 384))
"""Usual network inputs, width and height."""
WHOLE_SIZES = ((512, 512), (640, 640))
"""Of networks that look at whole pictures."""
STRIDES = ((False, "In the 3x3 convolution (PyTorch)"), (True, "In the first 1x1 convolution (Caffe)"))
IMAGENET, ALPHAPOSE = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), ((0.406, 0.457, 0.48), (1.0, 1.0, 1.0))
NORMALISATIONS = ((IMAGENET, "ImageNet"), (ALPHAPOSE, "AlphaPose"), (((0.0,) * 3, (1.0,) * 3), "None, 0 to 1"))
SYSTEMS = (
    (("alphapose_master", "master", True), "AlphaPose"),
    (("alphapose_master", "integral", True), "AlphaPose, regression"),
    (("alphapose_master", "combined", True), "AlphaPose, combined"),
    (("hrnet", "hrnet", True), "HRNet, SimpleBaseline"),
    (("hrnet", "dark", True), "HRNet, DARK"),
    (("mmpose", "msra", True), "MMPose"),
    (("mmpose", "dark", True), "MMPose, DARK"),
    (("mmpose", "megvii", True), "MMPose, Megvii"),
    (("mmpose_udp", "udp", False), "MMPose, UDP; ViTPose"),
)
"""Crop, decoding and shift in the flip test, and who does it so; of networks that answer with heatmaps."""


class SettleDialog(Dialog):
    """Asks for joint set, input size, colours, normalisation and whose crop and decoding a network was trained with.

    Args:
        path: the weight file.
        report: what is known or guessed about it; it has a specification.
    """

    def __init__(self, path: str, report: Checkpoint, parent: QWidget | None = None) -> None:
        super().__init__(tr("About these weights"), 480, parent)
        spec = report.spec
        if spec is None:
            raise ValueError("nothing can be settled about an unknown network")
        self._path, self._spec = Path(path), spec
        names = [name for name in skeleton_names() if skeleton(name).count == spec.joints]
        sets = [("", tr("Numbered joints")), *((name, tr_joint_set(skeleton(name).title)) for name in names)]
        self.joints = _choice(sets, spec.skeleton)
        usual = WHOLE_SIZES if spec.output == "tags" else SIZES
        sizes = [(size, f"{size[0]} × {size[1]}") for size in usual]
        self.input_size = _choice(sizes, spec.input_wh)
        self.colours = Segments(tr("Colours"), (("rgb", "RGB"), ("bgr", "BGR")))
        self.colours.choose("bgr" if spec.bgr else "rgb")
        self.normalisation = _choice([(key, tr(text)) for key, text in NORMALISATIONS], (spec.mean, spec.std))
        self._found = self.normalisation.currentIndex()
        systems = [(key, text) for key, text in SYSTEMS] if spec.output == "heatmaps" else []
        self.system = _choice(systems, (spec.crop, spec.decode, spec.flip_shift))
        self.system.currentIndexChanged.connect(self._follow_system)
        self.stride = _choice([(key, tr(text)) for key, text in STRIDES], report.stride_first)
        self._asks_stride = "stride_first" in report.known_by
        self.problem = Label("", token="err", wrap=True)
        self.problem.hide()
        self._lay_out(report)

    def _lay_out(self, report: Checkpoint) -> None:
        words = tr("{name} does not say these. What you choose is remembered beside the file.", name=self._path.name)
        self.body.addWidget(Label(words, token="t2", wrap=True))
        fields = Fields()
        fields.add(tr("Joints"), self.joints)
        size = fields.add(tr("Network input"), self.input_size)
        size.setEnabled(report.known_by.get("input_wh") not in ("graph", "tensors"))
        fields.add(tr("Colours"), self.colours)
        fields.add(tr("Normalisation"), self.normalisation)
        fields.add(tr("Trained with"), self.system)
        self.system.setEnabled(self._spec.output == "heatmaps")
        if self._asks_stride:
            fields.add(tr("Strides"), self.stride)
        self.body.addLayout(fields)
        self.body.addWidget(self.problem)
        self.body.addStretch(1)
        self.add_button(tr("Cancel")).clicked.connect(self.reject)
        self.add_button(tr("Remember"), primary=True).clicked.connect(self._remember)

    def facts(self) -> dict[str, Any]:
        """What was chosen, as ``nets.conventions.remember`` takes it; facts that the file says itself are left out."""
        mean, std = self.normalisation.currentData()
        crop, decode, shift = self.system.currentData()
        chosen: dict[str, Any] = {
            "skeleton": self.joints.currentData(),
            "mean": list(mean),
            "std": list(std),
            "bgr": self.colours.button("bgr").isChecked(),
        }
        if self.input_size.isEnabled():
            chosen["input_wh"] = list(self.input_size.currentData())
        if self.system.isEnabled():
            chosen |= {"crop": crop, "decode": decode, "flip_shift": shift}
        if self._asks_stride:
            chosen["stride_first"] = self.stride.currentData()
        return chosen

    def _follow_system(self) -> None:
        """Offer the normalisation of the system that was chosen; another may be chosen still."""
        spec, crop = self._spec, self.system.currentData()[0]
        if self.system.currentData() == (spec.crop, spec.decode, spec.flip_shift):
            self.normalisation.setCurrentIndex(self._found)
            return
        key = ALPHAPOSE if crop.startswith("alphapose") else IMAGENET
        self.normalisation.setCurrentIndex(self.normalisation.findText(tr(dict(NORMALISATIONS)[key])))

    def _remember(self) -> None:
        from poseviewer.nets.conventions import remember

        try:
            remember(self._path, self.facts())
        except (KnownError, OSError) as error:
            told = tr_sentence(error.sentence) if isinstance(error, KnownError) else (error.strerror or str(error))
            self.problem.setText(told)
            self.problem.show()
            return
        self.accept()


def _choice(rows: Sequence[tuple[Any, str]], current: Any) -> Choice:
    """A choice with ``current`` chosen; one that is not in the list is added as what the file has."""
    box = Choice()
    for key, text in rows:
        box.addItem(text, key)
    keys = [key for key, _ in rows]
    if current not in keys:
        box.addItem(tr("As found"), current)
        keys.append(current)
    box.setCurrentIndex(keys.index(current))
    return box
