"""The retrain dialog on a real desk: it offers what can be held out, follows a training and uses its weights."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from desk_tools import open_desk
from PySide6.QtCore import QCoreApplication, QEvent
from pytestqt.qtbot import QtBot

from poseviewer.core.errors import FormatError
from poseviewer.core.progress import JobEvent, Note, Point, Progress
from poseviewer.jobs import retrain as job
from poseviewer.project import edits
from poseviewer.training.holdout import HoldOut
from poseviewer.training.results import Comparison, Figures, JointChange, WorstFrame
from poseviewer.ui import text
from poseviewer.ui.desk import Desk
from poseviewer.ui.dialogs.retrain import RetrainDialog
from poseviewer.ui.dialogs.retrain_parts import verdict

COMPARISON = Comparison(
    "old.safetensors", "new.safetensors", 5, 3,
    Figures(0.5, 0.8, 0.6, 0.6, 0.7, 0.6), Figures(0.7, 0.9, 0.8, 0.8, 0.8, 0.8),
    (
        JointChange("nose", 5, 0.9, 0.9, 3.0, 3.0),
        JointChange("left wrist", 5, 0.2, 0.8, 30.0, 6.0),
        JointChange("right knee", 4, 0.8, 0.7, 8.0, 9.0),
        JointChange("left ear", 1, None, None, 2.0, 2.0),
    ),
    (WorstFrame("a.png", "square.mp4", 7, 0.3, 0.4), WorstFrame("b.png", "square.mp4", 3, 0.5, 0.6)),
)  # fmt: skip


@pytest.fixture
def desk(qtbot: QtBot, tmp_path: Path) -> Iterator[Desk]:
    made = open_desk(qtbot, tmp_path)
    assert made.project is not None
    assert made.media_id is not None
    for frame in (1, 4, 6):
        key = made.project.people(made.media_id, frame)[0].key
        made.project.apply(edits.AcceptPrediction(made.media_id, frame, person=key, fingerprint=f"{frame:016x}"))
    yield made
    made.shutdown()
    made.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture
def dialog(qtbot: QtBot, desk: Desk) -> Iterator[RetrainDialog]:
    made = RetrainDialog(desk)
    qtbot.addWidget(made)
    made.show()
    yield made
    # The widget may be gone already, its thread must not outlive the desk: ask the thread itself.
    running = made._job
    made.cancel()
    assert running is None or running.wait(30_000)


def told(events: list[JobEvent], end: Any) -> Any:
    """A training that tells these events and ends so."""

    def train(_project: Any, order: job.RetrainOrder) -> Generator[JobEvent, None, job.RetrainOutcome]:
        yield from events
        if isinstance(end, Exception):
            raise end
        while end is None:
            time.sleep(0.02)
            yield Progress(50, 100, "%", 5.0, 5.0, "12 crops, 3 a second")
        return job.RetrainOutcome(str(order.out / "estimator.safetensors"), end)

    return train


EVENTS: list[JobEvent] = [
    Note("Taking a snapshot of the corrections."),
    Progress(10, 100, "%", 60.0, 540.0, "120 crops, 2 a second"),
    Point("loss", 0.1, 0.01),
    Point("held-out PCK", 0.0, 0.6),
    Point("held-out OKS AP", 0.0, 0.5),
    Point("loss", 0.2, 0.005),
]


def test_it_says_what_is_learnt_from_and_what_can_be_held_out(dialog: RetrainDialog) -> None:
    assert "3 corrected frames: square.mp4 (3)" in dialog.setup.learn.text()
    assert dialog.start.isEnabled()
    assert dialog.setup.order().hold_out == HoldOut()
    dialog.desk.play(first=2, last=5)
    dialog.setup.read_project()
    texts = [dialog.setup.hold_out.itemText(row) for row in range(dialog.setup.hold_out.count())]
    assert texts[1] == "frames 2 to 5 of square.mp4"
    dialog.setup.hold_out.setCurrentIndex(1)
    assert dialog.setup.order().hold_out == HoldOut(last=0.0, spans=(("square.mp4", 2, 5),))
    dialog.setup.hold_out.setCurrentIndex(2)
    assert dialog.setup.order().hold_out == HoldOut(last=0.0)


def test_a_training_is_followed_compared_and_used(
    qtbot: QtBot, dialog: RetrainDialog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "retrain_project", told(EVENTS, COMPARISON))
    dialog.start.click()
    qtbot.waitUntil(lambda: dialog.pages.currentWidget() is dialog.results, timeout=5000)
    assert dialog.running.left.text() == "9 min 0 s left"
    assert dialog.running.loss.values("loss") == [0.01, 0.005]
    assert dialog.running.held.values("held-out PCK") == [0.6]
    assert "1 worse, most right knee by 0.100" in dialog.results.verdict.text()
    assert "left wrist" in dialog.results.table.text()
    assert dialog.results.table.grab().height() > 100
    dialog.results.show_worst.click()
    assert dialog.desk.selection.frame == 7
    dialog.results.show_worst.click()
    assert dialog.desk.selection.frame == 3
    dialog.start.click()
    assert dialog.desk.config.estimator.endswith("estimator.safetensors")
    assert not dialog.start.isEnabled()


def test_it_goes_on_behind_a_closed_dialog_until_it_is_cancelled(
    qtbot: QtBot, dialog: RetrainDialog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "retrain_project", told(EVENTS, None))
    dialog.start.click()
    qtbot.waitUntil(lambda: dialog.running.stop.isEnabled(), timeout=5000)
    dialog.close()
    assert not dialog.isVisible()
    assert dialog._job is not None
    dialog.show()
    dialog.running.cancel.click()
    qtbot.waitUntil(lambda: dialog.pages.currentWidget() is dialog.setup, timeout=5000)
    assert dialog.outcome is None


def test_it_can_be_paused_and_goes_on(qtbot: QtBot, dialog: RetrainDialog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "retrain_project", told(EVENTS, None))
    running = dialog.running
    dialog.start.click()
    qtbot.waitUntil(lambda: running.left.text() == "5 s left", timeout=5000)
    assert running.pause.isEnabled()
    assert dialog._order is not None
    file = dialog._order.out / "pause"
    file.parent.mkdir()
    running.pause.click()
    assert file.exists()
    assert (running.pause.isVisible(), running.go_on.isVisible()) == (False, True)
    assert running.left.text() == "Paused, 5 s left"
    running.go_on.click()
    assert not file.exists()
    assert (running.pause.isVisible(), running.go_on.isVisible()) == (True, False)
    assert running.left.text() == "5 s left"
    running.pause.click()
    running.stop.click()
    assert (file.parent / "stop").exists()
    qtbot.waitUntil(lambda: running.percent.text().startswith("50 %"), timeout=5000)
    assert not any(button.isEnabled() for button in (running.pause, running.go_on, running.stop))
    running.cancel.click()
    qtbot.waitUntil(lambda: dialog._job is None, timeout=30_000)


def test_what_stands_in_the_way_is_said_on_the_page(
    qtbot: QtBot, dialog: RetrainDialog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "retrain_project", told([], FormatError("Nobody is corrected.", remedy="Correct some.")))
    dialog.start.click()
    qtbot.waitUntil(lambda: bool(dialog.setup.problem.text()), timeout=5000)
    assert dialog.setup.problem.text() == "Nobody is corrected. Correct some."


def test_what_must_be_known_to_judge_the_figures_is_said(dialog: RetrainDialog) -> None:
    note = "The starting weights have learnt 2 of the 5 held-out people, so the figures before are too good."
    found = msgspec.structs.replace(COMPARISON, notes=(note,))
    dialog.results.show_outcome(job.RetrainOutcome("new.safetensors", found))
    assert dialog.results.verdict.text().endswith(f"in 3 frames. {note}")
    text.set_language("zh_CN")
    try:
        dialog.results.show_outcome(job.RetrainOutcome("new.safetensors", found))
        assert "5 名留出人物中的 2 名" in dialog.results.verdict.text()
    finally:
        text.set_language("en")


def test_the_verdict_counts_joints() -> None:
    assert verdict(COMPARISON) == "Joints: 1 better, 1 level, 1 worse, most right knee by 0.100."
