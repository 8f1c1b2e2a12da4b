"""One-stage pipelines: people at known places come out there, and the report says who removed whom."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

from poseviewer.core.errors import MissingPartError, WeightsError
from poseviewer.core.progress import Note
from poseviewer.core.resources import resource
from poseviewer.core.values import BELOW_FLOOR, BY_SIMILARITY, KEPT, Frame
from poseviewer.nets.ultralytics_parts import ultralytics_parts
from poseviewer.nets.yolo import YoloWeights, build_yolo, save_yolo
from poseviewer.pipeline.config import PipelineConfig, applied_nms, with_nms
from poseviewer.pipeline.detector import Letterbox
from poseviewer.pipeline.loading import load_networks, networks_key
from poseviewer.pipeline.onestage import OneStage, OneStageNetworks, letterbox_matrix
from poseviewer.pipeline.workers import make_worker, suppress

CONFIG = PipelineConfig(pipeline="onestage", device="cpu", input_size=64, confidence=0.3, iou=0.5)
JOINTS = 3
# Two people in a 96 x 32 picture, xyxy and joints in picture pixels.
PEOPLE = np.array([[9.0, 3.0, 30.0, 27.0], [60.0, 6.0, 84.0, 30.0]])
PLACES = np.array([[[12.0, 6.0], [21.0, 15.0], [28.5, 24.0]], [[63.0, 9.0], [72.0, 18.0], [81.0, 28.5]]])


class Scripted(nn.Module):
    """Stands for a network: answers with given people of the input, whatever it sees."""

    def __init__(self, rows: Tensor, *, end_to_end: bool = False, most: int = 99) -> None:
        super().__init__()
        self.stride = torch.tensor([8.0, 32.0])
        self.rows, self.end_to_end, self.most = rows, end_to_end, most
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        if len(images) > self.most:
            raise RuntimeError("CUDA out of memory")
        self.seen.append(images)
        rows = self.rows if self.end_to_end else self.rows.T
        return rows.expand(len(images), -1, -1).clone(), {}


def to_input(points: np.ndarray, fit: Letterbox) -> np.ndarray:
    """Picture pixels to input pixels as ultralytics has them: scaled, then moved by the border."""
    scale = np.array([fit.inner_width / fit.width, fit.inner_height / fit.height])
    return points * scale + [fit.left, fit.top]


def rows_of(scores: list[float], shifts: list[tuple[int, float]], *, numbers: int = 3, classes: int = 1) -> Tensor:
    """Rows of centre, sides, class scores and joints; each is a person of ``PEOPLE`` moved right by some pixels."""
    fit = Letterbox.fit(32, 96, 64, 32)
    rows = []
    for score, (person, shift) in zip(scores, shifts, strict=True):
        box = to_input(PEOPLE[person].reshape(2, 2) + np.array([shift, 0]), fit)
        points = to_input(PLACES[person] + [shift, 0], fit)
        joints = np.concatenate([points, np.array([[0.9], [0.8], [0.1]])], axis=1)[:, :numbers]
        others = [0.01] * (classes - 1)
        rows.append([*box.mean(axis=0), *(box[1] - box[0]), *others, score, *joints.ravel()])
    return torch.tensor(rows, dtype=torch.float32)


def networks_of(module: nn.Module, *, classes: int = 1, numbers: int = 3, end_to_end: bool = False) -> OneStageNetworks:
    names = {number: "person" if number == classes - 1 else f"thing {number}" for number in range(classes)}
    weights = YoloWeights(
        module, "scripted.pt", "0" * 64, {}, names, classes - 1, {}, end_to_end, joint_shape=(JOINTS, numbers)
    )
    return OneStageNetworks(weights, torch.device("cpu"))


def picture(height: int = 32, width: int = 96) -> np.ndarray:
    made: np.ndarray = np.random.default_rng(1).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return made


SCORES = [0.5, 0.9, 0.8, 0.25, 0.03]
SHIFTS = [(1, 2.0), (0, 0.0), (0, 1.0), (1, 0.0), (1, 1.0)]


def test_people_come_out_where_they_are_and_the_report_says_why() -> None:
    worker = make_worker(networks_of(Scripted(rows_of(SCORES, SHIFTS))), CONFIG)
    assert isinstance(worker, OneStage)
    result = worker.process([Frame(4, 0.5, picture())], keep_evidence=True)[0]
    assert (result.frame, result.timestamp_s) == (4, 0.5)
    first, second = result.poses
    np.testing.assert_allclose(first.keypoints, PLACES[0], atol=1e-4)
    np.testing.assert_allclose(second.keypoints, PLACES[1] + [2, 0], atol=1e-4)
    np.testing.assert_allclose(first.box, PEOPLE[0], atol=1e-4)
    np.testing.assert_allclose(first.scores, [0.9, 0.8, 0.1], atol=1e-6)
    assert [round(pose.score, 3) for pose in result.poses] == [0.9, 0.5]
    evidence = result.evidence
    assert evidence is not None
    np.testing.assert_allclose(evidence.candidates.box_scores, [0.9, 0.8, 0.5, 0.25], atol=1e-6)
    report = evidence.suppression
    assert report.outcome.tolist() == [KEPT, BY_SIMILARITY, KEPT, BELOW_FLOOR]
    assert report.by.tolist() == [-1, 0, -1, -1]
    assert report.similarity[1] == pytest.approx(20 / 22)
    assert report.kept.tolist() == [0, 2]
    assert len(evidence.crops) == 4
    assert len({id(crop) for crop in evidence.crops}) == 1
    assert evidence.crops[0].heatmaps.shape == (JOINTS, 0, 0)
    assert evidence.grouping is None


def test_the_picture_that_was_fed_lies_where_it_belongs() -> None:
    module = Scripted(rows_of(SCORES, SHIFTS))
    pixels = np.zeros((40, 96, 3), dtype=np.uint8)
    pixels[8:24, 30:60] = 255
    evidence = make_worker(networks_of(module), CONFIG).process([Frame(0, 0, pixels)], keep_evidence=True)[0].evidence
    assert evidence is not None
    crop = evidence.crops[0]
    assert crop.picture.shape == (32, 64, 3)
    np.testing.assert_array_equal(crop.picture, (255 * module.seen[0][0]).round().byte().permute(1, 2, 0).numpy())
    ys, xs = np.nonzero(crop.picture[:, :, 0] > 200)
    middle = crop.crop @ [xs.mean(), ys.mean(), 1]
    # The centre of the white part, counted from pixel centres, within half a pixel of the input.
    np.testing.assert_allclose(middle, [44.5, 15.5], atol=0.75)


def test_other_things_than_people_are_left_out() -> None:
    rows = rows_of(SCORES, SHIFTS, classes=2)
    rows[1, 4] = 0.95  # a thing, and more certain of it
    result = make_worker(networks_of(Scripted(rows), classes=2), CONFIG).process([Frame(0, 0, picture())])[0]
    assert [round(pose.score, 3) for pose in result.poses] == [0.8, 0.5]


def test_joints_without_scores_count_as_certain() -> None:
    networks = networks_of(Scripted(rows_of(SCORES, SHIFTS, numbers=2)), numbers=2)
    result = make_worker(networks, CONFIG).process([Frame(0, 0, picture())])[0]
    np.testing.assert_allclose(result.poses[0].keypoints, PLACES[0], atol=1e-4)
    assert result.poses[0].scores.tolist() == [1, 1, 1]


def test_an_end_to_end_network_has_boxes_already() -> None:
    rows = rows_of(SCORES, SHIFTS)
    low, high = rows[:, :2] - rows[:, 2:4] / 2, rows[:, :2] + rows[:, 2:4] / 2
    rows = torch.cat([low, high, rows[:, 4:5], torch.zeros(len(rows), 1), rows[:, 5:]], dim=1)
    networks = networks_of(Scripted(rows, end_to_end=True), end_to_end=True)
    result = make_worker(networks, CONFIG).process([Frame(0, 0, picture())])[0]
    # Nobody is suppressed: it was trained to answer once for each person.
    assert [round(pose.score, 3) for pose in result.poses] == [0.9, 0.8, 0.5]
    np.testing.assert_allclose(result.poses[2].keypoints, PLACES[1] + [2, 0], atol=1e-4)


def test_a_box_by_hand_gets_the_candidate_that_overlaps_it_most() -> None:
    worker = make_worker(networks_of(Scripted(rows_of(SCORES, SHIFTS))), CONFIG)
    boxes = np.array([[58, 6, 84, 30], [9.5, 3, 30, 27], [40, 0, 44, 4]], dtype=np.float32)
    result = worker.process([Frame(3, 0, picture())], boxes={3: boxes}, keep_evidence=True)[0]
    # The person below the least score is there too: the hand knows better.
    assert [round(pose.score, 3) for pose in result.poses] == [0.9, 0.25]
    assert result.evidence is not None
    np.testing.assert_allclose(result.evidence.candidates.box_scores, [0.25, 0.9], atol=1e-6)
    assert worker.process([Frame(3, 0, picture())], boxes={})[0].poses == ()


def test_without_suppression_all_above_the_least_score_stay() -> None:
    config = msgspec.structs.replace(CONFIG, nms=msgspec.structs.replace(CONFIG.nms, enabled=False))
    result = make_worker(networks_of(Scripted(rows_of(SCORES, SHIFTS))), config).process([Frame(0, 0, picture())])[0]
    assert [round(pose.score, 3) for pose in result.poses] == [0.9, 0.8, 0.5]


def test_other_thresholds_decide_again_as_a_run_would() -> None:
    networks = networks_of(Scripted(rows_of(SCORES, SHIFTS)))
    result = make_worker(networks, CONFIG).process([Frame(0, 0, picture())], keep_evidence=True)[0]
    assert result.evidence is not None
    nms = msgspec.structs.replace(applied_nms(CONFIG), gamma=0.95, score_floor=0.2)
    report, poses = suppress(result.evidence.candidates, nms)
    again = make_worker(networks, with_nms(CONFIG, nms)).process([Frame(0, 0, picture())])[0]
    assert report.kept.tolist() == [0, 1, 2, 3]
    assert [pose.score for pose in poses] == [pose.score for pose in again.poses]


def test_short_memory_makes_batches_smaller() -> None:
    notes: list[Note] = []
    module = Scripted(rows_of(SCORES, SHIFTS), most=1)
    worker = make_worker(networks_of(module), CONFIG, notes.append)
    results = worker.process([Frame(index, 0, picture()) for index in range(3)])
    assert [len(result.poses) for result in results] == [2, 2, 2]
    assert ["one frame at a time" in note.text for note in notes] == [True]


def test_letterbox_matrix_is_the_letterbox() -> None:
    fit = Letterbox.fit(40, 96, 64, 32)
    back = letterbox_matrix(fit)
    # The edges of the scaled picture are the edges of the picture.
    low = back @ [fit.left - 0.5, fit.top - 0.5, 1]
    high = back @ [fit.left + fit.inner_width - 0.5, fit.top + fit.inner_height - 0.5, 1]
    np.testing.assert_allclose([*low, *high], [-0.5, -0.5, 95.5, 39.5], atol=1e-9)


# --- files ---


def tiny_layout(head: str) -> dict[str, Any]:
    """The bundled detector's layout, at an eighth of the width, with a pose head."""
    layout: dict[str, Any] = yaml.safe_load(resource("weights/detector.yaml").read_text(encoding="utf-8"))
    sources = layout["head"][-1][0]
    layout["head"][-1] = [sources, 1, head, ["nc", "kpt_shape"]]
    end = {"end2end": True, "reg_max": 1} if head == "Pose26" else {}
    return layout | {"width_multiple": 0.0625, "kpt_shape": [17, 3]} | end


