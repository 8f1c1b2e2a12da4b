"""The bottom-up pipeline: people of dots come out where they were drawn, and the evidence says why."""

from __future__ import annotations

from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
import torch
from dot_people import COLOURS, DotFrames, draw_people
from tag_people import OWN, TAGS, TagReader, hide, tag_networks, tag_of

from poseviewer.core.errors import CallError, MissingPartError, WeightsError
from poseviewer.core.progress import Note
from poseviewer.core.skeleton import skeleton
from poseviewer.core.values import BELOW_FLOOR, BY_TAG, KEPT, NO_JOINT, REFINED, STARTED, Frame, FrameResult
from poseviewer.nets.families import IMAGENET_MEAN, IMAGENET_STD
from poseviewer.nets.header import EstimatorHeader
from poseviewer.nets.higher_hrnet import HigherHRNet, HigherHRNetConfig
from poseviewer.nets.hrnet import TrunkConfig
from poseviewer.nets.weights import EstimatorSpec, save_estimator
from poseviewer.ops import grouping, higher
from poseviewer.pipeline.bottomup import BottomUp, centred, rules_of
from poseviewer.pipeline.config import PipelineConfig, applied_nms, check_config
from poseviewer.pipeline.loading import load_networks
from poseviewer.pipeline.regrouping import regroup
from poseviewer.pipeline.run import run
from poseviewer.pipeline.workers import make_worker, suppress

CONFIG = PipelineConfig(pipeline="bottomup", device="cpu")
FORMS = ("higher", "newell", "mmpose_ae")
JOINTS = len(COLOURS)


def changed(**fields: object) -> PipelineConfig:
    return msgspec.structs.replace(CONFIG, **fields)


def look(
    form: str, pixels: np.ndarray, config: PipelineConfig = CONFIG, *, boxes: np.ndarray | None = None
) -> FrameResult:
    worker = make_worker(tag_networks(form), config)
    given = None if boxes is None else {7: boxes}
    return worker.process([Frame(7, 0.28, pixels)], boxes=given, keep_evidence=True)[0]


def left_to_right(result: FrameResult) -> list[int]:
    return sorted(range(len(result.poses)), key=lambda i: float(result.poses[i].keypoints[:, 0].mean()))


def cell_px(result: FrameResult) -> float:
    """Frame pixels of a cell of the network's own maps, a quarter of its input."""
    assert result.evidence is not None
    return 4 * float(result.evidence.crops[0].crop[0, 0])


@pytest.fixture
def two() -> tuple[np.ndarray, np.ndarray]:
    """A picture of two people and their joints."""
    return draw_people(np.random.default_rng(11), 2)


@pytest.mark.parametrize("form", FORMS)
def test_people_come_out_where_they_are(form: str, two: tuple[np.ndarray, np.ndarray]) -> None:
    pixels, places = two
    result = look(form, pixels)
    assert (result.frame, result.timestamp_s) == (7, 0.28)
    assert len(result.poses) == 2
    # Half a cell per axis, and the half input pixel between corners and centres that published code leaves.
    limit = (0.5 + 0.125) * cell_px(result)
    for person, index in enumerate(left_to_right(result)):
        pose = result.poses[index]
        assert np.abs(pose.keypoints - places[person]).max() <= limit
        low, high = places[person].min(axis=0), places[person].max(axis=0)
        np.testing.assert_allclose(pose.box, [*low, *high], atol=limit)
        assert pose.score == pytest.approx(float(pose.scores.mean()), abs=1e-5)
        assert pose.scores.min() > 0.3
    assert [pose.score for pose in result.poses] == sorted((pose.score for pose in result.poses), reverse=True)


