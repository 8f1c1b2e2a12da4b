"""The detector's training loop on generated pictures: it learns, stops, goes on, and measures honestly."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from test_detection_data import PERSON, write_sets

from poseviewer.core.progress import Note
from poseviewer.core.resources import resource
from poseviewer.nets.yolo import build_yolo, load_yolo, save_yolo
from poseviewer.pipeline.detector import Detector
from poseviewer.training.detection import DetectionConfig, Stage, stage_option, train_detector
from poseviewer.training.validate_detector import main, validate_boxes


@pytest.fixture
def config(tmp_path: Path) -> DetectionConfig:
    """A tiny student, a tiny untrained teacher (it knows nobody), twelve pictures."""
    layout = yaml.safe_load(resource("weights/detector.yaml").read_text(encoding="utf-8"))
    layout |= {"width_multiple": 0.0625, "depth_multiple": 0.34}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(layout))
    torch.manual_seed(0)
    save_yolo(tmp_path / "teacher.safetensors", build_yolo(layout), layout, classes={0: "person"})
    return DetectionConfig(
        data=write_sets(tmp_path / "data"),
        folder=tmp_path / "work",
        teacher=tmp_path / "teacher.safetensors",
        layout=tmp_path / "tiny.yaml",
        pictures=16,
        stages=(Stage(0.5, 64, 1.0), Stage(1.0, 96, 0.0, gentle=True)),
        batch=4,
        warm_up=2,
        save_seconds=0.0,
        validate_seconds=1e9,
        readers=0,
    )


def _rows(config: DetectionConfig) -> list[dict[str, str]]:
    with (config.folder / "log.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_a_training_runs_to_its_end_and_leaves_weights(config: DetectionConfig) -> None:
    notes = [event.text for event in train_detector(config) if isinstance(event, Note)]
    assert notes[-1].startswith("Finished after 16 pictures")
    weights = load_yolo(config.folder / "detector.safetensors")
    assert weights.settings["trained"] == {"pictures": 16, "steps": 4}
    assert weights.settings["input_size"] == 96
    last = _rows(config)[-1]
    assert (last["pictures"], last["part"]) == ("16", "1")
    assert 0 <= float(last["ap50"]) <= 1


def test_a_stopped_training_goes_on_from_its_checkpoint(config: DetectionConfig) -> None:
    half = train_detector(replace(config, pictures=8))
    for _ in half:
        pass
    before = load_yolo(config.folder / "detector.safetensors")
    assert before.settings["trained"]["pictures"] == 8
    notes = [event.text for event in train_detector(config) if isinstance(event, Note)]
    assert "Training from step 2, 8 pictures seen." in notes
    after = load_yolo(config.folder / "detector.safetensors")
    assert after.settings["trained"]["pictures"] == 16
    assert after.sha256 != before.sha256


def test_a_broken_checkpoint_is_refused_and_kept(config: DetectionConfig) -> None:
    config.folder.mkdir()
    (config.folder / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(Exception, match=r"checkpoint\.pt is not a weights file"):
        list(train_detector(config))
    assert (config.folder / "checkpoint.pt").read_bytes() == b"not a checkpoint"


def test_a_training_without_an_end_is_a_bug(config: DetectionConfig) -> None:
    with pytest.raises(ValueError, match="needs an end"):
        next(train_detector(replace(config, pictures=None)))


class _Knows(torch.nn.Module):
    """Answers with the person's true place (and one invented person) in a 320 pixel letterbox of 260 x 200."""

    stride = torch.tensor([32.0])

    def __init__(self, *, invent: bool) -> None:
        super().__init__()
        self.invent = invent

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor]:
        scale, top = 320 / 260, (images.shape[2] - round(200 * 320 / 260)) // 2
        x0, y0, x1, y1 = (value * scale for value in PERSON)
        rows = [[(x0 + x1) / 2, (y0 + y1) / 2 + top, x1 - x0, y1 - y0, 0.8]]
        if self.invent:
            rows.append([280, 60, 40, 60, 0.9])
        return (torch.tensor(rows).T[None].expand(len(images), -1, -1).clone(),)


@pytest.mark.parametrize(("invent", "ap50"), [(False, 1.0), (True, 0.5)])
def test_validation_counts_what_is_right_and_what_is_invented(tmp_path: Path, *, invent: bool, ap50: float) -> None:
    from poseviewer.nets.yolo import YoloWeights

    data = write_sets(tmp_path)
    weights = YoloWeights(_Knows(invent=invent), "knows", "", {}, {0: "person"}, 0, {"input_size": 320})
    scores = validate_boxes(Detector(weights), data / "coco" / "val.json")
    assert scores.ap50 == pytest.approx(ap50, abs=0.01)
    assert scores.recall_at == 1.0
    assert scores.precision_at == (0.5 if invent else 1.0)
    assert (scores.pictures, scores.persons) == (3, 3)


def test_the_command_line_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(tmp_path), "--weights", str(tmp_path / "none.safetensors")]) == 1
    assert "does not exist" in capsys.readouterr().err


def test_grey_pictures_have_three_channels() -> None:
    from poseviewer.training.detection_data import _recoloured

    picture = np.zeros((8, 8, 3), np.uint8)
    for seed in range(60):
        assert _recoloured(picture, np.random.default_rng(seed), gentle=False).shape == (8, 8, 3)


def test_released_weights_carry_their_settings(config: DetectionConfig, tmp_path: Path) -> None:
    from poseviewer.training.release_detector import main as release

    out = tmp_path / "released.safetensors"
    call = ["--weights", str(config.teacher), "--out", str(out), "--size", "96", "--confidence", "0.3"]
    assert release(call) == 0
    spec = Detector.load(out).spec
    assert (spec.input_size, spec.confidence, spec.iou) == (96, 0.3, 0.6)
    before, after = load_yolo(config.teacher), load_yolo(out)
    for name, value in before.network.state_dict().items():
        assert torch.equal(value, after.network.state_dict()[name])
    assert release([*call[:5], "100", *call[6:]]) == 2
    assert release([*call[:-1], "0"]) == 2


def test_a_stage_is_read_with_its_words() -> None:
    assert stage_option("0.5:320:0.3") == Stage(0.5, 320, 0.3)
    assert stage_option("1:416:0.1:gentle:large") == Stage(1.0, 416, 0.1, gentle=True, large=True)
    for text in ("0.5:321:0.3", "0.5:320:0.3:huge", "0.5:320"):
        with pytest.raises(ValueError, match=r"sizes|unpack"):
            stage_option(text)