@pytest.mark.parametrize("head", ["Pose", "Pose26"])
def test_a_file_in_the_published_format_answers_as_ultralytics_does(head: str, tmp_path: Path) -> None:
    parts = ultralytics_parts()
    from ultralytics.nn.tasks import PoseModel

    torch.manual_seed(3)
    network = PoseModel(tiny_layout(head), ch=3, verbose=False)
    network.names = {0: "person"}
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 1.0
    with torch.no_grad():  # so that untrained layers pass something on
        network.train()(torch.rand(2, 3, 96, 96))
    network.eval()
    for score in network.model[-1].cv3:
        nn.init.normal_(score[-1].weight, std=0.2)  # so that anchors differ in score
        nn.init.constant_(score[-1].bias, -1.0)
    path = tmp_path / "tiny-pose.pt"
    torch.save({"model": network, "train_args": {}}, path)
    config = PipelineConfig(pipeline="onestage", estimator=str(path), device="cpu", input_size=96)
    networks = load_networks(config)
    assert (networks.joints, networks.skeleton) == (17, "coco_17")
    pixels = picture(70, 96)
    result = make_worker(networks, config).process([Frame(0, 0, pixels)], keep_evidence=True)[0]
    fit = Letterbox.fit(70, 96, 96, 32)
    with torch.no_grad():
        answer = network(fit.apply(torch.from_numpy(pixels).permute(2, 0, 1)[None]))[0]
        rows = parts.nms(answer, config.confidence, config.iou, nc=1, max_det=3000)[0]
    assert len(rows) == len(result.poses) > 3
    order = rows[:, 4].argsort(descending=True, stable=True)
    joints = (rows[order, 6:].view(-1, 17, 3)[..., :2].numpy() - [fit.left, fit.top]) / [
        fit.inner_width / 96,
        fit.inner_height / 70,
    ]
    ours = np.stack([pose.keypoints for pose in result.poses])
    np.testing.assert_allclose(ours, np.clip(joints, 0, [96, 70]), atol=0.1)


