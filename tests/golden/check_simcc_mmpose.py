"""SimCC, regression and integral regression of MMPose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from goldenfolder import Comparison, Vectors, check, close, same

from poseviewer.ops import codec_simcc
from poseviewer.ops.codec_hrnet import HRNetCodec
from poseviewer.ops.codec_simcc import RegressionCodec, SimccCodec

FILE = "hrnet_ae/simcc_regression_mmpose.npz"


def input_wh(data: Vectors) -> tuple[int, int]:
    """Pixels of the network input, which has two bins for each."""
    return data["simcc_x"].shape[2] // 2, data["simcc_y"].shape[2] // 2


def normal(data: Vectors) -> SimccCodec:
    return SimccCodec(input_wh(data), sigma=(4.9, 5.66))


def raw(data: Vectors) -> SimccCodec:
    return SimccCodec(input_wh(data), sigma=(6.0, 6.0), normalise=False)


def codecs_of(data: Vectors) -> dict[str, SimccCodec]:
    return {
        "gauss_norm": normal(data),
        "gauss_raw": raw(data),
        "gauss_3": replace(normal(data), ratio=3.0, normalise=False),
        "std": SimccCodec(input_wh(data), sigma=None, smoothing=0.1),
        "std0": SimccCodec(input_wh(data), sigma=None),
    }


@check(FILE, "SimCC labels and decoding")
def simcc(data: Vectors) -> Iterator[Comparison]:
    x, y = data.tensor("simcc_x"), data.tensor("simcc_y")
    for name, codec in codecs_of(data).items():
        labels = codec.encode(data.tensor("kp"), data.tensor("vis"))
        stored = data[f"{name}_x"].shape[1]
        yield close(f"{name} x", labels.x[:, :stored], data[f"{name}_x"], 1e-6)
        yield close(f"{name} y", labels.y[:, :stored], data[f"{name}_y"], 1e-6)
        yield same(f"{name} weights", labels.weights, data[f"{name}_w"])
        own = name == "gauss_3"
        yield from decoded(data, name, codec, labels.x if own else x, labels.y if own else y)
    dark = replace(normal(data), dark=True)
    yield from decoded(data, "dark", dark, x.clamp(min=1e-6), y.clamp(min=1e-6))
    yield from decoded(data, "vis", normal(data), x, y)


def decoded(data: Vectors, name: str, codec: SimccCodec, x: torch.Tensor, y: torch.Tensor) -> Iterator[Comparison]:
    joints, scores = codec.decode(x, y)
    for row in range(len(x)):
        allowed = 1e-3 if codec.dark else 1e-4
        yield close(f"{name} joints {row}", joints[row : row + 1], data[f"{name}_dec_kp_{row}"], allowed)
        yield close(f"{name} scores {row}", scores[row : row + 1], data[f"{name}_dec_sc_{row}"], 1e-6)


@check(FILE, "visibility, softmax and normalisation")
def peaks(data: Vectors) -> Iterator[Comparison]:
    x, y = data.tensor("simcc_x"), data.tensor("simcc_y")
    seen = normal(data).visibility(x, y, beta=10)
    for row in range(len(x)):
        yield close(f"visibility {row}", seen[row : row + 1], data[f"vis_dec_vis_{row}"], 1e-5)
    bins, values = codec_simcc.simcc_maximum(x.softmax(dim=2), y.softmax(dim=2))
    yield same("softmax bins", bins, data["max_softmax_loc"])
    yield close("softmax values", values, data["max_softmax_val"], 1e-6)
    yield close("normalised", codec_simcc.normalised_rows(x), data["normalized_x"], 1e-6)
    yield close("normalised by sigma", codec_simcc.normalised_rows(x, sigma=4.9), data["normalized_x_sigma"], 1e-6)


@check(FILE, "loss and gradient")
def losses(data: Vectors) -> Iterator[Comparison]:
    labels = raw(data).encode(data.tensor("kp"), data.tensor("vis"))
    y = data.tensor("simcc_y")
    for name, beta, soft in (("kl_b10_ls1", 10.0, True), ("kl_b1_ls0", 1.0, False)):
        x = data.tensor("simcc_x").requires_grad_()
        loss = codec_simcc.simcc_loss((x, y), labels, beta=beta, label_softmax=soft)
        yield close(name, loss, data[name], 1e-6)
        gradient = torch.autograd.grad(loss, x)[0].abs().sum(dim=2)
        yield close(f"{name} gradient", gradient, data[f"{name}_gradx_abs"], 1e-6)


@check(FILE, "regression and integral regression")
def regression(data: Vectors) -> Iterator[Comparison]:
    codec = RegressionCodec(input_wh(data))
    labels, weights = codec.encode(data.tensor("kp"), data.tensor("vis"))
    yield close("labels", labels, data["reg_label"], 1e-6)
    yield same("weights", weights, data["reg_w"])
    joints, scores = codec.decode(data.tensor("reg_dec_in"))
    yield close("joints", joints, data["reg_dec_kp"], 1e-4)
    yield close("scores", scores, data["reg_dec_sc"], 1e-6)
    for beta in (1, 10):
        found, _ = codec_simcc.soft_argmax(data.tensor("ipr_in"), beta=beta)
        yield close(f"soft-argmax {beta}", found, data[f"ipr_coords_softmax_b{beta}"], 1e-5)
    yield close("integral labels", labels[:1], data["ipr_label"], 1e-6)
    width, height = input_wh(data)
    maps, weights = HRNetCodec((width, height), (width // 4, height // 4)).encode(
        data.tensor("kp")[:1], data.tensor("vis")[:1]
    )
    # The published codec takes a person's weights from the coordinates.
    yield same("integral weights", codec.encode(data.tensor("kp")[:1], data.tensor("vis")[:1])[1], data["ipr_w"])
    maps = maps / (maps.sum(dim=(2, 3), keepdim=True) + 1e-24)
    yield close("sum of maps", maps[0].sum(dim=(1, 2)), data["ipr_hm_sum"], 1e-5)
    yield close("peak of maps", maps[0].amax(dim=(1, 2)), data["ipr_hm_max"], 1e-6)
