"""What the run panel says about the weights that a person chose."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from poseviewer.jobs.models import inspect_weights, report_lines
from poseviewer.nets import hrnet, simplebaseline, simplepose
from poseviewer.nets.checkpoint import Checkpoint, inspect
from poseviewer.nets.conventions import settled
from poseviewer.nets.estimator_spec import EstimatorSpec
from poseviewer.pipeline.config import PipelineConfig
from poseviewer.ui import text
from poseviewer.ui.dialogs.run_settings import RunSettings
from poseviewer.ui.dialogs.settle import SettleDialog
from poseviewer.ui.dialogs.weights_line import WeightsLine, report_words
from poseviewer.ui.threads import JobThread

SMALL = hrnet.HRNetConfig(trunk=hrnet.TrunkConfig(width=4, modules=(1, 1, 1), blocks=1))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "pose_hrnet_w4_384x288.pth"
    torch.save(hrnet.HRNet(SMALL).state_dict(), path)
    return path


class Threads:
    """Runs jobs as the desk does, and waits for them at the end."""

    def __init__(self) -> None:
        self.running: list[JobThread] = []

    def start(self, job) -> JobThread:
        from PySide6.QtCore import QTimer

        thread = JobThread()
        self.running.append(thread)
        QTimer.singleShot(0, thread, lambda: thread.begin(job))
        return thread


@pytest.fixture
def threads():
    made = Threads()
    yield made
    for thread in made.running:
        assert thread.wait(20000)


def test_a_chosen_file_is_described_in_one_line(qtbot: QtBot, weights: Path, threads: Threads) -> None:
    form = RunSettings(PipelineConfig(), threads.start)
    qtbot.addWidget(form)
    assert form.about.isHidden()
    form.estimator.field.setText(str(weights))
    form.estimator.field.editingFinished.emit()
    qtbot.waitUntil(lambda: "HRNet-W4" in form.about.text(), timeout=20000)
    assert form.about.text() == "HRNet · HRNet-W4 · COCO, 17 joints · 288 × 384"
    assert "file name" in form.about.toolTip()
    assert not form.about.isHidden()
    form.estimator.field.setText("")
    form.estimator.field.editingFinished.emit()
    assert form.about.isHidden()
    assert len(threads.running) == 1


def test_what_does_not_open_is_said_there(qtbot: QtBot, tmp_path: Path, threads: Threads) -> None:
    line = WeightsLine(threads.start)
    qtbot.addWidget(line)
    stranger = tmp_path / "table.pth"
    torch.save({"fc.weight": torch.zeros(2, 3)}, stranger)
    line.look_at(str(stranger))
    qtbot.waitUntil(lambda: "Not a pose estimator" in line.text(), timeout=20000)
    line.look_at(str(tmp_path / "nothing.pth"))
    qtbot.waitUntil(lambda: "does not exist" in line.text(), timeout=20000)
    assert "Traceback" not in line.text()


def test_an_answer_about_an_earlier_choice_is_dropped(qtbot: QtBot, weights: Path, tmp_path: Path) -> None:
    waiting: list[JobThread] = []

    def start(job) -> JobThread:
        waiting.append(JobThread())
        return waiting[-1]

    line = WeightsLine(start)
    qtbot.addWidget(line)
    line.look_at(str(weights))
    line.look_at(str(tmp_path / "other.pth"))
    report = list_end(inspect_weights(str(weights)))
    waiting[0].result.emit(report)
    assert line.text() == "Reading…"


def test_the_line_speaks_the_windows_language(weights: Path) -> None:
    report = list_end(inspect_weights(str(weights)))
    text.set_language("zh_CN")
    try:
        assert "HRNet-W4" in report_words(report)
    finally:
        text.set_language("en")


def list_end(job):
    """Run a job to its end without a thread."""
    while True:
        try:
            next(job)
        except StopIteration as end:
            return end.value


def unclear(path: Path, **changes):
    """The report on an ONNX file that says nothing about itself."""
    spec = EstimatorSpec(
        "onnx", "coco_17", 17, (192, 256), (48, 64), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "hrnet", crop="hrnet"
    )
    known = {"input_wh": "graph", "mean": "guess", "crop": "guess", "decode": "guess", **changes}
    return Checkpoint(str(path), "0" * 64, "ONNX", publisher="unknown", network="ONNX graph", spec=spec, known_by=known)


def test_what_a_file_does_not_say_is_asked_once_and_remembered(qtbot: QtBot, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"x")
    form = RunSettings(PipelineConfig())
    qtbot.addWidget(form)
    form.show()
    form.about.described.emit(unclear(path))
    dialog = form.findChild(SettleDialog)
    assert dialog is not None
    assert dialog.isVisible()
    assert not dialog.input_size.isEnabled(), "the graph says its size"
    assert dialog.system.currentText() == "HRNet, SimpleBaseline"
    dialog.system.setCurrentText("MMPose, UDP; ViTPose")
    qtbot.mouseClick(dialog.colours.button("bgr"), Qt.MouseButton.LeftButton)
    dialog.joints.setCurrentIndex(dialog.joints.findData("ap10k_17"))
    with qtbot.waitSignal(form.changed):
        dialog.accepted.disconnect(form.about.look_again)
        qtbot.mouseClick(dialog.findChildren(QPushButton)[-1], Qt.MouseButton.LeftButton)
    remembered = settled(path)
    assert (remembered["crop"], remembered["decode"], remembered["flip_shift"]) == ("mmpose_udp", "udp", False)
    assert (remembered["bgr"], remembered["skeleton"]) == (True, "ap10k_17")
    assert "input_wh" not in remembered


def test_what_was_settled_is_not_asked_again(qtbot: QtBot, tmp_path: Path) -> None:
    form = RunSettings(PipelineConfig())
    qtbot.addWidget(form)
    by_hand = dict.fromkeys(("mean", "crop", "decode"), "settled by hand")
    form.about.described.emit(unclear(tmp_path / "net.onnx", **by_hand))
    assert form.findChild(SettleDialog) is None
    assert not form.settle.isHidden()
    qtbot.mouseClick(form.settle, Qt.MouseButton.LeftButton)
    assert form.findChild(SettleDialog) is not None


def test_a_folder_that_cannot_be_written_is_told_in_the_dialog(qtbot: QtBot, tmp_path: Path) -> None:
    dialog = SettleDialog(str(tmp_path / "nowhere" / "net.onnx"), unclear(tmp_path / "net.onnx"))
    qtbot.addWidget(dialog)
    dialog.show()
    qtbot.mouseClick(dialog.findChildren(QPushButton)[-1], Qt.MouseButton.LeftButton)
    assert dialog.isVisible()
    assert "No such file" in dialog.problem.text()


def alike(path: Path) -> Checkpoint:
    """The report on a SimpleBaseline file whose name says nothing."""
    backbone = simplepose.ResidualConfig(depths=(1, 1, 1, 1), planes=(8, 8, 16, 16))
    net = simplebaseline.SimpleBaseline(simplepose.SimplePoseConfig(backbone=backbone, head=(8, 8, 8)))
    torch.save(net.state_dict(), path)
    return inspect(path)


def test_strides_are_asked_where_both_forms_have_the_same_tensors(qtbot: QtBot, tmp_path: Path) -> None:
    path = tmp_path / "model_best.pth"
    report = alike(path)
    form = RunSettings(PipelineConfig())
    qtbot.addWidget(form)
    form.about.described.emit(report)
    dialog = form.findChild(SettleDialog)
    assert dialog is not None
    assert dialog.stride.currentData() is False
    found = dialog.normalisation.currentData()
    for system, normalisation in (("AlphaPose", "AlphaPose"), ("HRNet, SimpleBaseline", "As found")):
        dialog.system.setCurrentText(system)
        assert dialog.normalisation.currentText() == normalisation
    assert dialog.normalisation.currentData() == found
    dialog.stride.setCurrentIndex(1)
    dialog.accepted.disconnect(form.about.look_again)
    qtbot.mouseClick(dialog.findChildren(QPushButton)[-1], Qt.MouseButton.LeftButton)
    assert settled(path)["stride_first"] is True
    again = inspect(path)
    assert again.open_facts == ()
    assert again.stride_first
    assert any("stride      in the first 1x1" in line for line in report_lines(again))


def test_hrnets_tensors_are_asked_about_once(qtbot: QtBot, tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    torch.save(hrnet.HRNet(SMALL).state_dict(), path)
    form = RunSettings(PipelineConfig())
    qtbot.addWidget(form)
    form.about.described.emit(inspect(path))
    dialog = form.findChild(SettleDialog)
    assert dialog is not None
    dialog.system.setCurrentText("AlphaPose")
    assert dialog.normalisation.currentText() == "AlphaPose", "whose crops, his colours"
    dialog.accepted.disconnect(form.about.look_again)
    qtbot.mouseClick(dialog.findChildren(QPushButton)[-1], Qt.MouseButton.LeftButton)
    report = inspect(path)
    assert report.open_facts == ()
    assert report.spec is not None
    assert (report.spec.crop, report.spec.decode, report.spec.mean[0]) == ("alphapose_master", "master", 0.406)
    dialog.deleteLater()
    other = RunSettings(PipelineConfig())
    qtbot.addWidget(other)
    other.about.described.emit(report)
    assert other.findChild(SettleDialog) is None
