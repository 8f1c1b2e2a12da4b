"""What a network can be trained for: every objective falls, and distillation keeps what nobody labelled."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from poseviewer.core.skeleton import skeleton
from poseviewer.nets.weights import EstimatorSpec
from poseviewer.ops.decode import decode_heatmaps, decode_integral
from poseviewer.training.batches import Batch
from poseviewer.training.groups import GroupBatch
from poseviewer.training.loop import Learner, LoopConfig
from poseviewer.training.objectives import (
    Distilled,
    DistilledIntegral,
    EmbeddingObjective,
    HeatmapObjective,
    SikrObjective,
    joint_weights,
    natural_objective,
)

SPEC = EstimatorSpec(
    family="fastpose", skeleton="coco_17", joints=2, input_wh=(32, 32), heatmap_wh=(8, 8),
    mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), decode="master",
)  # fmt: skip


def make_batch(number: int, count: int = 8) -> Batch:
    """Crops with a red patch at joint 0 and a green one at joint 1."""
    draw = torch.Generator().manual_seed(number)
    joints = 4.0 * torch.randint(1, 7, (count, 2, 2), generator=draw)
    crops = torch.zeros(count, 32, 32, 3, dtype=torch.uint8)
    for crop, pair in zip(crops, joints.int().tolist(), strict=True):
        for colour, (x, y) in enumerate(pair):
            crop[y - 2 : y + 3, x - 2 : x + 3, colour] = 255
    return Batch(crops, joints, torch.ones(count, 2))


def make_net(outputs: int = 2) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 16, 5, 4, 2), nn.ReLU(), nn.Conv2d(16, outputs, 3, padding=1))


def train(objective: Any, net: nn.Module, make: Any, steps: int = 120, rate: float = 2e-2) -> list[float]:
    learner: Learner[Any] = Learner(net, objective, LoopConfig(steps=steps, rate=rate, warm_up=5, precision="float32"))
    return [float(learner.learn(make(number))) for number in range(steps)]


def test_heatmaps_are_learnt() -> None:
    net = make_net()
    losses = train(HeatmapObjective(SPEC, torch.ones(2), sigma=1.0), net, make_batch)
    assert losses[-1] < 0.2 * losses[0]
    batch = make_batch(999)
    xy, _ = decode_heatmaps(net((batch.crops.float() / 255 - 0.5).permute(0, 3, 1, 2) / 0.25), "master")
    assert (xy * 4 - batch.joints).abs().mean() < 2


def test_symmetric_integral_regression_is_learnt() -> None:
    net = make_net()
    losses = train(SikrObjective(SPEC, torch.ones(2)), net, make_batch, steps=250)
    assert losses[-1] < 0.5 * losses[0]
    batch = make_batch(999)
    xy, _ = decode_integral(net((batch.crops.float() / 255 - 0.5).permute(0, 3, 1, 2) / 0.25), "sigmoid")
    middle = (batch.joints - 16).abs().mean()
    assert (xy * 4 - batch.joints).abs().mean() < 0.6 * middle


def test_distillation_learns_the_labelled_joint_and_keeps_the_other() -> None:
    old = make_net()
    train(HeatmapObjective(SPEC, torch.ones(2), sigma=1.0), old, make_batch)
    old.eval().requires_grad_(False)

    def swapped(number: int) -> Batch:
        """Joint 0 is called right where joint 1 was; nobody labels joint 1."""
        batch = make_batch(number)
        return Batch(batch.crops, batch.joints.flip(1), torch.tensor([1.0, 0.0]).expand(8, 2))

    changed: dict[float, float] = {}
    x = (make_batch(7).crops.float() / 255 - 0.5).permute(0, 3, 1, 2) / 0.25
    for keep in (0.0, 1.0):
        net = make_net()
        net.load_state_dict(old.state_dict())
        net.requires_grad_(True)
        losses = train(Distilled(SPEC, old, torch.ones(2), 1.0, keep), net, swapped)
        assert losses[-1] < 0.5 * losses[0]
        changed[keep] = float((net(x)[:, 1] - old(x)[:, 1]).abs().mean().detach())
    assert changed[1.0] < 0.5 * changed[0.0]


def peak(x: int, y: int, height: float) -> Tensor:
    """One map (8, 8) of logits that is empty but for a peak."""
    found = torch.full((8, 8), -20.0)
    found[y, x] = height
    return found


def test_distillation_of_an_integral_network_keeps_where_unlabelled_joints_were() -> None:
    # Both joints lie where they were labelled, two cells farther right, and where the old network was not sure of them.
    old = torch.stack([peak(2, 3, 4.0), peak(5, 5, -1.0)]).expand(4, 2, 8, 8)
    new = torch.stack([peak(4, 3, 4.0), peak(1, 5, 4.0)]).expand(4, 2, 8, 8).clone().requires_grad_(True)
    crops = torch.zeros(4, 32, 32, 3, dtype=torch.uint8)
    joints = torch.tensor([[16.0, 12.0], [4.0, 20.0]]).expand(4, 2, 2)

    def loss(*, labelled: bool, keep: float = 0.5) -> Tensor:
        batch = Batch(crops, joints, torch.full((4, 2), float(labelled)))
        objective = DistilledIntegral(SPEC, lambda x: old, torch.ones(2), keep)
        return objective(lambda x: new, batch)

    # Labelled joints are right, and the old answers do not count there.
    assert float(loss(labelled=True).detach()) == pytest.approx(0.0, abs=1e-5)
    # Of the unlabelled ones only that counts of which the old network was sure: two of eight cells, half as much.
    sure = float(torch.tensor(4.0).sigmoid())
    assert float(loss(labelled=False).detach()) == pytest.approx(0.5 * 2 / 8 * sure, rel=1e-4)
    assert float(loss(labelled=False, keep=0.0).detach()) == 0.0
    loss(labelled=False).backward()  # type: ignore[no-untyped-call]
    gradient = new.grad
    assert gradient is not None
    assert gradient[:, 0].abs().sum() > 0
    assert gradient[:, 1].abs().sum() == 0


def group_batch(number: int) -> GroupBatch:
    """Pictures of two people of two joints, one person bright and one dim."""
    draw = torch.Generator().manual_seed(number)
    pictures = torch.zeros(4, 32, 32, 3, dtype=torch.uint8)
    people = []
    for picture in pictures:
        places = torch.randperm(6, generator=draw)[:4] + 1
        rows = torch.randint(1, 7, (4,), generator=draw)
        joints = torch.stack((4.0 * places, 4.0 * rows, torch.full((4,), 2.0)), dim=1).view(2, 2, 3)
        for person, brightness in zip(joints.int().tolist(), (255, 110), strict=True):
            for colour, (x, y, _) in enumerate(person):
                picture[y - 1 : y + 2, x - 1 : x + 2, colour] = brightness
        people.append(joints)
    return GroupBatch(pictures, tuple(people), torch.ones(4, 8, 8))


def test_associative_embedding_pulls_a_person_together_and_pushes_people_apart() -> None:
    net = make_net(4)
    objective = EmbeddingObjective(SPEC, push=0.1, pull=0.1, sigma=0.7)
    losses = train(objective, net, group_batch, steps=300, rate=1e-2)
    assert sum(losses[-20:]) < 0.6 * sum(losses[:20])
    batch = group_batch(999)
    maps = net((batch.pictures.float() / 255 - 0.5).permute(0, 3, 1, 2) / 0.25)
    tags = torch.stack(
        [
            torch.stack([maps[b, 2 + k, int(y) // 4, int(x) // 4] for k, (x, y, _) in enumerate(person)])
            for b, pair in enumerate(batch.people)
            for person in pair.tolist()
        ]
    ).view(4, 2, 2)
    within = (tags[:, :, 0] - tags[:, :, 1]).abs().mean()
    between = (tags[:, 0].mean(1) - tags[:, 1].mean(1)).abs().mean()
    assert between > 2 * within


def test_hard_joints_weigh_more_and_decoding_names_the_objective() -> None:
    shape = skeleton()
    weights = joint_weights(shape)
    assert weights[shape.joints.index("left wrist")] > weights[shape.joints.index("nose")]
    assert natural_objective(SPEC) == "heatmap"
    import msgspec

    assert natural_objective(msgspec.structs.replace(SPEC, decode="integral")) == "sikr"


@pytest.mark.parametrize("kind", ["heatmap", "sikr", "distilled", "distilled integral", "embedding"])
def test_every_objective_learns_in_half_precision(kind: str) -> None:
    objectives: dict[str, Any] = {
        "heatmap": HeatmapObjective(SPEC, torch.ones(2), 1.0),
        "sikr": SikrObjective(SPEC, torch.ones(2)),
        "distilled": Distilled(SPEC, make_net().eval(), torch.ones(2), 1.0),
        "distilled integral": DistilledIntegral(SPEC, make_net().eval(), torch.ones(2), certain=0.0),
        "embedding": EmbeddingObjective(SPEC, push=0.1, pull=0.1, sigma=0.7),
    }
    make = group_batch if kind == "embedding" else make_batch
    losses: dict[str, list[float]] = {}
    for precision in ("float32", "fp16"):
        config = LoopConfig(steps=30, rate=1e-3, warm_up=5, precision=precision)  # type: ignore[arg-type]
        learner: Learner[Any] = Learner(make_net(4 if kind == "embedding" else 2), objectives[kind], config)
        learner.scaler.load_state_dict(learner.scaler.state_dict() and {**learner.scaler.state_dict(), "scale": 256.0})
        losses[precision] = [float(learner.learn(make(number))) for number in range(12)]
        assert learner.scaler.get_scale() == (256.0 if precision == "fp16" else 1.0)
    assert losses["fp16"] != losses["float32"]
    assert losses["fp16"] == pytest.approx(losses["float32"], rel=0.03)


@pytest.mark.parametrize("kind", ["heatmap", "sikr"])
def test_unlabelled_joints_cost_nothing(kind: str) -> None:
    from poseviewer.training.objectives import OBJECTIVES

    objective = OBJECTIVES[kind](SPEC, skeleton())
    batch = make_batch(0)
    unlabelled = Batch(batch.crops, torch.zeros(8, 17, 2), torch.zeros(8, 17))

    def forward(x: Tensor) -> Tensor:
        return torch.randn(len(x), 17, 8, 8)

    assert float(objective(forward, unlabelled)) == 0.0
