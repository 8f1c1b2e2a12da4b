"""Any published checkpoint by its path alone: what it is, what it is fed, and what is refused."""

from __future__ import annotations

import gzip
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from poseviewer.core.errors import WeightsError
from poseviewer.core.skeleton import skeleton
from poseviewer.jobs.models import report_lines
from poseviewer.nets import fastpose, higher_hrnet, hrnet, posenet_ae, simplebaseline, simplepose
from poseviewer.nets.checkpoint import differences, inspect, recognise
from poseviewer.nets.conventions import hints_of, remember, spec_for
from poseviewer.nets.families import ALPHAPOSE_MEAN, families
from poseviewer.nets.mmpose import hrnet as mmpose_hrnet
from poseviewer.nets.mmpose import rtmpose
from poseviewer.nets.weights import load_estimator, save_estimator

torch.set_num_threads(1)
GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden"
IMAGENET = (0.485, 0.456, 0.406)
TRUNK = hrnet.TrunkConfig(width=4, modules=(1, 1, 1), blocks=1)
SMALL_HRNET = hrnet.HRNetConfig(trunk=TRUNK)
LAST = "head.final_layer."
NOT_ESTIMATORS = ("reid/", "mm_rtmo", "x/simplepose_r18", "coco/hardnet")
"""Other networks of the lists: re-identification, what is named but not built, what the reference cannot build."""


def shaped(shapes: dict[str, Any]) -> dict[str, Tensor]:
    """Tensors of any size that take no memory."""
    return {key: torch.zeros(()).expand(tuple(shape)) for key, shape in shapes.items()}


def golden_lists() -> list[tuple[str, dict[str, Any]]]:
    """Every published state dict of the vectors, as names and shapes."""
    found: list[tuple[str, dict[str, Any]]] = []
    for path in sorted(GOLDEN.glob("hrnet_ae/state_dicts_*.json")):
        found += json.loads(path.read_text()).items()
    path = GOLDEN / "alphapose" / "state_dicts.json.gz"
    if path.exists():
        for name, tensors in json.loads(gzip.decompress(path.read_bytes())).items():
            found.append((name, {key: json.loads("[" + text.partition("[")[2]) for key, text in tensors.items()}))
    return [(name, shapes) for name, shapes in found if not name.startswith(NOT_ESTIMATORS)]


COMPARED: set[str] = set()


