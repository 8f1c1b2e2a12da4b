"""Backends: the same network, another way to compute it, the difference shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from poseviewer.core.errors import CallError, MissingPartError
from poseviewer.nets import hrnet
from poseviewer.nets.conventions import remember
from poseviewer.nets.weights import load_estimator
from poseviewer.pipeline import backends
from poseviewer.pipeline.config import PipelineConfig
from poseviewer.pipeline.loading import load_networks, networks_key

torch.set_num_threads(1)
CPU = torch.device("cpu")
SMALL = hrnet.HRNetConfig(trunk=hrnet.TrunkConfig(width=4, modules=(1, 1, 1), blocks=1))


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POSEVIEWER_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(2)
    path = tmp_path / "pose_hrnet_w4_256x192.pth"
    torch.save(hrnet.HRNet(SMALL).eval().state_dict(), path)
    return path


def networks(weights: Path, **fields: Any):
    return load_networks(PipelineConfig(estimator=str(weights), device="cpu", **fields))


def test_plain_torch_is_the_reference(weights: Path) -> None:
    made = networks(weights, backend="eager", precision="bf16")
    assert (made.backend.name, made.precision, made.backend.difference) == ("eager", "float32", 0.0)
    inputs = made.normalise(torch.full((2, 3, 256, 192), 120.0))
    assert inputs.is_contiguous()
    faster = networks(weights, backend="torch")
    assert faster.normalise(torch.full((2, 3, 256, 192), 120.0)).is_contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        torch.testing.assert_close(made.answer(inputs), faster.answer(inputs), rtol=1e-4, atol=1e-5)


def test_a_faster_layout_is_compared_too_and_stays(weights: Path) -> None:
    made = load_networks(PipelineConfig(estimator=str(weights), backend="torch", precision="float32"))
    assert made.backend.difference is not None
    assert made.backend.difference < 1e-5
    kernels = [p for p in made.estimator.module.parameters() if p.ndim == 4 and p.shape[1] > 1 and p.shape[2] > 1]
    assert kernels
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)


def test_the_difference_of_lower_precision_is_shown(weights: Path) -> None:
    made = networks(weights, backend="torch", precision="bf16")
    assert made.backend.difference is not None
    assert 1e-5 < made.backend.difference < 0.2
    assert "bf16, differs from torch in float32 by" in made.backend.words()
    assert made.describe()["backend"] == {"name": "torch", "difference": made.backend.difference}
    json.dumps(made.describe())
    assert made.weights_hash() != networks(weights, backend="torch").weights_hash()


def test_another_backend_is_another_network(weights: Path) -> None:
    config = PipelineConfig(estimator=str(weights))
    assert networks_key(config) != networks_key(msgspec.structs.replace(config, backend="eager"))


def test_a_backend_that_is_not_installed_is_named(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "installed_runtime", lambda wanted=None: None)
    with pytest.raises(MissingPartError, match="openvino is not installed"):
        networks(weights, backend="openvino")
    assert networks(weights).backend.name == "torch"


def test_a_precision_that_a_backend_lacks_is_refused(weights: Path) -> None:
    with pytest.raises(CallError, match="onnxruntime does not compute in bf16"):
        networks(weights, backend="onnxruntime", precision="bf16")


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_faster_backend_agrees_with_torch(name: Any, weights: Path) -> None:
    pytest.importorskip("onnx", reason="the extra 'fast' is not installed")
    pytest.importorskip(name, reason="the extra 'fast' is not installed")
    made = networks(weights, backend=name)
    assert (made.backend.name, made.precision) == (name, "float32")
    assert made.backend.difference is not None
    assert made.backend.difference < 1e-4
    inputs = torch.randn(3, 3, 256, 192)
    with torch.inference_mode():
        torch.testing.assert_close(made.answer(inputs), load_estimator(weights).module(inputs), rtol=1e-3, atol=1e-4)


def test_auto_takes_what_is_installed_and_agrees(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnx", reason="the extra 'fast' is not installed")
    if backends.installed_runtime() is None:
        pytest.skip("the extra 'fast' is not installed")
    assert networks(weights).backend.name in ("openvino", "onnxruntime")
    monkeypatch.setattr(backends, "FLOAT32_TOLERANCE", -1.0)
    refused = networks(weights)
    assert refused.backend.name == "torch"
    assert "differs" in refused.backend.note


def test_what_is_settled_beside_a_file_counts_as_another_network(weights: Path) -> None:
    config = PipelineConfig(estimator=str(weights), device="cpu", backend="torch")
    before, hash_before = networks_key(config), load_networks(config).weights_hash()
    remember(weights, {"bgr": True})
    assert networks_key(config) != before
    made = load_networks(config)
    assert made.weights_hash() != hash_before
    red = torch.zeros(1, 3, 256, 192)
    red[:, 0] = 255
    inputs = made.normalise(red)
    assert inputs[0, 2].mean() > inputs[0, 0].mean()
