"""What computes the estimator: plain torch, torch with a faster layout and precision, ONNX Runtime or OpenVINO.

Every backend says its precision, and what it answers to one input is compared with plain torch in float32 when it is
loaded; a faster answer that is another answer is no gain.
"""

from __future__ import annotations

import copy
import importlib.util
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from poseviewer import __version__
from poseviewer.core.errors import CallError, DeviceError, KnownError, MissingPartError
from poseviewer.core.resources import cache_folder
from poseviewer.nets.onnx_network import OnnxNetwork, Runtime, installed_runtime
from poseviewer.nets.weights import LoadedEstimator
from poseviewer.pipeline.config import BackendName, PrecisionName
from poseviewer.pipeline.devices import DTYPES, autocast

PROBE_SIDE = 128
"""Sides of the picture by which networks of whole pictures are compared, which take any multiple of 64."""
RUNTIME_ORDER: tuple[Runtime, ...] = ("openvino", "onnxruntime")
"""On a processor, the first that is installed is taken by "auto"."""
FLOAT32_TOLERANCE = 1e-3
"""A float32 backend that differs by more, as a share of the largest value, is not taken by "auto"."""


@dataclass(frozen=True)
class Backend:
    """What computes an estimator.

    Attributes:
        name: "eager", "torch", "onnxruntime" or "openvino".
        precision: of its numbers.
        difference: largest difference from plain torch in float32 on one input, as a share of the largest value;
            0 where it is that, None where it was not compared.
        note: why another one was not taken, or "".
    """

    name: BackendName = "torch"
    precision: PrecisionName = "float32"
    difference: float | None = None
    note: str = ""

    def words(self) -> str:
        """One line for people."""
        shown = {"eager": "torch, plain", "torch": "torch", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
        text = f"{shown.get(self.name, self.name)}, {self.precision}"
        if self.difference:
            text += f", differs from torch in float32 by {self.difference:.1e} of the largest value"
        return text


def prepare(
    loaded: LoadedEstimator, device: torch.device, precision: PrecisionName, wanted: BackendName
) -> tuple[LoadedEstimator, Backend]:
    """The estimator in the wanted backend, and what came of it.

    Args:
        loaded: an estimator on ``device``.
        precision: "float32", "bf16" or "fp16".
        wanted: "auto" takes OpenVINO or ONNX Runtime on a processor in float32 where one is installed and agrees with
            torch, otherwise torch.

    Raises:
        MissingPartError: the wanted backend is not installed.
        CallError: it cannot compute so.
        DeviceError: the network's values do not fit the precision.
        WeightsError: the network has no form in ONNX.
    """
    if isinstance(loaded.module, OnnxNetwork):
        return loaded, Backend(loaded.module.runtime, "float32")
    if wanted == "eager":
        return _moved(loaded, torch.contiguous_format), Backend("eager", "float32", 0.0)
    if wanted in ("onnxruntime", "openvino"):
        return _exported(loaded, device, precision, wanted)
    note = ""
    if wanted == "auto" and device.type == "cpu" and precision == "float32" and loaded.spec.output != "tags":
        runtime = next((name for name in RUNTIME_ORDER if installed_runtime(name)), None)
        if runtime is not None and importlib.util.find_spec("onnx") is not None:
            try:
                made, backend = _exported(loaded, device, precision, runtime)
            except KnownError as error:
                note = f"{runtime} was not used: {error.sentence}"
            else:
                if (backend.difference or 0.0) <= FLOAT32_TOLERANCE:
                    return made, backend
                note = f"{runtime} was not used: its output differs from torch's by {backend.difference:.1e}."
    return loaded, Backend("torch", precision, _torch_difference(loaded, device, precision), note)


def _exported(
    loaded: LoadedEstimator, device: torch.device, precision: PrecisionName, runtime: Runtime
) -> tuple[LoadedEstimator, Backend]:
    """Through an ONNX file in the cache, named by the weights' hash."""
    from poseviewer.nets.onnx_export import INSTALL, example_input, export, relative_difference

    if device.type != "cpu":
        raise CallError(f"The backend {runtime} computes on the processor here, not on {device}.")
    if precision not in ("float32", "bf16") or (precision == "bf16" and runtime == "onnxruntime"):
        raise CallError(f"The backend {runtime} does not compute in {precision}.")
    if installed_runtime(runtime) is None:
        raise MissingPartError(f"The backend {runtime} is not installed.", remedy=INSTALL)
    folder = cache_folder() / "onnx"
    folder.mkdir(parents=True, exist_ok=True)
    path: Path = folder / f"{loaded.sha256[:32]}-{__version__}-torch{torch.__version__.partition('+')[0]}.onnx"
    if not path.exists():
        export(loaded, path)
    network = OnnxNetwork(path, runtime, threads=torch.get_num_threads(), precision=precision)
    inputs = example_input(loaded.spec)
    with torch.inference_mode():
        difference = relative_difference(network(inputs), loaded.module(inputs))
    return replace(loaded, module=network), Backend(runtime, precision, difference)


def _torch_difference(loaded: LoadedEstimator, device: torch.device, precision: PrecisionName) -> float | None:
    """Of the faster layout and of autocast from plain torch in float32; None where that answers with no numbers.

    Raises:
        DeviceError: autocast answers with numbers that are not finite where float32 does not.
    """
    from poseviewer.nets.onnx_export import example_input, relative_difference

    inputs = example_input(loaded.spec)
    if loaded.spec.output == "tags":
        inputs = inputs[..., :PROBE_SIDE, :PROBE_SIDE]
    inputs = inputs.to(device)
    # A copy, because changing the layout there and back would change the network that others may hold.
    plain = copy.deepcopy(loaded.module).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    with torch.inference_mode():
        wanted = _parts(plain(inputs))
        with autocast(device, precision):
            found = _parts(loaded.module(inputs.contiguous(memory_format=torch.channels_last)))
    if not _finite(wanted):
        return None  # the run says that the weights are damaged
    if precision in DTYPES and not _finite(found):
        most = torch.finfo(DTYPES[precision]).max
        raise DeviceError(
            f"This network cannot be computed in {precision}: some of its values are larger than {most:.3g}.",
            remedy="Choose the precision float32 or bf16.",
        )
    return relative_difference(found, wanted)


def _parts(answer: Any) -> tuple[Tensor, ...]:
    """All outputs of a network in float32."""
    return tuple(part.float() for part in (answer if isinstance(answer, list | tuple) else (answer,)))


def _finite(parts: tuple[Tensor, ...]) -> bool:
    return all(bool(torch.isfinite(part).all()) for part in parts)


def _moved(loaded: LoadedEstimator, layout: torch.memory_format) -> LoadedEstimator:
    module: nn.Module = loaded.module.to(memory_format=layout)  # type: ignore[call-overload]
    return replace(loaded, module=module)