@pytest.mark.parametrize(("name", "shapes"), golden_lists(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_published_state_dict_is_recognised(name: str, shapes: dict[str, Any]) -> None:
    found = recognise(shaped(shapes))
    assert found is not None
    if found.family.name not in COMPARED:  # one of each family: the others are compared by the golden vectors
        COMPARED.add(found.family.name)
        assert differences(found) == ((), (), ())
    spec, _, _ = spec_for(found.family, found.config, found.convention, hints_of(Path(f"{name}.pth"), {}))
    title = found.convention.title
    assert title.startswith("MMPose") == name.startswith("mm_"), "MMPose's files follow MMPose's conventions"
    assert title.startswith("AlphaPose") == ("/" in name or name.startswith("old_")) or "hrnet" in name
    assert (spec.output == "tags") == any(word in name for word in ("higher", "posenet", "mm_ae"))
    assert spec.bgr == name.startswith("simplebaseline")


def test_families_have_names_of_their_own() -> None:
    names = [family.name for family in families()]
    assert len(set(names)) == len(names)


WRAPPERS = {
    "bare": lambda state: state,
    "parallel": lambda state: {f"module.{key}": value for key, value in state.items()},
    "training state": lambda state: {
        "epoch": 7,
        "state_dict": {f"module.{k}": v for k, v in state.items()},
        "perf": 1.0,
    },
    "trainer": lambda state: {"model": {f"model.module.{key}": value for key, value in state.items()}},
    "half precision": lambda state: {f"1.{key}": value.half() for key, value in state.items()},
    "both": lambda state: {"state_dict": {f"module.1.{key}": value for key, value in state.items()}},
}


@pytest.mark.parametrize(("wrapper", "early"), [*((name, False) for name in WRAPPERS), ("training state", True)])
def test_wrappers_are_taken_off(wrapper: str, early: bool, tmp_path: Path) -> None:
    net = hrnet.HRNet(SMALL_HRNET).eval()
    path = tmp_path / "pose_hrnet_w4_256x192.pth"
    torch.save(WRAPPERS[wrapper](net.state_dict()), path, _use_new_zipfile_serialization=not early)
    report = inspect(path)
    assert (report.publisher, report.network, report.fits) == ("HRNet", "HRNet-W4", True)
    loaded = load_estimator(path)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        close = 2e-2 if wrapper in ("half precision", "both") else 1e-4
        torch.testing.assert_close(loaded.module(x), net(x), rtol=close, atol=close)


def saved(path: Path, net: nn.Module, about: dict[str, Any] | None = None, rename: Any = None) -> Path:
    state = {(rename(key) if rename else key): value for key, value in net.state_dict().items()}
    torch.save({**(about or {}), "state_dict": state} if about is not None else state, path)
    return path


def small_hrnet() -> nn.Module:
    return hrnet.HRNet(SMALL_HRNET)


def small_higher() -> nn.Module:
    return higher_hrnet.HigherHRNet(higher_hrnet.HigherHRNetConfig(trunk=TRUNK, width=4, blocks=1))


def small_posenet() -> nn.Module:
    return posenet_ae.PoseNet(posenet_ae.PoseNetConfig(stacks=1, width=8, increase=4))


PORTRAIT, LARGE = (192, 256), (288, 384)


@pytest.mark.parametrize(
    ("name", "build", "facts"),
    [
        ("pose_hrnet_w32_384x288.pth", small_hrnet, (LARGE, "hrnet", "hrnet", IMAGENET, False)),
        ("hrnet_w32_256x192.pth", small_hrnet, (PORTRAIT, "alphapose_master", "master", ALPHAPOSE_MEAN, False)),
        ("pose_hrnet_w48_256x192_dark.pth", small_hrnet, (PORTRAIT, "hrnet", "dark", IMAGENET, False)),
        ("higher_w32_640.pth", small_higher, ((640, 640), "hrnet", "higher", IMAGENET, False)),
        ("checkpoint.pth.tar", small_posenet, ((512, 512), "hrnet", "newell", (0.0, 0.0, 0.0), False)),
    ],
)
def test_each_publisher_has_conventions(name: str, build: Any, facts: tuple[Any, ...], tmp_path: Path) -> None:
    spec = inspect(saved(tmp_path / name, build())).spec
    assert spec is not None
    assert (spec.input_wh, spec.crop, spec.decode, spec.mean, spec.bgr) == facts


def test_simplebaseline_wants_blue_first(tmp_path: Path) -> None:
    backbone = simplepose.ResidualConfig(depths=(1, 1, 1, 1), planes=(8, 8, 16, 16))
    net = simplebaseline.SimpleBaseline(simplepose.SimplePoseConfig(joints=16, backbone=backbone, head=(8, 8, 8)))
    spec = inspect(saved(tmp_path / "pose_resnet.pth", net)).spec
    assert spec is not None
    assert (spec.bgr, spec.mean, spec.skeleton, spec.input_wh) == (True, IMAGENET[::-1], "mpii_16", (256, 256))


def test_simplebaselines_caffe_form_is_told_by_its_name(tmp_path: Path) -> None:
    backbone = simplepose.ResidualConfig(depths=(1, 1, 1, 1), planes=(8, 8, 16, 16))
    net = simplebaseline.SimpleBaseline(simplepose.SimplePoseConfig(backbone=backbone, head=(8, 8, 8)))
    for name, first in (("pose_resnet_50_caffe_256x192.pth.tar", True), ("pose_resnet_50_256x192.pth.tar", False)):
        module = load_estimator(saved(tmp_path / name, net)).module
        assert isinstance(module, simplebaseline.SimpleBaseline)
        assert module.config.backbone.stride_first is first


def small_baseline() -> nn.Module:
    backbone = simplepose.ResidualConfig(depths=(1, 1, 1, 1), planes=(8, 8, 16, 16))
    return simplebaseline.SimpleBaseline(simplepose.SimplePoseConfig(backbone=backbone, head=(8, 8, 8)))


def small_mmpose() -> nn.Module:
    return mmpose_hrnet.HrnetPose(mmpose_hrnet.HrnetPoseConfig(trunk=TRUNK))


@pytest.mark.parametrize(
    ("name", "build", "wanted"),
    [
        ("pose_hrnet_w32_256x192.pth", small_hrnet, set()),
        ("hrnet_w32_256x192.pth", small_hrnet, set()),
        ("pose_hrnet_w48_384x288_dark.pth", small_hrnet, set()),
        ("model_best.pth", small_hrnet, {"mean", "crop", "decode", "input_wh"}),
        ("model_best_256x192.pth", small_hrnet, {"mean", "crop", "decode"}),
        ("pose_resnet_50_256x192.pth.tar", small_baseline, set()),
        ("pose_resnet_50_caffe_256x192.pth.tar", small_baseline, set()),
        ("checkpoint.pth", small_baseline, {"stride_first", "input_wh"}),
        ("hrnet_w32_coco_256x192-c78dce93_20200708.pth", small_mmpose, set()),
        ("epoch_210.pth", small_mmpose, {"decode", "crop", "flip_shift", "skeleton", "input_wh"}),
        ("pose_higher_hrnet_w32_512.pth", small_higher, set()),
        ("last.pth", small_higher, {"input_wh"}),
        ("checkpoint.pth.tar", small_posenet, set()),
    ],
)
def test_what_like_tensors_leave_open_is_named_until_it_is_settled(
    name: str, build: Any, wanted: set[str], tmp_path: Path
) -> None:
    path = saved(tmp_path / name, build())
    report = inspect(path)
    assert set(report.open_facts) == wanted
    assert set(load_estimator(path).open_facts) == wanted
    (told,) = [line for line in report_lines(report) if line.startswith("  open")] or [""]
    assert all(fact in told for fact in wanted)
    values = {"stride_first": True, "input_wh": [192, 256], "skeleton": "coco_17", "mean": [0.4, 0.4, 0.4]}
    remember(path, {fact: values.get(fact, getattr(report.spec, fact, None)) for fact in wanted})
    assert inspect(path).open_facts == ()


def test_alphaposes_kinds_of_one_joint_count_are_open(tmp_path: Path) -> None:
    config = fastpose.FastPoseConfig(joints=136, depths=(1, 1, 1, 1), planes=(8, 8, 16, 32), duc=(64, 64))
    assert inspect(saved(tmp_path / "last.pth", fastpose.FastPose(config))).open_facts == ("decode",)


def test_alphaposes_68_joints_are_halpes_without_the_face(tmp_path: Path) -> None:
    config = fastpose.FastPoseConfig(joints=68, depths=(1, 1, 1, 1), planes=(8, 8, 16, 32), duc=(64, 64))
    report = inspect(saved(tmp_path / "noface_fast50_dcn_combined_256x192.pth", fastpose.FastPose(config)))
    assert report.spec is not None
    assert (report.spec.skeleton, report.open_facts) == ("halpe_68", ())
    kit = skeleton("halpe_68")
    assert [kit.joints[kit.flip[k]] for k in (9, 26, 67)] == ["right wrist", "right hand root", "left pinky finger 4"]


def test_settled_strides_build_the_other_network(tmp_path: Path) -> None:
    path = saved(tmp_path / "last.pth", small_baseline())
    plain = load_estimator(path)
    remember(path, {"stride_first": True})
    caffe = load_estimator(path)
    assert (plain.module.config.backbone.stride_first, caffe.module.config.backbone.stride_first) == (False, True)
    x = torch.randn(1, 3, 64, 64)
    assert not torch.equal(plain.module(x), caffe.module(x))
    with pytest.raises(WeightsError):
        remember(path, {"stride_first": "yes"})


@pytest.mark.parametrize(
    ("name", "decode"),
    [("halpe26_fast_res50_256x192.pth", "master"), ("fast50_regression_256x192.pth", "integral"),
     ("fast50_dcn_combined_256x192.pth", "combined")],
)  # fmt: skip
def test_alphaposes_names_say_the_decoding(name: str, decode: str, tmp_path: Path) -> None:
    config = fastpose.FastPoseConfig(joints=136, depths=(1, 1, 1, 1), planes=(8, 8, 16, 32), duc=(64, 64))
    report = inspect(saved(tmp_path / name, fastpose.FastPose(config)))
    assert report.spec is not None
    assert (report.spec.decode, report.spec.skeleton) == (decode, "halpe_136")
    assert report.known_by["input_wh"] == "file name"


def mmpose_about(text: str, dataset: str = "coco") -> dict[str, Any]:
    return {"meta": {"cfg": text, "dataset_meta": {"dataset_name": dataset}}}


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("codec = dict(type='MSRAHeatmap', input_size=(288, 384), heatmap_size=(72, 96), sigma=3)",
         ("msra", "mmpose", True, (288, 384), 17)),
        ("codec = dict(type='UDPHeatmap', input_size=(192, 256), sigma=2)",
         ("udp", "mmpose_udp", False, (192, 256), 11)),
        ("codec = dict(\n    type='MSRAHeatmap', input_size=(192, 256), sigma=2, unbiased=True)",
         ("dark", "mmpose", True, (192, 256), 11)),
        ("data_cfg = dict(image_size=[192, 256])\ntest_cfg = dict(post_process='default', shift_heatmap=True)",
         ("msra", "mmpose", True, (192, 256), 11)),
        ("data_cfg = dict(image_size=[192, 256], use_udp=True)", ("udp", "mmpose_udp", False, (192, 256), 11)),
    ],
)  # fmt: skip
def test_mmposes_text_says_codec_and_size(text: str, facts: tuple[Any, ...], tmp_path: Path) -> None:
    net = mmpose_hrnet.HrnetPose(mmpose_hrnet.HrnetPoseConfig(trunk=TRUNK))
    report = inspect(saved(tmp_path / "best.pth", net, mmpose_about(text)))
    spec = report.spec
    assert spec is not None
    assert (spec.decode, spec.crop, spec.flip_shift, spec.input_wh, spec.kernel) == facts
    assert report.known_by["input_wh"] == "configuration in the file"


