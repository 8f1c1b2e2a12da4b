"""The YOLO adapter: a quiet import, checked layouts, both kinds of weights."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from poseviewer.core.errors import WeightsError
from poseviewer.core.resources import resource
from poseviewer.nets.ultralytics_parts import ultralytics_parts
from poseviewer.nets.unpickle import read_safetensors, write_safetensors
from poseviewer.nets.yolo import METADATA_KEY, build_yolo, load_yolo, save_yolo
from poseviewer.nets.yolo_layers import checked_layout


@pytest.fixture(scope="module")
def layout() -> dict[str, Any]:
    """The bundled detector's layout, at an eighth of the width."""
    value: dict[str, Any] = yaml.safe_load(resource("weights/detector.yaml").read_text(encoding="utf-8"))
    return value | {"width_multiple": 0.0625}


_PROBE = """
import json, os, socket, sys
os.environ.pop("OMP_NUM_THREADS", None)
asked = []
def refuse(*a, **k):
    asked.append(repr(a[:2]))
    raise OSError("no network here")
socket.getaddrinfo = refuse
socket.socket.connect = refuse
import cv2, torch, importlib.metadata
cv2.setNumThreads(2)
torch.set_num_threads(2)
save, version = torch.save, importlib.metadata.version
from poseviewer.nets.ultralytics_parts import ultralytics_parts
parts = ultralytics_parts()
print(json.dumps({
    "asked": asked,
    "cv2": cv2.getNumThreads(),
    "torch": torch.get_num_threads(),
    "omp": os.environ.get("OMP_NUM_THREADS"),
    "save": torch.save is save,
    "version": importlib.metadata.version is version,
    "torchvision": "torchvision" in sys.modules,
    "again": ultralytics_parts() is parts,
    "home": sorted(os.listdir(os.environ["HOME"])),
}))
"""


