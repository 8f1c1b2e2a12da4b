"""run(): exact geometry end to end, batches across frames, cancelling, memory, given boxes."""

from __future__ import annotations

import threading
import time

import msgspec
import numpy as np
import pytest
import torch
from dot_people import BrightDetector, DotReader, FixedTheta, draw_people, make_networks

from poseviewer.core import geometry
from poseviewer.core.errors import CallError, DeviceError, MediaError, WeightsError
from poseviewer.core.progress import Note
from poseviewer.core.values import KEPT, Frame
from poseviewer.pipeline import batches
from poseviewer.pipeline.config import NmsConfig, PipelineConfig, config_hash
from poseviewer.pipeline.run import AHEAD, run
from poseviewer.pipeline.topdown import TopDown, suppress

ALL = NmsConfig(enabled=False)
CONFIG = PipelineConfig(nms=ALL, batch_frames=3, batch_people=4)
HALF_CELL = 0.5
TILTED = [[0.9, 0.25, 0.04], [-0.2, 0.85, -0.05]]


def half_cell_px(result) -> float:
    """Half a heatmap cell in frame pixels, the largest of the result's people."""
    return HALF_CELL * max(
        (np.sqrt(abs(np.linalg.det(crop.heatmap_to_frame[:, :2]))) for crop in result.evidence.crops), default=0.0
    )


def errors_of(result, truth: np.ndarray) -> np.ndarray:
    poses = sorted(result.poses, key=lambda pose: pose.box[0])
    assert len(poses) == len(truth)
    if not poses:
        return np.zeros(1)
    return np.abs(np.stack([pose.keypoints for pose in poses]) - truth)


@pytest.mark.parametrize("theta", [None, TILTED], ids=["proposal", "stn"])
def test_joints_come_back_within_half_a_cell(dots, theta) -> None:
    networks = make_networks(FixedTheta(theta) if theta else None)
    results = list(run(dots, range(9), CONFIG, networks=networks, keep_evidence=True))
    assert [result.frame for result in results] == list(range(9))
    for result, truth in zip(results, dots.joints, strict=True):
        assert errors_of(result, truth).max() <= half_cell_px(result) + 1e-3
    assert sum(len(truth) for truth in dots.joints) == 10


@pytest.mark.parametrize("scale", [1, 2, 6])
@pytest.mark.parametrize("smooth", [True, False])
def test_people_of_any_size_come_back(scale: int, *, smooth: bool) -> None:
    pixels, joints = draw_people(np.random.default_rng(2), 2, scale)
    config = msgspec.structs.replace(CONFIG, smooth=smooth)
    result = TopDown(make_networks(), config).process([Frame(0, 0.0, pixels)], keep_evidence=True)[0]
    assert errors_of(result, joints).max() <= half_cell_px(result) + 1e-3


def test_models_of_2018_get_the_crops_of_2018(dots) -> None:
    """Its crop truncates and its way back does not: right to about a pixel beyond the half cell."""
    results = list(run(dots, range(9), CONFIG, networks=make_networks(decode="old"), keep_evidence=True))
    for result, truth in zip(results, dots.joints, strict=True):
        assert errors_of(result, truth).max() <= half_cell_px(result) + 1.5
        for crop in result.evidence.crops:
            assert crop.heatmap_to_frame[0, 0] != pytest.approx(4 * crop.crop[0, 0], rel=1e-4)


def test_batches_cross_frames(dots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "MOST_FRAMES_ON_CPU", 8)
    networks = make_networks()
    list(run(dots, range(9), CONFIG, networks=networks))
    assert networks.detector.calls == [3, 3, 3]
    assert networks.estimator.module.calls == [3, 4, 3]  # people of three frames at once
    one = make_networks()
    # Averaged pixels: on the dots' plateaus the last digit would decide which neighbour is higher.
    smooth = msgspec.structs.replace(CONFIG, smooth=True)
    single = list(run(dots, range(9), msgspec.structs.replace(smooth, batch_frames=1, batch_people=1), networks=one))
    many = list(run(dots, range(9), smooth, networks=networks))
    for a, b in zip(single, many, strict=True):
        for pose_a, pose_b in zip(a.poses, b.poses, strict=True):
            np.testing.assert_allclose(pose_a.keypoints, pose_b.keypoints, atol=1e-3)
            np.testing.assert_allclose(pose_a.scores, pose_b.scores, atol=1e-5)


def test_frames_of_different_size_and_any_order(dots) -> None:
    rng = np.random.default_rng(0)
    dots.pictures[4], dots.joints[4] = draw_people(rng, 1, 2)
    order = [8, 4, 0, 4, 3]
    results = list(run(dots, order, CONFIG, networks=make_networks(), keep_evidence=True))
    assert [result.frame for result in results] == order
    assert all(result.timestamp_s == result.frame / 25 for result in results)
    for result in results:
        assert errors_of(result, dots.joints[result.frame]).max() <= half_cell_px(result) + 1e-3
    assert len({result.fingerprint for result in results}) == 4
    assert results[1].fingerprint == results[3].fingerprint


