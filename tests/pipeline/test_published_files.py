"""Files as their publishers' programs write them, opened by their path alone: inspect, the network, a run.

What the networks of full size compute, opened so, is compared with the public code's in tests/golden.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import published_forms as forms
import pytest
import torch
from small_zoo import ZOO

from poseviewer.cli.main import run_command
from poseviewer.core.errors import WeightsError
from poseviewer.nets.checkpoint import inspect
from poseviewer.nets.weights import load_estimator

torch.set_num_threads(1)


def early(path: Path, content: Any) -> None:
    """As torch 0.4 to 1.5 wrote files."""
    torch.save(content, path, _use_new_zipfile_serialization=False)


def gpu(path: Path, content: Any) -> None:
    """As torch 0.1 to 0.3 wrote files of networks on a GPU."""
    forms.write_from_gpu(path, content)


def python2(path: Path, content: Any) -> None:
    """The same, by Python 2."""
    forms.write_from_gpu(path, content, python2=True)


def new(path: Path, content: Any) -> None:
    """As torch writes files since 1.6."""
    torch.save(content, path)


Case = tuple[str, str, Callable[[Any], Any], Callable[[Path, Any], None], str, str]
CASES: dict[str, Case] = {
    "AlphaPose": ("FastPose", "fast_res50_256x192.pth", forms.bare, new, "AlphaPose", ""),
    "AlphaPose, early": ("FastPose", "duc_se.pth", forms.uncounted, gpu, "AlphaPose", ""),
    "AlphaPose, parallel": ("FastPose", "model_199.pth", forms.parallel, new, "AlphaPose", "module."),
    "AlphaPose DCN": ("FastPose DCN", "fast_421_res152_256x192.pth", forms.bare, new, "AlphaPose", ""),
    "AlphaPose DUC": ("FastPose DUC", "fast_421_res50-shuffle_256x192.pth", forms.bare, new, "AlphaPose", ""),
    "AlphaPose SimplePose": ("SimplePose", "simple_res50_256x192.pth", forms.bare, early, "AlphaPose", ""),
    "AlphaPose HRNet": ("HRNet", "hrnet_w32_256x192.pth", forms.bare, new, "AlphaPose", ""),
    "AlphaPose HarDNet": ("HarDNet", "hard68_256x192.pth", forms.bare, new, "AlphaPose", ""),
    "HRNet": ("HRNet", "pose_hrnet_w32_256x192.pth", forms.bare, early, "HRNet", ""),
    "HRNet, training": ("HRNet", "checkpoint.pth", forms.training_state, new, "HRNet", "state_dict, module."),
    "HRNet, early": ("HRNet", "checkpoint.pth", forms.training_state, early, "HRNet", "state_dict, module."),
    "tutorial": ("HRNet", "pose_hrnet_w32_model-200.pth", forms.tutorial, new, "HRNet", "model"),
    "SimpleBaseline": (
        "SimpleBaseline", "pose_resnet_50_256x192.pth.tar", forms.uncounted, early, "SimpleBaseline", "",
    ),
    "SimpleBaseline, training": (
        "SimpleBaseline", "checkpoint.pth.tar", forms.training_state, early, "SimpleBaseline", "state_dict, module.",
    ),
    "HigherHRNet": ("HigherHRNet", "pose_higher_hrnet_w32_512.pth", forms.bare, early, "HigherHRNet", ""),
    "HigherHRNet, FP16": (
        "HigherHRNet", "checkpoint.pth.tar", forms.half_precision, early, "HigherHRNet", "state_dict, module., 1.",
    ),
    "pose-ae": (
        "PoseNet", "checkpoint.pth.tar", forms.trainer, gpu, "Associative embedding", "state_dict, model., module.",
    ),
    "pose-ae, Python 2": (
        "PoseNet", "checkpoint.pth.tar", forms.trainer, python2, "Associative embedding", "state_dict, model., module.",
    ),
    "MMPose ResNet": ("MMPose ResNet", "best_coco_AP_epoch_210.pth", forms.mmengine, new, "MMPose", "state_dict"),
    "MMPose HRNet before 1.0": (
        "MMPose HRNet", "epoch_210.pth", forms.mmpose_zero, new, "MMPose", "state_dict, keypoint_head. (now head.)",
    ),
    "MMPose AE": ("MMPose AE", "best_coco_AP_epoch_300.pth", forms.mmengine, new, "MMPose", "state_dict"),
    "RTMPose": ("RTMPose", "best_coco_AP_epoch_420.pth", forms.mmengine, new, "MMPose", "state_dict"),
    "SimCC": ("SimCC", "best_coco_AP_epoch_210.pth", forms.mmengine, new, "MMPose", "state_dict"),
    "integral": ("integral", "best_coco_AP_epoch_210.pth", forms.mmengine, new, "MMPose", "state_dict"),
    "regression": ("regression", "best_coco_AP_epoch_210.pth", forms.mmengine, new, "MMPose", "state_dict"),
    "ViTPose": ("ViTPose", "best_coco_AP_epoch_210.pth", forms.mmengine, new, "MMPose", "state_dict"),
    "Hourglass": ("Hourglass", "best_coco_AP_epoch_210.pth", forms.mmengine, new, "MMPose", "state_dict"),
    "MSPN": ("MSPN", "best_coco_AP_epoch_210.pth", forms.mmengine, new, "MMPose", "state_dict"),
}  # fmt: skip
BOTTOM_UP = ("HigherHRNet", "PoseNet", "MMPose AE")


def test_every_family_has_a_file() -> None:
    families = {ZOO[net].family for net, *_ in CASES.values()}
    assert families == {small.family for small in ZOO.values()}


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A picture and a COCO file with two people's boxes in it."""
    folder = tmp_path_factory.mktemp("picture")
    coarse = np.random.default_rng(4).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    cv2.imwrite(str(folder / "noise.png"), cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC))
    rows = [
        {"id": number, "image_id": 1, "category_id": 1, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for number, box in enumerate(([10, 5, 60, 100], [70, 20, 80, 60]), start=1)
    ]
    content = {
        "images": [{"id": 1, "file_name": "noise.png", "width": 160, "height": 120}],
        "annotations": rows,
        "categories": [{"id": 1, "name": "person"}],
    }
    (folder / "boxes.json").write_text(json.dumps(content))
    return folder / "noise.png", folder / "boxes.json"


@pytest.mark.parametrize("name", CASES)
def test_a_published_file_opens_by_its_path(
    name: str,
    picture: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net_name, file, form, write, publisher, wrapper = CASES[name]
    net = ZOO[net_name].build()
    content = form(net.state_dict())
    if form is forms.mmengine:
        content = forms.with_classes_of_mmengine(content, monkeypatch)
    path = tmp_path / file
    write(path, content)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()

    assert run_command(["models", "inspect", str(path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["fits"], report
    assert (report["publisher"], report["wrapper"], report["sha256"]) == (publisher, wrapper, digest)
    assert report["spec"]["joints"] == 17

    module = load_estimator(path).module
    inputs = ZOO[net_name].input(1)
    if "map_wh" in getattr(ZOO[net_name].config, "__struct_fields__", ()):  # made for the size that the file says
        width, height = report["spec"]["input_wh"]
        inputs = torch.randn(1, 3, height, width)
        net = type(net)(module.config).eval()
        net.load_state_dict(ZOO[net_name].build().state_dict())
    with torch.no_grad():
        wanted, found = net(inputs), module(inputs)
    pairs = zip(wanted, found, strict=True) if isinstance(wanted, tuple) else [(wanted, found)]
    tolerance = 2e-2 if form is forms.half_precision else 1e-5  # float16 has eleven digits
    for one, other in pairs:
        assert float((one - other).abs().max()) <= tolerance * float(one.abs().max())

    image, boxes = picture
    out = tmp_path / "results.json"
    argv = ["predict", str(image), "--estimator", str(path), "--out", str(out), "--device", "cpu"]
    argv += ["--pipeline", "bottomup", "--input-size", "64"] if net_name in BOTTOM_UP else ["--boxes", str(boxes)]
    assert run_command(argv) == 0, capsys.readouterr().err
    recorded = json.loads((tmp_path / "results.images.json").read_text())["info"]["networks"]["estimator"]
    assert (recorded["sha256"], recorded["name"]) == (digest, file)
    people = json.loads(out.read_text())
    assert net_name in BOTTOM_UP or len(people) == 2
    assert all(np.isfinite(person["keypoints"]).all() and len(person["keypoints"]) == 51 for person in people)


def refused(path: Path, words: str) -> None:
    """Whatever opens a file says why this one is not, in one sentence of plain words."""
    for read in (inspect, load_estimator):
        with pytest.raises(WeightsError, match=words) as caught:
            read(path)
        assert caught.value.sentence.startswith(path.name)
        assert "\n" not in str(caught.value)
        assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("is_early", [False, True])
def test_other_protocols_of_pickles_open_or_are_named(protocol: int, is_early: bool, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pth"
    net = ZOO["HRNet"].build()

    def write(content: Any) -> None:
        torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=not is_early)

    write(forms.training_state(net.state_dict()))
    refused(path, "pickle protocol")
    write(dict(net.state_dict()))
    if protocol == 3:  # without numpy's numbers it holds nothing that torch's reader does not know
        assert inspect(path).fits
    else:
        refused(path, "pickle protocol")


def test_what_is_not_a_table_of_weights_is_named(tmp_path: Path) -> None:
    first = tmp_path / "first.pth.tar"
    with tarfile.open(first, "w:") as archive:
        for name in ("storages", "tensors", "pickle"):
            data = pickle.dumps({}, protocol=2)
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    refused(first, r"tar format of torch before 0\.1\.10")
    program = tmp_path / "program.pt"
    torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)).save(str(program))
    refused(program, "TorchScript program")
    packed = tmp_path / "packed.pth"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("pose.pth", b"nothing")
    refused(packed, "zip file")
    whole = tmp_path / "whole.pth"
    torch.save(ZOO["HRNet"].build(), whole)
    refused(whole, "asks to load poseviewer")
