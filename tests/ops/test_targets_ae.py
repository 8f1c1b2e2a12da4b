"""Targets of associative embedding that stand at the joints' very places."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from poseviewer.ops.higher import Scales, scaled_input
from poseviewer.ops.targets_ae import group_heatmaps, placed_heatmaps

PLACE = st.floats(2.0, 13.9)


@settings(deadline=None)
@given(PLACE, PLACE, st.sampled_from([1.0, 1.5, 2.0]))
def test_the_weighted_middle_of_the_map_is_the_joint(x: float, y: float, sigma: float) -> None:
    # Wide enough for the tails.
    maps = placed_heatmaps(torch.tensor([[[x + 10, y + 10, 2.0]]]), 36, sigma)[0].double()
    cells = torch.arange(36) + 0.5
    assert abs(float((maps.sum(0) * cells).sum() / maps.sum()) - x - 10) < 0.01
    assert abs(float((maps.sum(1) * cells).sum() / maps.sum()) - y - 10) < 0.01


@settings(deadline=None)
@given(st.integers(3, 12), st.integers(3, 12))
def test_in_the_middle_of_a_cell_it_is_the_published_target(x: int, y: int) -> None:
    joints = torch.tensor([[[x + 0.5, y + 0.5, 2.0], [x + 0.5, y + 0.5, 0.0]]])
    placed, published = placed_heatmaps(joints, 16, 2.0), group_heatmaps(joints, 16, sigma=2.0)
    inside = published > 0
    torch.testing.assert_close(placed[inside], published[inside])
    assert placed[1].abs().max() == 0


@settings(deadline=None)
@given(PLACE, PLACE)
def test_the_pipelines_decoding_finds_the_joint(x: float, y: float) -> None:
    """Brought to the input's size, the peak is within the half cell that bilinear maps allow."""
    window = scaled_input((64, 64), 64, 1.0, 1.0)
    low = placed_heatmaps(torch.tensor([[[x, y, 2.0]]]), 16, 1.5)
    scales = Scales([1.0], project_wh=window.size_wh)
    scales.add(1.0, [(low[None], low[None])])
    heat = scales.result()[0][0, 0]
    peak = divmod(int(heat.argmax()), heat.shape[1])
    found = torch.tensor([peak[1] + 0.5, peak[0] + 0.5]) * 64 / heat.shape[0]
    assert (found - 4 * torch.tensor([x, y])).abs().max() <= 2.51


def test_nobody_leaves_the_maps_empty_and_the_outermost_joints_count() -> None:
    assert placed_heatmaps(torch.zeros(0, 3, 3), 8, 1.5).shape == (3, 8, 8)
    corner = torch.tensor([[[0.0, 7.99, 1.0], [-0.1, 3.0, 1.0], [3.0, 8.0, 1.0]]])
    maps = placed_heatmaps(corner, 8, 1.5)
    assert maps[0].argmax() == 7 * 8
    assert maps[1:].abs().max() == 0