def test_evidence_is_complete_and_consistent(dots) -> None:
    networks = make_networks(FixedTheta(TILTED))
    result = next(iter(run(dots, [1], CONFIG, networks=networks, keep_evidence=True)))
    evidence = result.evidence
    assert evidence is not None
    assert len(evidence.crops) == len(evidence.candidates.scores) == 2
    assert evidence.nbytes > 0
    assert {"detector", "crops", "estimator", "decode", "suppression"} <= set(evidence.seconds)
    for index, crop in enumerate(evidence.crops):
        assert crop.heatmaps.shape == (8, 16, 12)
        assert crop.picture.shape == crop.proposal_picture.shape == (64, 48, 3)
        # theta leads from the crop to the proposal, gamma back.
        np.testing.assert_allclose(geometry.compose(crop.theta, crop.gamma), geometry.IDENTITY, atol=1e-9)
        corner = np.array([[0.0, 0.0], [47.0, 63.0]])
        unit = corner / [47 / 2, 63 / 2] - 1
        inside = (geometry.transform(crop.theta, unit) + 1) * [47 / 2, 63 / 2]
        expected = geometry.transform(crop.proposal, inside)
        np.testing.assert_allclose(geometry.transform(crop.crop, corner), expected, atol=1e-6)
        # The strongest cell of each heatmap, mapped to the frame, is the candidate's joint within a quarter cell.
        for joint in range(8):
            y, x = np.unravel_index(crop.heatmaps[joint].argmax(), (16, 12))
            place = geometry.transform(crop.heatmap_to_frame, np.array([x, y]))
            step = np.abs(place - evidence.candidates.keypoints[index, joint])
            assert step.max() <= 0.4 * np.abs(crop.heatmap_to_frame[:, :2]).sum(1).max()
            assert crop.heatmaps[joint].max() == pytest.approx(evidence.candidates.scores[index, joint], abs=1e-6)
    # The crop picture is what lies in the frame under the crop matrix.
    picture = evidence.crops[0].picture
    at = np.rint(geometry.transform(evidence.crops[0].crop, np.array([[20.0, 30.0]]))[0]).astype(int)
    assert np.abs(picture[30, 20].astype(int) - dots.pictures[1][at[1], at[0]].astype(int)).max() < 120
    without = next(iter(run(dots, [1], CONFIG, networks=networks)))
    assert without.evidence is None


def test_given_boxes_replace_the_detector(dots) -> None:
    networks = make_networks()
    box = [15.0, 15.0, 95.0, 145.0]
    boxes = {1: np.array([box]), 3: np.array([[*box, 0.25]]), 2: np.zeros((0, 4))}
    results = list(run(dots, [0, 1, 2, 3], CONFIG, networks=networks, boxes=boxes))
    assert [len(result.poses) for result in results] == [0, 1, 0, 1]
    assert networks.detector.calls == []
    np.testing.assert_allclose(results[1].poses[0].box, box)
    kept, floor = results[1].poses[0], results[3].poses[0]
    assert kept.score - kept.scores.mean() - 1.25 * kept.scores.max() == pytest.approx(1.0, abs=1e-4)
    assert floor.score - floor.scores.mean() - 1.25 * floor.scores.max() == pytest.approx(0.25, abs=1e-4)


def test_doubled_boxes_are_suppressed_and_reported(dots) -> None:
    box = np.array([15.0, 15.0, 95.0, 145.0])
    boxes = {1: np.stack([box, box + 1, box - 1])}
    config = msgspec.structs.replace(CONFIG, nms=NmsConfig(score_floor=0.05))
    result = next(iter(run(dots, [1], config, networks=make_networks(), boxes=boxes, keep_evidence=True)))
    assert len(result.poses) == 1
    assert (result.evidence.suppression.outcome == KEPT).sum() == 1
    again, poses = suppress(result.evidence.candidates, msgspec.structs.replace(config.nms, enabled=False))
    assert len(poses) == 3
    assert len(again.kept) == 3


def test_a_joint_that_merging_leaves_undefined_keeps_its_own_place() -> None:
    """AlphaPose's whole-body form can leave a pick out of its own group; NaN must not reach the window."""
    from poseviewer.core.values import Candidates
    from poseviewer.ops.suppression import suppress_poses

    rng = np.random.default_rng(0)
    body = rng.uniform(0, 300, (133, 2))
    poses = np.stack([body, body + rng.normal(0, 6, (133, 2))] * 3).astype(np.float32)
    low = np.full((6, 133), 0.1, dtype=np.float32)
    low[:, 0] = 0.9
    boxes = np.concatenate([poses.min(1), poses.max(1)], 1)
    candidates = Candidates(poses, low, boxes, np.ones(6, np.float32))
    loose = NmsConfig(gamma=1.2, match_threshold=1e9)
    raw = suppress_poses(*(torch.from_numpy(a) for a in (boxes, candidates.box_scores, poses, low)), config=loose)
    _, survivors = suppress(candidates, loose)
    assert len(survivors) == len(raw.keypoints) > 0
    assert all(np.isfinite(pose.keypoints).all() and np.isfinite(pose.scores).all() for pose in survivors)


