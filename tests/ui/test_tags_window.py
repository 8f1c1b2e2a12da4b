"""A bottom-up run in the real window: the engine's evidence reaches the tags panel, and a box finds its person."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from poseviewer.pipeline.config import PipelineConfig
from poseviewer.ui.panels.tags import TagsPanel

LOADING = 60_000
CELLS = np.stack([np.linspace(4, 24, 17), 4 + 7 * (np.arange(17) % 3)], axis=1)
"""Cells x, y of the left person's joints in maps of 32 x 64; the right one's are 32 further."""
TAGS = (0.5, 2.0)


@pytest.fixture
def tag_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that sees two people everywhere, the right one's left wrist with a tag between the two."""
    import torch

    from poseviewer.nets.weights import EstimatorSpec, LoadedEstimator
    from poseviewer.pipeline.networks import Networks

    class TwoPeople(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            count, _, height, width = x.shape
            maps = torch.zeros(count, 34, height // 4, width // 4)
            for person in range(2):
                for joint, (column, row) in enumerate(CELLS.astype(int)):
                    middle = column + 32 * person
                    place = (slice(None), slice(row - 1, row + 2), slice(middle - 1, middle + 2))
                    maps[(place[0], joint, *place[1:])] = 0.4
                    maps[:, joint, row, middle] = 0.9
                    # Higher on one side: equal neighbours would make a plateau, all of whose cells are candidates.
                    maps[:, joint, row, middle + 1], maps[:, joint, row + 1, middle] = 0.5, 0.45
                    tag = 1.2 if (person, joint) == (1, 9) else TAGS[person]
                    maps[(place[0], 17 + joint, *place[1:])] = tag
            return maps

    spec = EstimatorSpec(
        "test", "coco_17", 17, (128, 128), (32, 32), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), "higher", output="tags"
    )
    made = Networks(LoadedEstimator(TwoPeople(), spec, "b" * 64), torch.device("cpu"), estimator_name="two.pth")
    monkeypatch.setattr("poseviewer.pipeline.loading.load_networks", lambda config, device=None: made)


def test_a_bottom_up_run_is_seen_and_explained(bare_window, tag_networks, tmp_path, qtbot):
    picture = tmp_path / "plain.png"
    cv2.imwrite(str(picture), np.full((128, 256, 3), 90, dtype=np.uint8))
    window, desk = bare_window, bare_window.desk
    problems = []
    desk.message.connect(lambda message: problems.append(message.text) if message.level == "error" else None)
    desk.open_paths([picture])
    qtbot.waitUntil(lambda: desk.frame_exact and desk.editable, timeout=20_000)
    desk.set_config(PipelineConfig(pipeline="bottomup", estimator="two.pth", flip=False))
    desk.run([0])
    qtbot.waitUntil(lambda: not desk.running and len(desk.people) == 2, timeout=LOADING)
    qtbot.waitUntil(lambda: desk.evidence_state == "ready", timeout=LOADING)
    panel = next(
        window.inspector.widget(i)
        for i in range(window.inspector.count())
        if isinstance(window.inspector.widget(i), TagsPanel)
    )
    window.inspector.setCurrentWidget(panel)
    right = max(desk.people, key=lambda person: float(person.pose.keypoints[:, 0].mean()))
    # Half a cell of four pixels, and the half pixel between corners and centres.
    assert np.abs(right.pose.keypoints - (4 * (CELLS.astype(int) + np.array([32, 0])) + 2)).max() <= 2.5
    desk.select(person=right.key, joint=9)
    panel.flush()
    number, other = desk.person_number(right.key), 3 - desk.person_number(right.key)
    assert panel.reason.text.text() == (
        f"Left wrist joined person {number} because its tag 1.20 is 0.80 from the mean 2.00; limit 1.00; "
        f"person {other} was nearer at 0.70, but got another."
    )
    # Another limit is tried from what is kept.
    panel.trial.slider.setValue(75)
    qtbot.waitUntil(lambda: panel.answer.text().startswith("At 0.75: 2 people as before; left wrist leaves"))
    panel.reset.click()
    # The tag map lies where the picture is: cell (x, y) of the network covers 4 x 4 pixels.
    canvas = window.canvas
    assert not canvas.tags.isVisible()
    assert canvas.heat.isVisible()
    panel.with_map.click()
    assert canvas.tags.isVisible()
    assert not canvas.heat.isVisible()
    outline = canvas.tags.boundingRect()
    np.testing.assert_allclose([outline.x(), outline.y(), outline.width(), outline.height()], [0, 0, 256, 128], atol=1)
    shot = canvas.grab().toImage()
    panel.with_map.click()
    assert canvas.heat.isVisible()
    assert canvas.grab().toImage() != shot
    # Peaks of a map that all share are those near the person.
    (peak,) = desk.peaks(right.key, 9)
    assert np.abs(right.pose.keypoints[9] - [peak.x, peak.y]).max() <= 1.0
    x1, y1, x2, y2 = (float(v) for v in right.pose.box)
    desk.run_on_box([x1 - 3, y1 - 3, x2 + 3, y2 + 3])
    qtbot.waitUntil(lambda: len(desk.people) == 3, timeout=LOADING)
    np.testing.assert_allclose(desk.people[-1].pose.keypoints, right.pose.keypoints, atol=0.01)
    assert problems == []
