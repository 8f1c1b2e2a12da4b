"""The main job in the real window, on real people, with the bundled weights: open, run, scrub, look, drag, undo,
redo, export, read back."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from conftest import Mouse

from poseviewer.core.geometry import transform
from poseviewer.ui.dialogs.export import ExportDialog

RUN_FRAMES = range(1, 4)
CLIP_WH = (486, 640)


@pytest.fixture(scope="module")
def people_clip(people_picture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six frames that pan over a photograph of four people."""
    picture = cv2.cvtColor(cv2.imread(str(people_picture)), cv2.COLOR_BGR2RGB)
    width, height = CLIP_WH
    wide = cv2.resize(picture, (width + 12, round((width + 12) * picture.shape[0] / picture.shape[1])))
    path = tmp_path_factory.mktemp("people") / "people.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "16", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(6):
            view = np.ascontiguousarray(wide[:height, 2 * index : 2 * index + width])
            for packet in stream.encode(av.VideoFrame.from_ndarray(view, format="rgb24")):
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
    return path


def test_open_run_scrub_look_drag_undo_redo_export_read_back(bare_window, people_clip, tmp_path, qtbot) -> None:
    window, desk, mouse = bare_window, bare_window.desk, Mouse(bare_window)
    clip = tmp_path / "people.mp4"
    clip.write_bytes(people_clip.read_bytes())

    # Open.
    desk.open_paths([clip])
    qtbot.waitUntil(lambda: desk.editable and desk.frame_exact, timeout=30_000)
    assert desk.info.frame_count == 6

    # Run in the background, and scrub meanwhile.
    desk.run(RUN_FRAMES)
    qtbot.waitUntil(lambda: desk.running, timeout=5_000)
    desk.select(frame=5)
    qtbot.waitUntil(lambda: desk.frame_exact and desk.frame.index == 5, timeout=10_000)
    qtbot.waitUntil(lambda: not desk.running, timeout=120_000)
    desk.select(frame=2)
    qtbot.waitUntil(lambda: desk.frame_exact and len(desk.people) >= 3, timeout=10_000)

    # Look: the evidence is that of this frame, and the heatmap peaks where the joint is drawn.
    qtbot.waitUntil(lambda: desk.evidence_state == "ready", timeout=120_000)
    person = max(desk.people, key=lambda one: one.pose.score)
    joint = int(person.pose.scores.argmax())
    desk.select(person=person.key, joint=joint)
    number = desk.candidate_of(person.key)
    crop = desk.evidence.evidence.crops[number]
    row, column = np.unravel_index(crop.heatmaps[joint].argmax(), crop.heatmaps[joint].shape)
    cell = np.linalg.norm(crop.heatmap_to_frame[:, 0])
    peak = transform(crop.heatmap_to_frame, np.array([column, row]))
    # Suppression merges near candidates, so the drawn joint may lie a cell from this candidate's own peak.
    assert np.linalg.norm(peak - person.pose.keypoints[joint]) <= 2 * cell
    panel = window.inspector.widget(0)
    said = f"{crop.heatmaps[joint].max():.2f}"
    qtbot.waitUntil(lambda: panel.peak.value.text() == said, timeout=5_000)

    # Drag the joint; it is one edit, stored at once, and undo and redo replay it.
    x, y = person.pose.keypoints[joint].tolist()
    desk.show(snap=False)
    window.canvas.zoom_to(3.0)
    mouse.drag((x, y), (x + 9, y - 6))
    moved = desk.person_by_key(person.key)
    assert moved.state == "corrected"
    assert np.allclose(moved.pose.keypoints[joint], [x + 9, y - 6], atol=0.5)
    assert np.allclose(moved.prediction.keypoints, person.pose.keypoints)
    desk.do("undo")
    assert desk.person_by_key(person.key).state == "predicted"
    desk.do("redo")
    assert np.array_equal(desk.person_by_key(person.key).pose.keypoints, moved.pose.keypoints)

    # Export and read back.
    dialog = ExportDialog(desk, window)
    qtbot.addWidget(dialog)
    qtbot.waitUntil(dialog.export.isEnabled, timeout=10_000)
    dialog.folder.setText(str(tmp_path / "coco"))
    with qtbot.waitSignal(dialog.accepted, timeout=60_000):
        dialog.export.click()
    _check_export(tmp_path / "coco", moved.pose.keypoints, desk.frame.pixels)


def _check_export(folder: Path, keypoints: np.ndarray, pixels: np.ndarray) -> None:
    from pycocotools.coco import COCO

    path = folder / "annotations" / "person_keypoints.json"
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
    entry = next(iter(coco.imgs.values()))
    assert entry["frame_index"] == 2
    written = next(
        np.array(one["keypoints"]).reshape(17, 3)
        for one in coco.anns.values()
        if np.allclose(np.array(one["keypoints"]).reshape(17, 3)[:, :2], keypoints, atol=1e-4)
    )
    assert set(written[:, 2]) <= {0, 1, 2}
    exported = cv2.cvtColor(cv2.imread(str(folder / "images" / entry["file_name"])), cv2.COLOR_BGR2RGB)
    assert np.array_equal(exported, pixels)
    assert json.loads(path.read_text())["categories"][0]["keypoints"][0] == "nose"