def test_our_own_file_does_as_well(tmp_path: Path) -> None:
    layout = tiny_layout("Pose")
    path = tmp_path / "own.safetensors"
    save_yolo(path, build_yolo(layout), layout, classes={0: "person"}, settings={"input_size": 128})
    config = PipelineConfig(pipeline="onestage", estimator=str(path), device="cpu")
    networks = load_networks(config)
    assert make_worker(networks, config).input_size == 128  # type: ignore[attr-defined]
    assert networks.describe()["estimator"]["family"] == "yolo_pose"
    assert networks_key(config) != networks_key(msgspec.structs.replace(config, pipeline="topdown"))


def test_what_is_no_pose_network_is_refused_in_one_sentence() -> None:
    with pytest.raises(MissingPartError, match=r"yolov8n-pose\.pt"):
        load_networks(PipelineConfig(pipeline="onestage", device="cpu"))
    detector = str(resource("weights/detector.safetensors"))
    with pytest.raises(WeightsError, match="no joints"):
        load_networks(PipelineConfig(pipeline="onestage", estimator=detector, device="cpu"))
    with pytest.raises(WeightsError, match="pipeline onestage, not for topdown"):
        make_worker(networks_of(Scripted(rows_of(SCORES, SHIFTS))), PipelineConfig(device="cpu"))


