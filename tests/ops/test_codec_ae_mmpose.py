"""MMPose's associative embedding: people that are drawn come back as they were."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from loop_ae_mmpose import loop_decode
from loop_grouping import crowd
from torch import Tensor

from poseviewer.core.values import BY_TAG, REFINED, STARTED
from poseviewer.ops.codec_ae_mmpose import AeCodec, join_passes
from poseviewer.ops.refinement import arg_max, dark, to_logarithms

JOINTS = 4
CODEC = AeCodec((128, 96), (32, 24), sigma=1.0)
HALF_CELL = 2.0


def people_at(places: list[tuple[int, int]]) -> Tensor:
    """People whose joints lie in a row beside one another, (P, K, 2) input pixels."""
    first = torch.tensor(places, dtype=torch.float64)[:, None]
    return first + torch.arange(JOINTS)[None, :, None] * torch.tensor([6.0, 1.0], dtype=torch.float64)


def tag_maps_for(codec: AeCodec, joints: Tensor, tags: list[float]) -> Tensor:
    """Tag maps (1, K, h, w) that hold each person's tag at its joints, and 50 elsewhere."""
    visible = torch.ones(joints.shape[:2])
    places = codec.encode(joints, visible).places[..., 0]
    width, height = codec.heatmap_wh
    maps = torch.full((JOINTS, height * width), 50.0)
    for person, tag in enumerate(tags):
        maps[torch.arange(JOINTS), places[person]] = tag
    return maps.view(1, JOINTS, height, width)


@settings(deadline=None, max_examples=25)
@given(st.integers(16, 90), st.integers(16, 70))
def test_a_lone_person_comes_back_within_half_a_cell(x: int, y: int) -> None:
    joints = people_at([(x, y)])
    drawn = CODEC.encode(joints, torch.ones(1, JOINTS))
    (found,) = CODEC.decode(drawn.maps[None], tag_maps_for(CODEC, joints, [1.0]))
    assert found.joints.shape == (1, JOINTS, 2)
    assert (found.joints - joints).abs().max() <= HALF_CELL
    assert found.how.tolist() == [[STARTED, *[BY_TAG] * (JOINTS - 1)]]
    assert found.distance[0, 1:].tolist() == [0.0] * (JOINTS - 1)
    torch.testing.assert_close(found.person_scores, torch.ones(1))


@pytest.mark.parametrize("udp", [False, True])
def test_two_people_are_told_apart_by_their_tags(*, udp: bool) -> None:
    codec = AeCodec((128, 96), (32, 24), sigma=1.0, udp=udp)
    joints = people_at([(20, 20), (70, 60)])
    drawn = codec.encode(joints, torch.ones(2, JOINTS))
    (found,) = codec.decode(drawn.maps[None], tag_maps_for(codec, joints, [0.0, 5.0]))
    assert len(found.joints) == 2
    first = found.person_tags[:, 0].argsort()
    torch.testing.assert_close(found.tags[first, :, 0], torch.tensor([[0.0] * JOINTS, [5.0] * JOINTS]))
    assert (found.joints[first] - joints).abs().max() <= HALF_CELL


def test_a_joint_without_a_candidate_is_filled_in_and_told_apart() -> None:
    joints = people_at([(20, 20)])
    visible = torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    drawn = CODEC.encode(joints, visible)
    maps = drawn.maps.clone()
    maps[3, 10, 11] = 0.05
    (found,) = CODEC.decode(maps[None], torch.zeros(1, JOINTS, 24, 32))
    assert found.how.tolist() == [[STARTED, BY_TAG, BY_TAG, REFINED]]
    assert found.joints[0, 3].tolist() == [44.0, 40.0]
    torch.testing.assert_close(found.scores[0, 3], torch.tensor(0.05))
    torch.testing.assert_close(found.person_scores, torch.tensor([0.75]))


def test_nobody_is_found_in_empty_maps_and_nobody_is_drawn_for_nobody() -> None:
    (found,) = CODEC.decode(torch.zeros(1, JOINTS, 24, 32), torch.zeros(1, 2 * JOINTS, 24, 32))
    assert found.joints.shape == (0, JOINTS, 2)
    assert found.tags.shape == (0, JOINTS, 2)
    drawn = CODEC.encode(torch.zeros(0, JOINTS, 2), torch.zeros(0, JOINTS))
    assert drawn.maps.shape == (JOINTS, 24, 32)
    assert not drawn.maps.any()


def test_joints_outside_are_not_drawn_and_their_tags_not_read() -> None:
    joints = people_at([(20, 20)])
    joints[0, 2] = torch.tensor([400.0, 20.0])
    drawn = CODEC.encode(joints, torch.ones(1, JOINTS))
    assert drawn.weights.tolist() == [[1.0, 1.0, 0.0, 1.0]]
    assert drawn.places[0, :, 1].tolist() == [1, 1, 0, 1]
    assert not drawn.maps[2].any()


def test_the_mirrored_pass_is_brought_back_and_its_tags_stand_beside() -> None:
    flip = (1, 0, 2, 3)
    plain = torch.rand(2, 2 * JOINTS, 6, 8)
    mirrored = plain.flip(3)[:, [*flip, *(JOINTS + joint for joint in flip)]]
    maps, tags = join_passes(plain, mirrored, flip)
    torch.testing.assert_close(maps, plain[:, :JOINTS])
    torch.testing.assert_close(tags, plain[:, JOINTS:].repeat(1, 2, 1, 1))
    alone = join_passes(plain, None, flip, (16, 12))
    assert [tuple(part.shape) for part in alone] == [(2, JOINTS, 12, 16)] * 2


@pytest.mark.parametrize("udp", [False, True])
@pytest.mark.parametrize(("people", "side"), [(3, 64), (12, 64), (6, 160)])
def test_plain_loops_decode_alike(people: int, side: int, *, udp: bool) -> None:
    maps, tags = crowd(people, seed=people, size=64)
    tag_maps = tags.permute(3, 0, 1, 2).flatten(0, 1)
    if side != 64:
        maps, tag_maps = (F.interpolate(part[None], (side, side), mode="bilinear")[0] for part in (maps, tag_maps))
    codec = AeCodec((256, 256), (side, side), most_people=30, shift=0.0 if udp else 0.5, udp=udp)
    (found,) = codec.decode(maps[None], tag_maps[None])
    joints, scores = loop_decode(maps, tag_maps, codec)
    assert len(joints) == len(found.joints) > 0
    np.testing.assert_allclose(found.scores, scores, atol=1e-5)
    np.testing.assert_allclose(found.joints, joints, atol=2e-3)


def test_logarithms_are_numpy_s_on_the_processor() -> None:
    values = torch.rand(3, 5, 7) + 1e-3
    wanted = np.log(values.numpy())
    np.testing.assert_array_equal(to_logarithms(values).numpy(), wanted)
    np.testing.assert_array_equal(values.numpy(), wanted)
    outputs = torch.rand(1, 2, 9, 9, requires_grad=True)
    assert dark(outputs, arg_max(outputs)[0], 3).isfinite().all()
