"""Published networks in the top-down pipeline: what comes out is what their own system's steps give, one by one.

The networks are small ones of the published families with random weights, saved as their publishers save files.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from poseviewer.core.skeleton import skeleton
from poseviewer.core.values import Frame
from poseviewer.nets import fastpose, hrnet, simplebaseline, simplepose
from poseviewer.nets.mmpose import heatmaps, integral, regression, rtmpose, vit
from poseviewer.nets.weights import load_estimator
from poseviewer.ops import affine_hrnet, flip_mmpose, reference_crops, warp_mmpose
from poseviewer.ops.codec_hrnet import HRNetCodec
from poseviewer.ops.codec_mmpose import MegviiCodec, MsraCodec, UdpCodec
from poseviewer.ops.codec_simcc import RegressionCodec, SimccCodec
from poseviewer.ops.decode import decode_heatmaps, decode_integral, merge_flip
from poseviewer.pipeline.config import NmsConfig, PipelineConfig
from poseviewer.pipeline.networks import Networks
from poseviewer.pipeline.topdown import TopDown

torch.set_num_threads(1)
BOXES = np.array([[20.0, 12, 90, 150], [100, 30, 190, 120], [-10, 60, 30, 170]], np.float32)
FLIP = skeleton("coco_17").flip
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SMALL_TRUNK = hrnet.TrunkConfig(width=4, modules=(1, 1, 1), blocks=1)


@dataclass
class Published:
    """A file and how its own system would run it.

    Attributes:
        name: of the file.
        build: the network.
        save: state dict to what is written.
        run: network, crop function and flip to joints and scores.
    """

    name: str
    build: Callable[[], nn.Module]
    run: Callable[[nn.Module, Picture, bool], tuple[Tensor, Tensor]]
    save: Callable[[dict[str, Tensor]], Any] = dict
    early: bool = False
    heatmaps: bool = True


class Picture:
    """A picture cut as OpenCV cuts it: exact bilinear, rounded to grey levels.

    Args:
        pixels: RGB.
        fed: ``(n, h, w, 3)``, what the pipeline cut. It must be the same but for single grey levels where rounding
            decides, and goes on from there: random networks have near ties that would tell those apart.
    """

    def __init__(self, pixels: np.ndarray, fed: np.ndarray) -> None:
        self.planes = torch.from_numpy(pixels).permute(2, 0, 1).float()
        self.boxes = torch.from_numpy(BOXES)
        self.fed = torch.from_numpy(fed).permute(0, 3, 1, 2).float()

    def cut(self, to_crop: Tensor, size_wh: tuple[int, int]) -> Tensor:
        from poseviewer.ops.crops import invert_matrices

        mine = reference_crops.warp(self.planes, invert_matrices(to_crop.double()), size_wh).round()
        assert mine.shape == self.fed.shape
        assert (mine - self.fed).abs().max() <= 1
        assert (mine != self.fed).float().mean() < 1e-3
        return self.fed / 255


def normal(crops: Tensor, mean: tuple[float, ...], std: tuple[float, ...], *, bgr: bool = False) -> Tensor:
    """As published: blue-first networks meet blue with the first number."""
    crops = crops.flip(1) if bgr else crops
    return (crops - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)


def alphapose(decode: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Callable[..., tuple[Tensor, Tensor]]:
    def run(net: nn.Module, picture: Picture, flip: bool) -> tuple[Tensor, Tensor]:
        centre, scale = reference_crops.master_centre_scale(picture.boxes, (192, 256))
        crops = picture.cut(reference_crops.master_affine(centre, scale, 0.0, (192, 256)), (192, 256))
        inputs = normal(crops, (0.406, 0.457, 0.480), (1, 1, 1))
        maps = net(inputs)
        if flip:
            maps = merge_flip(maps, net(inputs.flip(3)), FLIP)
        cells, scores = decode(maps)
        return reference_crops.master_to_frame(cells, reference_crops.master_box(centre, scale), (48, 64)), scores

    return run


def of_hrnet(*, bgr: bool) -> Callable[..., tuple[Tensor, Tensor]]:
    def run(net: nn.Module, picture: Picture, flip: bool) -> tuple[Tensor, Tensor]:
        boxes = picture.boxes
        xywh = torch.cat((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), 1)
        centre, scale = affine_hrnet.centre_scale(xywh, 192 / 256)
        crops = picture.cut(affine_hrnet.affine(centre, scale, (192, 256)), (192, 256))
        inputs = normal(crops, *IMAGENET, bgr=bgr)
        maps = net(inputs)
        if flip:
            maps = merge_flip(maps, net(inputs.flip(3)), FLIP, shift=True)
        return HRNetCodec((192, 256), (48, 64)).decode_to_picture(maps, centre, scale)

    return run


def mmpose(
    size: tuple[int, int],
    decode: Callable[[Any], tuple[Tensor, Tensor]],
    back: Callable[[Any], Any],
    *,
    udp: bool = False,
) -> Callable[..., tuple[Tensor, Tensor]]:
    def run(net: nn.Module, picture: Picture, flip: bool) -> tuple[Tensor, Tensor]:
        centre, scale = warp_mmpose.box_centre_scale(picture.boxes, padding=1.25)
        scale = warp_mmpose.to_aspect(scale, size[0] / size[1])
        make = warp_mmpose.udp_matrix if udp else warp_mmpose.warp_matrix
        inputs = normal(picture.cut(make(centre, scale, torch.zeros(len(centre)), size), size), *IMAGENET)
        answer = net(inputs)
        if flip:
            other = back(net(inputs.flip(3)))
            if isinstance(answer, tuple):
                answer = tuple((a + b) / 2 for a, b in zip(answer, other, strict=True))
            else:
                answer = (answer + other) / 2
        joints, scores = decode(answer)
        return warp_mmpose.input_to_picture(joints, centre, scale, size).float(), scores

    return run


def mirrored_maps(*, shift: bool) -> Callable[[Tensor], Tensor]:
    from poseviewer.ops.decode import flip_back

    return lambda maps: flip_back(maps, FLIP, shift=shift)


def parallel(state: dict[str, Tensor]) -> Any:
    """As HRNet's training states are saved."""
    named = OrderedDict((f"module.{key}", value) for key, value in state.items())
    return {"epoch": 3, "model": "pose_hrnet", "state_dict": named, "perf": 0.7, "optimizer": {"param_groups": []}}