def test_mmpose_before_one_dot_zero_is_renamed(tmp_path: Path) -> None:
    net = mmpose_hrnet.HrnetPose(mmpose_hrnet.HrnetPoseConfig(trunk=TRUNK))
    path = saved(tmp_path / "hrnet_w32_coco_256x192-c78dce93_20200708.pth", net, {"meta": {}},
                 lambda key: key.replace("head.", "keypoint_head."))  # fmt: skip
    report = inspect(path)
    assert (report.publisher, report.fits) == ("MMPose", True)
    assert "keypoint_head." in report.wrapper
    for old in ("keypoint_head.final_layers.0.", "keypoint_head.final_layer.0."):
        path = saved(
            tmp_path / "old.pth", net, {"meta": {}}, lambda key, old=old: key.replace("head.final_layer.", old)
        )
        assert inspect(path).fits

    def named(key: str) -> str:
        return ("keypoint_head." if key.startswith(("final_layers", "deconv_layers")) else "backbone.") + key

    report = inspect(saved(tmp_path / "higher_hrnet32_coco_512x512.pth", small_higher(), {"meta": {}}, named))
    assert (report.network, report.fits) == ("HigherHRNet-W4", True)


def test_the_data_set_names_the_joints(tmp_path: Path) -> None:
    config = rtmpose.RtmposeConfig(14, (8, 8, 16, 16, 32), (1, 1, 1, 1), hidden=32, gate=64, key=16)
    about = mmpose_about("", "aic")
    report = inspect(saved(tmp_path / "rtmpose.pth", rtmpose.Rtmpose(config), about))
    assert report.spec is not None
    assert (report.spec.skeleton, report.spec.output, report.spec.input_wh) == ("aic_14", "simcc", (192, 256))
    guessed = inspect(saved(tmp_path / "rtm.pth", rtmpose.Rtmpose(config), {"meta": {}}))
    assert guessed.spec is not None
    assert "guess" in " ".join(guessed.notes)


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    state = hrnet.HRNet(SMALL_HRNET).state_dict()
    lacking, more = dict(state), {**state, "extra.weight": torch.zeros(1)}
    del lacking["stage2.0.branches.0.0.conv2.weight"]
    for name, tensors, words in (
        ("lacking", lacking, "lacks stage2.0.branches.0.0.conv2.weight"),
        ("more", more, "also holds extra.weight"),
    ):
        path = tmp_path / f"{name}.pth"
        torch.save(tensors, path)
        assert not inspect(path).fits
        with pytest.raises(WeightsError, match=words):
            load_estimator(path)


