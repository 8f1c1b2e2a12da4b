"""The dialogs, on a real desk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import torch
from desk_tools import FRAMES, open_desk
from PySide6.QtCore import QCoreApplication, QEvent, Qt
from pytestqt.qtbot import QtBot

from poseviewer.nets import fastpose
from poseviewer.nets.checkpoint import inspect
from poseviewer.pipeline.config import NmsConfig, PipelineConfig, reference_nms
from poseviewer.project import HeldOut, edits, store_held_out
from poseviewer.session.actions import ACTIONS
from poseviewer.ui.desk import Desk
from poseviewer.ui.dialogs.export import ExportDialog
from poseviewer.ui.dialogs.importing import ImportDialog
from poseviewer.ui.dialogs.run import RunDialog
from poseviewer.ui.dialogs.run_settings import RunSettings
from poseviewer.ui.dialogs.shortcuts import ShortcutsDialog, key_text
from poseviewer.ui.durations import time_left


@pytest.fixture
def desk(qtbot: QtBot, tmp_path: Path) -> Iterator[Desk]:
    made = open_desk(qtbot, tmp_path)
    yield made
    made.shutdown()
    made.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def test_every_key_is_listed_and_typing_narrows_the_list(qtbot: QtBot) -> None:
    dialog = ShortcutsDialog()
    qtbot.addWidget(dialog)
    everything = "\n".join(dialog.shown_rows())
    for action in ACTIONS:
        if action.where == "mouse" or action.id.startswith("person_"):
            continue
        for key in action.keys:
            assert key_text(key) in everything, action.id
    dialog.search.setText("undo")
    assert [row.split(":")[0] for row in dialog.shown_rows()] == ["Undo"]
    dialog.search.setText("")
    assert len(dialog.shown_rows()) > 60


@pytest.mark.parametrize("comes", [False, True])
def test_the_form_asks_for_a_file_only_where_none_comes_along(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, comes: bool
) -> None:
    monkeypatch.setattr("poseviewer.pipeline.config.resource_folder", lambda: tmp_path)
    if comes:
        (tmp_path / "weights").mkdir()
        (tmp_path / "weights" / "bottomup.safetensors").touch()
    form = RunSettings(PipelineConfig())
    qtbot.addWidget(form)
    said = {}
    for pipeline in ("topdown", "bottomup", "onestage"):
        form.pipeline.setCurrentIndex(form.pipeline.findData(pipeline))
        said[pipeline] = form.estimator.field.placeholderText()
    bottom_up = "Bundled" if comes else "A file is needed"
    assert said == {"topdown": "Bundled", "bottomup": bottom_up, "onestage": "A file is needed"}


def test_pose_nms_follows_the_estimator_until_a_form_is_chosen(qtbot: QtBot, tmp_path: Path) -> None:
    form = RunSettings(PipelineConfig())
    qtbot.addWidget(form)
    assert (form.version.currentText(), form.config().nms) == (
        "As the estimator's: AlphaPose, current",
        NmsConfig(auto=True),
    )
    path = tmp_path / "fast50_regression_256x192.pth"
    network = fastpose.FastPoseConfig(joints=136, depths=(1, 1, 1, 1), planes=(8, 8, 16, 32), duc=(64, 64))
    torch.save(fastpose.FastPose(network).state_dict(), path)
    form.estimator.field.setText(str(path))
    form.estimator.field.editingFinished.emit()
    form.about.described.emit(inspect(path))
    own = reference_nms("master", 136, regression=True)
    assert form.config().nms == msgspec.structs.replace(own, auto=True)
    assert (form.gamma.value(), form.matches.value(), form.floor.value()) == (3.6, 3, 0.01)
    form.version.setCurrentIndex(form.version.findData("train"))
    assert form.config().nms == reference_nms("train"), "another form brings its own numbers"
    form.version.setCurrentIndex(form.version.findData("master"))
    assert form.config().nms == own
    form.version.setCurrentIndex(0)
    form.estimator.field.setText("")
    form.estimator.field.editingFinished.emit()
    assert form.config().nms == NmsConfig(auto=True)


def test_the_form_of_a_run_returns_what_it_was_given(qtbot: QtBot) -> None:
    config = PipelineConfig(
        detector="a.pt", estimator="b.safetensors", confidence=0.4, iou=0.55, enlargement=0.25, stn=False, flip=True,
        nms=NmsConfig(version="old", gamma=20.5, match_threshold=7, score_floor=0.15, mu=1.1), device="cpu",
        precision="bf16", backend="eager", batch_frames=3, batch_people=17,
    )  # fmt: skip
    form = RunSettings(PipelineConfig())
    qtbot.addWidget(form)
    form.show_config(config)
    assert form.config() == config
    form.show_config(as_trained := msgspec.structs.replace(config, enlargement=None))
    assert form.config() == as_trained
    assert form.enlargement.text() == "As trained"
    with qtbot.waitSignal(form.changed):
        form.suppress.setChecked(False)
    assert form.config().nms == msgspec.structs.replace(config.nms, enabled=False)
    assert not form.gamma.isEnabled()


def test_the_run_panel_knows_its_frames_and_says_what_is_wrong(qtbot: QtBot, desk: Desk) -> None:
    dialog = RunDialog(desk)
    qtbot.addWidget(dialog)
    dialog.show()
    assert dialog.frames() == list(range(FRAMES))
    desk.play(first=3, last=6)
    qtbot.mouseClick(dialog.range.button("range"), Qt.MouseButton.LeftButton)
    assert dialog.frames() == [3, 4, 5, 6]
    assert dialog.some.text() == "3-6"
    dialog.some.clear()
    qtbot.keyClicks(dialog.some, "2,99")
    assert not dialog.start.isEnabled()
    assert "99" in dialog.problem.text()
    dialog.some.clear()
    qtbot.keyClicks(dialog.some, "2,8-9")
    assert dialog.frames() == [2, 8, 9]
    assert dialog.start.isEnabled()
    assert dialog.earlier.rowCount() == 1
    assert [dialog.earlier.item(0, column).text() for column in (2, 3, 4)] == ["made up", "10", "done"]


def test_the_export_dialog_counts_writes_and_refuses_a_taken_folder(qtbot: QtBot, desk: Desk, tmp_path: Path) -> None:
    assert desk.apply(edits.MoveJoint(desk.media_id, 0, desk.people[0].key, 9, 50.25, 90.5))
    dialog = ExportDialog(desk)
    qtbot.addWidget(dialog)
    dialog.show()
    qtbot.waitUntil(dialog.export.isEnabled, timeout=5_000)
    assert [figure.text() for figure in dialog.counts._figures] == ["1", "1", "17"]
    folder = tmp_path / "taken"
    folder.mkdir()
    (folder / "mine.txt").write_text("keep me")
    dialog.folder.setText(str(folder))
    dialog.export.click()
    qtbot.waitUntil(lambda: dialog.problem.isVisible(), timeout=10_000)
    assert "taken" in dialog.problem.text()
    assert (folder / "mine.txt").read_text() == "keep me"
    dialog.folder.setText(str(tmp_path / "out"))
    # The sentence comes a moment before the thread that said it has ended.
    qtbot.waitUntil(dialog.export.isEnabled, timeout=10_000)
    with qtbot.waitSignal(dialog.accepted, timeout=20_000):
        dialog.export.click()
    written = json.loads((tmp_path / "out" / "annotations" / "person_keypoints.json").read_text())
    assert written["annotations"][0]["keypoints"][27:30] == [50.25, 90.5, 2]
    assert "--include corrections" in dialog.command()


def test_the_export_dialog_writes_tracks_for_posetrack(qtbot: QtBot, desk: Desk, tmp_path: Path) -> None:
    dialog = ExportDialog(desk)
    qtbot.addWidget(dialog)
    dialog.show()
    dialog._choose("predictions")
    qtbot.waitUntil(dialog.export.isEnabled, timeout=5_000)
    assert dialog.folder.text().endswith("square-coco")
    dialog.format.setCurrentIndex(dialog.format.findData("posetrack"))
    assert dialog.folder.text().endswith("square-posetrack")
    assert not dialog.pictures.isEnabled()
    assert "--format posetrack" in dialog.command()
    dialog.folder.setText(str(tmp_path / "tracks"))
    with qtbot.waitSignal(dialog.accepted, timeout=20_000):
        dialog.export.click()
    written = json.loads((tmp_path / "tracks" / "posetrack" / "square.json").read_text())
    assert len(written["images"]) == len(written["annotations"]) == 10


def test_the_export_dialog_says_what_a_format_leaves_out(qtbot: QtBot, desk: Desk) -> None:
    dialog = ExportDialog(desk)
    qtbot.addWidget(dialog)
    qtbot.waitUntil(lambda: bool(dialog.checks.text()), timeout=5_000)
    assert "Frames without people" in dialog.checks.text()
    dialog.format.setCurrentIndex(dialog.format.findData("alphapose-cmu"))
    assert "Frames without people" not in dialog.checks.text()
    assert type(dialog.options()).__name__ == "AlphaPoseOptions"
    assert dialog.options().form == "cmu"


def test_an_export_dialog_can_be_closed_after_its_threads_are_gone(qtbot: QtBot, desk: Desk) -> None:
    dialog = ExportDialog(desk)
    qtbot.addWidget(dialog)
    dialog.show()
    qtbot.waitUntil(lambda: bool(dialog.checks.text()) and not desk._jobs, timeout=5_000)
    qtbot.wait(50)
    dialog.close()
    assert not dialog.isVisible()


def test_what_was_exported_can_be_imported_again(qtbot: QtBot, desk: Desk, tmp_path: Path) -> None:
    assert desk.apply(edits.AcceptPrediction(desk.media_id, 0, desk.people[0].key))
    dialog = ExportDialog(desk)
    qtbot.addWidget(dialog)
    qtbot.waitUntil(dialog.export.isEnabled, timeout=5_000)
    dialog.folder.setText(str(tmp_path / "out"))
    with qtbot.waitSignal(dialog.accepted, timeout=20_000):
        dialog.export.click()
    incoming = ImportDialog(desk)
    qtbot.addWidget(incoming)
    incoming.show()
    assert not incoming.start.isEnabled()
    incoming.file.setText(str(tmp_path / "out" / "annotations" / "nothing.json"))
    incoming.pictures.setText(str(tmp_path / "out" / "images"))
    incoming.start.click()
    qtbot.waitUntil(lambda: incoming.problem.isVisible(), timeout=10_000)
    assert "nothing.json" in incoming.problem.text()
    qtbot.waitUntil(incoming.start.isEnabled, timeout=10_000)
    incoming.file.setText(str(tmp_path / "out" / "annotations" / "person_keypoints.json"))
    assert desk.project is not None
    before = len(desk.project.media_list())
    with qtbot.waitSignal(incoming.accepted, timeout=20_000):
        incoming.start.click()
    assert len(desk.project.media_list()) == before + 1


def test_time_left_is_worded_like_everywhere() -> None:
    assert [time_left(seconds) for seconds in (4.2, 130, 3905)] == ["4 s left", "2 min 10 s left", "1 h 5 min left"]


def test_the_flip_test_follows_the_published_systems_until_somebody_chooses(qtbot: QtBot) -> None:
    form = RunSettings(PipelineConfig())
    qtbot.addWidget(form)
    bottom_up, top_down = (form.pipeline.findData(name) for name in ("bottomup", "topdown"))
    assert not form.flip.isChecked()
    form.pipeline.setCurrentIndex(bottom_up)
    assert form.flip.isChecked()
    assert form.config().flip is None
    form.flip.setChecked(False)
    assert form.config().flip is False
    form.pipeline.setCurrentIndex(top_down)
    assert not form.flip.isChecked()
    form.flip.setChecked(True)
    assert form.config().flip is True
    form.show_config(PipelineConfig(flip=True))
    form.pipeline.setCurrentIndex(bottom_up)
    form.show_config(PipelineConfig(pipeline="bottomup", flip=False))
    assert not form.flip.isChecked()
    form.pipeline.setCurrentIndex(top_down)
    form.pipeline.setCurrentIndex(bottom_up)
    assert not form.flip.isChecked(), "what was chosen stays"
    assert form.config().flip is False


@pytest.mark.parametrize("flip", [None, False, True])
def test_a_pipeline_without_a_flip_test_forgets_no_choice(qtbot: QtBot, flip: bool | None) -> None:
    form = RunSettings(PipelineConfig(pipeline="onestage", flip=flip))
    qtbot.addWidget(form)
    assert not form.flip.isChecked()
    assert form.config().flip is flip
    form.pipeline.setCurrentIndex(form.pipeline.findData("topdown"))
    assert form.flip.isChecked() is bool(flip)
    assert form.config().flip is flip


def test_a_ticked_flip_test_is_in_what_the_change_tells(qtbot: QtBot) -> None:
    form = RunSettings(PipelineConfig())
    qtbot.addWidget(form)
    told: list[bool | None] = []
    form.changed.connect(lambda: told.append(form.config().flip))
    form.flip.setChecked(True)
    form.pipeline.setCurrentIndex(form.pipeline.findData("onestage"))
    form.pipeline.setCurrentIndex(form.pipeline.findData("topdown"))
    form.flip.setChecked(False)
    assert set(told) == {True, None}
    assert told[0] is True
    assert told[-1] is None


def test_the_run_form_offers_the_three_pipelines(
    qtbot: QtBot, desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # An installation without the bundled bottom-up network.
    monkeypatch.setattr("poseviewer.pipeline.config.resource_folder", lambda: tmp_path)
    form = RunSettings(PipelineConfig(pipeline="bottomup", estimator="tags.pth", scales=(1.0, 2.0), input_size=512))
    qtbot.addWidget(form)
    config = form.config()
    assert (config.pipeline, config.scales, config.input_size) == ("bottomup", (1.0, 2.0), 512)
    assert not form.detector.isEnabled()
    assert not form.iou.isEnabled()
    assert form.scales.isEnabled()
    form.pipeline.setCurrentIndex(form.pipeline.findData("onestage"))
    assert form.config().pipeline == "onestage"
    assert form.iou.isEnabled()
    assert not form.flip.isEnabled()
    assert not form.gamma.isEnabled()
    form.pipeline.setCurrentIndex(form.pipeline.findData("topdown"))
    assert form.detector.isEnabled()
    assert not form.input_size.isEnabled()
    assert not form.gamma.isEnabled(), "the estimator's own numbers are only shown"
    form.version.setCurrentIndex(form.version.findData("master"))
    assert form.gamma.isEnabled()
    dialog = RunDialog(desk)
    qtbot.addWidget(dialog)
    dialog.show()
    settings = dialog.settings
    for name, file in (("bottomup", "pose_higher_hrnet_w32_512.pth"), ("onestage", "yolov8n-pose.pt")):
        settings.pipeline.setCurrentIndex(settings.pipeline.findData(name))
        assert file in dialog.problem.text()
        assert not dialog.start.isEnabled()
    settings.pipeline.setCurrentIndex(settings.pipeline.findData("topdown"))
    assert dialog.problem.text() == ""


def test_the_export_dialog_says_what_was_held_out_and_may_include_it(qtbot: QtBot, desk: Desk, tmp_path: Path) -> None:
    for frame in (0, 1):
        key = desk.project.people(desk.media_id, frame)[0].key
        desk.project.apply(edits.AcceptPrediction(desk.media_id, frame, person=key, fingerprint=f"{frame:016x}"))
    store_held_out(desk.project, HeldOut(((desk.media_id, 1, 1),)))
    dialog = ExportDialog(desk)
    qtbot.addWidget(dialog)
    dialog.show()
    qtbot.waitUntil(dialog.export.isEnabled, timeout=5_000)
    assert dialog.counts._figures[0].text() == "1"
    assert "Held-out frames, left out: 1" in dialog.checks.text()
    assert "--include-held-out" not in dialog.command()
    dialog.held_out.setChecked(True)
    qtbot.waitUntil(lambda: dialog.counts._figures[0].text() == "2", timeout=5_000)
    assert "--include-held-out" in dialog.command()
    for form in ("posetrack", "alphapose"):
        dialog.format.setCurrentIndex(dialog.format.findData(form))
        assert dialog.options().include_held_out
        assert "--include-held-out" in dialog.command()
    dialog.held_out.setChecked(False)
    qtbot.waitUntil(lambda: dialog.counts._figures[0].text() == "1", timeout=5_000)
    assert not dialog.options().include_held_out
    dialog.format.setCurrentIndex(dialog.format.findData("coco"))
    qtbot.waitUntil(lambda: dialog.counts._figures[0].text() == "1" and dialog.export.isEnabled(), timeout=5_000)
    dialog.pictures.setCurrentIndex(2)
    dialog.folder.setText(str(tmp_path / "out"))
    with qtbot.waitSignal(dialog.accepted, timeout=20_000):
        dialog.export.click()
    written = json.loads((tmp_path / "out" / "annotations" / "person_keypoints.json").read_text())
    assert [image["frame_index"] for image in written["images"]] == [0]
