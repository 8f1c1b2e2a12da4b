"""Targets and losses of the detector's training."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from poseviewer.nets.ultralytics_parts import ultralytics_parts
from poseviewer.training.detection_objectives import (
    BINS,
    Dense,
    Hints,
    assign,
    complete_iou,
    decode,
    detection_loss,
    grid,
    human_targets,
    inside,
    iou_matrix,
    make_targets,
)

SIZE = 64
NOTHING = torch.zeros(1, 0, 4)


def _blank(batch: int = 1, logit: float = -8.0) -> Dense:
    count = len(grid(SIZE)[0])
    return Dense(torch.full((batch, count), logit), torch.zeros(batch, count, 4, BINS))


def _box(*corners: float) -> Tensor:
    return torch.tensor([[corners]], dtype=torch.float32)


def test_the_grid_is_that_of_the_network() -> None:
    ultralytics_parts()
    from ultralytics.utils.tal import make_anchors

    centres, strides = grid(SIZE)
    maps = [torch.zeros(1, 1, SIZE // stride, SIZE // stride) for stride in (8, 16, 32)]
    wanted, wanted_strides = make_anchors(maps, torch.tensor([8.0, 16.0, 32.0]), 0.5)
    assert torch.equal(centres, wanted * wanted_strides)
    assert torch.equal(strides, wanted_strides[:, 0])


def test_a_sure_distribution_decodes_to_its_box() -> None:
    centres, strides = grid(SIZE)
    bins = torch.full((1, len(centres), 4, BINS), -50.0)
    bins[..., 2] = 50.0
    boxes = decode(bins, centres, strides)
    assert boxes[0, 0].tolist() == pytest.approx([4 - 16, 4 - 16, 4 + 16, 4 + 16])


def test_iou_matrix_and_complete_iou() -> None:
    a = torch.tensor([[0, 0, 10, 10], [20, 20, 30, 40.0]])
    b = torch.tensor([[0, 0, 10, 10], [5, 0, 15, 10], [100, 100, 110, 110.0]])
    overlap = iou_matrix(a[None], b[None])[0]
    torch.testing.assert_close(overlap, torch.tensor([[1, 1 / 3, 0], [0, 0, 0.0]]), atol=1e-5, rtol=0)
    assert complete_iou(a, a).tolist() == pytest.approx([1.0, 1.0], abs=1e-5)
    # Same shape, 5 pixels apart: IoU minus the squared distance over the squared diagonal of the hull.
    shifted = complete_iou(a[:1], b[1:2])
    assert float(shifted) == pytest.approx(1 / 3 - 25 / (15**2 + 10**2), abs=1e-4)
    # Another shape costs the angle term too.
    wide, tall = torch.tensor([[0, 0, 20, 10.0]]), torch.tensor([[5, -5, 15, 15.0]])
    v = 4 / math.pi**2 * (math.atan(2) - math.atan(0.5)) ** 2
    assert float(complete_iou(wide, tall)) == pytest.approx(1 / 3 - v * v / (1 - 1 / 3 + v), abs=1e-4)


def test_padding_boxes_hold_nothing() -> None:
    centres, _ = grid(SIZE)
    assert not bool(inside(torch.zeros(2, 3, 4), centres).any())


def test_a_box_goes_to_the_best_aligned_locations_inside_it() -> None:
    centres, strides = grid(SIZE)
    count = len(centres)
    box = _box(8, 8, 40, 56)
    predicted = torch.zeros(1, count, 4)
    inner = inside(box, centres)[0, 0].nonzero()[:, 0]
    good, fair, outside = int(inner[3]), int(inner[5]), count - 1
    predicted[0, [good, outside]] = box[0, 0]
    predicted[0, fair] = torch.tensor([8, 8, 40, 44.0])
    score, owner = assign(box, torch.full((1, count), 0.5), predicted, centres, strides)
    assert float(score[0, good]) == pytest.approx(1.0)
    assert 0 < float(score[0, fair]) < 0.3
    assert float(score[0, outside]) == 0
    assert set(score[0].nonzero()[:, 0].tolist()) <= set(inner.tolist())
    assert int(owner[0, good]) == 0


def test_every_box_gets_a_location_even_from_a_blind_network() -> None:
    centres, strides = grid(SIZE)
    count = len(centres)
    # One ordinary box and one that is smaller than a cell.
    boxes = torch.tensor([[[4, 4, 40, 50], [50, 20, 53, 23.0]]])
    score, owner = assign(boxes, torch.full((1, count), 1e-3), torch.zeros(1, count, 4), centres, strides)
    assert set(owner[0][score[0] > 0].tolist()) == {0, 1}


def test_a_location_belongs_to_one_box() -> None:
    centres, strides = grid(SIZE)
    boxes = torch.tensor([[[0, 0, 60, 60], [4, 4, 56, 56.0]]])
    predicted = boxes[:, 1:].expand(-1, len(centres), -1)
    score, owner = assign(boxes, torch.full((1, len(centres)), 0.5), predicted, centres, strides)
    assert int((score > 0).sum()) >= 10
    best = int(score[0].argmax())
    assert int(owner[0, best]) == 1


def test_without_human_boxes_the_teacher_is_the_target() -> None:
    teacher = _blank()
    teacher.logits[0, 5] = 3.0
    targets = make_targets(_blank(), teacher, NOTHING, NOTHING, NOTHING, grid(SIZE), own_share=0, human=False)
    torch.testing.assert_close(targets.score, teacher.logits.sigmoid())
    assert targets.box_weight.nonzero().tolist() == [[0, 5]]


def test_human_boxes_complete_and_correct_the_teacher() -> None:
    centres, _ = grid(SIZE)
    teacher = _blank()
    everywhere = _box(0, 0, SIZE, SIZE)
    box = _box(2, 2, 30, 30)
    away = int(((centres - torch.tensor([60.0, 60.0])).abs().sum(-1)).argmin())
    teacher.logits[0, away] = 2.0
    taught = float(teacher.logits[0, away].sigmoid())

    def score(unsure: Tensor, known: Tensor) -> Tensor:
        return make_targets(_blank(), teacher, box, unsure, known, grid(SIZE), own_share=1, human=True).score[0]

    within = inside(box, centres)[0, 0]
    # The missed person is raised, the invented one lowered, but only where everybody is known.
    assert float(score(NOTHING, everywhere)[within].max()) >= 0.3
    assert float(score(NOTHING, everywhere)[away]) == pytest.approx(0.3 * taught)
    assert float(score(NOTHING, NOTHING)[away]) == pytest.approx(taught)
    assert float(score(_box(50, 50, 64, 64), everywhere)[away]) == pytest.approx(taught)


def test_the_student_who_agrees_has_no_loss() -> None:
    torch.manual_seed(3)
    count = len(grid(SIZE)[0])
    dense = Dense(torch.randn(2, count), torch.randn(2, count, 4, BINS))
    none = torch.zeros(2, 0, 4)
    targets = make_targets(dense, dense, none, none, none, grid(SIZE), own_share=0, human=True)
    losses = detection_loss(dense, targets, grid(SIZE))
    for name in ("score", "box", "bins"):
        assert float(losses[name]) == pytest.approx(0.0, abs=1e-4)
    other = detection_loss(Dense(dense.logits + 1, dense.bins.flip(-1)), targets, grid(SIZE))
    for name in ("score", "box", "bins"):
        assert float(other[name]) > 0.01


def test_descent_finds_a_human_box() -> None:
    geometry = grid(SIZE)
    box = _box(10, 6, 42, 58)
    known = _box(0, 0, SIZE, SIZE)
    logits = torch.full((1, len(geometry[0])), -4.0, requires_grad=True)
    bins = torch.zeros(1, len(geometry[0]), 4, BINS, requires_grad=True)
    optimiser = torch.optim.Adam([logits, bins], lr=0.1)
    for _ in range(150):
        student = Dense(logits, bins)
        targets = make_targets(student, _blank(), box, NOTHING, known, geometry, own_share=1, human=True)
        loss = sum(detection_loss(student, targets, geometry).values(), torch.zeros(()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    best = int(logits[0].argmax())
    assert float(logits.detach()[0, best].sigmoid()) > 0.5
    found = decode(bins.detach(), *geometry)[:, best : best + 1]
    assert float(iou_matrix(found, box)) > 0.85


def test_hints_fall_to_zero_for_a_student_with_the_same_maps() -> None:
    torch.manual_seed(0)
    hints = Hints([3, 3], [3, 3])
    maps = [torch.randn(2, 3, 8, 8) * 4 + 2, torch.randn(2, 3, 4, 4)]
    people = torch.rand(2, len(grid(SIZE)[0]))
    first = float(hints(maps, maps, people).detach())
    optimiser = torch.optim.Adam(hints.parameters(), lr=0.05)
    for _ in range(200):
        loss = hints(maps, maps, people)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert first > 0.3
    assert float(hints(maps, maps, people).detach()) < 0.01 * first


def test_human_boxes_alone_say_nothing_where_nobody_looked() -> None:
    geometry = grid(SIZE)
    person, left_half = _box(4.0, 8.0, 28.0, 56.0), _box(0.0, 0.0, 32.0, 64.0)
    targets = human_targets(_blank(), person, NOTHING, left_half, geometry)
    assigned = targets.score[0] > 1e-6
    looked = geometry[0][:, 0] < 32
    assert 1 <= assigned.sum() <= 10
    assert inside(person, geometry[0])[0, 0][assigned].all()
    assert torch.equal(targets.weight[0] > 0, looked | assigned)
    # The same person where nobody says that the boxes are complete: only the person teaches.
    alone = human_targets(_blank(), person, NOTHING, NOTHING, geometry)
    assert torch.equal(alone.weight[0] > 0, assigned)
    assert targets.boxes[0, assigned].unique(dim=0).tolist() == [[4.0, 8.0, 28.0, 56.0]]