def test_a_stranger_is_refused_in_one_plain_sentence(tmp_path: Path) -> None:
    path = tmp_path / "resnet50.safetensors"
    save_file({"fc.weight": torch.zeros(10, 4)}, path)
    with pytest.raises(WeightsError) as caught:
        load_estimator(path)
    assert caught.value.sentence == "resnet50.safetensors is not a pose estimator that this program knows."
    report = inspect(path)
    assert report.spec is None
    assert report.notes == ("It holds fc.weight 10 x 4.",)


def test_a_published_network_in_safetensors_opens(tmp_path: Path) -> None:
    path = tmp_path / "pose_hrnet.safetensors"
    save_file(dict(hrnet.HRNet(SMALL_HRNET).state_dict()), path)
    assert inspect(path).fits
    assert load_estimator(path).spec.family == "hrnet"


def test_what_a_person_settles_is_remembered_beside_the_file(tmp_path: Path) -> None:
    path = saved(tmp_path / "mine.pth", hrnet.HRNet(SMALL_HRNET))
    before = inspect(path).spec
    remember(path, {"input_wh": [256, 320], "bgr": True})
    beside = remember(path, {"skeleton": "ap10k_17"})
    assert json.loads(beside.read_text()) == {"input_wh": [256, 320], "bgr": True, "skeleton": "ap10k_17"}
    after = inspect(path)
    assert before is not None
    assert after.spec is not None
    assert (after.spec.input_wh, after.spec.heatmap_wh) == ((256, 320), (64, 80))
    assert (after.spec.bgr, after.spec.skeleton) == (True, "ap10k_17")
    assert after.known_by["bgr"] == "settled by hand"
    assert load_estimator(path).spec == after.spec
    for wrong in ({"input_wh": [100, 100]}, {"decode": "guess"}, {"joints": 3}):
        with pytest.raises(WeightsError):
            remember(path, wrong)
    assert inspect(path).spec == after.spec


def test_ultralytics_files_are_sent_to_their_place(tmp_path: Path) -> None:
    path = tmp_path / "yolo-pose.pt"
    head = [pickle.dumps(part, protocol=2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    path.write_bytes(b"".join([*head, b"\x80\x02cultralytics.nn.tasks\nPoseModel\n.", pickle.dumps([], protocol=2)]))
    with pytest.raises(WeightsError, match="onestage"):
        load_estimator(path)


def test_a_published_network_written_as_ours_describes_itself(tmp_path: Path) -> None:
    loaded = load_estimator(saved(tmp_path / "pose_hrnet_w4_384x288.pth", small_hrnet()))
    path = tmp_path / "retrained.safetensors"
    assert loaded.header is not None
    save_estimator(path, loaded.module, loaded.header, half=False)
    again = load_estimator(path)
    assert again.spec == loaded.spec
    x = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(again.module(x), loaded.module(x))
    report = inspect(path)
    assert (report.publisher, report.network, report.fits) == ("PoseViewer", "HRNet-W4", True)
