"""The compact and the published FastPose, and the localisation network."""

from __future__ import annotations

import msgspec
import pytest
import torch

from poseviewer.nets.fastpose import FastPose, FastPoseConfig, initialise, published
from poseviewer.nets.se_resnet import SEResNet
from poseviewer.nets.stn import Localiser, LocaliserConfig

COMPACT = FastPoseConfig(
    stem="strided",
    stem_width=8,
    block="basic",
    depths=(1, 2, 1, 1),
    planes=(8, 16, 24, 32),
    se_reduction=2,
    duc=(48, 32),
    laterals=True,
    joints=5,
)


@pytest.mark.parametrize("size", [(64, 32), (96, 64)])
def test_heatmaps_have_a_quarter_of_the_input_size(size: tuple[int, int]) -> None:
    net = FastPose(COMPACT).eval()
    assert net(torch.zeros(2, 3, *size)).shape == (2, 5, size[0] // 4, size[1] // 4)


def test_only_the_first_block_of_a_stage_has_se() -> None:
    keys = FastPose(COMPACT).state_dict().keys()
    assert "preact.layer2.0.se.fc.0.weight" in keys
    assert not any(key.startswith("preact.layer2.1.se") for key in keys)


def test_a_fresh_network_starts_near_zero_and_learns_one_picture() -> None:
    torch.manual_seed(0)
    net = FastPose(COMPACT)
    initialise(net)
    x, wanted = torch.randn(4, 3, 64, 32), torch.rand(4, 5, 16, 8)
    first = ((net(x) - wanted) ** 2).mean()
    assert net(x).abs().max() < 0.2
    optimiser = torch.optim.AdamW(net.parameters(), lr=5e-3)
    for _ in range(25):
        optimiser.zero_grad()
        loss = ((net(x) - wanted) ** 2).mean()
        loss.backward()
        optimiser.step()
    assert loss < 0.5 * first


def test_tags_of_like_people_differ_by_their_places_alone() -> None:
    torch.manual_seed(0)
    config = msgspec.structs.replace(COMPACT, joints=17, tags=17, ramp=(0.25, -0.5))
    net, plain = FastPose(config).eval(), FastPose(msgspec.structs.replace(config, ramp=(0.0, 0.0))).eval()
    plain.load_state_dict(net.state_dict())
    picture = torch.randn(1, 3, 64, 96)
    maps, without = net(picture), plain(picture)
    assert maps.shape == (1, 34, 16, 24)
    assert torch.equal(maps[:, :17], without[:, :17])
    added = (maps - without)[0, 17:]
    torch.testing.assert_close(added[:, 3, 8], torch.full((17,), 8 * 0.25 - 3 * 0.5), atol=1e-5, rtol=0)
    with torch.autocast("cpu", torch.bfloat16):
        half = net(picture)
    # The far corner's place is exact although the network computes in bf16.
    torch.testing.assert_close(
        half[0, 17:, 0, 23] - half[0, 17:, 0, 22], maps[0, 17:, 0, 23] - maps[0, 17:, 0, 22], atol=0.05, rtol=0
    )


def test_unknown_depths_and_stems_are_errors() -> None:
    with pytest.raises(KeyError):
        published(18)
    with pytest.raises(ValueError, match="stem"):
        SEResNet("wide", 8, "basic", (1, 1, 1, 1), (8, 8, 8, 8), 0)


def test_the_localiser_starts_at_the_identity_and_takes_gradients() -> None:
    net = Localiser(LocaliserConfig(stem_width=8, depths=(1, 1), planes=(8, 16)))
    theta = net(torch.randn(2, 3, 64, 48))
    torch.testing.assert_close(theta, torch.eye(2, 3).expand(2, 2, 3))
    theta[:, 0, 2].sum().backward()
    assert net.fc.weight.grad is not None
    assert net.fc.weight.grad.abs().sum() > 0


def test_the_localiser_begins_from_the_estimators_stages() -> None:
    config = LocaliserConfig(stem_width=8, depths=(1, 1), planes=(8, 16), se_reduction=2)
    backbone = SEResNet("strided", 8, "basic", (1, 1, 1, 1), (8, 16, 24, 32), 2)
    net = Localiser(config)
    copied = net.begin_from(backbone)
    own = net.preact.state_dict()
    assert copied == len(own)
    assert all(torch.equal(value, backbone.state_dict()[key]) for key, value in own.items())
