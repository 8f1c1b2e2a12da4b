"""Crop windows of all systems: crop and way back agree as far as their systems' do."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from poseviewer.nets.estimator_spec import EstimatorSpec
from poseviewer.ops.crops import heatmap_matrices, invert_matrices, map_points
from poseviewer.pipeline.windows import windows_of

torch.set_num_threads(1)
SPEC = EstimatorSpec("test", "coco_17", 17, (192, 256), (48, 64), (0.5,) * 3, (0.2,) * 3, "master")
CROPS = ("alphapose", "alphapose_master", "hrnet", "mmpose", "mmpose_udp")
SIDES = st.floats(-100, 900, allow_nan=False, width=32)


@given(low=st.tuples(SIDES, SIDES), wide=st.floats(4, 600), high=st.floats(4, 600), crop=st.sampled_from(CROPS))
@settings(max_examples=150, deadline=None)
def test_the_boxs_middle_stays_in_the_middle_and_all_of_it_inside(low, wide, high, crop) -> None:
    box = torch.tensor([[low[0], low[1], low[0] + wide, low[1] + high]])
    made = windows_of(msgspec.structs.replace(SPEC, crop=crop), box, (640, 480), None)
    to_crop = invert_matrices(made.proposals)
    x1, y1, x2, y2 = box[0].double().tolist()
    corners = torch.tensor([[[x1, y1], [x2, y2], [(x1 + x2) / 2, (y1 + y2) / 2]]])
    first, last, middle = map_points(to_crop, corners)[0].tolist()
    assert min(first) > 0
    assert last[0] < 192
    assert last[1] < 256
    # UDP maps outermost pixel centres onto each other: half a pixel less.
    wanted = (95.5, 127.5) if crop == "mmpose_udp" else (96, 128)
    assert middle == pytest.approx(wanted, abs=0.05)


@given(low=st.tuples(SIDES, SIDES), wide=st.floats(8, 600), high=st.floats(8, 600), crop=st.sampled_from(CROPS))
@settings(max_examples=100, deadline=None)
def test_the_way_back_is_the_crops_inverse(low, wide, high, crop) -> None:
    box = torch.tensor([[low[0], low[1], low[0] + wide, low[1] + high]])
    made = windows_of(msgspec.structs.replace(SPEC, crop=crop), box, (640, 480), None)
    cells = torch.tensor([[[0.0, 0.0], [47.0, 0.0], [20.0, 30.0]]])
    by_crop = map_points(heatmap_matrices(made.proposals, SPEC.input_wh, SPEC.heatmap_wh), cells)
    if made.cells_to_frame is not None:
        by_back = map_points(made.cells_to_frame, cells)
    elif made.input_to_frame is not None:
        by_back = map_points(made.input_to_frame, cells * 4)
    else:
        return
    scale = float(made.proposals[0, 0, 0])
    # UDP's published decoding divides by the whole side where its crop divides by the side less one pixel.
    reach = 1.1 * scale if crop == "mmpose_udp" else 0.01 + 1e-3 * scale
    assert (by_crop - by_back).abs().max() < reach


def test_a_wish_for_another_enlargement_holds_for_all() -> None:
    box = torch.tensor([[100.0, 100, 160, 260]])
    for crop in CROPS:
        spec = msgspec.structs.replace(SPEC, crop=crop)
        own, half = (float(windows_of(spec, box, (640, 480), e).proposals[0, 0, 0]) for e in (None, 0.5))
        assert half / own == pytest.approx(1.5 / (1.3 if crop == "alphapose" else 1.25), rel=1e-3)


def test_boxes_without_extent_have_an_inverse() -> None:
    boxes = torch.tensor([[50.0, 50, 50, 50], [10, 10, 5, 5], [0, 0, 0, 80]])
    for crop in CROPS:
        made = windows_of(msgspec.structs.replace(SPEC, crop=crop), boxes, (640, 480), None)
        assert np.isfinite(invert_matrices(made.proposals).numpy()).all()


def test_the_crop_of_2018_hides_what_is_around_the_box() -> None:
    spec = msgspec.structs.replace(SPEC, decode="old", input_wh=(256, 320), heatmap_wh=(64, 80))
    made = windows_of(spec, torch.tensor([[100.0, 100, 160, 260]]), (640, 480), None)
    assert made.visible is not None
    assert made.visible.tolist() == [[91, 76, 168, 283]]
    assert not made.rounded