def test_the_import_leaves_no_traces(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    environment = {
        **os.environ,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "POSEVIEWER_CACHE": str(tmp_path / "cache"),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    for name in ("YOLO_OFFLINE", "YOLO_AUTOINSTALL", "YOLO_VERBOSE", "YOLO_CONFIG_DIR"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-c", _PROBE], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1, done.stdout
    seen = json.loads(done.stdout)
    expected = {"asked": [], "cv2": 2, "torch": 2, "omp": None, "save": True, "version": True}
    assert {key: seen[key] for key in expected} == expected
    assert seen["torchvision"] is False
    assert seen["again"] is True
    assert seen["home"] == []


def test_a_missing_library_is_one_sentence(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['ultralytics'] = None\n"
        "from poseviewer.core.errors import MissingPartError\n"
        "from poseviewer.nets.ultralytics_parts import ultralytics_parts\n"
        "try: ultralytics_parts()\n"
        "except MissingPartError as error: print(error)\n"
    )
    environment = {**os.environ, "POSEVIEWER_CACHE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert "The detector needs ultralytics" in done.stdout
    assert "pip install ultralytics" in done.stdout


def test_our_file_round_trip(layout: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build_yolo(layout).eval()
    path = tmp_path / "own.safetensors"
    save_yolo(path, network, layout, classes={0: "person"}, settings={"input_size": 320}, half=False)
    weights = load_yolo(path)
    picture = torch.rand(1, 3, 96, 64)
    with torch.no_grad():
        assert torch.equal(weights.network(picture)[0], network(picture)[0])
    assert weights.classes == {0: "person"}
    assert weights.person_class == 0
    assert weights.stride == 32
    assert weights.settings == {"input_size": 320}
    assert len(weights.sha256) == 64
    assert not any(parameter.requires_grad for parameter in weights.network.parameters())


def test_half_precision_is_close_and_half_the_size(layout: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build_yolo(layout).eval()
    save_yolo(tmp_path / "full.safetensors", network, layout, classes={0: "person"}, half=False)
    save_yolo(tmp_path / "half.safetensors", network, layout, classes={0: "person"})
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("full", "half")]
    assert sizes[1] < 0.6 * sizes[0]
    picture = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        half = load_yolo(tmp_path / "half.safetensors").network(picture)[0]
        torch.testing.assert_close(half, network(picture)[0], atol=0.05, rtol=0.01)


def _published(path: Path, model: str, names: dict[int, str] | None = None, **extra: object) -> torch.nn.Module:
    """Write a checkpoint as ultralytics does: the pickled network in float16 and a few entries."""
    torch.manual_seed(1)
    network: torch.nn.Module = ultralytics_parts().network(model, verbose=False)
    if names is not None:
        network.names = names  # type: ignore[assignment]
    saved = copy.deepcopy(network).half()
    torch.save({"model": saved, "ema": None, "epoch": -1, "train_args": {"imgsz": 640}, **extra}, path)
    return saved.float().eval()


@pytest.mark.parametrize("model", ["yolov8n.yaml", "yolo11n.yaml", "yolo26n.yaml"])
def test_published_layouts_load_through_the_allow_list(model: str, tmp_path: Path) -> None:
    path = tmp_path / "published.pt"
    names = {number: "person" if number == 3 else f"thing {number}" for number in range(80)}
    network = _published(path, model, names)
    weights = load_yolo(path)
    picture = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        answer, wanted = weights.network(picture)[0], network(picture)[0]
    torch.testing.assert_close(answer, wanted)
    assert weights.person_class == 3
    assert weights.end_to_end == bool(getattr(network, "end2end", False))


def test_the_teachers_load(shared_data: Path) -> None:
    boxes = load_yolo(shared_data / "teachers" / "yolov8n.pt")
    assert boxes.classes[0] == "person"
    assert len(boxes.classes) == 80
    pose = load_yolo(shared_data / "teachers" / "yolov8n-pose.pt")
    with torch.no_grad():
        assert boxes.network(torch.zeros(1, 3, 64, 64))[0].shape == (1, 84, 84)
        assert pose.network(torch.zeros(1, 3, 64, 64))[0].shape == (1, 56, 84)


class _RunsCode:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def test_a_yolo_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    path = tmp_path / "yolov8n.pt"
    _published(path, "yolov8n.yaml", callback=_RunsCode(marker))
    with pytest.raises(WeightsError, match=r"yolov8n\.pt was not opened: as a YOLO detection network.*posix\.system"):
        load_yolo(path)
    assert not marker.exists()


def test_a_well_known_name_is_not_fetched() -> None:
    with pytest.raises(WeightsError, match="fetched only on request"):
        load_yolo("yolo11n.pt")


def test_weights_without_persons_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "cars.pt"
    _published(path, "yolov8n.yaml", {number: f"car {number}" for number in range(80)})
    with pytest.raises(WeightsError, match=r"cars\.pt finds 80 kinds of things, but none of them is called person"):
        load_yolo(path)


def test_a_state_dict_is_not_a_checkpoint(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(1)}, tmp_path / "state.pt")
    with pytest.raises(WeightsError, match=r"state\.pt is not a YOLO checkpoint"):
        load_yolo(tmp_path / "state.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(WeightsError, match=r"list\.pt is not a YOLO checkpoint"):
        load_yolo(tmp_path / "list.pt")


def test_tensors_that_do_not_fit_are_named(layout: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save_yolo(path, build_yolo(layout), layout, classes={0: "person"})
    tensors, metadata = read_safetensors(path)
    tensors.pop("model.0.conv.weight")
    write_safetensors(path, tensors, metadata)
    with pytest.raises(WeightsError, match=r"own\.safetensors does not fit.*model\.0\.conv\.weight"):
        load_yolo(path)


def test_another_family_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pose.safetensors"
    write_safetensors(path, {"a": torch.zeros(1)}, {METADATA_KEY: json.dumps({"family": "fastpose"})})
    with pytest.raises(WeightsError, match="does not hold a detector but fastpose"):
        load_yolo(path)


def _hostile(layout: dict[str, Any], change: str) -> dict[str, Any]:
    value = copy.deepcopy(layout)
    if change == "activation":
        value["activation"] = "__import__('os').system('true')"
    elif change == "function":
        value["backbone"][0][2] = "load_checkpoint"
    elif change == "torch name":
        value["backbone"][0][2] = "nn.Module"
    elif change == "words":
        value["backbone"][0][3] = ["/etc/passwd"]
    elif change == "nested":
        value["backbone"][0][3] = [[["deep"]]]
    elif change == "row":
        value["backbone"][0] = "Conv"
    elif change == "from":
        value["backbone"][0][0] = "here"
    elif change == "head":
        value["head"].pop()
    elif change == "endless":
        value["backbone"] = value["backbone"] * 100
    elif change == "no head":
        del value["head"]
    return value


@pytest.mark.parametrize(
    "change",
    ["activation", "function", "torch name", "words", "nested", "row", "from", "head", "endless", "no head"],
)
def test_a_hostile_layout_is_refused_before_anything_is_built(layout: dict[str, Any], change: str) -> None:
    checked_layout(layout)
    with pytest.raises(WeightsError, match="description"):
        checked_layout(_hostile(layout, change))
    with pytest.raises(WeightsError, match="description"):
        build_yolo(_hostile(layout, change))


def test_a_layout_that_cannot_be_built_is_known(layout: dict[str, Any]) -> None:
    broken = copy.deepcopy(layout)
    broken["head"][1][0] = [-1, 4]
    with pytest.raises(WeightsError, match="cannot be built"):
        build_yolo(broken)