@pytest.mark.parametrize("form", FORMS)
def test_another_limit_is_tried_as_a_run_with_it_decides(form: str, two: tuple[np.ndarray, np.ndarray]) -> None:
    """The tags of a person's joints go up by OWN each, so that a smaller limit cuts people in two."""
    limit = 3.7 * OWN
    evidence = look(form, two[0], changed(confidence=0.0)).evidence
    assert evidence is not None
    assert evidence.grouping is not None
    tried = regroup(evidence.grouping, limit, 0.0)
    assert tried is not None
    strict = look(form, two[0], changed(grouping_limit=limit, confidence=0.0)).evidence
    assert strict is not None
    assert strict.grouping is not None
    assert strict.grouping.limit == limit
    assert (tried.before, tried.after) == (2, len(strict.grouping.how))
    assert tried.after > 2
    grouped = np.isin(strict.grouping.how[:2], (STARTED, BY_TAG))
    assert sorted(tried.moved) == [(person, joint) for person, joint in np.argwhere(~grouped).tolist()]
    with pytest.raises(CallError, match="grouping_limit must lie between 0 and 10"):
        check_config(changed(grouping_limit=0.0))


@pytest.mark.parametrize("form", FORMS)
def test_the_evidence_says_why(form: str, two: tuple[np.ndarray, np.ndarray]) -> None:
    pixels, places = two
    evidence = look(form, pixels).evidence
    assert evidence is not None
    why = evidence.grouping
    assert why is not None
    assert evidence.suppression.outcome.tolist() == [KEPT, KEPT]
    assert len({id(crop) for crop in evidence.crops}) == 1
    assert why.order == tuple(range(JOINTS))
    assert why.limit == 1.0
    assert (why.how[:, 0] == STARTED).all()
    assert (why.how[:, 1:] == BY_TAG).all()
    for candidate in range(2):
        half = int(evidence.candidates.keypoints[candidate, :, 0].mean() > 120)
        expected = [tag_of(half, joint) for joint in range(JOINTS)]
        np.testing.assert_allclose(why.joint_tags[candidate, :, 0], expected, atol=1e-5)
        assert why.person_tags[candidate, 0] == pytest.approx(np.mean(expected), abs=1e-5)
        # Joint k joins people whose mean is that of joints 0 to k - 1.
        distance = [OWN * (joint - (joint - 1) / 2) for joint in range(1, JOINTS)]
        np.testing.assert_allclose(why.distance[candidate, 1:], distance, atol=1e-5)
        assert np.isnan(why.distance[candidate, 0])
        # Where the evidence's maps peak is where the joint lies.
        crop = evidence.crops[candidate]
        assert crop.heatmaps.shape == why.tags.shape[:3]
        side = crop.heatmaps.shape[2] // 2
        part = crop.heatmaps[3][:, side:] if half else crop.heatmaps[3][:, :side]
        y, x = np.unravel_index(int(part.argmax()), part.shape)
        at = crop.heatmap_to_frame @ [x + half * side, y, 1.0]
        assert np.abs(at - places[half, 3]).max() <= 0.75 * 4 * crop.crop[0, 0]
    np.testing.assert_array_equal(why.map_to_frame, evidence.crops[0].heatmap_to_frame)


