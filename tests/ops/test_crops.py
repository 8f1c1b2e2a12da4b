"""Crops: exact sampling, the spatial transformer and round trips; tests/golden/check_crops_alphapose.py has the
published code's numbers."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from poseviewer.core import geometry
from poseviewer.ops import crops as crops_module
from poseviewer.ops import reference_crops as ref
from poseviewer.ops.crops import (
    FrameSampler,
    crop_people,
    heatmap_matrices,
    identity_theta,
    invert_matrices,
    map_points,
    proposal_matrices,
    sdtn_gamma,
    transformed_matrices,
)
from poseviewer.ops.decode import decode_heatmaps
from poseviewer.ops.targets import gaussian_heatmaps

torch.set_num_threads(1)
INPUT = (192, 256)
HEATMAP = (48, 64)


def load(golden: Path, name: str) -> dict[str, torch.Tensor]:
    path = golden / "alphapose" / name
    if not path.exists():
        pytest.skip(f"{name} is not among the vectors")
    with np.load(path) as data:
        return {key: torch.from_numpy(data[key]) for key in data}


def near(actual: torch.Tensor, expected: torch.Tensor, atol: float, rtol: float = 1e-6) -> None:
    np.testing.assert_allclose(actual.numpy(), expected.numpy(), atol=atol, rtol=rtol)


# --- our own crops ---


def random_frames(rng: np.random.Generator, count: int, height: int, width: int) -> torch.Tensor:
    """(B, 3, H, W) uint8, channels last in memory as decoded frames are."""
    return torch.from_numpy(rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)).permute(0, 3, 1, 2)


def test_sampling_is_bilinear_with_black_outside_for_people_of_several_frames() -> None:
    rng = np.random.default_rng(0)
    frames = random_frames(rng, 3, 97, 131)
    boxes = torch.tensor([[20.0, 30, 60, 90], [-20, -10, 30, 40], [100, 60, 170, 130], [500, 500, 510, 520]])
    index = torch.tensor([2, 0, 1, 1])
    crops, matrices, theta = crop_people(frames, index, boxes, (48, 64), smooth=False)
    assert torch.equal(theta, identity_theta(4))
    for person in range(4):
        picture = frames[index[person]].permute(1, 2, 0).numpy().astype(np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        expected = cv2.warpAffine(picture, matrices[person].numpy(), (48, 64), flags=flags)
        # An exact implementation agrees closely; OpenCV up to 4.x rounds places to 1/32 pixel.
        tolerance = 0.02 if int(cv2.__version__.split(".")[0]) >= 5 else 8.0
        assert np.abs(crops[person].permute(1, 2, 0).numpy() - expected).max() < tolerance
    assert crops[3].abs().max() == 0


@pytest.mark.parametrize("smooth", [False, True])
def test_all_ways_of_sampling_give_the_same_crops(*, smooth: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """On an accelerator whole frames are laid out, on a processor pieces, which OpenCV samples where it is exact; all
    must answer alike, for people of every size and windows at any angle."""
    rng = np.random.default_rng(1)
    frames = random_frames(rng, 3, 203, 309)
    corners = torch.from_numpy(rng.uniform(-30, 200, (12, 2)))
    sides = torch.from_numpy(rng.uniform(1, 250, (12, 2)))
    matrices = proposal_matrices(torch.cat([corners, corners + sides], dim=1), (24, 32))
    matrices[6:, :, :2] += torch.from_numpy(rng.uniform(-0.3, 0.3, (6, 2, 2)))
    matrices[11, :, 2] = 5000.0  # a window that sees nothing
    index = torch.arange(12) % 3
    for fill in ((0.0, 0.0, 0.0), (104.0, 117.0, 122.0)):
        sampler = FrameSampler(frames, smooth=smooth, fill=fill)
        scale = torch.linalg.det(matrices[:, :, :2]).abs().sqrt()
        levels = torch.log2(scale).floor().clamp(0, crops_module.MOST_LEVELS - 1).long() * smooth
        whole = crops_module._sample_sheet(sampler._whole_frames(index, levels), matrices, (24, 32))
        whole = whole + torch.tensor(fill).view(1, 3, 1, 1)
        for exact in (False, crops_module.EXACT_OPENCV):
            monkeypatch.setattr(crops_module, "EXACT_OPENCV", exact)
            pieces = sampler.sample(index, matrices, (24, 32))
            np.testing.assert_allclose(whole.numpy(), pieces.numpy(), atol=0.05)


def test_the_sampler_cuts_the_old_crops_too(golden: Path) -> None:
    """What the pipeline does for the 2018 model: mean colour outside the box, from uint8 frames."""
    data = load(golden, "crop_old.npz")
    frames = data["image_rgb"].permute(2, 0, 1)[None]
    upper, lower = ref.old_corners(data["boxes"], (frames.shape[3], frames.shape[2]))
    means = (0.406 * 255, 0.457 * 255, 0.480 * 255)
    matrices = invert_matrices(ref.old_crop_affine(upper, lower, (32, 40)))
    sampler = FrameSampler(frames, smooth=False, fill=means)
    index = torch.zeros(len(upper), dtype=torch.long)
    crops = sampler.sample(index, matrices, (32, 40), ref.old_visible(upper, lower))
    near(crops / 255 - torch.tensor(means).view(1, 3, 1, 1) / 255, data["crop_40x32"], 2e-3)


def test_outside_lies_the_fill_colour() -> None:
    frames = torch.full((1, 3, 20, 20), 200, dtype=torch.uint8)
    matrices = torch.tensor([[[1.0, 0, 100], [0, 1.0, 100]]])
    crops = FrameSampler(frames, fill=(10.0, 20.0, 30.0)).sample(torch.tensor([0]), matrices, (4, 4))
    np.testing.assert_allclose(crops[0, :, 0, 0].numpy(), [10, 20, 30])


def test_large_people_are_averaged_not_skipped() -> None:
    """A checkerboard of single pixels, scaled down 8 times, is even grey: plain bilinear sampling leaves patterns."""
    board = (np.indices((512, 512)).sum(0) % 2 * 255).astype(np.uint8)
    frames = torch.from_numpy(board).expand(1, 3, 512, 512)
    boxes = torch.tensor([[0.0, 0.0, 511.0, 511.0]])
    index = torch.tensor([0])
    smooth, _, _ = crop_people(frames, index, boxes, (64, 64), enlargement=0.0)
    rough, _, _ = crop_people(frames, index, boxes, (64, 64), enlargement=0.0, smooth=False)
    inner = (slice(None), slice(None), slice(4, 60), slice(4, 60))
    assert (smooth[inner] - 127.5).abs().max() < 1.0
    assert (rough[inner] - 127.5).abs().max() > 50


def test_averaging_does_not_move_the_picture() -> None:
    """Levels are half-pixel exact: a ramp is sampled as the same ramp at every scale."""
    ramp = torch.arange(256, dtype=torch.uint8).expand(1, 3, 256, 256)
    index = torch.tensor([0])
    for size in (30.0, 60.0, 120.0, 200.0):
        boxes = torch.tensor([[20.0, 20.0, 20.0 + size, 20.0 + size]])
        crops, matrices, _ = crop_people(ramp, index, boxes, (24, 24), enlargement=0.0)
        expected = matrices[0, 0, 0] * torch.arange(24) + matrices[0, 0, 2]
        inner = slice(2, 22)
        np.testing.assert_allclose(crops[0, 0, 12, inner].numpy(), expected[inner].numpy(), atol=0.02)


def test_nobody_is_no_error() -> None:
    crops, matrices, theta = crop_people(
        torch.zeros(1, 3, 10, 10), torch.zeros(0, dtype=torch.long), torch.zeros(0, 4), INPUT
    )
    assert crops.shape == (0, 3, 256, 192)
    assert matrices.shape == theta.shape == (0, 2, 3)


def test_a_box_without_a_size_stops_nobody_else() -> None:
    picture = torch.from_numpy(np.random.default_rng(5).integers(0, 256, (50, 60, 3), dtype=np.uint8))
    boxes = torch.tensor([[7.0, 9.0, 7.0, 9.0], [10.0, 5.0, 30.0, 45.0]], dtype=torch.float64)
    both, _ = ref.master_crop(picture, boxes, HEATMAP)
    alone, _ = ref.master_crop(picture, boxes[1:], HEATMAP)
    assert torch.equal(both[1], alone[0])
    assert both.isfinite().all()


def test_a_crop_of_zeros_and_ones_is_not_divided_as_in_the_reference() -> None:
    dark, darker = (torch.full((20, 20, 3), value, dtype=torch.uint8) for value in (2, 1))
    boxes = torch.tensor([[5.0, 5.0, 12.0, 14.0]], dtype=torch.float64)
    means = torch.tensor([0.406, 0.457, 0.480]).view(1, 3, 1, 1)
    assert (ref.master_crop(dark, boxes, HEATMAP)[0] + means).max() == pytest.approx(2 / 255)
    assert (ref.master_crop(darker, boxes, HEATMAP)[0] + means).max() == pytest.approx(1.0)


def test_windows_centre_the_box_as_master_does() -> None:
    boxes = torch.tensor([[10.0, 20.0, 110.0, 260.0], [0.0, 0.0, 300.0, 50.0]])
    ours = proposal_matrices(boxes, INPUT, enlargement=0.25)
    centre, scale = ref.master_centre_scale(boxes, INPUT)
    near(invert_matrices(ours), ref.master_affine(centre, scale, 0.0, INPUT), 1e-4, 1e-5)
    near(heatmap_matrices(ours, INPUT, HEATMAP), ref.master_inverse(ref.master_box(centre, scale), HEATMAP), 1e-4, 1e-5)


def test_the_training_code_cuts_the_same_window() -> None:
    from poseviewer.training.augment import box_window, window_matrix

    box = np.array([33.0, 41.0, 130.0, 377.0])
    theirs = window_matrix(box_window(box, INPUT, 1.3), INPUT)
    ours = proposal_matrices(torch.from_numpy(box)[None], INPUT, 0.3)[0]
    np.testing.assert_allclose(theirs, geometry.invert(ours.numpy()), atol=1e-9)


def test_targets_decode_and_map_back_to_the_joints() -> None:
    """Training target, decoding and the way to the frame agree: within a quarter cell, where half is allowed."""
    rng = np.random.default_rng(4)
    boxes = torch.tensor([[100.0, 50.0, 220.0, 330.0], [5.0, 5.0, 60.0, 40.0]])
    crops = proposal_matrices(boxes, INPUT)
    cells = torch.from_numpy(rng.uniform(2, 45, (2, 17, 2)))
    to_frame = heatmap_matrices(crops, INPUT, HEATMAP)
    joints = map_points(to_frame, cells)
    # As training does it: joints to crop pixels, a quarter of that is the cell.
    in_crop = map_points(invert_matrices(crops), joints)
    maps, _ = gaussian_heatmaps(in_crop / 4, torch.ones(2, 17), HEATMAP)
    decoded, scores = decode_heatmaps(maps)
    back = map_points(to_frame, decoded)
    cell = crops[:, 0, 0] * 4
    assert ((back - joints).abs() / cell[:, None, None]).max() <= 0.25 + 1e-3
    assert scores.min() > 0.8


sizes = st.floats(1.0, 900.0)
places = st.floats(-200.0, 2000.0)


@settings(max_examples=60, deadline=None)
@given(x=places, y=places, w=sizes, h=sizes, seed=st.integers(0, 999))
def test_every_map_has_its_inverse(x: float, y: float, w: float, h: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    theta = torch.eye(2, 3, dtype=torch.float64)[None] + torch.from_numpy(rng.uniform(-0.3, 0.3, (1, 2, 3)))
    proposals = proposal_matrices(torch.tensor([[x, y, x + w, y + h]]), INPUT)
    windows = transformed_matrices(proposals, theta, INPUT)
    points = rng.uniform(0, 256, (6, 2))
    there = geometry.transform(windows[0].numpy(), points)
    back = geometry.transform(invert_matrices(windows)[0].numpy(), there)
    np.testing.assert_allclose(back, points, atol=1e-6)
    # The SDTN's gamma inside the proposal is the way back to the transformed crop.
    undone = transformed_matrices(windows, sdtn_gamma(theta), INPUT)
    np.testing.assert_allclose(undone.numpy(), proposals.numpy(), atol=1e-6, rtol=1e-7)
    # The box lies inside its window.
    corners = geometry.transform(geometry.invert(proposals[0].numpy()), np.array([[x, y], [x + w, y + h]]))
    assert corners.min() >= 0
    assert (corners <= INPUT).all()
