"""What the run panel says about the weights that a person chose."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pytestqt.qtbot import QtBot

from poseviewer.jobs.models import inspect_weights
from poseviewer.nets import hrnet
from poseviewer.pipeline.config import PipelineConfig
from poseviewer.ui import text
from poseviewer.ui.dialogs.run_settings import RunSettings
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
