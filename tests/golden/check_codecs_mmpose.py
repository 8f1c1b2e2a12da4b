"""MMPose's heatmap codecs and their building blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
from goldenfolder import Comparison, Vectors, check, close, same

from poseviewer.ops import refinement
from poseviewer.ops.codec_mmpose import MegviiCodec, MsraCodec, UdpCodec

FILE = "hrnet_ae/codecs_mmpose.npz"


def codecs_of(data: Vectors) -> dict[str, MsraCodec | MegviiCodec | UdpCodec]:
    """The codecs that a file names; the input is four times the heatmaps."""
    height, width = data["hm"].shape[1:]
    sizes = ((width * 4, height * 4), (width, height))
    known = {
        "msra": MsraCodec(*sizes),
        "msra_unbiased": MsraCodec(*sizes, unbiased=True),
        "udp": UdpCodec(*sizes),
        "udp_comb": UdpCodec(*sizes, combined=True),
    }
    kernels = {int(found[1]) for name in data.names("megvii") if (found := re.match(r"megvii(\d+)_enc$", name))}
    return known | {f"megvii{kernel}": MegviiCodec(*sizes, kernel=kernel) for kernel in sorted(kernels)}


@check(FILE, "encoding")
def encoding(data: Vectors) -> Iterator[Comparison]:
    joints, seen = data.tensor("kp"), data.tensor("vis")
    for name, codec in codecs_of(data).items():
        maps, weights = codec.encode(joints, seen)
        wanted = data[f"{name}_enc"]
        yield close(f"{name} maps", maps[0, : len(wanted)], wanted, 1e-4 if "megvii" in name else 1e-6)
        yield same(f"{name} weights", weights, data[f"{name}_w"])


@check(FILE, "round trip")
def round_trip(data: Vectors) -> Iterator[Comparison]:
    joints = data.tensor("kp_all")
    for name, codec in codecs_of(data).items():
        maps, weights = codec.encode(joints, torch.ones(joints.shape[:2]))
        found, scores = codec.decode(maps)
        yield same(f"{name} weights", weights, data[f"{name}_w_all"])
        yield close(f"{name} joints", found, data[f"{name}_roundtrip_kp"], 1e-3)
        yield close(f"{name} scores", scores, data[f"{name}_roundtrip_sc"], 1e-5)


@check(FILE, "decoding")
def decoding(data: Vectors) -> Iterator[Comparison]:
    maps = data.tensor("hm")[None]
    for name, codec in codecs_of(data).items():
        if name == "udp_comb":
            joints, scores = codec.decode(data.tensor("comb_in")[None])
            wanted = data["comb_kp"], data["comb_sc"]
        else:
            joints, scores = codec.decode(maps * 255 if "megvii" in name else maps)
            wanted = data[f"{name}_dec_kp"], data[f"{name}_dec_sc"]
        yield close(f"{name} joints", joints, wanted[0], 1e-3)
        yield close(f"{name} scores", scores, wanted[1], 1e-5)


@check(FILE, "blur, arg-max and refinement")
def blocks(data: Vectors) -> Iterator[Comparison]:
    maps = data.tensor("hm")[None]
    xy, values = refinement.arg_max(maps)
    yield same("arg-max", xy[0], data["max_loc"])
    yield same("values", values[0], data["max_val"])
    yield close("quarter", refinement.quarter_per_axis(maps, xy), data["refine_quarter"], 1e-6)
    for name in data.names("blur_ks"):
        size, wanted = int(name.removeprefix("blur_ks")), data[name]
        yield close(name, refinement.blur_to_peak(maps[:, : len(wanted)], size)[0], wanted, 1e-5)
        yield close(f"dark {size}", refinement.dark(maps, xy, size), data[f"dark_ks{size}"], 1e-3)
        yield close(f"dark of UDP {size}", refinement.dark_udp(maps, xy, size), data[f"darkudp_ks{size}"], 1e-3)