def test_a_published_network_finds_the_people_of_a_picture(shared_data: Path) -> None:
    teacher = shared_data / "teachers" / "yolov8n-pose.pt"
    if not teacher.is_file():
        pytest.skip("the teacher yolov8n-pose.pt is not here")
    spec = find_spec("ultralytics")
    assert spec is not None
    assert spec.origin is not None
    bus = cv2.imread(str(Path(spec.origin).parent / "assets" / "bus.jpg"))[:, :, ::-1].copy()
    config = PipelineConfig(pipeline="onestage", estimator=str(teacher), device="cpu")
    result = make_worker(load_networks(config), config).process([Frame(0, 0, bus)], keep_evidence=True)[0]
    assert result.evidence is not None
    assert len(result.poses) == 4
    boxes = np.stack([pose.box for pose in result.poses[:3]])
    # Boxes by hand of the three who stand in front of the bus.
    wanted = np.array([[48, 398, 242, 904], [670, 392, 810, 878], [222, 406, 346, 858]])
    assert np.abs(boxes - wanted).max() < 12
    left, _, middle = (pose.keypoints for pose in result.poses[:3])
    for person in (left, middle):  # nose, hips and ankles from top to bottom
        assert person[0, 1] < person[[11, 12], 1].mean() < person[[15, 16], 1].mean()
    assert (result.evidence.suppression.outcome == BY_SIMILARITY).sum() > 10
