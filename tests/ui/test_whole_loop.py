"""The main job in the real window, on real pixels, with the bundled weights and the real engine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from window_tools import Mouse

from poseviewer.core.resources import resource_folder
from poseviewer.formats.coco_export import ExportOptions
from poseviewer.jobs.export import export

MINUTES = 180_000
"""Loading torch alone takes a minute where several programs share two processors."""


@pytest.fixture
def bus(bare_window, people_picture: Path, tmp_path: Path, qtbot):
    """The window with a photograph of four people open."""
    for name in ("detector", "estimator"):
        if not (resource_folder() / "weights" / f"{name}.safetensors").is_file():
            pytest.skip(f"the bundled {name} is not in this tree")
    picture = Path(shutil.copy(people_picture, tmp_path / "bus.jpg"))
    desk = bare_window.desk
    desk.open_paths([picture])
    qtbot.waitUntil(lambda: desk.frame_exact and desk.editable, timeout=20_000)
    return bare_window


def test_open_run_look_drag_undo_redo_export_and_read_again(bus, tmp_path, qtbot):
    desk, canvas, problems = bus.desk, bus.canvas, []
    desk.message.connect(lambda message: problems.append(message) if message.level == "error" else None)
    qtbot.keyClick(canvas, Qt.Key.Key_R)
    assert desk.running
    qtbot.waitUntil(lambda: not desk.running, timeout=MINUTES)
    assert problems == []
    assert len(desk.people) >= 3
    assert desk.device_name == "cpu" or desk.device_name.startswith("cuda")

    # Look at a heatmap: its evidence comes by itself and belongs to the person.
    largest = max(desk.people, key=lambda one: float(np.prod(one.pose.box[2:] - one.pose.box[:2])))
    desk.select(person=largest.key, joint=5)
    qtbot.waitUntil(lambda: desk.evidence_state == "ready", timeout=MINUTES)
    candidate = desk.candidate_of(largest.key)
    assert candidate is not None
    assert np.allclose(desk.evidence.evidence.candidates.boxes[candidate], largest.pose.box, atol=1.0)
    assert canvas.heat.isVisible()
    best = desk.peaks(largest.key, 5)[0]
    cell = float(np.sqrt(abs(np.linalg.det(desk.evidence.evidence.crops[candidate].heatmap_to_frame[:, :2]))))
    assert np.hypot(*(largest.pose.keypoints[5] - [best.x, best.y])) < cell

    # Drag it, undo, redo.
    desk.show(snap=False)
    desk.do("fit_person")
    mouse = Mouse(bus)
    before = largest.pose.keypoints[5].copy()
    x, y = before.tolist()
    mouse.drag((x, y), (x + 40, y + 25))
    moved = desk.person.pose.keypoints[5].copy()
    assert np.hypot(*(moved - before)) == pytest.approx(np.hypot(40, 25), abs=2)
    desk.do("undo")
    assert np.allclose(desk.people[desk.person_number(largest.key) - 1].pose.keypoints[5], before)
    desk.do("redo")
    assert np.allclose(desk.person.pose.keypoints[5], moved)
    assert desk.person.state == "corrected"

    # Export and read again.
    job = export(desk.project, tmp_path / "out", ExportOptions())
    ended = []
    thread = desk.start_job(job)
    thread.result.connect(ended.append)
    qtbot.waitUntil(lambda: bool(ended), timeout=MINUTES)
    written = json.loads(Path(tmp_path / "out" / ended[0].files[0]).read_text())
    assert len(written["annotations"]) == 1
    keypoints = np.reshape(written["annotations"][0]["keypoints"], (17, 3))
    assert np.allclose(keypoints[5, :2], moved, atol=0.01)
    assert problems == []


def test_a_box_around_somebody_becomes_a_person(bus, qtbot):
    desk = bus.desk
    mouse = Mouse(bus)
    qtbot.keyClick(bus.canvas, Qt.Key.Key_B)
    assert bus.canvas.box_mode
    # The man in the beige coat, on the left of the photograph.
    mouse.drag((45, 395), (250, 905))
    qtbot.waitUntil(lambda: len(desk.people) == 1, timeout=MINUTES)
    person = desk.people[0]
    assert person.state == "corrected"
    assert desk.selection.person == person.key
    inside = (person.pose.keypoints > [20, 370]).all(-1) & (person.pose.keypoints < [275, 930]).all(-1)
    assert inside.sum() >= 13
    shoulders, ankles = person.pose.keypoints[[5, 6], 1].mean(), person.pose.keypoints[[15, 16], 1].mean()
    assert ankles - shoulders > 200
