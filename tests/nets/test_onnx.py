"""ONNX files as estimators, and estimators as ONNX files."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from poseviewer.core.errors import KnownError, MissingPartError, WeightsError
from poseviewer.nets import hrnet
from poseviewer.nets.checkpoint import inspect
from poseviewer.nets.conventions import remember
from poseviewer.nets.mmpose import rtmpose
from poseviewer.nets.onnx_network import OnnxNetwork, installed_runtime, onnx_spec
from poseviewer.nets.weights import load_estimator

torch.set_num_threads(1)
SMALL_HRNET = hrnet.HRNetConfig(trunk=hrnet.TrunkConfig(width=4, modules=(1, 1, 1), blocks=1))
SMALL_RTM = rtmpose.RtmposeConfig(17, (8, 8, 16, 16, 32), (1, 1, 1, 1), hidden=32, gate=64, key=16)


@dataclass
class Graph:
    """What is asked of an ONNX graph."""

    input_shape: tuple[int, ...]
    output_shapes: tuple[tuple[int, ...], ...]
    metadata: dict[str, str] = field(default_factory=dict)

    def measured(self, input_wh: tuple[int, int]) -> tuple[tuple[int, ...], ...]:
        """As a fully convolutional graph of stride 4 answers."""
        return ((1, 17, input_wh[1] // 4, input_wh[0] // 4),)


def spec_of(path: Path, graph: Graph) -> Any:
    return onnx_spec(path, graph)[0]  # type: ignore[arg-type]


def test_rtmposes_export_is_recognised(tmp_path: Path) -> None:
    graph = Graph((-1, 3, 256, 192), ((-1, 17, 384), (-1, 17, 512)))
    spec, sources, notes = onnx_spec(tmp_path / "end2end.onnx", graph)  # type: ignore[arg-type]
    assert (spec.output, spec.decode, spec.crop, spec.input_wh) == ("simcc", "simcc", "mmpose", (192, 256))
    assert (spec.joints, spec.skeleton, spec.heatmap_wh) == (17, "coco_17", (384, 512))
    assert sources["input_wh"] == "graph"
    assert "does not say" in " ".join(notes)


@pytest.mark.parametrize(
    ("name", "crop", "decode"),
    [("net", "hrnet", "hrnet"), ("vitpose-b", "mmpose_udp", "udp"), ("alphapose_fast", "alphapose_master", "master")],
)
def test_heatmaps_follow_the_name_and_what_is_settled(name: str, crop: str, decode: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.onnx"
    path.write_bytes(b"x")
    graph = Graph((1, 3, 384, 288), ((1, 26, 96, 72),))
    spec = spec_of(path, graph)
    assert (spec.output, spec.crop, spec.decode) == ("heatmaps", crop, decode)
    assert (spec.skeleton, spec.input_wh, spec.heatmap_wh) == ("halpe_26", (288, 384), (72, 96))
    remember(path, {"bgr": True, "decode": "dark", "crop": "mmpose"})
    settled = spec_of(path, graph)
    assert (settled.bgr, settled.decode, settled.crop) == (True, "dark", "mmpose")


def test_a_graph_of_any_size_needs_its_size_settled(tmp_path: Path) -> None:
    path = tmp_path / "free.onnx"
    path.write_bytes(b"x")
    graph = Graph((-1, 3, -1, -1), ((-1, 17, -1, -1),))
    with pytest.raises(WeightsError, match="input_wh=192,256"):
        spec_of(path, graph)
    guessed, sources, _ = onnx_spec(path, graph, guess=True)  # type: ignore[arg-type]
    assert (guessed.input_wh, sources["input_wh"]) == ((192, 256), "guess")
    remember(path, {"input_wh": [192, 256]})
    assert spec_of(path, graph).heatmap_wh == (48, 64)


@pytest.mark.parametrize(
    "graph",
    [
        Graph((1, 1, 256, 192), ((1, 17, 64, 48),)),
        Graph((1, 3, 256, 192), ((1, 1000),)),
        Graph((1, 3, 256, 192), ((1, 17, 384), (1, 16, 512))),
        Graph((1, 3, 640, 640), ((1, 56, 8400), (1, 32, 160, 160))),
        Graph((), ((1, 17, 64, 48),)),
    ],
)
def test_other_graphs_are_refused_in_a_sentence(graph: Graph, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"other\.onnx"):
        spec_of(tmp_path / "other.onnx", graph)


def test_without_a_runtime_the_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from poseviewer.nets import onnx_network

    path = tmp_path / "net.onnx"
    path.write_bytes(b"x")
    monkeypatch.setattr(onnx_network.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPartError, match=r"poseviewer\[fast\]"):
        load_estimator(path)


def published(tmp_path: Path, net: torch.nn.Module, name: str) -> Path:
    path = tmp_path / name
    torch.save(net.eval().state_dict(), path)
    return path


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("family", ["hrnet", "rtmpose"])
def test_an_exported_estimator_computes_the_same(family: str, runtime: Any, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the extra 'fast' is not installed")
    pytest.importorskip(runtime, reason="the extra 'fast' is not installed")
    from poseviewer.nets.onnx_export import export

    torch.manual_seed(1)
    net = hrnet.HRNet(SMALL_HRNET) if family == "hrnet" else rtmpose.Rtmpose(SMALL_RTM)
    loaded = load_estimator(published(tmp_path, net, f"{family}.pth"))
    done = export(loaded, tmp_path / "out.onnx")
    assert done.difference is not None
    assert done.difference < 1e-4
    (tmp_path / "other").touch()
    assert done.path.stat().st_mode == (tmp_path / "other").stat().st_mode
    network = OnnxNetwork(done.path, runtime, threads=1)
    assert json.loads(network.metadata["poseviewer"])["family"] == loaded.spec.family
    assert load_estimator(done.path).spec == loaded.spec
    x = torch.randn(3, 3, loaded.spec.input_wh[1], loaded.spec.input_wh[0])
    found, wanted = network(x), loaded.module(x)
    pairs = zip(found, wanted, strict=True) if isinstance(wanted, tuple) else [(found, wanted)]
    for one, other in pairs:
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    assert inspect(done.path).fits


def test_a_graph_made_for_one_crop_serves_any_number(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="the extra 'fast' is not installed")
    pytest.importorskip("onnxruntime", reason="the extra 'fast' is not installed")
    from poseviewer.nets.onnx_export import export

    loaded = load_estimator(published(tmp_path, hrnet.HRNet(SMALL_HRNET), "pose_hrnet.pth"))
    path = export(loaded, tmp_path / "one.onnx").path
    model = onnx.load(str(path))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].Clear()
        value.type.tensor_type.shape.dim[0].dim_value = 2
    onnx.save(model, str(path))
    network = OnnxNetwork(path, "onnxruntime", threads=1)
    assert network.input_shape[0] == 2
    x = torch.randn(5, 3, 256, 192)
    torch.testing.assert_close(network(x), loaded.module(x), rtol=1e-3, atol=1e-4)


def test_an_export_of_others_opens_by_its_path_alone(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="the extra 'fast' is not installed")
    pytest.importorskip("onnxruntime", reason="the extra 'fast' is not installed")
    from poseviewer.nets.onnx_export import export

    loaded = load_estimator(published(tmp_path, rtmpose.Rtmpose(SMALL_RTM), "rtmpose.pth"))
    path = export(loaded, tmp_path / "end2end.onnx").path
    model = onnx.load(str(path))
    del model.metadata_props[:]
    onnx.save(model, str(path))
    report = inspect(path)
    assert report.open_facts
    opened = load_estimator(path)
    assert opened.spec.family == "onnx"
    for name in ("output", "decode", "crop", "input_wh", "heatmap_wh", "mean", "std", "bgr", "skeleton", "flip_shift"):
        assert getattr(opened.spec, name) == getattr(loaded.spec, name), name
    x = torch.randn(2, 3, 256, 192)
    for one, other in zip(opened.module(x), loaded.module(x), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("content", [b"not onnx", b"\x08\x07" * 40])
def test_a_damaged_onnx_file_is_one_sentence(content: bytes, tmp_path: Path) -> None:
    if installed_runtime() is None:
        pytest.skip("the extra 'fast' is not installed")
    path = tmp_path / "damaged.onnx"
    path.write_bytes(content)
    with pytest.raises(KnownError, match=r"damaged\.onnx") as caught:
        load_estimator(path)
    assert "\n" not in str(caught.value)


def test_tags_are_not_exported(tmp_path: Path) -> None:
    from poseviewer.nets import higher_hrnet
    from poseviewer.nets.onnx_export import export

    config = higher_hrnet.HigherHRNetConfig(trunk=SMALL_HRNET.trunk, width=4, blocks=1)
    loaded = load_estimator(published(tmp_path, higher_hrnet.HigherHRNet(config), "higher.pth"))
    with pytest.raises(WeightsError, match="top-down"):
        export(loaded, tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()