def mmengine(text: str = "") -> Callable[[dict[str, Tensor]], Any]:
    """As MMEngine saves releases."""
    meta = {"cfg": text, "dataset_meta": {"dataset_name": "coco", "sigmas": np.ones(17, np.float32)}, "epoch": 210}
    extra = {"data_preprocessor.mean": torch.tensor([[[123.675]], [[116.28]], [[103.53]]])}
    extra["data_preprocessor.std"] = torch.tensor([[[58.395]], [[57.12]], [[57.375]]])
    return lambda state: {"meta": meta, "state_dict": OrderedDict({**extra, **state}), "message_hub": {}}


BACKBONE = simplepose.SimplePoseConfig().backbone
SMALL_BACKBONE = msgspec.structs.replace(BACKBONE, depths=(1, 1, 1, 1), planes=(8, 8, 16, 16))
SMALL_SIMPLE = simplepose.SimplePoseConfig(backbone=SMALL_BACKBONE, head=(16, 16, 16))
SMALL_FAST = fastpose.FastPoseConfig(depths=(1, 1, 1, 1), planes=(8, 8, 16, 32), duc=(64, 64))
SMALL_HRNET = hrnet.HRNetConfig(trunk=SMALL_TRUNK)
SMALL_RTM = rtmpose.RtmposeConfig(widths=(8, 8, 16, 16, 32), blocks=(1, 1, 1, 1), hidden=32, gate=64, key=16)
SMALL_VIT = vit.VitposeConfig(width=64, layers=2, heads=1, hidden=64, deconvs=(16, 16))
FLAT_BACKBONE = msgspec.structs.replace(BACKBONE, depths=(1, 1, 1, 1))
SMALL_MM = heatmaps.ResnetHeatmapsConfig(backbone=FLAT_BACKBONE, deconvs=(16, 16, 16))
SMALL_INTEGRAL = integral.IntegralConfig(backbone=FLAT_BACKBONE, deconvs=(16, 16, 16))
PORTRAIT, CELLS = (192, 256), (48, 64)
PLAIN = mirrored_maps(shift=True)


