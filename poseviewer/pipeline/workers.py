"""The one place that knows which pipelines there are: their worker and their decision."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from poseviewer.core.errors import WeightsError
from poseviewer.core.progress import Note
from poseviewer.core.values import Candidates, Frame, FrameResult, Pose, Suppression
from poseviewer.pipeline.config import NmsConfig, PipelineConfig
from poseviewer.pipeline.devices import BatchSize

if TYPE_CHECKING:
    from poseviewer.pipeline.networks import Networks

Boxes = npt.NDArray[np.floating]


class Worker(Protocol):
    """Turns batches of frames into results.

    Attributes:
        frames_at_once: how many frames it takes in one go; it shrinks when the memory does not suffice.
    """

    frames_at_once: BatchSize

    def process(
        self, frames: Sequence[Frame], *, boxes: Mapping[int, Boxes] | None = None, keep_evidence: bool = False
    ) -> list[FrameResult]:
        """Return the results of ``frames``, which have one size, in their order."""
        ...


def make_worker(networks: Networks, config: PipelineConfig, on_note: Callable[[Note], None] | None = None) -> Worker:
    """Return what computes ``config`` with ``networks``.

    Raises:
        WeightsError: the estimator answers with something else than the pipeline needs.
    """
    from poseviewer.pipeline.bottomup import BottomUp
    from poseviewer.pipeline.onestage import OneStage, OneStageNetworks
    from poseviewer.pipeline.topdown import TopDown

    one_stage, tags = isinstance(networks, OneStageNetworks), networks.spec.output == "tags"
    if one_stage != (config.pipeline == "onestage") or tags != (config.pipeline == "bottomup"):
        right = "onestage" if one_stage else "bottomup" if tags else "topdown"
        raise WeightsError(
            f"{networks.estimator_name or 'The estimator'} is a network for the pipeline {right}, not for "
            f"{config.pipeline}.",
            remedy=f"Use the pipeline {right} with it.",
        )
    if isinstance(networks, OneStageNetworks):
        return OneStage(networks, config, on_note)
    return BottomUp(networks, config, on_note) if tags else TopDown(networks, config, on_note)


def suppress(candidates: Candidates, nms: NmsConfig) -> tuple[Suppression, tuple[Pose, ...]]:
    """Decide over kept candidates, without a network: what a run does, and what the window's sliders call.

    Args:
        candidates: of one frame.
        nms: as :func:`poseviewer.pipeline.config.applied_nms` gives it for the pipeline.
    """
    if nms.version in ("box", "none"):
        from poseviewer.pipeline.whole import decide

        return decide(candidates, nms)
    from poseviewer.pipeline import topdown

    return topdown.suppress(candidates, nms)
