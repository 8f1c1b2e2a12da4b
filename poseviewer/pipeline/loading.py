"""Loading what a configuration names."""

from __future__ import annotations

from pathlib import Path

import msgspec
import torch

from poseviewer.core.resources import resource
from poseviewer.nets.catalogue import located
from poseviewer.nets.conventions import REMEMBERED_SUFFIX
from poseviewer.nets.weights import load_estimator
from poseviewer.pipeline.backends import prepare
from poseviewer.pipeline.config import BUNDLED_BOTTOM_UP, PipelineConfig, check_weights
from poseviewer.pipeline.devices import is_out_of_memory, out_of_memory, pick_device, pick_precision
from poseviewer.pipeline.networks import Networks
from poseviewer.pipeline.onestage import load_one_stage

BUNDLED_ESTIMATOR = "weights/estimator.safetensors"


def load_networks(config: PipelineConfig, device: torch.device | None = None) -> Networks:
    """Load what ``config`` names.

    Raises:
        WeightsError: weights are missing, refused or do not fit.
        DeviceError: the device is not there, or its memory does not suffice.
        MissingPartError: the bundled weights are not installed.
    """
    device = pick_device(config.device) if device is None else device
    if config.pipeline == "onestage":
        return load_one_stage(_estimator_path(config), device)
    path = _estimator_path(config)
    precision = pick_precision(config.precision, device)
    if config.pipeline == "bottomup" and config.precision == "auto":
        # Whether two tags are equal decides who is whom; bf16 has three digits.
        precision = "float32"
    try:
        estimator, backend = prepare(load_estimator(path, device), device, precision, config.backend)
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise out_of_memory(device, f"for the networks of {path.name}") from error
        raise
    names = {"detector_path": config.detector, "estimator_name": path.name}
    return Networks(estimator, device, backend.precision, **names, backend=backend)


def networks_key(config: PipelineConfig) -> str:
    """Return what two configurations must share to share loaded networks; a file written anew counts as another."""
    beside = config.estimator and config.estimator + REMEMBERED_SUFFIX
    files = [[path, *_stamp(path)] for path in (config.detector, config.estimator, beside)]
    return msgspec.json.encode([config.pipeline, files, config.device, config.precision, config.backend]).decode()


def _estimator_path(config: PipelineConfig) -> Path:
    """Where the estimator is.

    Raises:
        MissingPartError: none is named, and the pipeline's own does not come with the program.
        WeightsError: a model of the catalogue is named that was not fetched.
    """
    check_weights(config)
    if config.estimator:
        return located(config.estimator)
    return resource(BUNDLED_ESTIMATOR if config.pipeline == "topdown" else BUNDLED_BOTTOM_UP)


def _stamp(path: str) -> tuple[int, int]:
    """Time of writing and size of a weight file; zeros for the bundled ones and for one that is not there."""
    try:
        status = Path(path).stat() if path else None
    except OSError:
        status = None
    return (status.st_mtime_ns, status.st_size) if status is not None else (0, 0)
