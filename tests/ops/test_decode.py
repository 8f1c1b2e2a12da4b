"""Decoding and targets on generated heatmaps: what is drawn is found."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from poseviewer.ops import decode, targets

SIZE = (24, 32)


@settings(max_examples=50, deadline=None)
@given(st.floats(3, 20), st.floats(3, 28), st.sampled_from(["master", "old"]))
def test_a_drawn_joint_is_found_within_half_a_cell(x: float, y: float, version: str) -> None:
    maps, weights = targets.gaussian_heatmaps(torch.tensor([[[x, y]]]), torch.ones(1, 1), SIZE)
    xy, scores = decode.decode_heatmaps(maps, version)
    offset = decode.OLD_OFFSET if version == "old" else 0.0
    assert (xy[0, 0] - offset - torch.tensor([x, y])).abs().max() <= 0.26
    assert 0.9 < scores.item() <= 1.0
    assert weights.item() == 1.0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 23), st.integers(0, 31))
def test_single_peaks_keep_their_cell(x: int, y: int) -> None:
    maps = torch.zeros(1, 1, 32, 24)
    maps[0, 0, y, x] = 0.7
    for version in ("master", "old"):
        xy, scores = decode.decode_heatmaps(maps, version)
        offset = decode.OLD_OFFSET if version == "old" else 0.0
        torch.testing.assert_close(xy[0, 0] - offset, torch.tensor([float(x), float(y)]))
        assert scores.item() == pytest.approx(0.7)


def test_quarter_shift_windows_differ_at_one() -> None:
    maps = torch.zeros(1, 1, 32, 24)
    maps[0, 0, 10, 1], maps[0, 0, 10, 2] = 1.0, 0.5
    master, _ = decode.decode_heatmaps(maps, "master")
    old, _ = decode.decode_heatmaps(maps, "old")
    assert master[0, 0].tolist() == [1.0, 10.0]
    assert old[0, 0].tolist() == pytest.approx([1.45, 10.2])


def test_empty_maps_and_ties() -> None:
    xy, scores = decode.decode_heatmaps(-torch.ones(1, 2, 8, 6), "master")
    assert not xy.any()
    assert (scores == -1).all()
    tied = torch.zeros(1, 1, 8, 6)
    tied[0, 0, 3, 4] = tied[0, 0, 5, 1] = 2.0
    assert decode.argmax_joints(tied)[0][0, 0].tolist() == [4.0, 3.0]


def test_damaged_maps_stay_inside() -> None:
    maps = torch.full((1, 1, 8, 6), float("nan"))
    xy, _ = decode.decode_heatmaps(maps, "master")
    assert xy.isfinite().all()


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 2), (4, 1)])
@pytest.mark.parametrize("version", ["master", "old"])
def test_maps_too_small_for_neighbours_give_their_maximum(size: tuple[int, int], version: str) -> None:
    maps = torch.rand(2, 3, *size) + 0.1
    xy, scores = decode.decode_heatmaps(maps, version)
    plain, _ = decode.argmax_joints(maps)
    torch.testing.assert_close(xy, plain + (decode.OLD_OFFSET if version == "old" else 0.0))
    torch.testing.assert_close(scores, maps.amax(dim=(2, 3)))


def test_no_people_is_no_joints() -> None:
    xy, scores = decode.decode_heatmaps(torch.zeros(0, 17, 8, 6))
    assert xy.shape == (0, 17, 2)
    assert scores.shape == (0, 17)


def test_integral_of_a_gaussian_is_its_centre() -> None:
    maps, _ = targets.gaussian_heatmaps(torch.tensor([[[10.3, 14.8]]]), torch.ones(1, 1), SIZE)
    xy, scores = decode.decode_integral(maps, "divide_sum")
    torch.testing.assert_close(xy[0, 0], torch.tensor([10.3, 14.8]), atol=1e-3, rtol=0)
    assert scores.item() == 1.0


def test_unknown_names_are_errors() -> None:
    with pytest.raises(ValueError, match="decoding"):
        decode.decode_heatmaps(torch.zeros(1, 1, 8, 6), "newest")
    with pytest.raises(ValueError, match="normalisation"):
        decode.decode_integral(torch.zeros(1, 1, 8, 6), "max")


def test_flip_brings_maps_back() -> None:
    maps = torch.rand(2, 3, 8, 6)
    flip = [0, 2, 1]
    mirrored = maps.flip(3)[:, flip]
    torch.testing.assert_close(decode.flip_back(mirrored, flip, shift=False), maps)
    shifted = decode.flip_back(mirrored, flip)
    torch.testing.assert_close(shifted[..., 1:], maps[..., :-1])
    torch.testing.assert_close(shifted[..., 0], maps[..., 0])


def test_joints_outside_the_map_do_not_count() -> None:
    joints = torch.tensor([[[-1.5, 5.0], [30.0, 5.0], [5.0, 5.0], [5.0, 6.0]]])
    maps, weights = targets.gaussian_heatmaps(joints, torch.tensor([[1.0, 1.0, 0.0, 1.0]]), SIZE)
    assert weights.tolist() == [[0.0, 0.0, 0.0, 1.0]]
    assert not maps[0, :3].any()


def test_the_loss_ignores_unlabelled_joints_and_stresses_the_foreground() -> None:
    wanted, weights = targets.gaussian_heatmaps(
        torch.tensor([[[5.0, 5.0], [6.0, 6.0]]]), torch.tensor([[1.0, 0.0]]), SIZE
    )
    found = wanted.clone()
    found[0, 1] = 9.0
    assert targets.foreground_mse(found, wanted, weights) == 0
    missed = targets.foreground_mse(torch.zeros_like(wanted), wanted, weights)
    plain = targets.foreground_mse(torch.zeros_like(wanted), wanted, weights, foreground=0.0)
    assert missed > 4 * plain
    assert targets.foreground_mse(wanted, wanted, torch.zeros(1, 2)) == 0
