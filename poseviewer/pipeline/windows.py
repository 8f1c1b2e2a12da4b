"""Where each person is cut out, in the way of the system that published the estimator, and the way back.

Every crop and its inverse are the published functions of ``ops``; here they become matrices for the one sampler that
cuts all people of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from poseviewer.nets.estimator_spec import EstimatorSpec
from poseviewer.ops import affine_hrnet, warp_mmpose
from poseviewer.ops.crops import RMPE_ENLARGEMENT, invert_matrices, proposal_matrices
from poseviewer.ops.reference_crops import (
    MASTER_ENLARGEMENT,
    master_affine,
    master_box,
    master_centre_scale,
    master_inverse,
    old_corners,
    old_crop_affine,
    old_inverse,
    old_visible,
)


@dataclass(frozen=True)
class Windows:
    """Crop windows of people.

    Attributes:
        proposals: ``(n, 2, 3)`` crop pixels to frame pixels.
        visible: as :meth:`poseviewer.ops.crops.FrameSampler.sample`.
        cells_to_frame: ``(n, 2, 3)`` heatmap cells to frame pixels where that is not the crop's own map.
        input_to_frame: ``(n, 2, 3)`` decoded input pixels to frame pixels where that is not the crop's own map.
        rounded: crops are rounded to whole grey levels, as OpenCV leaves them where it warps the picture itself.
    """

    proposals: Tensor
    visible: Tensor | None = None
    cells_to_frame: Tensor | None = None
    input_to_frame: Tensor | None = None
    rounded: bool = False

    def part(self, part: slice) -> Windows:
        """The windows of some of the people."""
        pieces = (self.visible, self.cells_to_frame, self.input_to_frame)
        visible, cells, inputs = (None if piece is None else piece[part] for piece in pieces)
        return Windows(self.proposals[part], visible, cells, inputs, self.rounded)


def windows_of(spec: EstimatorSpec, boxes: Tensor, frame_wh: tuple[int, int], enlargement: float | None) -> Windows:
    """Windows of boxes.

    Args:
        spec: whose crop.
        boxes: ``(n, 4)`` xyxy frame pixels.
        frame_wh: frame size.
        enlargement: boxes grow by this fraction; None is what belongs to the estimator. The 2018 code's crop has no
            such number.
    """
    if spec.crop == "alphapose":
        fraction = RMPE_ENLARGEMENT if enlargement is None else enlargement
        return _old(spec, boxes, frame_wh) if spec.decode == "old" else _rmpe(spec, boxes, fraction)
    padding = MASTER_ENLARGEMENT if enlargement is None else 1 + enlargement
    return {"alphapose_master": _master, "hrnet": _hrnet, "mmpose": _mmpose, "mmpose_udp": _mmpose}[spec.crop](
        spec, boxes, padding
    )


def _rmpe(spec: EstimatorSpec, boxes: Tensor, enlargement: float) -> Windows:
    """The paper's enlarged proposal."""
    return Windows(proposal_matrices(boxes, spec.input_wh, enlargement))


def _old(spec: EstimatorSpec, boxes: Tensor, frame_wh: tuple[int, int]) -> Windows:
    """AlphaPose of 2018: crop and inverse disagree by up to a pixel, and both are kept."""
    upper, lower = old_corners(boxes, frame_wh)
    return Windows(
        invert_matrices(old_crop_affine(upper, lower, spec.input_wh)),
        old_visible(upper, lower),
        old_inverse(upper, lower, spec.input_wh, spec.heatmap_wh),
    )


def _master(spec: EstimatorSpec, boxes: Tensor, padding: float) -> Windows:
    """AlphaPose master; heatmaps go back through the box that the crop covers."""
    centre, scale = master_centre_scale(_sized(boxes), spec.input_wh, padding)
    to_crop = master_affine(centre, scale, 0.0, spec.input_wh)
    back = master_inverse(master_box(centre, scale), spec.heatmap_wh)
    return Windows(invert_matrices(to_crop), cells_to_frame=back, rounded=True)


def _hrnet(spec: EstimatorSpec, boxes: Tensor, padding: float) -> Windows:
    """HRNet and SimpleBaseline: centre and scale."""
    sized = _sized(boxes)
    xywh = torch.cat((sized[:, :2], sized[:, 2:] - sized[:, :2]), dim=1)
    centre, scale = affine_hrnet.centre_scale(xywh, spec.input_wh[0] / spec.input_wh[1], padding=padding)
    to_crop = affine_hrnet.affine(centre, scale, spec.input_wh)
    back = affine_hrnet.affine(centre, scale, spec.heatmap_wh, inverse=True)
    return Windows(invert_matrices(to_crop), cells_to_frame=back, rounded=True)


def _mmpose(spec: EstimatorSpec, boxes: Tensor, padding: float) -> Windows:
    """MMPose, with UDP or without; every decoded joint goes back by its share of the input."""
    width, height = spec.input_wh
    centre, size = warp_mmpose.box_centre_scale(_sized(boxes).float(), padding=padding)
    scale = warp_mmpose.to_aspect(size, width / height)
    upright = torch.zeros(len(boxes), device=boxes.device)
    make = warp_mmpose.udp_matrix if spec.crop == "mmpose_udp" else warp_mmpose.warp_matrix
    to_crop = make(centre, scale, upright, spec.input_wh).double()
    back = torch.zeros(len(boxes), 2, 3, dtype=torch.float64, device=boxes.device)
    back[:, 0, 0], back[:, 1, 1] = scale[:, 0].double() / width, scale[:, 1].double() / height
    back[:, :, 2] = centre.double() - scale.double() / 2
    return Windows(invert_matrices(to_crop), input_to_frame=back, rounded=True)


def _sized(boxes: Tensor) -> Tensor:
    """Boxes whose sides are at least a pixel, so that every crop has an inverse."""
    return torch.cat((boxes[:, :2], torch.maximum(boxes[:, 2:], boxes[:, :2] + 1)), dim=1)
