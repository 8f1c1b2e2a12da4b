"""Writing an estimator as ONNX, with its facts inside, and checking that it computes the same."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import tempfile
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from poseviewer.core.errors import FormatError, MissingPartError, WeightsError
from poseviewer.core.files import make_readable
from poseviewer.nets.estimator_spec import EstimatorSpec
from poseviewer.nets.weights import LoadedEstimator

SPEC_KEY = "poseviewer"
"""Metadata entry with the estimator's facts as JSON."""
OPSET = 17
OUTPUT_NAMES = {
    "heatmaps": ("heatmaps",),
    "simcc": ("simcc_x", "simcc_y"),
    "regression": ("joints",),
}
INSTALL = "Install them with pip install 'poseviewer[fast]'."


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: the file.
        spec: what it is fed and answers with.
        difference: largest difference of its output from torch's on one input, as a share of the largest output; None
            where no program to run it is installed.
    """

    path: Path
    spec: EstimatorSpec
    difference: float | None


def export(loaded: LoadedEstimator, out: Path) -> Exported:
    """Write ``loaded`` as ONNX, any number of crops at once, float32; a failure leaves an earlier file as it was.

    Raises:
        FormatError: the file cannot be written.
        MissingPartError: the package onnx is not installed.
        WeightsError: the network is no top-down one, or ONNX has no form of a part of it.
    """
    names = OUTPUT_NAMES.get(loaded.spec.output)
    if names is None:
        raise WeightsError("Only top-down estimators can be written as ONNX; this one groups joints by tags.", file=out)
    if loaded.stn is not None:
        # The transformer crops twice from the frame, which is the pipeline's business, not the network's.
        loaded = replace(loaded, spec=msgspec.structs.replace(loaded.spec, stn=False), stn=None)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{out.name}.", suffix=".onnx", dir=out.parent)
    except OSError as error:
        raise FormatError(f"{out} cannot be written: {error.strerror}.", file=out) from error
    os.close(handle)
    temporary = Path(name)
    try:
        _write(loaded.module, loaded.spec, names, temporary)
        difference = _difference(loaded, temporary)
        make_readable(temporary)
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)
    return Exported(out, loaded.spec, difference)


def example_input(spec: EstimatorSpec, count: int = 1) -> Tensor:
    """Normalised noise ``(count, 3, H, W)``, the same every time."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 3, spec.input_wh[1], spec.input_wh[0], generator=generator)


def relative_difference(found: Any, wanted: Any) -> float:
    """Largest difference of two answers as a share of the largest value."""
    pairs = zip(found, wanted, strict=True) if isinstance(wanted, tuple) else [(found, wanted)]
    return max(float((a - b).abs().max() / b.abs().max().clamp(min=1e-12)) for a, b in pairs)


def _write(module: nn.Module, spec: EstimatorSpec, names: tuple[str, ...], path: Path) -> None:
    try:
        import onnx
    except ImportError as error:
        raise MissingPartError("Writing ONNX needs the package onnx.", remedy=INSTALL) from error
    axes = {name: {0: "crops"} for name in ("input", *names)}
    plain = module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    try:
        with _quiet():
            torch.onnx.export(
                plain,
                (example_input(spec, 2).to(next(module.parameters()).device),),
                str(path),
                input_names=["input"],
                output_names=list(names),
                dynamic_axes=axes,
                opset_version=OPSET,
                dynamo=False,
            )
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        cause = str(error).strip().split("\n", 1)[0][:200]
        raise WeightsError(f"A part of this network has no form in ONNX: {cause}") from error
    finally:
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model = onnx.load(str(path))
    entry = model.metadata_props.add()
    entry.key, entry.value = SPEC_KEY, msgspec.json.encode(spec).decode()
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _difference(loaded: LoadedEstimator, path: Path) -> float | None:
    from poseviewer.nets.onnx_network import OnnxNetwork, installed_runtime

    if not installed_runtime():
        return None
    inputs = example_input(loaded.spec, 3)
    with torch.inference_mode():
        wanted = loaded.module(inputs.to(next(loaded.module.parameters()).device))
        wanted = tuple(part.cpu() for part in wanted) if isinstance(wanted, tuple) else wanted.cpu()
        return relative_difference(OnnxNetwork(path)(inputs), wanted)


@contextlib.contextmanager
def _quiet() -> Any:
    """The exporter talks to stdout and warns about itself."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