def msra(**changes: Any) -> Callable[..., tuple[Tensor, Tensor]]:
    return mmpose(PORTRAIT, MsraCodec(PORTRAIT, CELLS, **changes).decode, PLAIN)


SYSTEMS = {
    "alphapose": Published(
        "fast_res50_256x192.pth", lambda: fastpose.FastPose(SMALL_FAST), alphapose(decode_heatmaps), early=True
    ),
    "alphapose regression": Published(
        "fast50_regression_256x192.pth",
        lambda: fastpose.FastPose(SMALL_FAST),
        alphapose(lambda maps: decode_integral(maps, "sigmoid")),
    ),
    "alphapose hrnet": Published("hrnet_w32_256x192.pth", lambda: hrnet.HRNet(SMALL_HRNET), alphapose(decode_heatmaps)),
    "hrnet": Published(
        "pose_hrnet_w32_256x192.pth", lambda: hrnet.HRNet(SMALL_HRNET), of_hrnet(bgr=False), parallel, early=True
    ),
    "simplebaseline": Published(
        "pose_resnet_50_256x192.pth.tar", lambda: simplebaseline.SimpleBaseline(SMALL_SIMPLE), of_hrnet(bgr=True)
    ),
    "mmpose": Published("td-hm.pth", lambda: heatmaps.ResnetHeatmaps(SMALL_MM), msra(), mmengine()),
    "mmpose dark": Published(
        "td-hm.pth",
        lambda: heatmaps.ResnetHeatmaps(SMALL_MM),
        msra(unbiased=True),
        mmengine("codec = dict(type='MSRAHeatmap', input_size=(192, 256), sigma=2, unbiased=True)"),
    ),
    "mmpose megvii": Published(
        "td-hm.pth",
        lambda: heatmaps.ResnetHeatmaps(SMALL_MM),
        mmpose(PORTRAIT, MegviiCodec(PORTRAIT, CELLS, 15).decode, PLAIN),
        mmengine("codec = dict(type='MegviiHeatmap', input_size=(192, 256), kernel_size=15)"),
    ),
    "mmpose udp": Published(
        "td-hm_udp.pth",
        lambda: heatmaps.ResnetHeatmaps(SMALL_MM),
        mmpose(PORTRAIT, UdpCodec(PORTRAIT, CELLS).decode, mirrored_maps(shift=False), udp=True),
        mmengine("codec = dict(type='UDPHeatmap', input_size=(192, 256), heatmap_size=(48, 64), sigma=2)"),
    ),
    "mmpose udp combined": Published(
        "td-hm_udp.pth",
        lambda: heatmaps.ResnetHeatmaps(msgspec.structs.replace(SMALL_MM, joints=51)),
        mmpose(
            PORTRAIT,
            UdpCodec(PORTRAIT, CELLS, combined=True).decode,
            lambda maps: flip_mmpose.flip_udp_combined(maps, FLIP),
            udp=True,
        ),
        mmengine("codec = dict(type='UDPHeatmap', input_size=(192, 256), heatmap_type='combined')"),
    ),
    "rtmpose": Published(
        "rtmpose-t.pth",
        lambda: rtmpose.Rtmpose(SMALL_RTM),
        mmpose(
            PORTRAIT,
            lambda rows: SimccCodec(PORTRAIT).decode(*rows),
            lambda rows: flip_mmpose.flip_vectors(*rows, FLIP),
        ),
        mmengine(),
    ),
    "vitpose": Published(
        "vitpose.pth",
        lambda: vit.Vitpose(SMALL_VIT),
        mmpose(PORTRAIT, UdpCodec(PORTRAIT, CELLS).decode, mirrored_maps(shift=False), udp=True),
        mmengine(),
    ),
    "integral": Published(
        "ipr.pth",
        lambda: integral.IntegralResnet(SMALL_INTEGRAL),
        mmpose(
            (256, 256),
            RegressionCodec((256, 256)).decode,
            lambda joints: flip_mmpose.flip_coordinates(joints, FLIP, pixel=1 / 256),
        ),
        mmengine(),
    ),
    "regression": Published(
        "td-reg.pth",
        lambda: regression.RegressionResnet(regression.RegressionConfig(backbone=FLAT_BACKBONE)),
        mmpose(
            PORTRAIT,
            RegressionCodec(PORTRAIT).decode,
            lambda joints: flip_mmpose.flip_coordinates(joints, FLIP, pixel=1 / 192),
        ),
        mmengine(),
    ),
}


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """A coloured picture with structure at all sizes."""
    import cv2

    rng = np.random.default_rng(3)
    noise = sum(cv2.resize(rng.random((n, n, 3)), (200, 180), interpolation=cv2.INTER_CUBIC) for n in (3, 9, 27))
    return (255 * np.clip(noise / 3, 0, 1)).astype(np.uint8)