@pytest.mark.parametrize("form", FORMS)
def test_a_faint_joint_is_found_afterwards_by_its_tag(form: str, two: tuple[np.ndarray, np.ndarray]) -> None:
    pixels, places = two
    result = look(form, hide(pixels, places[1, 5], 5, 0.06))
    person = result.poses[left_to_right(result)[1]]
    why = result.evidence.grouping  # type: ignore[union-attr]
    candidate = int(np.flatnonzero(why.person_tags[:, 0] > 1)[0])
    assert why.how[candidate, 5] == REFINED
    assert np.isnan(why.distance[candidate, 5])
    assert why.joint_tags[candidate, 5, 0] == pytest.approx(tag_of(1, 5), abs=1e-5)
    assert np.abs(person.keypoints[5] - places[1, 5]).max() <= 0.75 * cell_px(result)
    # What the network said of the place, also in the form that calls it 1.
    assert 0.005 < person.scores[5] < 0.1
    # The score is of the joints that were grouped.
    assert person.score == pytest.approx((person.scores.sum() - person.scores[5]) / JOINTS, abs=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_the_flip_test_adds_a_tag_and_moves_nobody(
    form: str, two: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels, places = two
    worker = make_worker(tag_networks(form), changed(flip=True))
    assert isinstance(worker, BottomUp)
    plain = worker.process([Frame(7, 0.28, pixels)], keep_evidence=True)[0]
    assert plain.evidence is not None
    assert plain.evidence.grouping is not None
    # Without a joint set nobody knows which joints change places, so there is no flip test.
    assert plain.evidence.grouping.joint_tags.shape == (2, JOINTS, 1)
    monkeypatch.setattr(worker, "_mirror", tuple(range(JOINTS)))  # colours stay what they are
    monkeypatch.setattr(worker, "_flip", True)
    result = worker.process([Frame(7, 0.28, pixels)], keep_evidence=True)[0]
    assert result.evidence is not None
    why = result.evidence.grouping
    assert why is not None
    assert why.tags.shape[3] == 2
    half = int(why.person_tags[0, 0] > 1)
    # In the mirrored picture the halves have changed places.
    np.testing.assert_allclose(why.joint_tags[0, 2], [tag_of(half, 2), tag_of(1 - half, 2)], atol=1e-5)
    for person, index in enumerate(left_to_right(result)):
        assert np.abs(result.poses[index].keypoints - places[person]).max() <= 0.625 * cell_px(result)


@pytest.mark.parametrize("form", ["higher", "newell"])
def test_several_scales_agree(form: str, two: tuple[np.ndarray, np.ndarray]) -> None:
    pixels, places = two
    config = changed(scales=(1.0, 2.0))
    result = look(form, pixels, config)
    assert len(result.poses) == 2
    for person, index in enumerate(left_to_right(result)):
        assert np.abs(result.poses[index].keypoints - places[person]).max() <= 0.75 * cell_px(result)


def test_pictures_of_any_aspect_and_size_fit() -> None:
    for shape in ((160, 240), (240, 160), (97, 211), (200, 64)):
        pixels = np.full((*shape, 3), 40, dtype=np.uint8)
        place = np.array([0.3 * shape[1], 0.6 * shape[0]]).astype(int)
        pixels[place[1] - 4 : place[1] + 5, place[0] - 4 : place[0] + 5] = COLOURS[0]
        for form in FORMS:
            result = look(form, pixels, changed(confidence=0.0))
            evidence = result.evidence
            assert evidence is not None
            best = int(evidence.candidates.box_scores.argmax())
            found = evidence.candidates.keypoints[best, 0]
            assert np.abs(found - place).max() <= 0.75 * cell_px(result), (shape, form)
            height, width = evidence.crops[0].picture.shape[:2]
            assert height % 64 == width % 64 == 0


def test_an_empty_picture_has_nobody() -> None:
    for form in FORMS:
        result = look(form, np.full((120, 160, 3), 40, dtype=np.uint8))
        assert result.poses == ()
        assert result.evidence is not None
        assert result.evidence.candidates.keypoints.shape == (0, JOINTS, 2)
        assert result.evidence.grouping is not None
        assert result.evidence.grouping.joint_tags.shape == (0, JOINTS, 1)


def test_runaway_maps_are_left_out() -> None:
    networks = tag_networks("newell")
    module = networks.estimator.module
    networks.estimator.module.forward = lambda x: 100 * TagReader.forward(module, x)  # type: ignore[method-assign]
    pixels, _ = draw_people(np.random.default_rng(1), 1)
    assert make_worker(networks, CONFIG).process([Frame(0, 0, pixels)])[0].poses == ()


@pytest.mark.parametrize("form", FORMS)
def test_damaged_weights_are_one_sentence(form: str) -> None:
    networks = tag_networks(form)
    networks.estimator.module.dots.colours[:] = float("nan")  # type: ignore[union-attr, index]
    with pytest.raises(WeightsError, match="not finite"):
        make_worker(networks, CONFIG).process([Frame(0, 0.0, np.zeros((64, 64, 3), dtype=np.uint8))])


def test_who_scores_too_low_stays_a_candidate(two: tuple[np.ndarray, np.ndarray]) -> None:
    pixels, places = two
    for joint in range(1, JOINTS):
        pixels = hide(pixels, places[0, joint], joint, 0.001)
    result = look("higher", pixels)
    evidence = result.evidence
    assert evidence is not None
    assert len(result.poses) == 1
    low = int(np.flatnonzero(evidence.suppression.outcome == BELOW_FLOOR)[0])
    assert evidence.candidates.box_scores[low] < 0.2
    assert (evidence.grouping.how[low, 1:] == NO_JOINT).all()  # type: ignore[union-attr]
    # A joint that was not found lies amid the others.
    points = evidence.candidates.keypoints[low]
    np.testing.assert_allclose(points[1:], np.broadcast_to(points[0], (JOINTS - 1, 2)), atol=1e-3)
    nms = msgspec.structs.replace(applied_nms(CONFIG), score_floor=0.01)
    report, poses = suppress(evidence.candidates, nms)
    assert len(poses) == 2
    assert sorted(report.kept.tolist()) == [0, 1]
    # With no floor at all the run says the same.
    assert len(look("higher", pixels, changed(confidence=0.01)).poses) == 2


def test_a_box_by_hand_chooses_who_is_meant(two: tuple[np.ndarray, np.ndarray]) -> None:
    pixels, places = two
    low, high = places[1].min(axis=0) - 3, places[1].max(axis=0) + 3
    result = look("higher", pixels, boxes=np.array([[*low, *high]], dtype=np.float32))
    assert len(result.poses) == 1
    assert result.evidence is not None
    assert result.evidence.grouping is not None
    assert result.evidence.grouping.person_tags[0, 0] > 1
    assert len(result.evidence.crops) == 1
    nobody = look("higher", pixels, boxes=np.array([[0, 0, 4, 4]], dtype=np.float32))
    assert nobody.poses == ()


def test_a_run_streams_frames_and_shrinks_when_memory_is_short(dots: DotFrames) -> None:
    notes: list[Note] = []
    networks = tag_networks("higher", most=1)
    results = list(run(dots, range(9), CONFIG, networks=networks, on_note=notes.append))
    assert [len(result.poses) for result in results] == [len(places) for places in dots.joints]
    assert len(notes) == 1
    for result, places in zip(results, dots.joints, strict=True):
        for person, index in enumerate(left_to_right(result)):
            assert np.abs(result.poses[index].keypoints - places[person]).max() <= 2.5


def test_batches_do_not_matter(dots: DotFrames) -> None:
    frames = [Frame(index, 0.0, picture) for index, picture in enumerate(dots.pictures[:4])]
    for form in FORMS:
        worker = make_worker(tag_networks(form), CONFIG)
        together = worker.process(frames)
        for frame, joined in zip(frames, together, strict=True):
            alone = worker.process([frame])[0]
            assert len(alone.poses) == len(joined.poses)
            for one, other in zip(alone.poses, joined.poses, strict=True):
                np.testing.assert_allclose(one.keypoints, other.keypoints, atol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_the_accelerator_groups_as_the_processor_does(dots: DotFrames) -> None:
    frames = [Frame(index, 0.0, picture) for index, picture in enumerate(dots.pictures[:4])]
    for form in FORMS:
        here = make_worker(tag_networks(form), CONFIG).process(frames, keep_evidence=True)
        there = make_worker(tag_networks(form, device="cuda"), changed(device="cuda")).process(
            frames, keep_evidence=True
        )
        for one, other in zip(here, there, strict=True):
            assert len(one.poses) == len(other.poses)
            for index, place in zip(left_to_right(one), left_to_right(other), strict=True):
                away = np.abs(one.poses[index].keypoints - other.poses[place].keypoints)
                assert away.max() <= cell_px(one)


def test_matrices_count_from_corners_and_from_centres() -> None:
    matrix = torch.tensor([[2.0, 0.0, 10.0], [0.0, 3.0, -4.0]], dtype=torch.float64)
    np.testing.assert_allclose(centred(matrix), [[2, 0, 11], [0, 3, -2.5]])


def test_fourteen_joints_are_grouped_in_their_published_order() -> None:
    assert rules_of("higher", 14).order == (0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13)
    assert rules_of("newell", 17).ignore_too_much


def test_what_does_not_fit_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # An installation without the bundled network.
    monkeypatch.setattr("poseviewer.pipeline.config.resource_folder", lambda: tmp_path)
    with pytest.raises(MissingPartError, match=r"pose_higher_hrnet_w32_512\.pth"):
        load_networks(CONFIG)
    with pytest.raises(WeightsError, match=r"tags\.pth is a network for the pipeline bottomup, not for topdown"):
        make_worker(tag_networks("higher"), PipelineConfig(device="cpu"))
    for fields in ({"scales": ()}, {"scales": (0.5, 2.0)}, {"scales": (9.0,)}, {"input_size": -1}):
        with pytest.raises(CallError):
            check_config(changed(**fields))
    assert TAGS[1] - TAGS[0] > 1.0


def test_our_own_files_with_tags_run(tmp_path: Path) -> None:
    """A small HigherHRNet of ours: what the pipeline groups is what the network and the published steps give."""
    torch.manual_seed(4)
    trunk = TrunkConfig(width=4)
    config = HigherHRNetConfig(joints=17, tags=17, trunk=trunk, width=4, blocks=1)
    spec = EstimatorSpec(
        family="higher_hrnet",
        skeleton="coco_17",
        joints=17,
        input_wh=(64, 64),
        heatmap_wh=(32, 32),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        decode="higher",
        output="tags",
    )
    path = tmp_path / "small.safetensors"
    save_estimator(path, HigherHRNet(config).eval(), EstimatorHeader(spec, config), half=False)
    chosen = changed(estimator=str(path), flip=True, confidence=0.0, backend="eager")
    networks = load_networks(chosen)
    assert (networks.precision, networks.describe()["estimator"]["name"]) == ("float32", "small.safetensors")
    pixels = np.random.default_rng(2).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    result = make_worker(networks, chosen).process([Frame(0, 0.0, pixels)], keep_evidence=True)[0]
    assert result.evidence is not None
    why, crop = result.evidence.grouping, result.evidence.crops
    assert why is not None
    window = higher.scaled_input((96, 64), 64, 1.0, 1.0)
    assert window.size_wh == (128, 64)
    with torch.inference_mode():
        fed = networks.normalise(_fed(window, pixels))
        rules = higher.StageRules(17, skeleton("coco_17").flip)
        plain = rules.read(networks.estimator.module(fed))
        mirrored = rules.read(networks.estimator.module(fed.flip(3)), mirrored=True)
        total = higher.Scales((1.0,), project_wh=window.size_wh)
        total.add(1.0, [plain, mirrored])
        heat, tags = total.result()
        people, scores = grouping.group_people(heat[0], tags[0])
    found = result.evidence.candidates
    # Kept are the network's own maps, a quarter of the enlarged ones that decoding uses, in the picture's place.
    own = torch.stack([plain[1][0], mirrored[1][0]], dim=3)
    np.testing.assert_allclose(why.tags, own.numpy(), atol=1e-4)
    np.testing.assert_allclose(why.map_to_frame[:, :2] / 2, window.matrix((128, 64))[:, :2].numpy(), atol=1e-9)
    assert len(found.box_scores) == len(scores) > 3
    np.testing.assert_allclose(np.sort(found.box_scores), np.sort(scores.numpy()), atol=1e-4)
    own = (plain[0][0] + mirrored[0][0]) / 2
    np.testing.assert_allclose(crop[0].heatmaps, own.numpy(), atol=1e-4)
    assert crop[0].heatmaps.nbytes * 4 == heat[0].nbytes
    places = window.to_picture(people[..., :2], (128, 64)).numpy()
    seen = people[..., 2].numpy() > 0
    np.testing.assert_allclose(found.keypoints[seen], places[seen], atol=0.51)


def _fed(window: higher.ScaledInput, pixels: np.ndarray) -> torch.Tensor:
    """The input as OpenCV cuts it, ``(1, 3, h, w)``."""
    matrix = window.matrix(window.size_wh).numpy()
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cut = cv2.warpAffine(pixels.astype(np.float32), matrix, window.size_wh, flags=flags)
    return torch.from_numpy(cut).permute(2, 0, 1)[None]


def test_the_least_score_counts_without_suppression_too(two: tuple[np.ndarray, np.ndarray]) -> None:
    pixels, places = two
    for joint in range(1, JOINTS):
        pixels = hide(pixels, places[0, joint], joint, 0.001)
    off = msgspec.structs.replace(CONFIG.nms, enabled=False)
    assert len(look("higher", pixels, changed(nms=off)).poses) == 1
