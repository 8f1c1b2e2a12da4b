"""The boxes that crops are cut by: draws follow what was learnt, parts lie where they lie in whole people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from poseviewer.cli.progress import drive
from poseviewer.core.errors import FormatError
from poseviewer.core.skeleton import skeleton
from poseviewer.training.augment import NONE, AugmentConfig
from poseviewer.training.batches import Mixture
from poseviewer.training.datasets import Annotation, PersonSet, gather
from poseviewer.training.pose_guided import offsets
from poseviewer.training.proposal_fit import LEAST_PAIRS, fit_generator, fit_placer, found_pairs
from poseviewer.training.proposals import (
    PartPlacer,
    ProposalKind,
    Proposer,
    is_part_only,
    part_joints,
    part_of,
    read_proposer,
    write_proposer,
)
from tests.training.people import ARMS_UP, FIGURE

SHAPE = skeleton()
PARTS = part_joints(SHAPE)
FACE = PARTS["face"]
WH = (96, 128)
ERRORS = {True: (-0.12, 0.0, 0.18, 0.0), False: (0.0, 0.06, 0.0, -0.2)}
"""What the detector of these tests does with boxes of people with their arms up, and down; in box sizes."""


def person(rng: np.random.Generator, image: Path, *, up: bool = False) -> Annotation:
    """Somebody in a box of 1 x 2, of a random size at a random place."""
    size = float(rng.uniform(30, 60))
    start = rng.uniform(20, 60, 2)
    figure = (ARMS_UP if up else FIGURE) + rng.normal(0, 0.01, FIGURE.shape)
    joints = np.column_stack([figure * size + start, np.full(17, 2.0)]).astype(np.float32)
    box = np.concatenate([start, start + np.array([size, 2 * size])]).astype(np.float32)
    return Annotation(image, 1, 1, box, joints, {})


def face_of(whole: Annotation) -> Annotation:
    """The same as a data set of faces has it: their joints alone, and a box around these."""
    joints = whole.joints.copy()
    joints[~FACE, 2] = 0
    low, high = joints[FACE, :2].min(axis=0), joints[FACE, :2].max(axis=0)
    box = np.concatenate([low - 2, high + 2]).astype(np.float32)
    return Annotation(whole.image, whole.image_id, whole.annotation_id, box, joints, {})


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "a.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (220, 200, 3), dtype=np.uint8))
    return path


def crowd(picture: Path, count: int, seed: int = 0) -> list[Annotation]:
    """People, every other one with their arms up."""
    rng = np.random.default_rng(seed)
    return [person(rng, picture, up=number % 2 == 1) for number in range(count)]


def pairs_of(people: Sequence[Annotation], spread: float = 0.02) -> Any:
    """What a detector with the errors of these tests finds, one person a picture."""
    rng = np.random.default_rng(1)
    found = []
    for one in people:
        up = bool(one.joints[9, 1] < one.joints[5, 1])
        moved = np.array(ERRORS[up]) + rng.normal(0, spread, 4)
        found.append(one.box + moved * np.tile(one.box[2:] - one.box[:2], 2))
    from poseviewer.training.proposal_fit import Pairs

    joints = np.array([one.joints for one in people], dtype=np.float64)
    return Pairs(joints, np.array([one.box for one in people], dtype=np.float64), np.array(found))


def test_parts_are_told_from_people() -> None:
    whole = skeleton("halpe_136")
    parts = part_joints(whole)
    assert sorted(parts) == ["face", "left hand", "right hand"]
    assert {name: int(members.sum()) for name, members in parts.items()} == {
        "face": len(whole.face), "left hand": 21, "right hand": 21,
    }  # fmt: skip
    seen = parts["left hand"].copy()
    assert part_of(seen, parts) == "left hand"
    seen[np.flatnonzero(parts["right hand"])[:3]] = True
    assert part_of(seen, parts) == "left hand"
    seen[whole.joints.index("left wrist")] = True
    assert part_of(seen, parts) == ""
    assert part_of(np.zeros(136, dtype=bool), parts) == ""
    # A set that is nothing but a hand has no parts.
    assert part_joints(skeleton("freihand2d_21")) == {}


def test_faces_with_boxes_of_their_own_are_parts_and_people_without_legs_are_not(picture: Path) -> None:
    people = crowd(picture, 8)
    faces = [face_of(one) for one in people]
    assert is_part_only(gather("faces", faces), PARTS)
    assert not is_part_only(gather("people", people), PARTS)
    assert not is_part_only(gather("mixed", [*faces, people[0]]), PARTS)
    assert not is_part_only(gather("nobody", []), PARTS)
    # Of these only the face was labelled, but their boxes are those of people.
    half = [Annotation(f.image, 1, 1, w.box, f.joints, {}) for f, w in zip(faces, people, strict=True)]
    assert not is_part_only(gather("half", half), PARTS)


def test_a_face_is_placed_as_it_lies_in_whole_people(picture: Path) -> None:
    wholes, others = gather("wholes", crowd(picture, 60)), crowd(picture, 40, seed=5)
    faces = gather("faces", [face_of(one) for one in others])
    placer = fit_placer([wholes, faces], SHAPE)
    assert placer is not None
    assert set(placer.placings) == {"face"}
    rng = np.random.default_rng(2)
    placed = np.array([placer.place(j, w > 0, rng) for j, w in zip(faces.joints, faces.weights, strict=True)])
    true = np.array([one.box for one in others])
    # The size of a face varies a little more than a box follows, so the errors are not nothing.
    errors = offsets(placed, true)
    assert np.abs(errors.mean(axis=0)).max() < 0.05
    assert errors.std(axis=0).max() < 0.25
    assert placer.place(wholes.joints[0], wholes.weights[0] > 0, rng) is None
    assert fit_placer([wholes], SHAPE) is None
    assert fit_placer([faces], SHAPE) is None
    few = gather("few", crowd(picture, 9))
    assert fit_placer([few, faces], SHAPE) is None


def test_draws_of_parts_are_distributed_as_what_was_learnt() -> None:
    """Boxes whose place and logarithmic sizes around a face are Gaussian come back with these numbers."""
    rng = np.random.default_rng(3)
    joints = np.zeros((4000, 17, 2))
    joints[:, FACE] = FIGURE[FACE] * 40
    low, high = joints[0, FACE].min(axis=0), joints[0, FACE].max(axis=0)
    centre, size = (low + high) / 2, float((high - low).max())
    values = rng.normal([0.2, 4.0, np.log(5.0), np.log(10.0)], [0.1, 0.3, 0.2, 0.1], (4000, 4))
    middle, half = centre + values[:, :2] * size, np.exp(values[:, 2:]) * size / 2
    placer = PartPlacer.fit(joints, np.ones((4000, 17), bool), np.hstack([middle - half, middle + half]), PARTS, rng)
    drawn = np.array([placer.place(joints[0], FACE, rng) for _ in range(2000)])
    sides = drawn[:, 2:] - drawn[:, :2]
    back = np.hstack([((drawn[:, :2] + drawn[:, 2:]) / 2 - centre) / size, np.log(sides / size)])
    np.testing.assert_allclose(back.mean(axis=0), [0.2, 4.0, np.log(5.0), np.log(10.0)], atol=0.03)
    np.testing.assert_allclose(back.std(axis=0), [0.1, 0.3, 0.2, 0.1], atol=0.02)


def test_found_people_are_matched_once_and_by_overlap(tmp_path: Path) -> None:
    images = [tmp_path / f"{number}.png" for number in range(3)]
    for number, image in enumerate(images):
        cv2.imwrite(str(image), np.full((60, 60, 3), number * 50, dtype=np.uint8))
    boxes = [[0, 0, 20, 40], [22, 0, 42, 40], [0, 0, 20, 40]]
    people = [
        Annotation(images[place], 1, 1, np.array(box, np.float32), np.full((17, 3), 2, np.float32), {})
        for place, box in zip((0, 0, 1), boxes, strict=True)
    ]
    told = {0: [[1, 0, 21, 40], [23, 1, 43, 40], [2, 0, 22, 40]], 50: [[40, 40, 50, 50]]}

    def find(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        return np.array(told[int(pixels[0, 0, 0])], dtype=np.float64)

    pairs = drive(found_pairs(people, find))
    assert len(pairs) == 2
    np.testing.assert_array_equal(pairs.true, boxes[:2])
    np.testing.assert_array_equal(pairs.found, told[0][:2])
    assert len(drive(found_pairs(people[2:], find))) == 0


def test_a_detector_is_learnt_from_enough_people_whose_boxes_are_not_its_own(picture: Path) -> None:
    people = crowd(picture, LEAST_PAIRS)
    with pytest.raises(FormatError, match="finds only 49 of the people"):
        fit_generator(pairs_of(people[1:]), SHAPE)
    pairs = pairs_of(people)
    own = type(pairs)(pairs.joints, pairs.found, pairs.found)
    with pytest.raises(FormatError, match="detector's own"):
        fit_generator(own, SHAPE)


def window_of(batch_joints: npt.NDArray[np.float32], one: Annotation) -> tuple[npt.NDArray[np.float64], float]:
    """Centre and width in picture pixels of the window that a crop without turn or mirror was cut by."""
    scale = float(np.linalg.norm(np.ptp(batch_joints, axis=0)) / np.linalg.norm(np.ptp(one.joints[:, :2], axis=0)))
    shift = batch_joints.mean(axis=0) - one.joints[:, :2].mean(axis=0) * scale
    return (np.array(WH) / 2 - shift) / scale, WH[0] / scale


def learnt(picture: Path, kind: ProposalKind = "pgpg", count: int = 300) -> Proposer:
    return Proposer(kind, fit_generator(pairs_of(crowd(picture, count)), SHAPE) if kind == "pgpg" else None)


@pytest.mark.parametrize("up", [False, True])
def test_crops_of_a_training_err_as_the_detector_does_with_such_poses(picture: Path, tmp_path: Path, up: bool) -> None:
    one = crowd(picture, 2, seed=8)[int(up)]
    still = AugmentConfig(0.0, 0.0, 0.3, 0.0, 0.0, 0.0, 0.0)
    mixture = Mixture([(1.0, gather("one", [one]))], tmp_path, SHAPE, still, 4, learnt(picture))
    batch = mixture.batch(0, 300, WH, 1.0)
    windows = [window_of(joints, one) for joints in batch.joints.numpy()]
    size = one.box[2:] - one.box[:2]
    x1, y1, x2, y2 = ERRORS[up]
    moved = (np.array([centre for centre, _ in windows]) - (one.box[:2] + one.box[2:]) / 2) / size
    np.testing.assert_allclose(moved.mean(axis=0), [(x1 + x2) / 2, (y1 + y2) / 2], atol=0.01)
    # Two independent sides of 0.02 each; the noise of the configuration has no part in it.
    np.testing.assert_allclose(moved.std(axis=0), 0.02 / np.sqrt(2), atol=0.006)
    width = np.array([width for _, width in windows]) / 1.25
    wanted = max(1 + x2 - x1, 2 * (1 + y2 - y1) * WH[0] / WH[1])
    np.testing.assert_allclose(width.mean() / size[0], wanted, atol=0.02)


def test_a_batch_is_the_same_again_and_from_a_file(picture: Path, tmp_path: Path) -> None:
    people = gather("people", crowd(picture, 20))
    proposer = learnt(picture)
    config = AugmentConfig()
    mixture = Mixture([(1.0, people)], tmp_path, SHAPE, config, 4, proposer)
    first = [mixture.batch(number, 6, WH, 1.0) for number in range(3)]
    write_proposer(tmp_path / "p.json", proposer, SHAPE, "of a test")
    again = Mixture([(1.0, people)], tmp_path, SHAPE, config, 4, read_proposer(tmp_path / "p.json", SHAPE))
    resumed = again.batch(2, 6, WH, 1.0)
    assert (resumed.crops == first[2].crops).all()
    assert (resumed.joints == first[2].joints).all()
    halves = [again.batch(2, 6, WH, 1.0, (which, 2)) for which in (0, 1)]
    assert (halves[0].joints == first[2].joints[0::2]).all()
    assert (halves[1].joints == first[2].joints[1::2]).all()
    shaken = Mixture([(1.0, people)], tmp_path, SHAPE, config, 4)
    assert not (shaken.batch(2, 6, WH, 1.0).joints == resumed.joints).all()
    # A proposer that does nothing changes nothing, and without strength nothing errs.
    idle = Mixture([(1.0, people)], tmp_path, SHAPE, config, 4, Proposer())
    assert (idle.batch(2, 6, WH, 1.0).joints == shaken.batch(2, 6, WH, 1.0).joints).all()
    none = [Mixture([(1.0, people)], tmp_path, SHAPE, NONE, 4, kind).batch(0, 6, WH, 0.0) for kind in (proposer, None)]
    assert none[0].joints.numpy() == pytest.approx(none[1].joints.numpy(), abs=1e-3)


def test_the_fixed_draws_are_the_published_ones(picture: Path, tmp_path: Path) -> None:
    one = crowd(picture, 1, seed=8)[0]
    mixture = Mixture([(1.0, gather("one", [one]))], tmp_path, SHAPE, NONE, 4, Proposer("fixed"))
    windows = [window_of(joints, one) for joints in mixture.batch(0, 600, WH, 1.0).joints.numpy()]
    size = one.box[2:] - one.box[:2]
    moved = (np.array([centre for centre, _ in windows]) - (one.box[:2] + one.box[2:]) / 2) / size
    # 0.85 of them move both sides by their own Gaussians; the others are patches inside the box.
    assert abs(moved[:, 0].mean() - 0.85 * (0.0154 - 0.0142) / 2) < 0.02
    assert moved[:, 0].std() == pytest.approx(np.hypot(0.1158, 0.1337) / 2, abs=0.02)


def test_faces_in_a_mixture_are_cut_as_parts_of_people(picture: Path, tmp_path: Path) -> None:
    wholes = gather("wholes", crowd(picture, 40))
    faces = gather("faces", [face_of(one) for one in crowd(picture, 10, seed=6)])
    half_body = AugmentConfig(0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)

    def spread(sets: list[tuple[float, PersonSet]], proposer: Proposer | None) -> float:
        mixture = Mixture(sets, tmp_path, SHAPE, half_body, 0, proposer)
        joints = mixture.batch(0, 40, WH, 1.0).joints[:, FACE].numpy()
        return float(np.median(np.ptp(joints, axis=1).max(axis=1)))

    placer = fit_placer([wholes, faces], SHAPE)
    alone, placed = spread([(1.0, faces)], None), spread([(1.0, faces)], Proposer(placer=placer))
    still = Mixture([(1.0, wholes)], tmp_path, SHAPE, NONE, 0).batch(0, 40, WH, 0.0).joints[:, FACE].numpy()
    as_in_people = float(np.median(np.ptp(still, axis=1).max(axis=1)))
    assert alone > 3 * as_in_people
    assert placed == pytest.approx(as_in_people, rel=0.2)


def test_shares_are_those_of_the_draws(picture: Path, tmp_path: Path) -> None:
    people = crowd(picture, 12)
    first, second = gather("a", people[:2]), gather("b", people[2:])
    mixture = Mixture([(1 / 3, first), (2 / 3, second)], tmp_path, SHAPE, NONE, 0)
    known = [tuple(np.ptp(one.joints[:, :2], axis=0).round(3)) for one in people[:2]]
    joints = mixture.batch(0, 900, WH, 0.0).joints.numpy()
    ratios = np.array([np.ptp(j[:, 0]) / np.ptp(j[:, 1]) for j in joints])
    wanted = np.array([w / h for w, h in known])
    share = float((np.abs(ratios[:, None] - wanted).min(axis=1) < 1e-4).mean())
    assert share == pytest.approx(1 / 3, abs=0.05)


def test_a_file_of_something_else_is_refused(picture: Path, tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    write_proposer(file, learnt(picture), SHAPE)
    with pytest.raises(FormatError, match="its joints are not those of"):
        read_proposer(file, skeleton("halpe_26"))
    data = json.loads(file.read_text())
    for change in (
        {"kind": "magic"},
        {"errors": None},
        {"kind": "fixed"},
        {"errors": {**data["errors"], "weights": [2.0] * len(data["errors"]["weights"])}},
        {"errors": {**data["errors"], "means": [[0.0]]}},
        {"errors": {**data["errors"], "covariances": (-np.array(data["errors"]["covariances"])).tolist()}},
        {"atoms": [{"pose": [[0.0, 0.0]], "errors": data["errors"]}]},
    ):
        file.write_text(json.dumps({**data, **change}))
        with pytest.raises(FormatError, match="does not say how boxes are drawn"):
            read_proposer(file, SHAPE)
    file.write_text("[")
    with pytest.raises(FormatError, match="does not say"):
        read_proposer(file, SHAPE)
    with pytest.raises(FormatError, match="does not say"):
        read_proposer(tmp_path / "none.json", SHAPE)