PLAIN_TOO = ("alphapose", "hrnet", "mmpose udp combined", "rtmpose", "regression")


@pytest.mark.parametrize(("system", "flip"), [*((name, True) for name in SYSTEMS), *((n, False) for n in PLAIN_TOO)])
def test_the_pipeline_computes_what_the_system_does(
    system: str, flip: bool, pixels: np.ndarray, tmp_path: Path
) -> None:
    published = SYSTEMS[system]
    torch.manual_seed(7)
    net = published.build().eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    last = [module for module in net.modules() if isinstance(module, nn.Conv2d) and module.bias is not None]
    if last and published.heatmaps:  # so that every map has a positive peak
        nn.init.constant_(last[-1].bias, 3.0)
    path = tmp_path / published.name
    torch.save(published.save(net.state_dict()), path, _use_new_zipfile_serialization=not published.early)
    networks = Networks(load_estimator(path), torch.device("cpu"), detector=object())
    config = PipelineConfig(flip=flip, nms=NmsConfig(enabled=False))
    frame = Frame(0, 0.0, pixels)
    with torch.inference_mode():
        result = TopDown(networks, config).process([frame], boxes={0: BOXES}, keep_evidence=True)[0]
        fed = np.stack([crop.picture for crop in result.evidence.crops])
        wanted, scores = published.run(net, Picture(pixels, fed), flip)
    found = result.evidence.candidates
    assert networks.skeleton == "coco_17"
    np.testing.assert_allclose(found.scores, scores.numpy(), rtol=2e-3, atol=1e-4)
    # Random maps have near ties, and Newton steps on saddles, which the last bits of a convolution decide.
    assert np.mean(np.abs(found.keypoints - wanted.numpy()) > 0.01) < 0.15
    assert np.ptp(wanted.numpy()[..., 0]) > 10, "the joints must be different places"
    crop = result.evidence.crops[1]
    assert crop.heatmaps.shape[0] == 17
    if system in ("alphapose", "hrnet", "simplebaseline", "mmpose", "rtmpose"):
        peak = np.unravel_index(crop.heatmaps[5].argmax(), crop.heatmaps[5].shape)
        place = crop.heatmap_to_frame @ np.array([peak[1], peak[0], 1.0])
        assert np.abs(place - found.keypoints[1, 5]).max() < 2 * np.abs(crop.heatmap_to_frame[:, :2]).max()


def test_without_a_joint_set_the_flip_test_is_left_out_and_told(pixels: np.ndarray, tmp_path: Path) -> None:
    net = hrnet.HRNet(hrnet.HRNetConfig(joints=5, trunk=SMALL_TRUNK)).eval()
    path = tmp_path / "five.pth"
    torch.save(net.state_dict(), path)
    networks = Networks(load_estimator(path), torch.device("cpu"), detector=object())
    assert networks.skeleton == ""
    notes: list[str] = []
    config = PipelineConfig(flip=True, nms=NmsConfig(enabled=False))
    worker = TopDown(networks, config, lambda note: notes.append(note.text))
    plain = TopDown(networks, msgspec.structs.replace(config, flip=False))
    frame = Frame(0, 0.0, pixels)
    one, other = (w.process([frame], boxes={0: BOXES}, keep_evidence=True)[0].evidence for w in (worker, plain))
    np.testing.assert_array_equal(one.candidates.keypoints, other.candidates.keypoints)
    assert len(notes) == 1
    assert "joint set is not known" in notes[0]