# --- errors and cancelling ---


def decode_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "poseviewer-run-decode"]


def test_closing_stops_within_a_batch(dots) -> None:
    dots.pictures, dots.joints = dots.pictures * 20, dots.joints * 20
    networks = make_networks()
    results = run(dots, range(180), CONFIG, networks=networks)
    next(results)
    results.close()
    assert not decode_threads()
    assert len(networks.detector.calls) == 1
    assert len(dots.reads) <= (AHEAD + 2) * CONFIG.batch_frames


def test_an_unreadable_frame_comes_after_what_precedes_it(dots) -> None:
    dots.fails_at = 4
    seen = []
    with pytest.raises(MediaError, match="Frame 4"):  # noqa: PT012
        for result in run(dots, range(9), CONFIG, networks=make_networks()):
            seen.append(result.frame)  # noqa: PERF401 (extend would lose them when it raises)
    assert seen == [0, 1, 2, 3]
    assert not decode_threads()


class Tight(DotReader):
    """Has memory for a few people only."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().forward(x)


class TightDetector(BrightDetector):
    """Has memory for one frame only, and says so as some libraries do."""

    def __call__(self, frames: torch.Tensor, *, confidence: float, iou: float):
        if len(frames) > 1:
            raise RuntimeError("CUDA error: out of memory")
        return super().__call__(frames, confidence=confidence, iou=iou)


def test_out_of_memory_halves_the_batch_and_goes_on(dots) -> None:
    notes: list[Note] = []
    networks = make_networks(module=Tight(1), detector=TightDetector())
    results = list(run(dots, range(9), CONFIG, networks=networks, keep_evidence=True, on_note=notes.append))
    for result, truth in zip(results, dots.joints, strict=True):
        assert errors_of(result, truth).max() <= half_cell_px(result) + 1e-3
        assert len(result.evidence.crops) == len(truth)
    assert [note.level for note in notes] == ["warning"] * 3
    texts = " ".join(note.text for note in notes)
    assert "one frame at a time" in texts
    assert "one person at a time" in texts or "2 people at once" in texts


def test_not_enough_memory_for_one_person_is_one_sentence(dots) -> None:
    with pytest.raises(DeviceError, match="one frame and one person") as caught:
        list(run(dots, range(9), CONFIG, networks=make_networks(module=Tight(0))))
    assert caught.value.remedy
    assert not decode_threads()


def test_other_errors_are_not_taken_for_memory(dots) -> None:
    class Broken(DotReader):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        list(run(dots, range(2), CONFIG, networks=make_networks(module=Broken())))


@pytest.mark.parametrize("change", [{"confidence": 1.5}, {"batch_people": 0}, {"enlargement": float("nan")}])
def test_senseless_numbers_are_refused(dots, change) -> None:
    with pytest.raises(CallError):
        list(run(dots, [0], msgspec.structs.replace(CONFIG, **change), networks=make_networks()))


def test_networks_of_another_pipeline_are_refused(dots) -> None:
    with pytest.raises(WeightsError, match="pipeline topdown, not for bottomup"):
        list(run(dots, [0], msgspec.structs.replace(CONFIG, pipeline="bottomup"), networks=make_networks()))


def test_broken_theta_becomes_the_identity(dots) -> None:
    networks = make_networks(FixedTheta([[0.0, 0.0, float("nan")], [0.0, 0.0, 0.0]]))
    result = next(iter(run(dots, [0], CONFIG, networks=networks, keep_evidence=True)))
    np.testing.assert_array_equal(result.evidence.crops[0].theta, geometry.IDENTITY)
    assert errors_of(result, dots.joints[0]).max() <= half_cell_px(result) + 1e-3


def test_decoding_overlaps_with_computing(dots) -> None:
    """While the estimator works on one batch, the next frames are read."""

    seen: list[int] = []

    class Slow(DotReader):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            deadline = time.monotonic() + 5
            while len(dots.reads) < 6 and time.monotonic() < deadline:
                time.sleep(0.005)
            seen.append(len(dots.reads))
            return super().forward(x)

    list(run(dots, range(9), CONFIG, networks=make_networks(module=Slow())))
    assert seen[0] >= 6  # the first batch had three frames


def test_config_travels_as_json_and_its_hash_ignores_batch_sizes() -> None:
    config = PipelineConfig(detector="a.pt", nms=NmsConfig(version="old", gamma=20.0))
    assert msgspec.json.decode(msgspec.json.encode(config), type=PipelineConfig) == config
    assert config_hash(config) == config_hash(msgspec.structs.replace(config, batch_people=1))
    assert config_hash(config) != config_hash(msgspec.structs.replace(config, flip=True))
    assert config_hash(config) == config_hash(msgspec.structs.replace(config, flip=False))
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"batch_size": 3}', type=PipelineConfig)
