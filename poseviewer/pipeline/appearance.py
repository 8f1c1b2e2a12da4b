"""What the people of a frame look like: features of a re-ID network, for trackers that compare them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from poseviewer.core.values import Frame, Pose
from poseviewer.nets.catalogue import located
from poseviewer.nets.reid import INPUT_WH, LoadedReID, load_reid
from poseviewer.ops.reference_crops import master_crop
from poseviewer.pipeline.config import PipelineConfig
from poseviewer.pipeline.devices import pick_device


class NetworkAppearance:
    """Features (M, D) of the people of a frame, from crops as AlphaPose's tracker makes them.

    Args:
        network: a loaded re-ID network.
        device: where it is.
        batch: most people that go through it at once.
    """

    def __init__(self, network: LoadedReID, device: torch.device, batch: int = 32) -> None:
        self._network = network
        self._device = device
        self._batch = batch

    def __call__(self, frame: Frame, poses: Sequence[Pose]) -> npt.NDArray[np.floating]:
        """Return the features in the order of ``poses``, float32, of any length."""
        if not poses:
            return np.zeros((0, self._network.features), dtype=np.float32)
        boxes = torch.from_numpy(np.stack([np.asarray(pose.box, dtype=np.float32) for pose in poses]))
        picture = torch.from_numpy(np.ascontiguousarray(frame.pixels)).to(self._device)
        with torch.inference_mode():
            parts = [
                self._network.module(master_crop(picture, part.to(self._device), INPUT_WH)[0])
                for part in torch.split(boxes, self._batch)
            ]
        features: npt.NDArray[np.floating] = torch.cat(parts).float().cpu().numpy()
        return features


def appearance_for(config: PipelineConfig) -> NetworkAppearance | None:
    """The features that the tracker of ``config`` compares, or None where it names no re-ID network.

    Raises:
        WeightsError: the network is missing, refused or does not fit.
        DeviceError: the device is not there.
    """
    if not config.reid:
        return None
    device = pick_device(config.device)
    return NetworkAppearance(load_reid(located(config.reid), device), device, config.batch_people)
