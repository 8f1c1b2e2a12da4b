"""What is encoded comes back, within what the encoding rounds away."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from poseviewer.ops import affine_hrnet, warp_mmpose
from poseviewer.ops.codec_hrnet import HRNetCodec
from poseviewer.ops.codec_mmpose import MsraCodec, UdpCodec
from poseviewer.ops.codec_simcc import RegressionCodec, SimccCodec

INPUT, MAP = (96, 128), (24, 32)
CELL = 4.0
# The last cell that rounding can reach lies (size - 0.5) cells in.
INSIDE = st.tuples(st.floats(0, CELL * 23.49), st.floats(0, CELL * 31.49))


def tensor(points: list[tuple[float, float]]) -> torch.Tensor:
    return torch.tensor(points, dtype=torch.float64)[None]


@given(st.lists(INSIDE, min_size=1, max_size=4))
@settings(max_examples=25, deadline=None)
def test_gaussians_come_back_within_half_a_cell(points: list[tuple[float, float]]) -> None:
    joints = tensor(points)
    seen = torch.ones(joints.shape[:2])
    for codec in (HRNetCodec(INPUT, MAP), MsraCodec(INPUT, MAP)):
        maps, weights = codec.encode(joints, seen)
        found, scores = codec.decode(maps)
        pixels = found * CELL if isinstance(codec, HRNetCodec) else found
        assert (pixels - joints).abs().max() <= CELL / 2 + 1e-4
        assert torch.allclose(scores, torch.ones_like(scores))
        assert weights.all()


@given(st.lists(st.tuples(st.floats(16, 76), st.floats(16, 108)), min_size=1, max_size=4))
@settings(max_examples=25, deadline=None)
def test_udp_and_dark_find_the_place_between_cells(points: list[tuple[float, float]]) -> None:
    joints = tensor(points)
    seen = torch.ones(joints.shape[:2])
    dark, _ = (codec := MsraCodec(INPUT, MAP, unbiased=True)).decode(codec.encode(joints, seen)[0])
    udp, _ = (plain := UdpCodec(INPUT, MAP)).decode(plain.encode(joints, seen)[0])
    # A twentieth of a cell is left to the blur's finite window; UDP also stretches W - 1 to W pixels.
    assert (dark - joints).abs().max() <= CELL / 20
    stretched = joints * torch.tensor([96 / 95, 128 / 127])
    assert (udp - stretched).abs().max() <= CELL / 20


@given(
    st.lists(st.tuples(st.floats(0, 95), st.floats(0, 127)), min_size=1, max_size=4), st.sampled_from([1.0, 2.0, 3.0])
)
@settings(max_examples=25, deadline=None)
def test_bins_come_back_within_half_a_bin(points: list[tuple[float, float]], ratio: float) -> None:
    joints = tensor(points)
    seen = torch.ones(joints.shape[:2])
    for codec in (SimccCodec(INPUT, ratio), SimccCodec(INPUT, ratio, sigma=None)):
        labels = codec.encode(joints, seen)
        found, _ = codec.decode(labels.x, labels.y)
        assert (found - joints).abs().max() <= 0.5 / ratio + 1e-4
    shares, _ = (codec := RegressionCodec(INPUT)).encode(joints, seen)
    assert (codec.decode(shares)[0] - joints).abs().max() < 1e-4


@pytest.mark.parametrize("codec", [MsraCodec(INPUT, MAP, unbiased=True), UdpCodec(INPUT, MAP)])
def test_nobody_is_read_and_drawn(codec: MsraCodec | UdpCodec) -> None:
    maps, weights = codec.encode(torch.zeros(0, 17, 2), torch.zeros(0, 17))
    joints, scores = codec.decode(maps)
    assert (maps.shape, weights.shape) == ((0, 17, 32, 24), (0, 17))
    assert (joints.shape, scores.shape) == ((0, 17, 2), (0, 17))


def test_nobody_is_read_from_combined_maps() -> None:
    joints, scores = UdpCodec(INPUT, MAP, combined=True).decode(torch.zeros(0, 51, 32, 24))
    assert (joints.shape, scores.shape) == ((0, 17, 2), (0, 17))


def test_a_row_without_anything_above_zero_does_not_stop_the_refinement_of_others() -> None:
    codec = SimccCodec(INPUT, dark=True)
    labels = codec.encode(torch.tensor([[[40.0, 60.0], [90.0, 120.0]]]), torch.ones(1, 2))
    x, y = labels.x.clone(), labels.y.clone()
    x[0, 0] = -0.5
    joints, scores = codec.decode(x, y)
    assert scores[0, 0] < 0
    np.testing.assert_allclose(joints[0, 1].numpy(), [90.0, 120.0], atol=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_crops_and_their_inverses(seed: int) -> None:
    draw = np.random.default_rng(seed)
    centre = torch.from_numpy(draw.random((6, 2)) * 400)
    scale = torch.from_numpy(0.3 + draw.random((6, 2)) * 2)
    rotation = torch.from_numpy(draw.random(6) * 360 - 180)
    points = torch.from_numpy(draw.random((6, 5, 2)) * 400)
    there = affine_hrnet.affine(centre, scale, INPUT, rotation=rotation)
    back = affine_hrnet.affine(centre, scale, INPUT, rotation=rotation, inverse=True)
    # Both pass through the same float32 points of up to a thousand pixels.
    assert (affine_hrnet.apply(back, affine_hrnet.apply(there, points)) - points).abs().max() < 1e-6
    sides = warp_mmpose.to_aspect(scale * 200, INPUT[0] / INPUT[1])
    inside = warp_mmpose.crop_joints(warp_mmpose.warp_matrix(centre, sides, torch.zeros(6), INPUT), points)
    assert (warp_mmpose.input_to_picture(inside, centre, sides, INPUT) - points).abs().max() < 0.01
